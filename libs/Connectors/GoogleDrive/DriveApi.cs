using System.Buffers.Text;
using System.Collections.Concurrent;
using System.Net;
using System.Runtime.CompilerServices;
using DarkStorage.Connectors.Google;
using DarkStorage.Connectors.Http;
using DarkStorage.Storage;
using DarkStorage.Storage.Backends;

namespace DarkStorage.Connectors.GoogleDrive;

/// <summary>The part of Drive's API (v3) that is used here: files are made, found, read, copied and deleted.</summary>
internal sealed class DriveApi(GoogleClient client, DrivePlace place, TimeProvider clock) : IDisposable
{
    private const string FilesPath = "/drive/v3/files";
    private const string UploadPath = "/upload/drive/v3/files";

    /// <summary>Without it, what is in a shared drive is not there.</summary>
    private const string AllDrives = "supportsAllDrives=true";

    /// <summary>Ids that are asked for at one time.</summary>
    private const int IdsCount = 20;

    /// <summary>Pages of a list in a row with nothing on them that the one before had not. Drive says that pages may have few or no files.</summary>
    private const int IdlePagesMax = 50;

    /// <summary>Of one list. A folder and a shared drive have 500,000 at most.</summary>
    private const int FilesMax = 1_000_000;

    private readonly ConcurrentQueue<string> _ids = new();

    private string What => place.DriveId is null ? "Google Drive" : "The shared drive";

    /// <returns>A part of a query: what has a property.</returns>
    public static string Has(string property, string value) => $"properties has {{ key='{Quoted(property)}' and value='{Quoted(value)}' }}";

    /// <summary>What there is, page by page, in no order: Drive says that sorting many by the time when they were made may take longer than it has.</summary>
    /// <param name="condition">Of the place's files, or its folders.</param>
    /// <param name="from">Behind which page to go on: <see cref="DriveFiles.Next"/> of one lately; null for all.</param>
    public async IAsyncEnumerable<DriveFiles> ListAsync(string condition, string? from, [EnumeratorCancellation] CancellationToken ct)
    {
        // Files that somebody shares with the account are not its own, whatever they say that they are of.
        var where = place.DriveId is { } drive ? $"corpora=drive&driveId={drive}&includeItemsFromAllDrives=true" : "corpora=user";
        var query = $"{condition} and {Has(DrivePlace.PlaceProperty, place.Folder)} and trashed = false{(place.DriveId is null ? " and 'me' in owners" : "")}";
        var target = $"{FilesPath}?q={GoogleClient.Escape(query)}&{where}&spaces=drive&pageSize={place.PageFilesMax}&{AllDrives}&fields=nextPageToken,incompleteSearch,files({DriveResource.Fields})";
        var (count, idle, before) = (0, 0, new HashSet<string>(StringComparer.Ordinal));
        while (true)
        {
            var after = from is null ? "" : $"&pageToken={GoogleClient.Escape(from)}";
            // One that fails in the middle is not to cost the whole.
            var page = from is null ? await PageAsync(target, ct) : await PartAttempts.RunAsync(() => PageAsync(target + after, ct), clock, ct);
            // Where files come and go between pages, one may be on two.
            var files = (page.Files ?? []).OfType<DriveResource>().Where(f => DriveResource.IsId(f.Id) && !before.Contains(f.Id!)).ToList();
            from = string.IsNullOrEmpty(page.NextPageToken) ? null : page.NextPageToken;
            yield return new(files, from);
            if (from is null) yield break;
            idle = files.Count > 0 ? 0 : idle + 1;
            if (idle >= IdlePagesMax) throw new BackendException(BackendError.Unavailable, $"{What}: the server's list goes on, and has nothing more.");
            if ((count += files.Count) > FilesMax) throw new BackendException(BackendError.Refused, $"{What} has more than {FilesMax} files in one list.");
            if (files.Count > 0) before = [.. files.Select(f => f.Id!)];
        }
    }

    /// <summary>All of a few: of one name, or the folders.</summary>
    public async Task<IReadOnlyList<DriveResource>> FindAllAsync(string condition, CancellationToken ct)
    {
        var found = new Dictionary<string, DriveResource>(StringComparer.Ordinal);
        await foreach (var page in ListAsync(condition, null, ct))
        {
            foreach (var file in page.Files) found.TryAdd(file.Id!, file);
        }
        return [.. found.Values];
    }

    /// <summary>Asks for one by its id: what is known of it at once, whatever lists show.</summary>
    /// <returns>Null where there is none, or it is in the trash.</returns>
    public async Task<DriveResource?> FindAsync(string what, string id, CancellationToken ct)
    {
        var found = await client.AskAsync<DriveResource>(HttpMethod.Get, $"{FilesPath}/{id}?{AllDrives}&fields={DriveResource.Fields}", what, null, ct, HttpStatusCode.NotFound);
        if (found is not null && found.Id != id) throw new BackendException(BackendError.Unavailable, $"{what}: the server was asked for one file and tells of another.");
        return found is { Trashed: not true } ? found : null;
    }

    /// <summary>An id for a file to be made: the same file can be sent again, and is made once.</summary>
    public async Task<string> NewIdAsync(CancellationToken ct)
    {
        string? id;
        while (!_ids.TryDequeue(out id))
        {
            var given = await client.AskAsync<GeneratedIds>(HttpMethod.Get, $"{FilesPath}/generateIds?count={IdsCount}&space=drive&type=files", What, null, ct);
            if (given?.Ids is not { Count: > 0 } ids || !ids.TrueForAll(DriveResource.IsId)) throw new BackendException(BackendError.Unavailable, $"{What}: the server was asked for ids, and gave none.");
            foreach (var one in ids.Take(IdsCount)) _ids.Enqueue(one!);
        }
        return id;
    }

    public async Task MakeFolderAsync(CancellationToken ct)
    {
        var metadata = new DriveMetadata(null, place.Folder, DriveResource.FolderType, place.DriveId is { } drive ? [drive] : null, new Dictionary<string, string> { [DrivePlace.PlaceProperty] = place.Folder });
        if (await client.AskAsync<DriveResource>(HttpMethod.Post, $"{FilesPath}?{AllDrives}&fields={DriveResource.Fields}", What, metadata, ct, HttpStatusCode.NotFound) is null)
            throw new BackendException(BackendError.PlaceMissing, $"{What} is not there, or the account does not see it.");
    }

    /// <returns>Null where there is a file of that id already.</returns>
    /// <exception cref="BackendException"><see cref="BackendError.NotFound"/>: there is no such folder.</exception>
    public async Task<DriveResource?> MakeAsync(BlobName name, DriveMetadata metadata, BlobSource content, CancellationToken ct)
    {
        if (content.Length > place.AtOnceBytesMax) return await new ResumableUpload<DriveResource>(client, UploadTarget("resumable"), metadata, name, content, place.ChunkBytes, HttpStatusCode.Conflict, clock).RunAsync(ct);
        using var answer = await client.SendAsync(HttpMethod.Post, UploadTarget("multipart"), name.Value, request => request.Content = GoogleClient.TogetherOf(metadata, content), ct);
        if (answer.StatusCode == HttpStatusCode.Conflict) return null;
        if (answer.StatusCode is not (HttpStatusCode.OK or HttpStatusCode.Created)) throw await client.FailureOfAsync(answer, name.Value, ct);
        return await GoogleClient.ReadAsync<DriveResource>(answer, name.Value, ct);
    }

    /// <summary>As <see cref="MakeAsync"/>, of the content of another file.</summary>
    public Task<DriveResource?> CopyAsync(BlobName name, DriveMetadata metadata, string from, CancellationToken ct) =>
        client.AskAsync<DriveResource>(HttpMethod.Post, $"{FilesPath}/{from}/copy?{AllDrives}&fields={DriveResource.Fields}", name.Value, metadata, ct, HttpStatusCode.Conflict);

    /// <summary>For good, and not into the trash, where it would count as before.</summary>
    /// <returns>False where there was none.</returns>
    public async Task<bool> DeleteAsync(string what, string id, CancellationToken ct)
    {
        using var answer = await client.SendAsync(HttpMethod.Delete, $"{FilesPath}/{id}?{AllDrives}", what, null, ct);
        if (answer.StatusCode == HttpStatusCode.NotFound) return false;
        return answer.IsSuccessStatusCode ? true : throw await client.FailureOfAsync(answer, what, ct);
    }

    /// <param name="isThere">Asks whether there is a blob of the name.</param>
    public RangedContent ContentOf(BlobName name, DriveFile file, ByteRange range, Func<CancellationToken, Task<bool>> isThere) => new Content(client, name, file, range, isThere);

    public void Dispose() => client.Dispose();

    private static string UploadTarget(string type) => $"{UploadPath}?uploadType={type}&{AllDrives}&fields={DriveResource.Fields}";

    private static string Quoted(string text) => text.Replace(@"\", @"\\", StringComparison.Ordinal).Replace("'", @"\'", StringComparison.Ordinal);

    private async Task<DrivePage> PageAsync(string target, CancellationToken ct)
    {
        var page = await client.AskAsync<DrivePage>(HttpMethod.Get, target, What, null, ct, HttpStatusCode.NotFound) ?? throw new BackendException(BackendError.PlaceMissing, $"{What} is not there, or the account does not see it.");
        return page.IncompleteSearch == true ? throw new BackendException(BackendError.Unavailable, $"{What}: the server did not search all.") : page;
    }

    /// <summary>The content of one file. There is no other of its id but where somebody else changes the file, which its hash shows.</summary>
    private sealed class Content(GoogleClient client, BlobName name, DriveFile file, ByteRange range, Func<CancellationToken, Task<bool>> isThere) : HashedContent(name, range, file.Length, Base64Url.EncodeToString(Convert.FromHexString(file.Hashes.Sha256)))
    {
        private bool _hasBegun;

        public override async Task<HttpResponseMessage> RequestAsync(ByteRange rest, CancellationToken ct)
        {
            // What Google takes for harmful it gives to its owner with this alone.
            var answer = await client.SendAsync(HttpMethod.Get, $"{FilesPath}/{file.Id}?alt=media&acknowledgeAbuse=true&{AllDrives}", Name.Value, request => request.Headers.Range = new(rest.First, rest.Last), ct);
            try
            {
                if (answer.StatusCode == HttpStatusCode.NotFound) throw _hasBegun && await isThere(ct) ? Replaced() : BackendException.NotFound(Name);
                if (answer.StatusCode is not (HttpStatusCode.OK or HttpStatusCode.PartialContent)) throw await client.FailureOfAsync(answer, Name.Value, ct);
                // Some do not say the length of what is sent in pieces; the reader counts.
                if (!IsRange(answer, rest, file.Length) || (answer.Content.Headers.ContentLength ?? rest.Length) != rest.Length) throw BackendException.WrongLength(Name, rest.Length, answer.Content.Headers.ContentLength ?? -1);
                _hasBegun = true;
                return answer;
            }
            catch
            {
                answer.Dispose();
                throw;
            }
        }
    }
}
