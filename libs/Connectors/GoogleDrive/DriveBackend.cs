using System.Runtime.CompilerServices;
using DarkStorage.Connectors.Guards;
using DarkStorage.Connectors.Http;
using DarkStorage.Storage;
using DarkStorage.Storage.Backends;

namespace DarkStorage.Connectors.GoogleDrive;

/// <summary>Blobs as files of Google Drive.</summary>
/// <remarks>Drive knows files by ids that it gives, may have several of one name, and finds them by queries whose answers lag behind. So each content that a blob gets is a file of its own, which says by its properties what it is of, which version, and with which content, and is never changed; of a name's files the last version is the blob (<see cref="DriveFile"/>).
/// A file gets its id before it is sent: the same put made again makes no second one. A put is done when lists show its file with the right checksums, and only then are the files of that name deleted that it replaces; a delete is done when no list shows one any more. What this node did itself it knows by ids, whatever lists show.
/// Files are the place's by their properties, and not by the folder that they are in: two nodes that make the folder at one time make two, and find the files in both. The folder shows that the place is there: without it nothing is said to be missing.</remarks>
internal sealed partial class DriveBackend(DriveApi drive, DrivePlace place, TimeProvider clock) : IBackend, IListsInSteps
{
    /// <summary>Drive's largest file.</summary>
    private const long FileBytesMax = 5L << 40;

    private const string Files = $"mimeType != '{DriveResource.FolderType}'";
    private const string Folders = $"mimeType = '{DriveResource.FolderType}'";

    /// <summary>Files of a name that lists show and that are gone when they are read.</summary>
    private const int GoneMax = 3;

    /// <summary>Of a file that was replaced, after which nobody is about to delete it.</summary>
    private static readonly TimeSpan LeftAfter = TimeSpan.FromDays(1);

    /// <summary>For a folder that was found: another node may have made an older one, which lists did not show yet.</summary>
    private static readonly TimeSpan FolderKnownFor = TimeSpan.FromMinutes(5);

    /// <summary>For how long a cleaning that was cut off can go on where it was: places in lists hold for hours.</summary>
    private static readonly TimeSpan CleaningKeptFor = TimeSpan.FromHours(1);

    private readonly OwnFiles _own = new();

    /// <summary>One cleaning at one time: of a call that was left behind, and the next one.</summary>
    private readonly SemaphoreSlim _cleaningTurn = new(1);

    /// <summary>One that is under way, or was cut off.</summary>
    private Cleaning? _cleaning;

    /// <summary>Once it is known.</summary>
    private volatile Folder? _folder;

    public BackendTraits Traits { get; } = new(FileBytesMax) { ShowsWithin = place.VisibleWithin };

    private string What => $"The folder {place.Folder}";

    /// <summary>Makes the folder, where there is none of the place yet. Should somebody else do so at the same time, the older one counts.</summary>
    public async Task PrepareAsync(CancellationToken ct)
    {
        if (await FindFolderAsync(ct) is not null) return;
        await drive.MakeFolderAsync(ct);
        await WaitAsync($"{What} was made, and the list does not show it yet.", async () => await FindFolderAsync(ct) is not null, ct);
    }

    /// <summary>Deletes files that were replaced, and that whoever replaced them did not come to. One whose content is wrong, and that nothing has replaced, stays: what somebody has changed can be had back of Drive's revisions.</summary>
    /// <remarks>Where another file has been seen of a name, the name is asked for, and cleaned at once. What is cut off goes on where it was, if it is called again soon.</remarks>
    public async Task CleanAsync(CancellationToken ct)
    {
        await _cleaningTurn.WaitAsync(ct);
        try
        {
            var cleaning = _cleaning is { } left && clock.GetElapsedTime(left.At) < CleaningKeptFor ? left : new();
            _cleaning = cleaning;
            await foreach (var page in drive.ListAsync(Files, cleaning.Next, ct))
            {
                foreach (var resource in page.Files)
                {
                    if (DriveFile.Find(place, resource) is { } file && !cleaning.Seen.Add(file.ShortKey)) await PartAttempts.RunAsync(() => CleanAsync(file.Key, ct), clock, ct);
                }
                (cleaning.Next, cleaning.At) = (page.Next, clock.GetTimestamp());
            }
            _cleaning = null;
        }
        catch (BackendException e) when (!e.IsTransient)
        {
            // It may be the place in the list that is refused.
            _cleaning = null;
            throw;
        }
        finally
        {
            _cleaningTurn.Release();
        }
    }

    public async Task<Stream> OpenAsync(BlobName name, ByteRange range, CancellationToken ct)
    {
        var gone = new HashSet<string>(StringComparer.Ordinal);
        while (true)
        {
            var files = await FilesOfAsync(name, ct);
            var file = DriveFile.LastOf(files.Where(f => !gone.Contains(f.Id)));
            if (file is null)
            {
                if (gone.Count > 0) await RequireFolderAsync(ct);
                throw BackendException.NotFound(name);
            }
            if (range.Last >= file.Length) throw BackendException.WrongLength(name, range.Last + 1, file.Length);
            try
            {
                return await ContentStream.OpenAsync(drive.ContentOf(name, file, range, isThere: async ct => await FindAsync(name, ct) is not null), clock, ct);
            }
            catch (BackendException e) when (e.Error == BackendError.NotFound && gone.Count < GoneMax)
            {
                // Replaced or deleted since, which the list did not show.
                gone.Add(file.Id);
            }
        }
    }

    public async Task<BackendBlob?> StatAsync(BlobName name, CancellationToken ct) => (await FindAsync(name, ct))?.ToBlob(name);

    public async Task DeleteAsync(BlobName name, CancellationToken ct)
    {
        await WaitAsync($"{name}: it was deleted, and the list shows it still.", async () =>
        {
            // What was begun here may be there and not show.
            if (_own.Find(name) is { } own)
            {
                if (await drive.DeleteAsync(name.Value, own.Id, ct)) _own.Deleted(own.Id);
                _own.Remove(name, own.Id);
            }
            var listed = await ListFilesAsync(name, ct);
            foreach (var file in listed)
            {
                if (!_own.IsDeleted(file.Id)) await DeleteFileAsync(name.Value, file.Id, ct);
            }
            return listed.Count == 0;
        }, ct);
        await RequireFolderAsync(ct);
    }

    public async IAsyncEnumerable<BackendBlob> ListAsync(string prefix, [EnumeratorCancellation] CancellationToken ct)
    {
        await foreach (var blob in ListInStepsAsync(prefix, ct))
        {
            if (blob is not null) yield return blob;
        }
    }

    /// <remarks>Of several files of a name the last counts, and any page may have it: names can be given out when all pages were read, and each page is a step. Of each name that begins so some 200 bytes are remembered meanwhile.</remarks>
    public async IAsyncEnumerable<BackendBlob?> ListInStepsAsync(string prefix, [EnumeratorCancellation] CancellationToken ct)
    {
        var own = _own.Below(prefix);
        var (last, given) = (new Dictionary<UInt128, Listed>(), (UInt128?)null);
        // Who asks for a whole name, as the test of a place does, need not wait for all.
        if (BlobName.Find(prefix) is { } whole && await FindAsync(whole, ct) is { Name: not null } found)
        {
            given = found.ShortKey;
            yield return found.ToBlob(whole);
        }
        await foreach (var page in drive.ListAsync(Files, null, ct))
        {
            foreach (var resource in page.Files)
            {
                if (DriveFile.Find(place, resource) is { IsWrong: false } file && !_own.IsDeleted(file.Id)) Add(file);
            }
            yield return null;
        }
        foreach (var (name, made) in own)
        {
            if (last.TryGetValue(made.ShortKey, out var listed) && listed.Version >= made.VersionNumber) continue;
            if (await FindOwnAsync(name, made, ct) is { IsWrong: false } file) Add(file);
            yield return null;
        }
        if (last.Count == 0 && given is null) await RequireFolderAsync(ct);
        foreach (var (key, listed) in last)
        {
            if (key != given && listed.Name is { } name) yield return new(BlobName.Parse(name), listed.Length, listed.Created);
        }

        void Add(DriveFile file)
        {
            // One that somebody has renamed is none of the list, and neither are those that it replaced.
            if (file.Name is { } name && !name.Value.StartsWith(prefix, StringComparison.Ordinal)) return;
            var (key, listed) = (file.ShortKey, new Listed(file.VersionNumber, file.Length, file.Created, file.Name?.Value));
            if (last.TryGetValue(key, out var before) && (before.Version > listed.Version || (before.Version == listed.Version && before.Name is not null))) return;
            last[key] = listed;
        }
    }

    public ValueTask DisposeAsync()
    {
        drive.Dispose(); // cleaning under way ends with what it gets; the semaphore has no handle to free
        return ValueTask.CompletedTask;
    }

    private BackendException PlaceMissing() => new(BackendError.PlaceMissing, $"{What} is not there: it was deleted or is in the trash, or the account, or the application, is another.");

    /// <returns>The blob; null where there is none, in a place that is there.</returns>
    private async Task<DriveFile?> FindAsync(BlobName name, CancellationToken ct) => DriveFile.LastOf(await FilesOfAsync(name, ct));

    private Task<List<DriveFile>> ListFilesAsync(BlobName name, CancellationToken ct) => ListFilesAsync(DriveFile.KeyOf(name), ct);

    private async Task<List<DriveFile>> ListFilesAsync(string key, CancellationToken ct)
    {
        var files = new List<DriveFile>();
        foreach (var resource in await drive.FindAllAsync($"{Files} and {DriveFile.QueryFor(key)}", ct))
        {
            // What a server lists need not be what it was asked for.
            if (DriveFile.Find(place, resource) is { } file && file.Key == key) files.Add(file);
        }
        return files;
    }

    private async Task<bool> CleanAsync(string key, CancellationToken ct)
    {
        var files = await ListFilesAsync(key, ct);
        // What a file is deleted for is to be there, whatever the list shows, and old enough that nobody reads the other any more.
        if (DriveFile.LastOf(files) is not { } last || RecordVersion.TimeOf(last.Version) >= clock.GetUtcNow() - LeftAfter) return false;
        if (DriveFile.Find(place, await drive.FindAsync(What, last.Id, ct)) is not { IsVerified: true }) return false;
        foreach (var other in files)
        {
            if (DriveFile.IsLater(last, other)) await DeleteFileAsync(What, other.Id, ct);
        }
        return true;
    }

    /// <returns>All files of a name, in a place that is there.</returns>
    private async Task<IReadOnlyList<DriveFile>> FilesOfAsync(BlobName name, CancellationToken ct)
    {
        var files = await ListFilesAsync(name, ct);
        files.RemoveAll(f => _own.IsDeleted(f.Id));
        if (_own.Find(name) is { } made && !files.Exists(f => f.Id == made.Id) && await FindOwnAsync(name, made, ct) is { } own) files.Add(own);
        if (files.Count == 0) await RequireFolderAsync(ct);
        return files;
    }

    /// <summary>Asks for what was made here by its id.</summary>
    private async Task<DriveFile?> FindOwnAsync(BlobName name, DriveFile made, CancellationToken ct)
    {
        if (_own.IsDeleted(made.Id)) return null;
        if (DriveFile.Find(place, await drive.FindAsync(name.Value, made.Id, ct)) is { } file && file.Key == made.Key) return file;
        // What was there once somebody else has deleted. What was only begun may be on its way still.
        if (made.IsVerified) _own.Remove(name, made.Id);
        return null;
    }

    private async Task DeleteFileAsync(string what, string id, CancellationToken ct)
    {
        await drive.DeleteAsync(what, id, ct);
        _own.Deleted(id);
    }

    /// <summary>Looks for the place's folder.</summary>
    /// <returns>The oldest that lists show, or that was known, and that is there; null for none.</returns>
    private async Task<string?> FindFolderAsync(CancellationToken ct)
    {
        var asked = clock.GetTimestamp();
        var folders = (await drive.FindAllAsync(Folders, ct)).Where(IsFolder).ToList();
        // Which is there though lists may not show it.
        if (_folder is { } known && !folders.Exists(f => f.Id == known.Id) && await drive.FindAsync(What, known.Id, ct) is { } own && IsFolder(own)) folders.Add(own);
        foreach (var folder in folders.OrderBy(f => f.CreatedTime ?? DateTimeOffset.MaxValue).ThenBy(f => f.Id, StringComparer.Ordinal))
        {
            if (!IsFolder(await drive.FindAsync(What, folder.Id!, ct))) continue;
            _folder = new(folder.Id!, asked);
            return folder.Id;
        }
        _folder = null;
        return null;

        bool IsFolder(DriveResource? found) => found is { Trashed: not true, MimeType: DriveResource.FolderType } && found.Properties?.GetValueOrDefault(DrivePlace.PlaceProperty) == place.Folder;
    }

    /// <returns>The folder that new files go to, as it was found lately; null where it is to be looked for.</returns>
    private string? KnownFolder => _folder is { } known && clock.GetElapsedTime(known.At) < FolderKnownFor ? known.Id : null;

    /// <returns>The folder that new files go to.</returns>
    private async Task<string> RequireFolderAsync(CancellationToken ct)
    {
        if (KnownFolder is { } known && await drive.FindAsync(What, known, ct) is not null) return known;
        return await FindFolderAsync(ct) ?? throw PlaceMissing();
    }

    private Task WaitAsync(string tooLate, Func<Task<bool>> isThere, CancellationToken ct) => Visibility.WaitAsync(isThere, place.VisibleWithin, tooLate, clock, ct);

    /// <param name="At">When lists were asked for it.</param>
    private sealed record Folder(string Id, long At);

    /// <summary>What a list remembers of a name: many of them there may be.</summary>
    /// <param name="Name">Null where somebody has renamed the file.</param>
    private readonly record struct Listed(UInt128 Version, long Length, DateTimeOffset Created, string? Name);

    private sealed class Cleaning
    {
        /// <summary>Names of which a file was seen.</summary>
        public HashSet<UInt128> Seen { get; } = [];

        /// <summary>Where the list goes on; null for its beginning.</summary>
        public string? Next { get; set; }

        public long At { get; set; }
    }
}
