using System.Buffers.Text;
using System.Runtime.CompilerServices;
using System.Security.Cryptography;
using DarkStorage.Connectors.Http;
using DarkStorage.Storage;
using DarkStorage.Storage.Backends;

namespace DarkStorage.Connectors.Filecoin;

/// <summary>Blobs as files of an account of Lighthouse, which keeps them on IPFS and has them stored on Filecoin.</summary>
/// <remarks>The service finds a file by nothing but its id: each question about a name reads the list of all files. Nothing is promised of when a list shows what was done. So a put is done when the list shows its file and the gateway has it, and only then are the files of that name deleted that it replaces; a delete is done when the list shows none any more.
/// A file says in its name what blob it is of and which version, and the last counts (<see cref="LighthouseFile"/>). What the list does not show is said to be missing only where it shows the file that marks the place: the key of another account does not show an empty place.</remarks>
internal sealed class FilecoinBackend(LighthouseApi service, ContentGateway gateway, FilecoinPlace place, HttpClient http, TimeProvider clock) : IBackend
{
    /// <summary>Names of one list.</summary>
    private const int NamesMax = 1_000_000;

    /// <summary>Files that were taken and do not show yet.</summary>
    private const int UnseenMax = 1_000;

    /// <summary>Of a file that was replaced, after which nobody is about to delete it.</summary>
    private static readonly TimeSpan ReplacedMax = TimeSpan.FromDays(1);

    /// <summary>What was taken and does not show for so long never will.</summary>
    private static readonly TimeSpan UnseenFor = TimeSpan.FromHours(1);

    private readonly Lock _lock = new();
    private readonly Dictionary<BlobName, LighthouseFile> _unseen = [];

    public BackendTraits Traits { get; } = new(place.BlobBytesMax) { ShowsWithin = 2 * place.VisibleWithin }; // by the list, and then by the gateway

    /// <summary>Marks the place: with a file that is there from then on.</summary>
    public async Task PrepareAsync(CancellationToken ct)
    {
        if (await IsMarkedAsync(ct)) return;
        var marker = new LighthouseFile(place.Name, null, RecordVersion.Next(clock.GetUtcNow(), null), 0, Sha256Of(SHA256.HashData([])));
        await WaitForAsync("The place", marker with { Cid = await service.UploadAsync("The place", marker, BlobSource.Of(ReadOnlyMemory<byte>.Empty), ct) }, ct);
    }

    /// <summary>Deletes files that were replaced, and that whoever replaced them did not come to.</summary>
    public async Task CleanAsync(CancellationToken ct)
    {
        var last = new Dictionary<BlobName, LighthouseFile>();
        var replaced = new List<LighthouseFile>();
        await foreach (var file in ListFilesAsync(ct))
        {
            if (file.Name is not { } name) continue;
            var before = last.GetValueOrDefault(name);
            if (LighthouseFile.IsLater(file, before)) last[name] = file;
            if ((LighthouseFile.IsLater(file, before) ? before : file) is { } old) replaced.Add(old);
            RequireNames(last.Count);
        }
        var until = clock.GetUtcNow() - ReplacedMax;
        foreach (var file in replaced)
        {
            var (name, by) = (file.Name!.Value.Value, last[file.Name.Value]);
            // A list may have one file twice.
            if (!LighthouseFile.IsLater(by, file)) continue;
            // What replaced it may never have come to where it can be read.
            if (RecordVersion.TimeOf(by.Version) < until && await gateway.HasAsync(name, by.Cid, by.FileLength, null, ct)) await service.DeleteAsync(name, file, ct);
        }
    }

    public async Task<BackendBlob> PutAsync(BlobName name, BlobSource content, CancellationToken ct)
    {
        if (content.Length > Traits.BlobBytesMax) throw new BackendException(BackendError.Refused, $"{name} has {content.Length} bytes, and a file {Traits.BlobBytesMax} at most.");
        var sha256 = Sha256Of((await SourceDigest.OfAsync(name, content, ct, HashAlgorithmName.SHA256))[0]);
        return await WriteAsync(name, content, sha256, ct);
    }

    public async Task<Stream> OpenAsync(BlobName name, ByteRange range, CancellationToken ct)
    {
        var file = LastOf(await FilesOfAsync(name, ct)) ?? throw BackendException.NotFound(name);
        if (range.Last >= file.Length) throw BackendException.WrongLength(name, range.Last + 1, file.Length);
        return await gateway.OpenAsync(name, ContentOf(file), range, clock, ct);
    }

    public async Task<BackendBlob?> StatAsync(BlobName name, CancellationToken ct) => LastOf(await FilesOfAsync(name, ct))?.ToBlob();

    public async Task DeleteAsync(BlobName name, CancellationToken ct)
    {
        // What the service says to who deletes what is deleted already is said nowhere.
        var deleted = new HashSet<string>(StringComparer.Ordinal);
        await WaitAsync($"{name}: it was deleted, and the list shows it still.", async () =>
        {
            var files = await FilesOfAsync(name, ct);
            foreach (var file in files.Where(f => !deleted.Contains(f.Id)))
            {
                await service.DeleteAsync(name.Value, file, ct);
                deleted.Add(file.Id);
            }
            return files.Count == 0;
        }, ct);
        // Nobody could delete it when it comes to light.
        if (FindUnseen(name) is not null) throw new BackendException(BackendError.Unavailable, $"{name}: the service has taken it, and does not list it yet, so that it can't be deleted.");
    }

    public async IAsyncEnumerable<BackendBlob> ListAsync(string prefix, [EnumeratorCancellation] CancellationToken ct)
    {
        var (last, isMarked) = (new Dictionary<BlobName, LighthouseFile>(), false);
        await foreach (var file in ListFilesAsync(ct))
        {
            isMarked |= file.Name is null;
            if (file.Name is not { } name || !name.Value.StartsWith(prefix, StringComparison.Ordinal) || !LighthouseFile.IsLater(file, last.GetValueOrDefault(name))) continue;
            last[name] = file;
            RequireNames(last.Count);
        }
        if (!isMarked) throw PlaceMissing();
        foreach (var file in last.Values) yield return file.ToBlob();
    }

    /// <summary>Through this node: the service makes none.</summary>
    public async Task<BackendBlob> CopyAsync(BlobName from, BlobName to, CancellationToken ct)
    {
        var source = LastOf(await FilesOfAsync(from, ct)) ?? throw BackendException.NotFound(from);
        return await WriteAsync(to, new GatewaySource(gateway, from, ContentOf(source), clock), source.Sha256, ct);
    }

    public ValueTask DisposeAsync()
    {
        http.Dispose();
        return ValueTask.CompletedTask;
    }

    private static string Sha256Of(byte[] hash) => Base64Url.EncodeToString(hash);

    private static GatewayContent ContentOf(LighthouseFile file) => new(file.Cid, file.Length, file.FileLength, file.Sha256);

    private static LighthouseFile? LastOf(IEnumerable<LighthouseFile> files) => files.MaxBy(f => f.Version, StringComparer.Ordinal);

    private static void RequireNames(int count)
    {
        if (count > NamesMax) throw new BackendException(BackendError.Refused, $"There are more than {NamesMax} names.");
    }

    private BackendException PlaceMissing() => new(BackendError.PlaceMissing, $"The account's files do not show that {place.Name} was made ready there: the key is another account's, or the list is not whole.");

    private IAsyncEnumerable<LighthouseFile> ListFilesAsync(CancellationToken ct) => service.ListAsync((name, id, cid) => LighthouseFile.Find(place.Name, name, id, cid), ct);

    private async Task<bool> IsMarkedAsync(CancellationToken ct)
    {
        await foreach (var file in ListFilesAsync(ct))
        {
            if (file.Name is null) return true;
        }
        return false;
    }

    /// <returns>All files of a name, in a place that is there.</returns>
    private async Task<IReadOnlyList<LighthouseFile>> FilesOfAsync(BlobName name, CancellationToken ct)
    {
        var (found, isMarked) = (new Dictionary<string, LighthouseFile>(StringComparer.Ordinal), false);
        await foreach (var file in ListFilesAsync(ct))
        {
            isMarked |= file.Name is null;
            if (file.Name != name) continue;
            found[file.Id] = file;
            RemoveUnseen(name, file);
        }
        return isMarked ? [.. found.Values] : throw PlaceMissing();
    }

    private async Task<BackendBlob> WriteAsync(BlobName name, BlobSource content, string sha256, CancellationToken ct)
    {
        var last = LastOf(await FilesOfAsync(name, ct));
        // The same put again, as somebody does who did not hear the answer.
        if (last?.Length == content.Length && last.Sha256 == sha256)
        {
            return (await WaitForDataAsync(name, last, ct)).ToBlob();
        }
        var file = FindUnseen(name) is { } taken && LighthouseFile.IsLater(taken, last) && taken.Length == content.Length && taken.Sha256 == sha256 ? taken : null;
        if (file is null)
        {
            file = new(place.Name, name, RecordVersion.Next(clock.GetUtcNow(), last?.Version), content.Length, sha256);
            ct.ThrowIfCancellationRequested();
            file = file with { Cid = await service.UploadAsync(name.Value, file, content, ct) };
            AddUnseen(name, file);
        }
        var there = await WaitForAsync(name.Value, file, ct);
        RemoveUnseen(name, file);
        there = await WaitForDataAsync(name, there, ct);
        // Somebody else was later, and has deleted the other or will.
        if (there.FileName != file.FileName) return there.ToBlob();
        foreach (var old in (await FilesOfAsync(name, ct)).Where(f => LighthouseFile.IsLater(there, f))) await service.DeleteAsync(name.Value, old, ct);
        return there.ToBlob();
    }

    /// <summary>Waits until the list shows a file.</summary>
    /// <returns>The file; or a later one of that name, which has replaced it.</returns>
    private async Task<LighthouseFile> WaitForAsync(string what, LighthouseFile file, CancellationToken ct)
    {
        LighthouseFile? there = null;
        await WaitAsync($"{what}: the service has taken it, and does not list it yet.", async () =>
        {
            await foreach (var found in ListFilesAsync(ct))
            {
                if (found.Name == file.Name && LighthouseFile.IsLater(found, file)) there = found;
                if (found.FileName != file.FileName) continue;
                there ??= found;
                if (found.Cid != file.Cid) throw new BackendException(BackendError.Damaged, $"{what}: {file.Cid} was taken, and {found.Cid} is listed.");
            }
            return there is not null;
        }, ct);
        return there!;
    }

    /// <summary>Waits until the gateway has the content of a file that is listed.</summary>
    /// <returns>The file; or a later one of that name, whose writer may have deleted it meanwhile.</returns>
    private async Task<LighthouseFile> WaitForDataAsync(BlobName name, LighthouseFile file, CancellationToken ct)
    {
        await WaitAsync($"{name}: the service lists it, and the gateway does not have its content yet.", async () =>
        {
            if (await gateway.HasAsync(name.Value, file.Cid, file.FileLength, null, ct)) return true;
            if (LastOf(await FilesOfAsync(name, ct)) is { } last && LighthouseFile.IsLater(last, file)) file = last;
            return false;
        }, ct);
        return file;
    }

    private Task WaitAsync(string tooLate, Func<Task<bool>> isThere, CancellationToken ct) => Visibility.WaitAsync(isThere, place.VisibleWithin, tooLate, clock, ct);

    private LighthouseFile? FindUnseen(BlobName name)
    {
        lock (_lock)
        {
            if (_unseen.TryGetValue(name, out var file) && clock.GetUtcNow() - RecordVersion.TimeOf(file.Version)!.Value < UnseenFor) return file;
            _unseen.Remove(name);
            return null;
        }
    }

    private void AddUnseen(BlobName name, LighthouseFile file)
    {
        lock (_lock)
        {
            if (_unseen.Count >= UnseenMax && !_unseen.ContainsKey(name)) _unseen.Remove(_unseen.Keys.First());
            _unseen[name] = file;
        }
    }

    private void RemoveUnseen(BlobName name, LighthouseFile file)
    {
        lock (_lock)
        {
            if (_unseen.TryGetValue(name, out var unseen) && unseen.FileName == file.FileName) _unseen.Remove(name);
        }
    }

    /// <summary>What a gateway has, on its way to be put again.</summary>
    private sealed class GatewaySource(ContentGateway gateway, BlobName name, GatewayContent content, TimeProvider clock) : BlobSource
    {
        public override long Length => content.Length;

        public override async ValueTask<Stream> OpenAsync(long offset, CancellationToken ct) =>
            offset == Length ? Stream.Null : await gateway.OpenAsync(name, content, new(offset, Length - 1), clock, ct);
    }
}

/// <summary>Which of an account's files.</summary>
/// <param name="Name">What their names begin with.</param>
internal sealed record FilecoinPlace(string Name)
{
    /// <summary>Lighthouse takes files of up to 24 GB in one request.</summary>
    public long BlobBytesMax { get; init; } = 24_000_000_000 - LighthouseFile.ChanceBytes;

    /// <summary>For what was done to be found done.</summary>
    public TimeSpan VisibleWithin { get; init; } = TimeSpan.FromMinutes(5);
}
