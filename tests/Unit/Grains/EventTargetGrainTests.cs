using System.Collections.Concurrent;
using System.Diagnostics;
using DarkStorage.GrainInterfaces;
using DarkStorage.GrainInterfaces.Buckets;
using DarkStorage.GrainInterfaces.Events;
using DarkStorage.GrainInterfaces.Objects;
using DarkStorage.Grains.Events;
using DarkStorage.Metadata;
using DarkStorage.Storage.Secrets;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.Options;
using Xunit;

namespace DarkStorage.Unit.Grains;

/// <summary>How a target's events are sent, with a target that does as the test says.</summary>
public sealed class EventTargetGrainTests : IAsyncLifetime
{
    private const string Target = "target";

    /// <summary>Events that a target is sent at one time.</summary>
    private const int AtOneTime = 16;

    private static readonly TimeSpan HangsAfter = TimeSpan.FromSeconds(40);
    private static readonly CancellationToken Ct = TestContext.Current.CancellationToken;

    private readonly Sender _sender = new();
    private GrainHost _host = null!;
    private BucketId _bucket;

    public async ValueTask InitializeAsync()
    {
        _host = await GrainHost.StartAsync(services => services.AddSingleton<IEventSender>(_sender).AddSingleton<ISecretBox>(new NoSecrets()).AddSingleton(Options.Create(new EventOptions())));
        _bucket = (await _host.Index.CreateBucketAsync("bucket", new("owner", "r", BucketVersioning.Off, []), DateTimeOffset.UtcNow, Ct)).Id;
    }

    public ValueTask DisposeAsync() => _host.DisposeAsync();

    [Fact]
    public async Task A_target_that_does_not_answer_is_not_asked_for_every_key_and_no_event_is_given_up()
    {
        const int keys = 40;
        for (var key = 0; key < keys; key++) await WriteAsync($"k{key}");
        var (asked, looks, looksAtRest) = (0, 0, 0);
        var rest = new TaskCompletionSource();
        _host.After = method =>
        {
            if (method == nameof(IMetadataIndex.ListEventsAsync)) Interlocked.Increment(ref looks);
            return Task.CompletedTask;
        };
        _sender.Answer = _ =>
        {
            // More than are sent at one time: the first round's were not all, and these are another's.
            if (Interlocked.Increment(ref asked) == AtOneTime + 1)
            {
                looksAtRest = Volatile.Read(ref looks);
                rest.TrySetResult();
            }
            return EventOutcome.Unavailable;
        };

        await Grain.SaveAsync(new("http://target.example/"), null, Ct);
        await rest.Task.WaitAsync(HangsAfter, Ct);

        Assert.Equal(2, looksAtRest);
        var counts = await _host.Index.CountEventsAsync(Target, Ct);
        Assert.Equal((keys, 0L, 0L), ((int)counts.Waiting, counts.Delivered, counts.GivenUp));
    }

    [Fact]
    public async Task An_event_that_comes_when_a_round_has_seen_all_others_is_sent_at_once()
    {
        await WriteAsync("first");
        var sent = new ConcurrentQueue<long>();
        var second = new TaskCompletionSource();
        _sender.Answer = sequence =>
        {
            sent.Enqueue(sequence);
            if (sent.Count == 2) second.TrySetResult();
            return EventOutcome.Delivered;
        };
        var looks = 0;
        _host.After = async method =>
        {
            // The second look finds nothing more, and before the grain hears of that, there is something.
            if (method != nameof(IMetadataIndex.ListEventsAsync) || Interlocked.Increment(ref looks) != 2) return;
            await WriteAsync("second");
            await Grain.WakeAsync();
        };

        await Grain.SaveAsync(new("http://target.example/"), null, Ct);

        await second.Task.WaitAsync(HangsAfter, Ct);
        Assert.Equal(2, sent.Distinct().Count());
    }

    private IEventTargetGrain Grain => _host.Grains.GetGrain<IEventTargetGrain>(Target);

    /// <summary>A write with its event, of which nobody tells the target.</summary>
    private async Task WriteAsync(string key)
    {
        var version = new ObjectVersion(new(VersionId.Of(BlobId.New(TimeProvider.System)), 1, "etag", null, [], [1]), ObjectMetadata.Default, DateTimeOffset.UtcNow, 1, true, "STANDARD", null, "owner", ObjectAttributes.None);
        await _host.Index.SaveObjectAsync(new(_bucket, key, 0, version) { Events = [new(Target, "{}"u8.ToArray())] }, Ct);
    }

    private sealed class Sender : IEventSender
    {
        public Func<long, EventOutcome> Answer { get; set; } = _ => EventOutcome.Delivered;

        public Task<EventAnswer> SendAsync(Uri url, string? secret, long sequence, ReadOnlyMemory<byte> document, CancellationToken ct) => Task.FromResult(new EventAnswer(Answer(sequence), "as the test says"));
    }

    /// <summary>No target here has a secret.</summary>
    private sealed class NoSecrets : ISecretBox
    {
        public byte[] Seal(ReadOnlySpan<byte> secret, string purpose) => throw new UnreachableException();

        public byte[] OpenBytes(ReadOnlySpan<byte> box, string purpose) => throw new UnreachableException();

        public bool IsCurrent(ReadOnlySpan<byte> box) => throw new UnreachableException();
    }
}
