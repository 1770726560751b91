using DarkStorage.Storage;
using DarkStorage.Storage.Backends;
using DarkStorage.TestKit;

namespace DarkStorage.Connectors.S3;

/// <summary>Buckets of a server that others wrote, with the preset that is for it.</summary>
public sealed class CephTests(CephServer ceph, ITestOutputHelper output) : BackendConformance(output), IClassFixture<CephServer>
{
    private protected override async Task<IBackend> NewAsync() => Open(await NewBucketAsync());

    [Fact]
    public async Task A_long_blob_goes_in_parts_and_is_copied_in_parts()
    {
        var bucket = await NewBucketAsync();
        await using var backend = new S3Backend(ceph.NewClient(), new(bucket, "", null, false) { PartBytesMin = 5 << 20, CopyBytesMax = 5 << 20 }, TimeProvider.System, Stream.Null);
        var (name, copy) = (BlobName.Parse("long"), BlobName.Parse("copy"));
        var source = new PatternSource((12L << 20) + 7);
        Assert.Equal(source.Length, (await backend.PutAsync(name, source, Ct)).Length);
        Assert.Equal(source.Length, (await backend.CopyAsync(name, copy, Ct)).Length);
        await using var stream = await backend.OpenAsync(copy, ByteRange.All(source.Length), Ct);
        await source.AssertSameAsync(stream, Ct);
    }

    [Fact]
    public async Task A_full_quota_is_a_full_place()
    {
        var bucket = await NewBucketAsync();
        await using var backend = Open(bucket);
        var kept = Content(1000);
        await backend.PutAsync(BlobName.Parse("kept"), BlobSource.Of(kept), Ct);
        await ceph.LimitBucketAsync(bucket, objectsMax: 1);
        Assert.Equal(BackendError.Full, (await Assert.ThrowsAsync<BackendException>(() => backend.PutAsync(BlobName.Parse("more"), BlobSource.Of(new byte[10]), Ct))).Error);
        Assert.Equal(kept, await ReadAsync(backend, BlobName.Parse("kept"), ByteRange.All(1000)));
    }

    private async Task<string> NewBucketAsync()
    {
        var bucket = S3Clients.NewBucketName();
        await ceph.Client.PutBucketAsync(bucket, Ct);
        return bucket;
    }

    private S3Backend Open(string bucket) => (S3Backend)S3Connector.Connector.Open(S3Connector.Connector.Type.Complete("ceph", new Dictionary<string, string>
    {
        ["endpoint"] = ceph.Url.GetLeftPart(UriPartial.Authority), ["bucket"] = bucket, ["prefix"] = "mine/", ["access-key"] = CephServer.AccessKey, ["secret-key"] = CephServer.SecretKey,
    }), TimeProvider.System);
}
