using System.Globalization;
using DarkStorage.GrainInterfaces;
using DarkStorage.GrainInterfaces.Buckets;
using DarkStorage.GrainInterfaces.Objects;
using DarkStorage.GrainInterfaces.Tiers;
using DarkStorage.GrainInterfaces.Uploads;
using Microsoft.AspNetCore.Http;
using Microsoft.Extensions.Caching.Memory;
using Microsoft.Extensions.Options;

namespace DarkStorage.ClientApi.S3;

/// <summary>What the index said of buckets and versions lately, for reads while it does not answer.</summary>
/// <remarks>Invariants. Nothing is answered from here that the index could have answered, nothing for longer than <see cref="S3Options.StaleReadsMax"/> after the index said it, and nothing without saying so:
/// <c>Age</c> (RFC 9111, section 5.1) has the seconds since, and there is a <c>Warning: 110</c>. That something is not there is never remembered. Nothing is written on what is remembered: only requests
/// with GET and HEAD are given it.</remarks>
internal sealed class IndexMemory(IIndexReader index, TimeSpan staleMax, TimeProvider clock) : IDisposable
{
    /// <summary>Estimated bytes at the most; past that the longest unread go.</summary>
    private const long BytesMax = 64 << 20;

    /// <summary>Of an entry besides its content and its parts.</summary>
    private const int EntryBytes = 1 << 10;

    private const int PartBytes = 64;

    private readonly IIndexReader _index = index;
    private readonly MemoryCache _memory = new(Options.Create(new MemoryCacheOptions { SizeLimit = BytesMax }));

    private sealed record Remembered(object What, long Since);

    /// <summary>The index as one request reads it: as it is where the request may change something, or nothing stale is wanted.</summary>
    public IIndexReader For(HttpContext http) =>
        staleMax > TimeSpan.Zero && (HttpMethods.IsGet(http.Request.Method) || HttpMethods.IsHead(http.Request.Method)) ? new Reader(this, http.Response) : _index;

    public void Dispose() => _memory.Dispose();

    private async ValueTask<T?> ReadAsync<T>(object key, ValueTask<T?> asked, Func<T, long> sizeOf, HttpResponse response) where T : class
    {
        var since = clock.GetTimestamp(); // before the answer: it may be as old as the question
        try
        {
            var found = await asked;
            if (found is null) _memory.Remove(key);
            else _memory.Set(key, new Remembered(found, since), new MemoryCacheEntryOptions { Size = sizeOf(found) });
            return found;
        }
        catch (StorageException e) when (e.Error == StorageError.IndexAway && _memory.Get(key) is Remembered known && clock.GetElapsedTime(known.Since) <= staleMax)
        {
            Tell(response, clock.GetElapsedTime(known.Since));
            return (T)known.What;
        }
    }

    /// <summary>The oldest answer counts.</summary>
    private static void Tell(HttpResponse response, TimeSpan age)
    {
        var seconds = (long)age.TotalSeconds;
        if (long.TryParse(response.Headers.Age, NumberStyles.None, CultureInfo.InvariantCulture, out var told) && told >= seconds) return;
        response.Headers.Age = seconds.ToString(CultureInfo.InvariantCulture);
        response.Headers.Warning = "110 - \"Response is Stale\"";
    }

    private sealed class Reader(IndexMemory memory, HttpResponse response) : IIndexReader
    {
        private readonly IIndexReader _index = memory._index;

        public bool IsAway => _index.IsAway;

        public ValueTask<BucketRecord?> FindBucketAsync(string name, CancellationToken ct) =>
            memory.ReadAsync(name, _index.FindBucketAsync(name, ct), static bucket => EntryBytes + bucket.Settings.Sum(static s => 2L * s.Document.Length), response);

        public ValueTask<ObjectVersion?> FindObjectAsync(BucketId bucket, string key, CancellationToken ct) =>
            memory.ReadAsync((bucket, key), _index.FindObjectAsync(bucket, key, ct), SizeOf, response);

        public ValueTask<ObjectVersion?> FindLatestAsync(BucketId bucket, string key, CancellationToken ct) =>
            memory.ReadAsync((bucket, key, "latest"), _index.FindLatestAsync(bucket, key, ct), SizeOf, response);

        public ValueTask<ObjectVersion?> FindVersionAsync(BucketId bucket, string key, VersionName version, CancellationToken ct) =>
            memory.ReadAsync((bucket, key, version), _index.FindVersionAsync(bucket, key, version, ct), SizeOf, response);

        // Pages are made of many rows, and are asked of the index alone.
        public ValueTask<IReadOnlyList<BucketRecord>> ListBucketsAsync(string? owner, string prefix, string after, int max, CancellationToken ct) => _index.ListBucketsAsync(owner, prefix, after, max, ct);

        public ValueTask<VersionListingEnd> ListVersionsAsync(VersionListing listing, IVersionListingSink sink, CancellationToken ct) => _index.ListVersionsAsync(listing, sink, ct);

        public ValueTask<IReadOnlyList<BucketSetting>> ListSettingsAsync(BucketId bucket, string kind, string afterId, int max, CancellationToken ct) => _index.ListSettingsAsync(bucket, kind, afterId, max, ct);

        public ValueTask<ListingEnd> ListObjectsAsync(ObjectListing listing, IObjectListingSink sink, CancellationToken ct) => _index.ListObjectsAsync(listing, sink, ct);

        public ValueTask<UploadPage> ListUploadsAsync(BucketId bucket, string prefix, string? delimiter, string afterKey, UploadId? afterUpload, int max, CancellationToken ct) =>
            _index.ListUploadsAsync(bucket, prefix, delimiter, afterKey, afterUpload, max, ct);

        public ValueTask<IReadOnlyList<UsageChange>> ListUsageAsync(BucketId? bucket, CancellationToken ct) => _index.ListUsageAsync(bucket, ct);

        public ValueTask<UploadRecord?> FindUploadAsync(UploadId upload, CancellationToken ct) => _index.FindUploadAsync(upload, ct);

        public ValueTask<IReadOnlyList<UploadPart>> ListPartsAsync(UploadId upload, int afterNumber, int max, CancellationToken ct) => _index.ListPartsAsync(upload, afterNumber, max, ct);

        private static long SizeOf(ObjectVersion version) => EntryBytes + (version.Manifest.Inline.IsDefault ? 0 : version.Manifest.Inline.Length) + (PartBytes * (long)version.Manifest.Parts.Length);
    }
}
