using DarkStorage.GrainInterfaces;
using DarkStorage.Storage;
using DarkStorage.Storage.Backends;
using DarkStorage.TestKit;

namespace DarkStorage.Connectors.S3;

/// <summary>Buckets of another node of this project.</summary>
public sealed class S3BackendTests(NodeFixture fixture, ITestOutputHelper output) : BackendConformance(output), IClassFixture<NodeFixture>
{
    private readonly ConnectorType _type = S3Connector.Connector.Type;

    private protected override async Task<IBackend> NewAsync() => Open(await fixture.Client.NewBucketAsync(), "");

    protected override IEnumerable<string> HardNames => base.HardNames.Append(string.Join('/', Enumerable.Repeat(new string('n', 203), 5)) + "/abc");

    private IBackend Open(string bucket, string prefix, params (string Name, string Value)[] more)
    {
        var settings = new Dictionary<string, string>
        {
            ["endpoint"] = fixture.Node.S3Url.GetLeftPart(UriPartial.Authority), ["bucket"] = bucket, ["prefix"] = prefix, ["access-key"] = fixture.Node.Settings.AccessKey, ["secret-key"] = fixture.Node.Settings.SecretKey,
        };
        foreach (var (name, value) in more) settings[name] = value;
        return S3Connector.Connector.Open(_type.Complete("darkstorage", settings), TimeProvider.System);
    }

    [Fact]
    public async Task A_prefix_keeps_places_of_one_bucket_apart()
    {
        var bucket = await fixture.Client.NewBucketAsync();
        await using var one = Open(bucket, "one/");
        await using var two = Open(bucket, "two/");
        var name = BlobName.Parse("blob");
        await one.PutAsync(name, BlobSource.Of(new byte[1]), Ct);
        await two.PutAsync(name, BlobSource.Of(new byte[2]), Ct);
        Assert.Equal(1, Assert.Single(await ListAsync(one, "")).Length);
        Assert.Equal(2, (await two.StatAsync(name, Ct))!.Length);
        await one.DeleteAsync(name, Ct);
        Assert.Equal(2, (await two.StatAsync(name, Ct))!.Length);
    }

    [Fact]
    public async Task A_long_blob_goes_in_parts_and_is_copied_and_read_whole()
    {
        await using var backend = await ReadyAsync();
        var (name, copy) = (BlobName.Parse("long"), BlobName.Parse("copy"));
        var source = new PatternSource((150L << 20) + 12_345);
        var put = await backend.PutAsync(name, source, Ct);
        Assert.Equal(source.Length, put.Length);
        Assert.Equal(source.Length, (await backend.StatAsync(name, Ct))!.Length);
        await backend.CopyAsync(name, copy, Ct);
        await using var stream = await backend.OpenAsync(copy, ByteRange.All(source.Length), Ct);
        await source.AssertSameAsync(stream, Ct);
    }

    [Fact]
    public async Task Parts_of_a_long_put_that_breaks_are_aborted()
    {
        var bucket = await fixture.Client.NewBucketAsync();
        await using var backend = Open(bucket, "");
        var error = await Assert.ThrowsAnyAsync<Exception>(() => backend.PutAsync(BlobName.Parse("long"), new PatternSource(200L << 20) { BreaksAt = 150L << 20 }, Ct));
        Assert.True(error is InvalidDataException or BackendException, error.ToString());
        Assert.Empty((await fixture.Client.ListMultipartUploadsAsync(bucket, Ct)).MultipartUploads ?? []);
        Assert.Empty(await ListAsync(backend, ""));
    }

    [Fact]
    public async Task Uploads_that_a_crash_cut_off_long_ago_are_aborted_and_young_ones_are_not()
    {
        var bucket = await fixture.Client.NewBucketAsync();
        var upload = await fixture.Client.InitiateMultipartUploadAsync(bucket, "mine/cut-off", Ct);
        var foreign = await fixture.Client.InitiateMultipartUploadAsync(bucket, "others/cut-off", Ct);
        await using var today = Open(bucket, "mine/");
        await today.CleanAsync(Ct);
        Assert.Equal(2, (await fixture.Client.ListMultipartUploadsAsync(bucket, Ct)).MultipartUploads.Count);

        var settings = _type.Complete("darkstorage", new Dictionary<string, string>
        {
            ["endpoint"] = fixture.Node.S3Url.GetLeftPart(UriPartial.Authority), ["bucket"] = bucket, ["prefix"] = "mine/", ["access-key"] = fixture.Node.Settings.AccessKey, ["secret-key"] = fixture.Node.Settings.SecretKey,
        });
        await using var later = S3Connector.Connector.Open(settings, new Later(TimeSpan.FromDays(8)));
        await later.CleanAsync(Ct);
        Assert.Equal([foreign.UploadId], (await fixture.Client.ListMultipartUploadsAsync(bucket, Ct)).MultipartUploads.Select(u => u.UploadId));
        Assert.NotEqual(upload.UploadId, foreign.UploadId);
    }

    [Theory]
    [InlineData("bucket", "no-such-bucket-anywhere", BackendError.PlaceMissing)]
    [InlineData("access-key", "nobody", BackendError.AccessDenied)]
    [InlineData("secret-key", "wrong-secret-wrong-secret", BackendError.AccessDenied)]
    [InlineData("endpoint", "http://127.0.0.1:1", BackendError.Unavailable)]
    [InlineData("endpoint", "http://169.254.169.254", BackendError.Unavailable)]
    public async Task A_place_that_is_wrong_says_of_what_kind_it_is(string field, string value, BackendError expected)
    {
        await using var backend = Open(await fixture.Client.NewBucketAsync(), "", (field, value));
        foreach (var call in new Func<Task>[] { () => backend.PrepareAsync(Ct), () => backend.PutAsync(BlobName.Parse("a"), BlobSource.Of(new byte[1]), Ct), () => ReadAsync(backend, BlobName.Parse("a"), new(0, 0)) })
        {
            var error = await Assert.ThrowsAsync<BackendException>(call);
            Assert.Equal(expected, error.Error);
            Assert.DoesNotContain("wrong-secret", error.ToString(), StringComparison.Ordinal);
        }
    }

    [Fact]
    public void A_key_without_its_secret_is_refused()
    {
        var settings = _type.Complete("aws", new Dictionary<string, string> { ["bucket"] = "b", ["access-key"] = "key" });
        Assert.Equal(StorageError.InvalidArgument, Assert.Throws<StorageException>(() => S3Connector.Connector.Open(settings, TimeProvider.System)).Error);
    }

    private sealed class Later(TimeSpan by) : TimeProvider
    {
        public override DateTimeOffset GetUtcNow() => base.GetUtcNow() + by;
    }
}
