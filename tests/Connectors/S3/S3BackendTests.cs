using DarkStorage.GrainInterfaces.Objects;
using DarkStorage.GrainInterfaces;
using DarkStorage.Storage;
using DarkStorage.Storage.Backends;
using DarkStorage.TestKit;

namespace DarkStorage.Connectors.S3;

/// <summary>Buckets of another node of this project.</summary>
public sealed class S3BackendTests(NodeFixture fixture, ITestOutputHelper output) : BackendConformance(output), IClassFixture<NodeFixture>
{
    private static readonly ConnectorType Type = S3Connector.Connector.Type;

    private protected override async Task<IBackend> NewAsync() => Open(await fixture.Client.NewBucketAsync(), "");

    protected override IEnumerable<string> HardNames => base.HardNames.Append(string.Join('/', Enumerable.Repeat(new string('n', 203), 5)) + "/abc");

    private IReadOnlyDictionary<string, string> Settings(string bucket, string prefix, params (string Name, string Value)[] more)
    {
        var settings = new Dictionary<string, string>
        {
            ["endpoint"] = fixture.Node.S3Url.GetLeftPart(UriPartial.Authority), ["bucket"] = bucket, ["prefix"] = prefix, ["access-key"] = fixture.Node.Settings.AccessKey, ["secret-key"] = fixture.Node.Settings.SecretKey,
        };
        foreach (var (name, value) in more) settings[name] = value;
        return Type.Complete("darkstorage", settings);
    }

    private IBackend Open(string bucket, string prefix, params (string Name, string Value)[] more) => S3Connector.Connector.Open(Settings(bucket, prefix, more), TimeProvider.System);

    /// <summary>With parts as small as S3 has them.</summary>
    private S3Backend OpenInSmallParts(string bucket) => new(fixture.Node.S3(), new(bucket, "", null, false) { PartBytesMin = 5 << 20, CopyBytesMax = 5 << 20 }, TimeProvider.System, Stream.Null);

    [Fact]
    public async Task A_prefix_keeps_places_of_one_bucket_apart()
    {
        var bucket = await fixture.Client.NewBucketAsync();
        await using var one = Open(bucket, "one/");
        await using var two = Open(bucket, "two/");
        await AssertApartAsync(one, two);
    }

    [Fact]
    public async Task A_long_blob_goes_in_parts_and_is_copied_and_read_whole()
    {
        var bucket = await fixture.Client.NewBucketAsync();
        await using var backend = OpenInSmallParts(bucket);
        var (name, copy) = (BlobName.Parse("long"), BlobName.Parse("copy"));
        var source = new PatternSource((33L << 20) + 12_345);
        Assert.Equal(source.Length, (await backend.PutAsync(name, source, Ct)).Length);
        Assert.Equal(source.Length, (await backend.CopyAsync(name, copy, Ct)).Length);
        foreach (var blob in new[] { name, copy })
        {
            Assert.EndsWith("-7", (await fixture.Client.GetObjectMetadataAsync(bucket, blob.Value, Ct)).ETag.Trim('"'), StringComparison.Ordinal);
            await using var stream = await backend.OpenAsync(blob, ByteRange.All(source.Length), Ct);
            await source.AssertSameAsync(stream, Ct);
        }
    }

    [Fact]
    public async Task Parts_of_a_long_put_that_breaks_are_aborted()
    {
        var bucket = await fixture.Client.NewBucketAsync();
        await using var backend = OpenInSmallParts(bucket);
        var error = await Assert.ThrowsAnyAsync<Exception>(() => backend.PutAsync(BlobName.Parse("long"), new PatternSource(30L << 20) { BreaksAt = 20L << 20 }, Ct));
        Assert.True(error is InvalidDataException or BackendException, error.ToString());
        Assert.Empty((await fixture.Client.ListMultipartUploadsAsync(bucket, Ct)).MultipartUploads ?? []);
        Assert.Empty(await ListAsync(backend, ""));
    }

    [Fact]
    public async Task Uploads_that_a_crash_cut_off_long_ago_are_aborted_and_others_are_not()
    {
        var bucket = await fixture.Client.NewBucketAsync();
        var upload = await fixture.Client.InitiateMultipartUploadAsync(bucket, "mine/cut-off", Ct);
        var foreign = await fixture.Client.InitiateMultipartUploadAsync(bucket, "others/cut-off", Ct);
        foreach (var (prefix, age, left) in new[] { ("mine/", 0, 2), ("", 31, 2), ("mine/", 31, 1) })
        {
            await using var backend = S3Connector.Connector.Open(Settings(bucket, prefix), new Later(TimeSpan.FromDays(age)));
            await backend.CleanAsync(Ct);
            Assert.Equal(left, (await fixture.Client.ListMultipartUploadsAsync(bucket, Ct)).MultipartUploads.Count);
        }
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
        await using var backend = Open(await fixture.Client.NewBucketAsync(), "mine/", (field, value));
        var name = BlobName.Parse("a");
        foreach (var call in new Func<Task>[]
        {
            () => backend.PrepareAsync(Ct), () => backend.CleanAsync(Ct), () => backend.PutAsync(name, BlobSource.Of(new byte[1]), Ct), () => ReadAsync(backend, name, new(0, 0)), () => backend.StatAsync(name, Ct),
            () => backend.DeleteAsync(name, Ct), () => ListAsync(backend, ""), () => backend.CopyAsync(name, name, Ct), () => backend.WarmUpAsync(name, WarmUpSpeed.Bulk, TimeSpan.FromDays(1), Ct),
        })
        {
            var error = await Assert.ThrowsAsync<BackendException>(call);
            Assert.Equal(expected, error.Error);
            Assert.DoesNotContain("wrong-secret", error.ToString(), StringComparison.Ordinal);
        }
    }

    [Fact]
    public void A_key_without_its_secret_is_refused()
    {
        var settings = Type.Complete("aws", new Dictionary<string, string> { ["bucket"] = "b", ["access-key"] = "key" });
        Assert.Equal(StorageError.InvalidArgument, Assert.Throws<StorageException>(() => S3Connector.Connector.Open(settings, TimeProvider.System)).Error);
    }

    private sealed class Later(TimeSpan by) : TimeProvider
    {
        public override DateTimeOffset GetUtcNow() => base.GetUtcNow() + by;
    }
}
