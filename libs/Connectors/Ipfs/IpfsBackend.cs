using System.Runtime.CompilerServices;
using System.Security.Cryptography;
using DarkStorage.Storage.Backends;

namespace DarkStorage.Connectors.Ipfs;

/// <summary>Blobs in an IPFS node, over Kubo's RPC: content by its CID, which is worked out here too, and names in the node's own files (MFS).</summary>
/// <remarks>Below the place's path there are two folders. In <c>blobs</c> the blob a/b is the folder <c>a/b.blob</c>, with an entry for its content, of which the name says when it was put, how long it is and its CID (<see cref="BlobVersion"/>). Of several the last is the blob: so one takes another's place at one moment, and there is always one.
/// In <c>partial</c> is what is being put, and no blob yet. What has a name there, or is pinned, the node keeps when it collects garbage; before that it is nobody's, and goes by itself.
/// Invariants: the CID of what is sent is compared with what the node says it took; what gets a name in <c>blobs</c> was pinned before, at which the node looked at all of its blocks; what is read is compared block by block.</remarks>
internal sealed class IpfsBackend(KuboRpc rpc, IpfsPlace place, TimeProvider clock) : IBackend
{
    /// <summary>Behind the last segment of a blob's name, so that the blob a and the blob a/b are in two folders.</summary>
    private const string BlobSuffix = ".blob";

    /// <summary>Blobs of a list that are looked at at one time.</summary>
    private const int LooksAtOnce = 8;

    /// <summary>Age after which what is being put was cut off: longer than any put.</summary>
    private static readonly TimeSpan PartialMax = TimeSpan.FromDays(7);

    /// <summary>Of what is sent to hear why longer content was not taken: what Go's server reads to its end, whatever becomes of it.</summary>
    private const int ProbeBytes = 64 << 10;

    /// <summary>For what is undone when a put has failed.</summary>
    private static readonly TimeSpan UndoMax = TimeSpan.FromSeconds(10);

    /// <summary>Nothing of IPFS bounds a file. But the node looks at each block of it before a put is done, within the time that a put has when all is sent (<see cref="Guards.BackendLimits"/>): at 150 MB/s these take 8 minutes.</summary>
    public BackendTraits Traits => new(64L << 30);

    private string Blobs => $"{place.Path}/blobs";

    private string Partial => $"{place.Path}/partial";

    public async Task PrepareAsync(CancellationToken ct)
    {
        await rpc.MakeFolderAsync(Blobs, ct);
        await rpc.MakeFolderAsync(Partial, ct);
    }

    public async Task CleanAsync(CancellationToken ct)
    {
        var oldest = clock.GetUtcNow() - PartialMax;
        foreach (var entry in await rpc.ListAsync(Partial, Partial, isLong: false, ct) ?? throw PlaceMissing())
        {
            if (BlobVersion.Find(entry.Name) is not { } cutOff || cutOff.Put > oldest) continue;
            // It may be the content of a blob too, when the crash was late: that is kept by its name.
            await rpc.UnpinAsync(Partial, cutOff.Cid, ct);
            await rpc.UnnameAsync(Partial, $"{Partial}/{entry.Name}", ct);
        }
    }

    public async Task<BackendBlob> PutAsync(BlobName name, BlobSource content, CancellationToken ct)
    {
        var folder = FolderOf(name);
        var cid = await AddAsync(name, content, ct);
        try
        {
            return await KeepAsync(name, folder, cid, content.Length, ct);
        }
        catch (BackendException e) when (e.Error == BackendError.Damaged)
        {
            // Until it was named it was garbage, and may have been collected.
            throw new BackendException(BackendError.Unavailable, $"The node has taken {name}, and does not have it whole. {e.Message}", e);
        }
    }

    public async Task<Stream> OpenAsync(BlobName name, Storage.ByteRange range, CancellationToken ct)
    {
        var version = await FindAsync(name, ct) ?? throw BackendException.NotFound(name);
        if (range.Last >= version.Length) throw BackendException.WrongLength(name, range.Length, Math.Max(0, version.Length - range.First));
        var stream = new BlockStream(rpc, name, version.Cid, version.Length, range);
        try
        {
            await stream.BeginAsync(ct);
            return stream;
        }
        catch
        {
            await stream.DisposeAsync();
            throw;
        }
    }

    public async Task<BackendBlob?> StatAsync(BlobName name, CancellationToken ct) => (await FindAsync(name, ct))?.ToBlob(name);

    /// <summary>The pin goes before the name: by the name it can be found again.</summary>
    public async Task DeleteAsync(BlobName name, CancellationToken ct)
    {
        var folder = FolderOf(name);
        if (await VersionsAsync(name, folder, ct) is not { } versions)
        {
            await RequirePlaceAsync(ct);
            return;
        }
        foreach (var cid in versions.Select(v => v.Cid).Distinct()) await rpc.UnpinAsync(name.Value, cid, ct);
        await rpc.UnnameAsync(name.Value, folder, ct);
        // The node keeps that a moment later, and a crash would bring the name back, which nobody would delete again.
        await rpc.FlushAsync(name.Value, Blobs, ct);
    }

    public async IAsyncEnumerable<BackendBlob> ListAsync(string prefix, [EnumeratorCancellation] CancellationToken ct)
    {
        await RequirePlaceAsync(ct);
        var slash = prefix.LastIndexOf('/');
        // What is in a blob's folder are its contents, and no blobs.
        if (slash >= 0 && (BlobName.Find(prefix[..slash]) is null || IsInBlob(prefix.AsSpan(0, slash)))) yield break;
        for (var folders = new Stack<string>([prefix[..(slash + 1)]]); folders.TryPop(out var folder);)
        {
            var entries = await PartAttempts.RunAsync(() => rpc.ListAsync(Blobs, $"{Blobs}/{folder}".TrimEnd('/'), isLong: false, ct), clock, ct) ?? [];
            var names = new List<BlobName>();
            foreach (var entry in entries.Select(e => e.Name).Where(n => !n.Contains('/', StringComparison.Ordinal)))
            {
                var isBlob = entry.EndsWith(BlobSuffix, StringComparison.Ordinal);
                // What others put there need not be a name of a blob.
                if (BlobName.Find(folder + (isBlob ? entry[..^BlobSuffix.Length] : entry)) is not { } name || !name.Value.StartsWith(prefix, StringComparison.Ordinal)) continue;
                if (isBlob) names.Add(name);
                else folders.Push($"{name}/");
            }
            foreach (var some in names.Chunk(LooksAtOnce))
            {
                var versions = await Task.WhenAll(some.Select(n => PartAttempts.RunAsync(() => VersionsAsync(n, FolderOf(n), ct), clock, ct)));
                foreach (var (name, found) in some.Zip(versions))
                {
                    if (found is [.., var last]) yield return last.ToBlob(name);
                }
            }
        }
    }

    public async Task<BackendBlob> CopyAsync(BlobName from, BlobName to, CancellationToken ct)
    {
        var folder = FolderOf(to);
        var version = await FindAsync(from, ct) ?? throw BackendException.NotFound(from);
        return await KeepAsync(to, folder, version.Cid, version.Length, ct);
    }

    public ValueTask DisposeAsync()
    {
        rpc.Dispose();
        return ValueTask.CompletedTask;
    }

    private string FolderOf(BlobName name) => IsInBlob(name.Parent) ? throw new BackendException(BackendError.Refused, $"{name}: only the last segment of a name may end with {BlobSuffix}.") : $"{Blobs}/{name}{BlobSuffix}";

    private static bool IsInBlob(ReadOnlySpan<char> folder) => folder.EndsWith(BlobSuffix, StringComparison.Ordinal) || folder.Contains(BlobSuffix + "/", StringComparison.Ordinal);

    private BackendException PlaceMissing() => new(BackendError.PlaceMissing, $"{place.Path} is not there: the node's files are gone, or are another's.");

    /// <summary>Asked so that a node whose files are gone does not pass for one where nothing is.</summary>
    private async Task RequirePlaceAsync(CancellationToken ct) => _ = await rpc.ListAsync(Partial, Partial, isLong: false, ct) ?? throw PlaceMissing();

    /// <returns>Null where there is no such blob.</returns>
    private async Task<BlobVersion?> FindAsync(BlobName name, CancellationToken ct)
    {
        if (await VersionsAsync(name, FolderOf(name), ct) is [.., var last]) return last;
        await RequirePlaceAsync(ct);
        return null;
    }

    /// <returns>The last is the blob. Null where there is no folder.</returns>
    private async Task<IReadOnlyList<BlobVersion>?> VersionsAsync(BlobName name, string folder, CancellationToken ct) =>
        await rpc.ListAsync(name.Value, folder, isLong: false, ct) is { } entries ? [.. entries.Select(e => BlobVersion.Find(e.Name)).OfType<BlobVersion>().OrderBy(v => v.Entry, StringComparer.Ordinal)] : null;

    private async Task<Cid> AddAsync(BlobName name, BlobSource content, CancellationToken ct)
    {
        using var file = new AddedFile(content, place.ChunkBytes);
        try
        {
            var taken = await rpc.AddAsync(name.Value, file, ct);
            if (file.Sent is not { } sent) throw KuboFailures.NoSense(name.Value);
            return taken == sent ? sent : throw new BackendException(BackendError.Unavailable, $"{name}: {sent} was sent, and the node has taken {taken}: the bytes were changed on their way.");
        }
        catch (BackendException e) when (e.Error == BackendError.Unavailable && content.Length > ProbeBytes)
        {
            await AskWhyAsync(name, ct);
            throw;
        }
    }

    /// <summary>A node that can't go on in the middle of long content breaks the connection, and its reason is lost with that. Something short is answered.</summary>
    private async Task AskWhyAsync(BlobName name, CancellationToken ct)
    {
        using var probe = new AddedFile(BlobSource.Of(RandomNumberGenerator.GetBytes(ProbeBytes)), place.ChunkBytes);
        try
        {
            await rpc.AddAsync(name.Value, probe, ct);
        }
        catch (BackendException e) when (e.IsTransient)
        {
            // It says no more than was known.
        }
    }

    /// <summary>Makes content that the node has a blob.</summary>
    private async Task<BackendBlob> KeepAsync(BlobName name, string folder, Cid cid, long length, CancellationToken ct)
    {
        var partial = $"{Partial}/{BlobVersion.New(clock.GetUtcNow(), null, length, cid).Entry}";
        var isUndone = true;
        try
        {
            await NameAsync(name, cid, partial, makesFolders: false, PlaceMissing(), ct);
            // A collection that had begun before the name was there may still have been taking its blocks: a pin waits for its end, and looks.
            await rpc.PinAsync(name.Value, cid, ct);
            var last = await VersionsAsync(name, folder, ct) is [.., var found] ? found : null;
            // The same put again, as somebody does who did not hear the answer.
            var version = last?.Cid == cid ? last : BlobVersion.New(clock.GetUtcNow(), last, length, cid);
            ct.ThrowIfCancellationRequested();
            isUndone = false;
            try
            {
                if (version != last) await NameAsync(name, cid, $"{folder}/{version.Entry}", makesFolders: true, new(BackendError.Refused, $"{name}: something that is no folder is in the way in {Blobs}."), ct);
            }
            catch (BackendException e) when (!e.IsTransient)
            {
                isUndone = true; // it was refused, and is not there
                throw;
            }
            var blob = await RequireAsync(name, folder, version, ct);
            await rpc.UnnameAsync(name.Value, partial, ct);
            return blob;
        }
        catch when (isUndone)
        {
            await UndoAsync(name, cid, partial);
            throw;
        }
    }

    /// <param name="noFolder">What it means that there is no folder.</param>
    private async Task NameAsync(BlobName name, Cid cid, string path, bool makesFolders, BackendException noFolder, CancellationToken ct)
    {
        try
        {
            await rpc.NameAsync(name.Value, cid, path, makesFolders, ct);
        }
        catch (BackendException e) when (e.Error == BackendError.NotFound)
        {
            throw noFolder;
        }
    }

    /// <summary>Asks the node what it has, and takes away what the blob was before.</summary>
    private async Task<BackendBlob> RequireAsync(BlobName name, string folder, BlobVersion version, CancellationToken ct)
    {
        var entries = await rpc.ListAsync(name.Value, folder, isLong: true, ct) ?? [];
        var versions = entries.Select(e => BlobVersion.Find(e.Name)).OfType<BlobVersion>().OrderBy(v => v.Entry, StringComparer.Ordinal).ToList();
        // Another put that came after has taken it away already.
        if (versions is [.., var last] && string.CompareOrdinal(last.Entry, version.Entry) > 0) return version.ToBlob(name);
        var entry = entries.FirstOrDefault(e => e.Name == version.Entry) ?? throw new BackendException(BackendError.Unavailable, $"The node said that it has named {name}, and has not.");
        if (entry.Size != version.Length) throw BackendException.WrongLength(name, version.Length, entry.Size);
        if (entry.Hash is null || Cid.Find(entry.Hash) != version.Cid) throw new BackendException(BackendError.Damaged, $"{name}: {version.Cid} was named, and the node has {entry.Hash}.");
        foreach (var old in versions.Where(v => v != version))
        {
            if (old.Cid != version.Cid) await rpc.UnpinAsync(name.Value, old.Cid, ct);
            await rpc.UnnameAsync(name.Value, $"{folder}/{old.Entry}", ct);
        }
        return version.ToBlob(name);
    }

    private async Task UndoAsync(BlobName name, Cid cid, string partial)
    {
        try
        {
            using var bounded = new CancellationTokenSource(UndoMax, clock);
            await rpc.UnpinAsync(name.Value, cid, bounded.Token);
            await rpc.UnnameAsync(name.Value, partial, bounded.Token);
        }
        catch (Exception e) when (e is BackendException or OperationCanceledException)
        {
            // It goes when the place is cleaned. What failed before is what matters.
        }
    }
}

/// <summary>Where in a node.</summary>
/// <param name="Path">In its files (MFS), with a slash in front and none behind.</param>
internal sealed record IpfsPlace(string Path)
{
    /// <summary>Bytes of a block of content. 1 MiB is what Kubo's profile for CIDs that all make alike has (unixfs-v1-2025), and what every node passes on.</summary>
    public int ChunkBytes { get; init; } = 1 << 20;
}
