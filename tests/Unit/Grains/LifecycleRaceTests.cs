using DarkStorage.GrainInterfaces;
using DarkStorage.GrainInterfaces.Buckets;
using DarkStorage.GrainInterfaces.Lifecycle;
using DarkStorage.GrainInterfaces.Objects;
using DarkStorage.Metadata;
using DarkStorage.Rules.Buckets;
using DarkStorage.Rules.Lifecycle;
using Orleans;
using Xunit;

namespace DarkStorage.Unit.Grains;

/// <summary>What a client does between the lifecycle's look at a version and what it does about it.</summary>
public sealed class LifecycleRaceTests : IAsyncLifetime
{
    private const string Name = "bucket";
    private static readonly CancellationToken Ct = TestContext.Current.CancellationToken;
    private static readonly DateTimeOffset LongAgo = new(2020, 1, 1, 0, 0, 0, TimeSpan.Zero);

    /// <summary>Of what a client writes meanwhile: not due in any run.</summary>
    private static readonly DateTimeOffset NotDue = DateTimeOffset.UtcNow.AddYears(1);

    private GrainHost _host = null!;

    public async ValueTask InitializeAsync() => _host = await GrainHost.StartAsync();

    public ValueTask DisposeAsync() => _host.DisposeAsync();

    [Fact]
    public async Task A_null_version_that_took_the_place_of_the_one_looked_at_stays()
    {
        var bucket = await NewBucketAsync(NoncurrentExpires);
        await WriteAsync(bucket, "old", BucketVersioning.Suspended, LongAgo);
        await WriteAsync(bucket, "newer", BucketVersioning.Enabled, LongAgo);

        await RunAsync(() => WriteAsync(bucket, "newest", BucketVersioning.Suspended, NotDue));

        Assert.Equal("newest", await CurrentAsync(bucket));
    }

    [Fact]
    public async Task An_object_that_took_the_place_of_the_one_looked_at_stays()
    {
        var bucket = await NewBucketAsync(CurrentExpires);
        await WriteAsync(bucket, "same", BucketVersioning.Off, LongAgo);

        // The same bytes: its entity tag and its length are those that were looked at.
        await RunAsync(() => WriteAsync(bucket, "same", BucketVersioning.Off, NotDue));

        Assert.Equal("same", await CurrentAsync(bucket));
    }

    [Fact]
    public async Task A_noncurrent_version_that_came_up_again_stays()
    {
        var bucket = await NewBucketAsync(NoncurrentExpires);
        await WriteAsync(bucket, "undeleted", BucketVersioning.Enabled, LongAgo);
        var above = await WriteAsync(bucket, "mistake", BucketVersioning.Enabled, LongAgo);

        await RunAsync(() => Grain.DeleteAsync(new(bucket, above.Name, default, "owner", WriteCondition.None, BypassGovernance: false, ChangeOrigin.Lifecycle), Ct));

        Assert.Equal("undeleted", await CurrentAsync(bucket));
    }

    [Fact]
    public async Task An_object_whose_tags_no_longer_match_stays()
    {
        var rule = CurrentExpires with { Filter = new(null, [new("go", "1")], null, null) };
        var bucket = await NewBucketAsync(rule);
        var version = await WriteAsync(bucket, "kept", BucketVersioning.Off, LongAgo, new(0, [new("go", "1")], null, null, false));

        await RunAsync(() => Grain.UpdateAsync(new(bucket, null, new(version.Revision), ChangeOrigin.Lifecycle, Tags: []), Ct), after: nameof(IMetadataIndex.FindVersionAsync));

        Assert.Equal("kept", await CurrentAsync(bucket));
    }

    [Fact]
    public async Task What_nobody_touches_goes()
    {
        var bucket = await NewBucketAsync(CurrentExpires);
        await WriteAsync(bucket, "old", BucketVersioning.Off, LongAgo);
        await RunAsync(() => Task.CompletedTask);
        Assert.Null(await CurrentAsync(bucket));
    }

    [Fact]
    public async Task A_state_that_an_older_program_kept_is_gone_on_with()
    {
        var bucket = await NewBucketAsync(CurrentExpires);
        await WriteAsync(bucket, "old", BucketVersioning.Off, LongAgo);
        const string report = """{"Begun":"2026-01-01T00:00:00+00:00","Ended":"2026-01-01T00:00:01+00:00","Looked":7,"Expired":3,"Removed":0,"Transitioned":0,"UploadsAborted":0,"Bytes":5,"Locked":0,"Failed":0}""";
        var grain = _host.Grains.GetGrain<ILifecycleGrain>(Name);
        await _host.Index.WriteGrainStateAsync("lifecycle", grain.GetGrainId().ToString(), System.Text.Encoding.UTF8.GetBytes(
            $$"""{"Bucket":{{bucket.Value}},"Running":null,"Last":{{report}},"Key":"","Version":null,"Revision":0,"Above":"0001-01-01T00:00:00+00:00","Noncurrent":0}"""), null, Ct);

        await RunAsync(() => Task.CompletedTask);

        var kept = await _host.Index.ReadGrainStateAsync("lifecycle", grain.GetGrainId().ToString(), Ct);
        var state = System.Text.Json.Nodes.JsonNode.Parse(kept!.State.AsSpan())!;
        Assert.Equal((7L, 0), ((long)state["Before"]![0]!["Looked"]!, state["Before"]![0]!["Moves"]!.AsArray().Count));
    }

    [Fact]
    public async Task Policies_that_can_not_be_read_move_nothing_and_keep_nothing_from_expiring()
    {
        var bucket = await NewBucketAsync(CurrentExpires with { Filter = new("gone", [], null, null), Transitions = [] });
        var record = await _host.Index.FindBucketAsync(Name, Ct);
        await _host.Index.UpdateBucketAsync(new(bucket, record!.Revision, null, new(BucketSettings.TierPolicies, "p", """{"text":"phase_of_moon == full -> cold","isEnabled":true}""")), Ct);
        await _host.Index.UpdateBucketAsync(new(bucket, record.Revision + 1, null, new(BucketSettings.Tiering, "", """{"entries":[{"prefix":"","transitions":[{"storageClass":"STANDARD_IA","days":1}]}]}""")), Ct);
        await WriteAsync(bucket, "old", BucketVersioning.Off, LongAgo);
        await WriteAsync(bucket, "old", BucketVersioning.Off, LongAgo, key: "gone");

        await RunAsync(() => Task.CompletedTask);

        Assert.Null(await _host.Index.FindObjectAsync(bucket, "gone", Ct));
        Assert.Equal("STANDARD", (await _host.Index.FindObjectAsync(bucket, "key", Ct))!.StorageClass);
        var grain = _host.Grains.GetGrain<ILifecycleGrain>(Name);
        Assert.StartsWith("The enabled policies of the bucket can't be read, so nothing is moved: Line 1, column 1: There is no attribute phase_of_moon", (await grain.GetStatusAsync(Ct)).Problem, StringComparison.Ordinal);
        Assert.Contains("The next run leaves it where it is.", (await grain.ExplainAsync("key", null, Ct))!.Value);
    }

    [Fact]
    public async Task The_newest_noncurrent_versions_are_kept_of_each_key_by_itself()
    {
        var bucket = await NewBucketAsync(NoncurrentExpires with { NoncurrentExpiration = new(1, 2) });
        foreach (var key in (string[])["a", "b"])
        {
            for (var i = 0; i < 4; i++) await WriteAsync(bucket, $"{i}", BucketVersioning.Enabled, LongAgo, key: key);
        }

        await RunAsync(() => Task.CompletedTask);

        foreach (var key in (string[])["a", "b"]) Assert.Equal(["3", "2", "1"], await ContentsAsync(bucket, key));
    }

    [Fact]
    public async Task A_run_that_stood_still_within_a_key_counts_anew_what_is_newer()
    {
        var bucket = await NewBucketAsync(NoncurrentExpires with { NoncurrentExpiration = new(1, 2) });
        var versions = new List<ObjectVersion>();
        for (var i = 0; i < 6; i++) versions.Add(await WriteAsync(bucket, $"{i}", BucketVersioning.Enabled, LongAgo));
        // As a node leaves it that dies when it has looked at 5, 4 and 3; and then somebody removes 4.
        const string report = """{"Begun":"2026-01-01T00:00:00+00:00","Ended":null,"Looked":3,"Expired":0,"Removed":0,"Transitioned":0,"UploadsAborted":0,"Bytes":0,"Locked":0,"Failed":0}""";
        var grain = _host.Grains.GetGrain<ILifecycleGrain>(Name);
        await _host.Index.WriteGrainStateAsync("lifecycle", grain.GetGrainId().ToString(), System.Text.Encoding.UTF8.GetBytes(
            $$"""{"Bucket":{{bucket.Value}},"Running":{{report}},"Last":null,"Key":"key","Version":"{{versions[3].Name}}","Revision":{{versions[3].Revision}},"Above":"{{LongAgo:O}}","Noncurrent":2}"""), null, Ct);
        await Grain.DeleteAsync(new(bucket, versions[4].Name, default, "owner", WriteCondition.None, BypassGovernance: false, ChangeOrigin.Lifecycle), Ct);

        await RunAsync(() => Task.CompletedTask, looks: 2);

        Assert.Equal(["5", "3", "2"], await ContentsAsync(bucket, "key"));
    }

    [Fact]
    public async Task A_noncurrent_version_is_as_old_as_the_version_that_replaced_it()
    {
        var bucket = await NewBucketAsync(NoncurrentExpires);
        foreach (var (content, modified) in new[] { ("long replaced", LongAgo), ("just replaced", LongAgo), ("newest", NotDue) }) await WriteAsync(bucket, content, BucketVersioning.Enabled, modified);

        await RunAsync(() => Task.CompletedTask);

        Assert.Equal(["newest", "just replaced"], await ContentsAsync(bucket, "key"));
    }

    /// <summary>Of all versions, the newest first.</summary>
    private async Task<List<string>> ContentsAsync(BucketId bucket, string key)
    {
        var names = new Names();
        await _host.Index.ListVersionsAsync(new(bucket, key, null, new("", null, 0), 100), names, Ct);
        var contents = new List<string>();
        foreach (var name in names.All) contents.Add(System.Text.Encoding.UTF8.GetString((await _host.Index.FindVersionAsync(bucket, key, name, Ct))!.Manifest.Inline.AsSpan()));
        return contents;
    }

    private sealed class Names : IVersionListingSink
    {
        public List<VersionName> All { get; } = [];

        public void Version(in ListedObject entry) => All.Add(entry.Version);

        public void CommonPrefix(ReadOnlySpan<byte> prefix) => throw new System.Diagnostics.UnreachableException("A listing without a delimiter folds nothing.");
    }

    private static readonly LifecycleRule CurrentExpires =
        new("rule", true, LifecycleFilter.Everything, new(1, null, null), null, null, [], [], false);

    private static readonly LifecycleRule NoncurrentExpires = CurrentExpires with { Expiration = null, NoncurrentExpiration = new(1, null) };

    private IObjectGrain Grain => GrainOf("key");

    private IObjectGrain GrainOf(string key) => _host.Grains.GetGrain<IObjectGrain>(new ObjectId(Name, key).ToString());

    private async Task<BucketId> NewBucketAsync(LifecycleRule rule)
    {
        var bucket = await _host.Index.CreateBucketAsync(Name, new("owner", "r", BucketVersioning.Off, []), DateTimeOffset.UtcNow, Ct);
        await _host.Index.UpdateBucketAsync(new(bucket.Id, 0, null, new(BucketSettings.Lifecycle, "", SettingJson.Write(new LifecycleConfiguration([rule])))), Ct);
        return bucket.Id;
    }

    /// <summary>As if it had been written at that time, by a client, under that versioning.</summary>
    private async Task<ObjectVersion> WriteAsync(BucketId bucket, string content, BucketVersioning versioning, DateTimeOffset modified, ObjectAttributes? attributes = null, string key = "key")
    {
        var revision = (await _host.Index.FindLatestAsync(bucket, key, Ct))?.Revision ?? 0;
        var id = VersionId.Of(BlobId.New(TimeProvider.System));
        var version = new ObjectVersion(new(id, content.Length, $"etag of {content}", null, [], [.. System.Text.Encoding.UTF8.GetBytes(content)]), ObjectMetadata.Default, modified,
            revision + 1, versioning != BucketVersioning.Enabled, "STANDARD", null, "owner", attributes ?? ObjectAttributes.None);
        await _host.Index.SaveObjectAsync(new(bucket, key, revision, version), Ct);
        return version;
    }

    private async Task<string?> CurrentAsync(BucketId bucket) =>
        await _host.Index.FindObjectAsync(bucket, "key", Ct) is { } found ? System.Text.Encoding.UTF8.GetString(found.Manifest.Inline.AsSpan()) : null;

    /// <summary>One run of the lifecycle, with a client that acts once the run has asked the index for this.</summary>
    /// <param name="looks">Listings that it makes.</param>
    private async Task RunAsync(Func<Task> meanwhile, string after = nameof(IMetadataIndex.ListVersionsAsync), int looks = 1)
    {
        var (acted, listings) = (0, 0);
        var ended = new TaskCompletionSource();
        _host.After = async method =>
        {
            if (method == after && Interlocked.Increment(ref acted) == 1) await meanwhile();
            // The next run's first look: the one before has done all it does.
            if (method == nameof(IMetadataIndex.ListVersionsAsync) && Interlocked.Increment(ref listings) == looks + 1) ended.SetResult();
        };
        await _host.Grains.GetGrain<ILifecycleGrain>(Name).WakeAsync(Ct);
        await ended.Task.WaitAsync(TimeSpan.FromMinutes(1), Ct);
        _host.After = null;
    }
}
