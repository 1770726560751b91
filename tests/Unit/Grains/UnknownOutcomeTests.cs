using DarkStorage.GrainInterfaces;
using DarkStorage.GrainInterfaces.AccessKeys;
using DarkStorage.GrainInterfaces.Buckets;
using DarkStorage.GrainInterfaces.Events;
using DarkStorage.GrainInterfaces.Objects;
using DarkStorage.GrainInterfaces.Roles;
using DarkStorage.GrainInterfaces.Uploads;
using DarkStorage.GrainInterfaces.Users;
using DarkStorage.Grains.Events;
using DarkStorage.Grains.Uploads;
using DarkStorage.Metadata;
using DarkStorage.Storage.Secrets;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.Options;
using Xunit;

namespace DarkStorage.Unit.Grains;

/// <summary>A change is made and its answer is lost: what the grain says afterwards is what the index has, and a retry finds it done.</summary>
public sealed class UnknownOutcomeTests : IAsyncLifetime
{
    private static readonly CancellationToken Ct = TestContext.Current.CancellationToken;

    private GrainHost _host = null!;

    public async ValueTask InitializeAsync() => _host = await GrainHost.StartAsync(services => services
        .AddSingleton<ISecretBox>(new OpenBox())
        .AddSingleton<IEventSender>(new NoSender())
        .AddSingleton(Options.Create(new EventOptions()))
        .AddSingleton(Options.Create(new UploadOptions())));

    public ValueTask DisposeAsync() => _host.DisposeAsync();

    [Fact]
    public async Task An_access_key_that_was_deleted_is_given_out_no_more()
    {
        var key = _host.Grains.GetGrain<IAccessKeyGrain>("AKEXAMPLE");
        await key.CreateAsync(new("AKEXAMPLE", "a secret", "account", true), Ct);
        await LoseAnswerAsync(key.DeleteAsync);
        Assert.Null(await key.FindAsync(Ct));
        await key.DeleteAsync(Ct);
    }

    [Fact]
    public async Task A_user_who_was_deleted_is_gone()
    {
        var user = _host.Grains.GetGrain<IUserGrain>("ada");
        await user.CreateAsync(new("ada", DateTimeOffset.UnixEpoch, [], []), Ct);
        await LoseAnswerAsync(user.DeleteAsync);
        Assert.Null(await user.FindAsync(Ct));
        await user.CreateAsync(new("ada", DateTimeOffset.UnixEpoch, [], []), Ct);
    }

    [Fact]
    public async Task A_role_that_was_deleted_is_gone()
    {
        var role = _host.Grains.GetGrain<IRoleGrain>("reader");
        await role.CreateAsync(new("reader", "id", DateTimeOffset.UnixEpoch, new("{}", [], 3_600)), Ct);
        await LoseAnswerAsync(role.DeleteAsync);
        Assert.Null(await role.FindAsync(Ct));
    }

    [Fact]
    public async Task An_event_target_that_was_removed_is_gone()
    {
        var target = _host.Grains.GetGrain<IEventTargetGrain>("target");
        await target.SaveAsync(new("http://target.example/"), null, Ct);
        await LoseAnswerAsync(target.RemoveAsync);
        Assert.Null(await target.FindAsync(Ct));
        Assert.False(await target.RemoveAsync(Ct));
    }

    [Fact]
    public async Task An_upload_that_was_completed_answers_a_retry_with_its_object()
    {
        var bucket = (await _host.Index.CreateBucketAsync("bucket", new("owner", "r", BucketVersioning.Off, []), DateTimeOffset.UtcNow, Ct)).Id;
        var id = UploadId.New(TimeProvider.System);
        var upload = _host.Grains.GetGrain<IUploadGrain>(id.ToString());
        await upload.BeginAsync(
            new(id, bucket, "bucket", "key", "owner", "owner", DateTimeOffset.UtcNow, ObjectMetadata.Default, "STANDARD", ChecksumAlgorithm.Crc64Nvme, ChecksumType.FullObject, ObjectAttributes.None, null), Ct);
        var part = new ManifestPart(1, BlobId.New(TimeProvider.System), 1, new string('0', 32), null, [new(1, 1)]);
        await upload.CommitPartAsync(bucket, "key", part, Ct);
        var completion = new UploadCompletion(bucket, "key", [new(1, part.ETag, null)], WriteCondition.None, null, null, new(ChangeMeans.Request, "owner", null, "id"));

        _host.LosesAnswerTo = nameof(IMetadataIndex.SaveObjectAsync);
        Assert.NotNull(await Record.ExceptionAsync(() => upload.CompleteAsync(completion, Ct)));

        Assert.Equal(id, (await upload.CompleteAsync(completion, Ct)).Upload);
    }

    private async Task LoseAnswerAsync(Func<CancellationToken, Task> delete)
    {
        _host.LosesAnswerTo = nameof(IMetadataIndex.ClearGrainStateAsync);
        Assert.NotNull(await Record.ExceptionAsync(() => delete(Ct)));
        Assert.Null(_host.LosesAnswerTo);
    }

    private sealed class OpenBox : ISecretBox
    {
        public byte[] Seal(ReadOnlySpan<byte> secret, string purpose) => secret.ToArray();

        public byte[] OpenBytes(ReadOnlySpan<byte> box, string purpose) => box.ToArray();

        public bool IsCurrent(ReadOnlySpan<byte> box) => true;
    }

    private sealed class NoSender : IEventSender
    {
        public Task<EventAnswer> SendAsync(Uri url, string? secret, long sequence, ReadOnlyMemory<byte> document, CancellationToken ct) => Task.FromResult(new EventAnswer(EventOutcome.Delivered, ""));
    }
}
