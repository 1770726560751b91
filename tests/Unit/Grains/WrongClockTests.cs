using DarkStorage.GrainInterfaces;
using DarkStorage.GrainInterfaces.Buckets;
using DarkStorage.GrainInterfaces.Lifecycle;
using DarkStorage.GrainInterfaces.Objects;
using DarkStorage.GrainInterfaces.Uploads;
using DarkStorage.Grains.Lifecycle;
using DarkStorage.Metadata;
using DarkStorage.Metadata.Postgres;
using DarkStorage.Rules.Buckets;
using DarkStorage.Rules.Lifecycle;
using DarkStorage.TestKit;
using DarkStorage.Unit.Metadata;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.Logging.Abstractions;
using Microsoft.Extensions.Options;
using Orleans;
using Orleans.Runtime;
using Xunit;

namespace DarkStorage.Unit.Grains;

/// <summary>A node whose clock is set a year ahead after it has opened the index, which is in PostgreSQL and knows better: nothing goes for good that is not due.</summary>
public sealed class WrongClockTests(PostgresFixture postgres) : IAsyncLifetime
{
    private const string Name = "bucket";
    private static readonly TimeSpan Year = TimeSpan.FromDays(365);
    private static readonly DateTimeOffset LongAgo = new(2020, 1, 1, 0, 0, 0, TimeSpan.Zero);
    private static readonly CancellationToken Ct = TestContext.Current.CancellationToken;

    private readonly SetClock _clock = new();
    private GrainHost _host = null!;

    public async ValueTask InitializeAsync()
    {
        var url = PostgresUrl.Parse(await (await postgres.ServerAsync()).NewDatabaseAsync());
        var index = await PostgresIndex.OpenAsync(url, new() { ReadConnectionsMax = 4 }, _clock, NullLogger<PostgresIndex>.Instance, Ct);
        _host = await GrainHost.StartAsync(services => services.AddSingleton<TimeProvider>(_clock).AddSingleton(Options.Create(new LifecycleOptions { Interval = TimeSpan.FromSeconds(1) })), index);
    }

    public ValueTask DisposeAsync() => _host.DisposeAsync();

    [Fact]
    public async Task A_lifecycle_stands_still_says_so_and_goes_on_when_the_clock_is_right()
    {
        var bucket = await NewBucketAsync();
        var rule = new LifecycleRule("rule", true, LifecycleFilter.Everything, new(30, null, null), new(30, null), 30, [], [], false);
        await _host.Index.UpdateBucketAsync(new(bucket, 0, null, new(BucketSettings.Lifecycle, "", SettingJson.Write(new LifecycleConfiguration([rule])))), Ct);
        var (due, young) = (await WriteAsync(bucket, "due", LongAgo), await WriteAsync(bucket, "young", DateTimeOffset.UtcNow));
        var upload = await BeginUploadAsync(bucket, DateTimeOffset.UtcNow);
        var grain = _host.Grains.GetGrain<ILifecycleGrain>(Name);
        var (asked, looked, isBegunAgain) = (0, 0, new TaskCompletionSource());
        _host.After = method =>
        {
            if ((method == nameof(IMetadataIndex.CheckClockAsync) && Interlocked.Increment(ref asked) == 2) || (method == nameof(IMetadataIndex.ListVersionsAsync) && Interlocked.Increment(ref looked) == 2)) isBegunAgain.TrySetResult();
            return Task.CompletedTask;
        };

        _clock.Ahead = Year;
        await grain.WakeAsync(Ct);
        await isBegunAgain.Task.WaitAsync(TimeSpan.FromMinutes(1), Ct); // the first batch has done all it does

        var status = await grain.GetStatusAsync(Ct);
        Assert.Matches("^Runs stand still at the node .+ This machine's clock is 31536000 s ahead of that of .+: set it right.$", status.Problem);
        Assert.Null(status.Running);
        Assert.Null(status.Last);
        foreach (var version in (ObjectVersion[])[due, young]) Assert.Equal(version.Revision, (await _host.Index.FindObjectAsync(bucket, version.Manifest.ETag, Ct))?.Revision);
        Assert.NotNull(await _host.Index.FindUploadAsync(upload, Ct));

        _clock.Ahead = TimeSpan.Zero;
        await Eventually.HoldsAsync("a run came to its end", async () => (status = await grain.GetStatusAsync(Ct)).Last is not null);
        Assert.Null(status.Problem);
        Assert.True((await _host.Index.FindLatestAsync(bucket, "due", Ct))!.IsDeleteMarker);
        Assert.Equal(young.Revision, (await _host.Index.FindObjectAsync(bucket, "young", Ct))?.Revision);
        Assert.NotNull(await _host.Index.FindUploadAsync(upload, Ct));
    }

    [Fact]
    public async Task A_version_whose_retention_is_over_by_that_clock_alone_goes_by_nobody()
    {
        var bucket = await NewBucketAsync();
        var kept = await WriteAsync(bucket, "kept", DateTimeOffset.UtcNow, new(RetentionMode.Compliance, DateTimeOffset.UtcNow.AddDays(30)));
        var over = await WriteAsync(bucket, "over", LongAgo, new(RetentionMode.Compliance, LongAgo.AddDays(30)));
        var free = await WriteAsync(bucket, "free", LongAgo);
        var asked = 0;
        _host.After = method =>
        {
            if (method == nameof(IMetadataIndex.CheckClockAsync)) Interlocked.Increment(ref asked);
            return Task.CompletedTask;
        };

        _clock.Ahead = Year;
        foreach (var version in (ObjectVersion[])[kept, over])
        {
            Assert.Equal(StorageError.Unavailable, await OutcomeAsync(DeleteAsync(bucket, version, ByClient)));
            Assert.Equal(StorageError.Unavailable, await OutcomeAsync(DeleteAsync(bucket, version, ChangeOrigin.Lifecycle)));
            Assert.Equal(StorageError.Unavailable, await OutcomeAsync(ReleaseAsync(bucket, version)));
            Assert.Equal(version.Attributes.Retention, (await _host.Index.FindVersionAsync(bucket, version.Manifest.ETag, version.Name, Ct))?.Attributes.Retention);
        }
        // What has no retention turns on none: nothing is asked for it.
        asked = 0;
        Assert.Null(await OutcomeAsync(DeleteAsync(bucket, free, ByClient)));
        Assert.Equal(0, asked);

        _clock.Ahead = TimeSpan.Zero;
        Assert.Equal(StorageError.ObjectLocked, await OutcomeAsync(DeleteAsync(bucket, kept, ByClient)));
        Assert.Equal(StorageError.ObjectLocked, await OutcomeAsync(ReleaseAsync(bucket, kept)));
        Assert.Equal(0, asked);
        Assert.Null(await OutcomeAsync(DeleteAsync(bucket, over, ByClient)));
        Assert.Null(await _host.Index.FindVersionAsync(bucket, "over", over.Name, Ct));
    }

    [Fact]
    public async Task An_upload_is_aborted_when_it_is_old_and_not_when_that_clock_says_so()
    {
        var bucket = await NewBucketAsync();
        var (young, old) = (await BeginUploadAsync(bucket, DateTimeOffset.UtcNow), await BeginUploadAsync(bucket, LongAgo));
        _clock.Ahead = Year;
        foreach (var upload in (UploadId[])[young, old]) await RemindAsync(upload);
        Assert.NotNull(await _host.Index.FindUploadAsync(young, Ct));
        Assert.NotNull(await _host.Index.FindUploadAsync(old, Ct));
        _clock.Ahead = TimeSpan.Zero;
        foreach (var upload in (UploadId[])[young, old]) await RemindAsync(upload);
        Assert.NotNull(await _host.Index.FindUploadAsync(young, Ct));
        Assert.Null(await _host.Index.FindUploadAsync(old, Ct));

        Task RemindAsync(UploadId upload) => _host.Grains.GetGrain<IUploadGrain>(upload.ToString()).AsReference<IRemindable>().ReceiveReminder("expire", default);
    }

    private static ChangeOrigin ByClient => new(ChangeMeans.Request, "owner", null, "id");

    private async Task<BucketId> NewBucketAsync() => (await _host.Index.CreateBucketAsync(Name, new("owner", "r", BucketVersioning.Enabled, []), DateTimeOffset.UtcNow, Ct)).Id;

    /// <summary>As if it had been written at that time. Its entity tag is its key.</summary>
    private async Task<ObjectVersion> WriteAsync(BucketId bucket, string key, DateTimeOffset modified, ObjectRetention? retention = null)
    {
        var version = new ObjectVersion(new(VersionId.Of(BlobId.New(TimeProvider.System)), 1, key, null, [], [1]), ObjectMetadata.Default, modified, 1, false, "STANDARD", null, "owner",
            ObjectAttributes.None with { Retention = retention });
        await _host.Index.SaveObjectAsync(new(bucket, key, 0, version), Ct);
        return (await _host.Index.FindVersionAsync(bucket, key, version.Name, Ct))!;
    }

    private async Task<UploadId> BeginUploadAsync(BucketId bucket, DateTimeOffset initiated)
    {
        var upload = UploadId.New(TimeProvider.System);
        await _host.Index.BeginUploadAsync(new(upload, bucket, Name, "upload", "me", "owner", initiated, ObjectMetadata.Default, "STANDARD", ChecksumAlgorithm.None, ChecksumType.FullObject, ObjectAttributes.None), Ct);
        return upload;
    }

    private Task DeleteAsync(BucketId bucket, ObjectVersion version, ChangeOrigin origin) =>
        GrainOf(version).DeleteAsync(new(bucket, version.Name, default, "owner", WriteCondition.None, BypassGovernance: false, origin), Ct);

    /// <summary>Takes its retention away.</summary>
    private Task ReleaseAsync(BucketId bucket, ObjectVersion version) =>
        GrainOf(version).UpdateAsync(new(bucket, version.Name, new(version.Revision), ByClient, Retention: new(null, BypassGovernance: false)), Ct);

    private IObjectGrain GrainOf(ObjectVersion version) => _host.Grains.GetGrain<IObjectGrain>(new ObjectId(Name, version.Manifest.ETag).ToString());

    /// <returns>Null where it was done.</returns>
    private static async Task<StorageError?> OutcomeAsync(Task call) => (await Record.ExceptionAsync(() => call)) switch
    {
        null => null,
        StorageException e => e.Error,
        var other => throw other,
    };

    /// <summary>Its time of day is set; timers run as they do.</summary>
    private sealed class SetClock : TimeProvider
    {
        public TimeSpan Ahead { get; set; }

        public override DateTimeOffset GetUtcNow() => base.GetUtcNow() + Ahead;
    }
}
