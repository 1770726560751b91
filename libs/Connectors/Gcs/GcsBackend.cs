using System.Net;
using System.Runtime.CompilerServices;
using DarkStorage.Connectors.Google;
using DarkStorage.Connectors.Http;
using DarkStorage.GrainInterfaces.Objects;
using DarkStorage.Storage.Backends;

namespace DarkStorage.Connectors.Gcs;

/// <summary>Blobs as objects of a bucket of Google Cloud Storage, over its JSON API.</summary>
/// <remarks>An object is there whole or not at all, and each content that was put under a name has a generation of its own. What is done turns on the generation that was looked at: a put replaces what was there when it began and nothing else, so that one that comes late, or again, does no harm;
/// a read and a copy are of one generation to their end. That the server says it has taken a blob is not enough: it says the CRC32C and MD5 of what it has, and is asked once more.
/// Uploads that a crash cut off can't be listed, and go by themselves after a week. So there is nothing to clean.</remarks>
internal sealed partial class GcsBackend(GoogleClient client, GcsPlace place, TimeProvider clock) : IBackend
{
    /// <summary>Cloud Storage's largest object.</summary>
    private const long ObjectBytesMax = 5L << 40;

    /// <summary>Answers to a copy in one row after which it has not come further.</summary>
    private const int IdleRewritesMax = 10;

    /// <summary>For what has to be taken back, also for who has left.</summary>
    private static readonly TimeSpan TakingBackMax = TimeSpan.FromSeconds(10);

    public BackendTraits Traits { get; } = new(ObjectBytesMax);

    private string What => $"The bucket {place.Bucket}";

    /// <summary>Asks whether the bucket is there and may be listed. None is made: that is its owner's to decide, with all that buckets have.</summary>
    public Task PrepareAsync(CancellationToken ct) => PageAsync(place.Prefix, null, 1, ct);

    public async Task<Stream> OpenAsync(BlobName name, Storage.ByteRange range, CancellationToken ct) =>
        await ContentStream.OpenAsync(new GcsContent(client, place.PathOf(name), name, range, isThere: async ct => await FindAsync(name, ct) is not null), clock, ct);

    public async Task<BackendBlob?> StatAsync(BlobName name, CancellationToken ct) => (await FindAsync(name, ct))?.ToBlob(name);

    public async Task DeleteAsync(BlobName name, CancellationToken ct)
    {
        using var answer = await client.SendAsync(HttpMethod.Delete, place.PathOf(name), name.Value, null, ct);
        // One that is not there is as it is to be, where the bucket is.
        if (answer.StatusCode == HttpStatusCode.NotFound) await PrepareAsync(ct);
        else if (!answer.IsSuccessStatusCode) throw await client.FailureOfAsync(answer, name.Value, ct);
    }

    public async IAsyncEnumerable<BackendBlob> ListAsync(string prefix, [EnumeratorCancellation] CancellationToken ct)
    {
        var wanted = place.Prefix + prefix;
        for (string? from = null; ;)
        {
            var after = from;
            var page = await PartAttempts.RunAsync(() => PageAsync(wanted, after, place.PageObjectsMax, ct), clock, ct);
            foreach (var found in page.Items ?? [])
            {
                // What others put there need not be a name of a blob, and what a server lists need not be what it was asked for.
                if (found?.Name is null || !found.Name.StartsWith(wanted, StringComparison.Ordinal) || BlobName.Find(found.Name[place.Prefix.Length..]) is not { } name) continue;
                yield return found.ToBlob(name);
            }
            if (string.IsNullOrEmpty(page.NextPageToken)) yield break;
            if (page.NextPageToken == from) throw new BackendException(BackendError.Damaged, $"{What}: the server says that its list goes on where it was.");
            from = page.NextPageToken;
        }
    }

    public async Task<BackendBlob> CopyAsync(BlobName from, BlobName to, CancellationToken ct)
    {
        var source = await FindAsync(from, ct) ?? throw BackendException.NotFound(from);
        var length = source.ToBlob(from).Length;
        // With metadata of its own: else the copy has the source's storage class.
        var metadata = new GcsMetadata(place.KeyOf(to), place.StorageClass);
        var target = $"{place.RewritePathOf(from, to)}?sourceGeneration={source.Generation}&fields=done,rewriteToken,totalBytesRewritten,resource({GcsObject.Fields})";
        var (token, done, idle) = ("", -1L, 0);
        while (true)
        {
            var step = await RewriteAsync(from, target + token, metadata, ct);
            if (step.Done)
            {
                if (step.Resource is not { } copy || copy.Size != length || copy.Crc32C != source.Crc32C) throw new BackendException(BackendError.Unavailable, $"{to}: the server says that the copy of {from} is done, and has not the same content.");
                return await RequireAsync(to, copy, ct);
            }
            if (string.IsNullOrEmpty(step.RewriteToken)) throw new BackendException(BackendError.Unavailable, $"{to}: the server says that the copy of {from} is to be gone on with, and not how.");
            idle = step.TotalBytesRewritten > done ? 0 : idle + 1;
            if (idle == IdleRewritesMax) throw new BackendException(BackendError.Unavailable, $"{to}: the copy of {from} stays at {done} of {length} bytes.");
            (token, done) = ($"&rewriteToken={GoogleClient.Escape(step.RewriteToken)}", Math.Max(done, step.TotalBytesRewritten ?? 0));
        }
    }

    public ValueTask DisposeAsync()
    {
        client.Dispose();
        return ValueTask.CompletedTask;
    }

    /// <returns>The object of that name as it is now; null where there is none, in a bucket that is there.</returns>
    private async Task<GcsObject?> FindAsync(BlobName name, CancellationToken ct)
    {
        var found = await client.AskAsync<GcsObject>(HttpMethod.Get, $"{place.PathOf(name)}?fields={GcsObject.Fields}", name.Value, null, ct, HttpStatusCode.NotFound);
        // The answer has one reason for both, and a bucket that is gone must not pass for one where nothing is.
        if (found is null) await PrepareAsync(ct);
        return found;
    }

    private async Task<Page> PageAsync(string prefix, string? after, int objectsMax, CancellationToken ct)
    {
        var from = after is null ? "" : $"&pageToken={GoogleClient.Escape(after)}";
        return await client.AskAsync<Page>(HttpMethod.Get, $"{place.ObjectsPath}?prefix={GoogleClient.Escape(prefix)}&maxResults={objectsMax}{from}&fields=nextPageToken,items({GcsObject.Fields})", What, null, ct, HttpStatusCode.NotFound)
            ?? throw new BackendException(BackendError.PlaceMissing, $"{What}: there is no such bucket.");
    }

    /// <summary>One step of a copy, as far as the server goes in one answer.</summary>
    private Task<Rewrite> RewriteAsync(BlobName from, string target, GcsMetadata metadata, CancellationToken ct) => PartAttempts.RunAsync(async () =>
    {
        if (await client.AskAsync<Rewrite>(HttpMethod.Post, target, from.Value, metadata, ct, HttpStatusCode.NotFound) is { } step) return step;
        await PrepareAsync(ct);
        throw new BackendException(BackendError.Unavailable, $"{from} was replaced or deleted while it was to be copied.");
    }, clock, ct);

    /// <summary>Asks for what the server said it has made.</summary>
    private async Task<BackendBlob> RequireAsync(BlobName name, GcsObject made, CancellationToken ct)
    {
        var found = await FindAsync(name, ct) ?? throw new BackendException(BackendError.Unavailable, $"The server said that it has taken {name}, and does not have it.");
        if (found.Size != made.Size) throw BackendException.WrongLength(name, made.Size ?? 0, found.Size ?? -1);
        // Another content may have been put since; one that was there before is not what it said.
        if (found.Crc32C != made.Crc32C && !(found.Generation > made.Generation)) throw new BackendException(BackendError.Unavailable, $"The server said that it has taken {name}, and has another content.");
        return found.ToBlob(name);
    }

    /// <summary>Deletes a content that is not what it is to be, and no other that was put there since.</summary>
    private async Task TakeBackAsync(BlobName name, GcsObject made)
    {
        if (made.Generation is null) return; // without one it would be whatever is there
        try
        {
            using var bounded = new CancellationTokenSource(TakingBackMax, clock);
            using var answer = await client.SendAsync(HttpMethod.Delete, $"{place.PathOf(name)}?generation={made.Generation}", name.Value, null, bounded.Token);
        }
        catch (Exception e) when (e is BackendException or OperationCanceledException)
        {
            // What is wrong with it is what matters: whoever put it is told that it is not there.
        }
    }

    private sealed record Page(List<GcsObject?>? Items, string? NextPageToken);

    private sealed record Rewrite(bool Done, string? RewriteToken, long? TotalBytesRewritten, GcsObject? Resource);
}
