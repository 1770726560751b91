using System.IO.Pipelines;
using DarkStorage.GrainInterfaces;
using DarkStorage.GrainInterfaces.Buckets;
using DarkStorage.GrainInterfaces.Objects;
using DarkStorage.Rules.Tiers;
using DarkStorage.Storage;
using DarkStorage.Storage.Encryption;

namespace DarkStorage.ClientApi.S3.Operations;

/// <summary>A range of a version's content, wherever its bytes are. Those that are moved to another tier while they are being read, and are gone where they were before, are read on where they are now: a version does not change, only its place.</summary>
internal sealed class ObjectContent : IBlobRead
{
    private readonly IBlobStore _blobs;
    private readonly IIndexReader _index;
    private readonly BucketId _bucket;
    private readonly string _key;
    private readonly ObjectVersion _version;
    private readonly DataKey? _dataKey;
    private Manifest _manifest;
    private ByteRange _left;
    private IBlobRead _read;

    private ObjectContent(IBlobStore blobs, IIndexReader index, BucketId bucket, string key, ObjectVersion version, ByteRange range, DataKey? dataKey, IBlobRead read)
    {
        (_blobs, _index, _bucket, _key, _version, _dataKey) = (blobs, index, bucket, key, version, dataKey);
        (_manifest, _left, _read, Length) = (version.Manifest, range, read, range.Length);
    }

    public long Length { get; }

    public long Written => Length - _left.Length + _read.Written;

    /// <param name="range">Not empty.</param>
    /// <param name="dataKey">As in <see cref="IBlobStore.OpenAsync"/>, as are the errors.</param>
    /// <exception cref="S3Exception"><c>InvalidObjectState</c>: it is archived, and has to be restored first.</exception>
    public static async ValueTask<IBlobRead> OpenAsync(S3Request s3, BucketId bucket, string key, ObjectVersion version, ByteRange range, DataKey? dataKey, CancellationToken ct) =>
        version.IsReadable(s3.Clock.GetUtcNow())
            ? new ObjectContent(s3.Blobs, s3.Index, bucket, key, version, range, dataKey, await s3.Blobs.OpenAsync(version.Manifest, range, dataKey, ct))
            : throw new S3Exception(S3Error.InvalidObjectState).With("StorageClass", version.StorageClass);

    public async ValueTask CopyToAsync(PipeWriter destination, CancellationToken ct)
    {
        while (true)
        {
            try
            {
                await _read.CopyToAsync(destination, ct);
                return;
            }
            catch (StorageException e) when (e.Error is StorageError.DataDamaged or StorageError.Unavailable)
            {
                if (await FindMovedAsync(ct) is not { } moved) throw;
                (_manifest, _left) = (moved, new(_left.First + _read.Written, _left.Last));
            }
            var before = _read;
            _read = await _blobs.OpenAsync(_manifest, _left, _dataKey, ct);
            await before.DisposeAsync();
        }
    }

    public ValueTask DisposeAsync() => _read.DisposeAsync();

    /// <returns>Null where the bytes are where they were, or nobody can say.</returns>
    private async ValueTask<Manifest?> FindMovedAsync(CancellationToken ct)
    {
        try
        {
            return await _index.FindVersionAsync(_bucket, _key, _version.Name, ct) is { } now && now.Manifest.Version == _manifest.Version && !now.Manifest.Blobs.SequenceEqual(_manifest.Blobs) ? now.Manifest : null;
        }
        catch (StorageException)
        {
            return null;
        }
    }
}
