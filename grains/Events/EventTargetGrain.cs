using System.Collections.Immutable;
using System.Diagnostics.Metrics;
using System.Security.Cryptography;
using DarkStorage.GrainInterfaces;
using DarkStorage.GrainInterfaces.Events;
using DarkStorage.Metadata;
using DarkStorage.Storage.Secrets;
using Microsoft.Extensions.Logging;
using Microsoft.Extensions.Options;
using Orleans;
using Orleans.Runtime;

namespace DarkStorage.Grains.Events;

/// <summary>What is kept of an event target. The secret is sealed.</summary>
[GenerateSerializer, Alias("event-target-state")]
public sealed class EventTargetState
{
    [Id(0)]
    public string Url { get; set; } = "";

    [Id(1)]
    public byte[]? SealedSecret { get; set; }
}

/// <summary>Delivers one target's events, from the index, where the changes they are of have put them.</summary>
/// <remarks>Invariants: an event ends only after the target took it or its time was over, so a crash sends it again and loses none. While one event of a key is
/// not taken, none behind it of that key is sent. A timer delivers for as long as there is something to deliver, and a reminder looks every minute, should nobody have
/// called after a crash.</remarks>
internal sealed partial class EventTargetGrain(
    IMetadataIndex index, IEventSender sender, ISecretBox secrets, TimeProvider clock, IOptions<EventOptions> options,
    [PersistentState("event-target", StorageNames.Index)] IPersistentState<EventTargetState> state, ILogger<EventTargetGrain> log) : Grain, IEventTargetGrain, IRemindable
{
    private const string LookReminder = "look";

    private static readonly Meter Meter = new("DarkStorage.Grains");
    private static readonly Counter<long> Delivered = Meter.CreateCounter<long>("darkstorage.events.delivered", "{event}", "Events that their target took.");
    private static readonly Counter<long> GivenUp = Meter.CreateCounter<long>("darkstorage.events.given_up", "{event}", "Events that were given up.");
    private static readonly Counter<long> FailedRounds = Meter.CreateCounter<long>("darkstorage.events.failed_rounds", "{round}", "Rounds of deliveries after which events of the target still wait.");

    /// <summary>Events read at a time.</summary>
    private const int BatchMax = 256;

    /// <summary>Events under way at one time, of as many keys.</summary>
    private const int ParallelMax = 16;

    /// <summary>Keys that are held back in one round, because an event of theirs was refused. Past that the round ends: the target refuses in general.</summary>
    private const int HeldMax = 1_000;

    /// <summary>Keys of which an event failed and none was taken since. They come last, or one that the target breaks on would keep those of everybody else waiting.</summary>
    private readonly HashSet<(BucketId, string)> _failing = [];

    private static readonly TimeSpan LookPeriod = TimeSpan.FromMinutes(1);
    private static readonly TimeSpan Never = Timeout.InfiniteTimeSpan;

    private IGrainTimer? _rounds;
    private bool _isRound;
    private bool _isWoken;
    private int _failures;
    private string? _lastFailure;
    private DateTimeOffset? _nextAttempt;

    private string Name => this.GetPrimaryKeyString();

    /// <summary>Binds the sealed secret to its target: moved to another it does not open.</summary>
    private string Purpose => $"event-target/{Name}";

    public async Task<EventTarget> SaveAsync(Uri url, string? secret, CancellationToken ct)
    {
        await GrainFactory.GetGrain<IEventTargetsGrain>(IEventTargetsGrain.Key).AddAsync(Name, ct);
        state.State.Url = url.AbsoluteUri;
        if (secret is not null) state.State.SealedSecret = secret.Length == 0 ? null : secrets.Seal(secret, Purpose);
        await WriteAsync(ct);
        await this.RegisterOrUpdateReminder(LookReminder, LookPeriod, LookPeriod);
        _failures = 0;
        Deliver(TimeSpan.Zero);
        return Target;
    }

    public Task<EventTarget?> FindAsync(CancellationToken ct) => Task.FromResult(state.RecordExists ? Target : null);

    public async Task<bool> RemoveAsync(CancellationToken ct)
    {
        var existed = state.RecordExists;
        StopRounds();
        try
        {
            if (existed) await state.ClearStateAsync(ct);
            if (await this.GetReminder(LookReminder) is { } reminder) await this.UnregisterReminder(reminder);
            await ForgetAsync(endedBefore: null, ct);
            await GrainFactory.GetGrain<IEventTargetsGrain>(IEventTargetsGrain.Key).RemoveAsync(Name, ct);
            return existed;
        }
        finally
        {
            DeactivateOnIdle(); // and where it failed memory may be behind the index: forget it
        }
    }

    public async Task<bool> SealAnewAsync(CancellationToken ct)
    {
        if (state.State.SealedSecret is not { } box || secrets.IsCurrent(box)) return false;
        try
        {
            state.State.SealedSecret = secrets.Seal(secrets.Open(box, Purpose), Purpose);
        }
        catch (CryptographicException e)
        {
            throw new StorageException(StorageError.DataDamaged, $"The secret of the event target {Name} does not open: give it a new one.", e);
        }
        await WriteAsync(ct);
        return true;
    }

    public Task WakeAsync()
    {
        _isWoken = true;
        // While a target does not answer its timer has a time of its own, which new events do not bring forward.
        if (_nextAttempt is null) Deliver(TimeSpan.Zero);
        return Task.CompletedTask;
    }

    public Task<EventAnswer> TestAsync(ImmutableArray<byte> document, CancellationToken ct)
    {
        RequireTarget();
        return SendAsync(0, document.AsMemory(), ct);
    }

    public async Task<EventTargetStatus> GetStatusAsync(CancellationToken ct)
    {
        RequireTarget();
        return new(Target, await index.CountEventsAsync(Name, ct), _lastFailure, _nextAttempt);
    }

    public async Task<long> ReplayAsync(DateTimeOffset since, CancellationToken ct)
    {
        RequireTarget();
        var count = await index.ReplayEventsAsync(Name, since, ct);
        if (count > 0) await WakeAsync();
        return count;
    }

    public async Task ReceiveReminder(string reminderName, TickStatus status)
    {
        await ForgetAsync(clock.GetUtcNow() - options.Value.Retention, CancellationToken.None);
        await WakeAsync();
    }

    private EventTarget Target => new(Name, new(state.State.Url), state.State.SealedSecret is not null);

    private void RequireTarget()
    {
        if (!state.RecordExists) throw new StorageException(StorageError.NoSuchEventTarget, $"There is no event target {Name}.");
    }

    private void Deliver(TimeSpan after)
    {
        if (_rounds is null) _rounds = this.RegisterGrainTimer(DeliverAsync, new GrainTimerCreationOptions(after, Never) { Interleave = true, KeepAlive = true });
        else if (!_isRound) _rounds.Change(after, Never);
    }

    private void StopRounds()
    {
        _rounds?.Dispose();
        (_rounds, _nextAttempt) = (null, null);
    }

    /// <summary>One round: each event that waits is tried once, but for those behind one of their key that failed.</summary>
    private async Task DeliverAsync(CancellationToken ct)
    {
        (_isRound, _isWoken, _nextAttempt) = (true, false, null);
        var allTaken = false;
        try
        {
            // Events for a target that is gone are nobody's.
            if (!state.RecordExists) await ForgetAsync(endedBefore: null, ct);
            else allTaken = await RoundAsync(ct);
        }
        catch (StorageException e)
        {
            _lastFailure = $"The index: {e.Error}.";
        }
        finally
        {
            _isRound = false;
        }
        if (!state.RecordExists) return;
        if (allTaken)
        {
            (_failures, _lastFailure) = (0, null);
            if (_isWoken) _rounds?.Change(TimeSpan.Zero, Never);
            else StopRounds();
            return;
        }
        var delay = TimeSpan.FromSeconds(Math.Min(Math.Pow(2, Math.Min(_failures++, 20)), options.Value.RetryDelayMax.TotalSeconds));
        _nextAttempt = clock.GetUtcNow() + delay;
        _rounds?.Change(delay, Never);
        FailedRounds.Add(1, new KeyValuePair<string, object?>("target", Name));
        LogFailed(log, Name, _lastFailure, delay);
    }

    /// <param name="Held">Keys that are not tried again in this round.</param>
    private sealed record Round(HashSet<(BucketId, string)> Held)
    {
        /// <summary>The target took something: what it does not take is then that event's own fault.</summary>
        public bool IsThere { get; set; }
    }

    /// <returns>Whether nothing is left that waits.</returns>
    private async Task<bool> RoundAsync(CancellationToken ct)
    {
        var round = new Round([]);
        var failing = _failing.ToHashSet();
        return await PassAsync(round, key => !failing.Contains(key), ct)
            && (failing.Count == 0 || await PassAsync(round, failing.Contains, ct))
            && round.Held.Count == 0;
    }

    /// <summary>Tries the events of some keys.</summary>
    /// <returns>Whether the round goes on.</returns>
    private async Task<bool> PassAsync(Round round, Func<(BucketId, string), bool> isWanted, CancellationToken ct)
    {
        for (var after = 0L; ;)
        {
            var batch = await index.ListEventsAsync(Name, after, BatchMax, ct);
            if (batch.Count == 0) return true;
            after = batch[^1].Sequence;
            var keys = batch.GroupBy(e => (e.Bucket, e.Key)).Where(g => isWanted(g.Key) && !round.Held.Contains(g.Key)).ToList();
            foreach (var group in keys.Chunk(ParallelMax))
            {
                var results = await Task.WhenAll(group.Select(key => DeliverAsync([.. key], ct)));
                await EndAsync([.. results.SelectMany(r => r.Delivered)], EventEnd.Delivered, ct);
                await EndAsync([.. results.SelectMany(r => r.GivenUp)], EventEnd.GivenUp, ct);
                Delivered.Add(results.Sum(r => r.Delivered.Count), new KeyValuePair<string, object?>("target", Name));
                GivenUp.Add(results.Sum(r => r.GivenUp.Count), new KeyValuePair<string, object?>("target", Name));
                round.IsThere |= results.Any(r => r.Delivered.Count > 0 || r.Left == EventOutcome.Refused);
                foreach (var (key, result) in group.Zip(results))
                {
                    if (result.Left is null)
                    {
                        _failing.Remove(key.Key);
                        continue;
                    }
                    round.Held.Add(key.Key);
                    if (_failing.Count < HeldMax) _failing.Add(key.Key);
                }
                if ((!round.IsThere && results.Any(r => r.Left == EventOutcome.Unavailable)) || round.Held.Count > HeldMax) return false;
            }
        }
    }

    /// <param name="Left">Why the rest of the key's events wait on; null where none is left.</param>
    private readonly record struct KeyResult(List<long> Delivered, List<long> GivenUp, EventOutcome? Left);

    /// <summary>Events of one key, one after the other.</summary>
    private async Task<KeyResult> DeliverAsync(List<WaitingEvent> events, CancellationToken ct)
    {
        var result = new KeyResult([], [], null);
        foreach (var waiting in events)
        {
            if (waiting.Document.IsEmpty)
            {
                LogDamaged(log, Name, waiting.Sequence);
                result.GivenUp.Add(waiting.Sequence);
                continue;
            }
            var answer = await SendAsync(waiting.Sequence, waiting.Document, ct);
            if (answer.Outcome == EventOutcome.Delivered)
            {
                result.Delivered.Add(waiting.Sequence);
                continue;
            }
            _lastFailure = answer.Detail;
            if (clock.GetUtcNow() - waiting.Occurred < options.Value.RetryFor) return result with { Left = answer.Outcome };
            LogGivenUp(log, Name, waiting.Sequence, answer.Detail);
            result.GivenUp.Add(waiting.Sequence);
        }
        return result;
    }

    private Task<EventAnswer> SendAsync(long sequence, ReadOnlyMemory<byte> document, CancellationToken ct) =>
        sender.SendAsync(new(state.State.Url), state.State.SealedSecret is { } box ? secrets.Open(box, Purpose) : null, sequence, document, ct);

    private async Task WriteAsync(CancellationToken ct)
    {
        try
        {
            await state.WriteStateAsync(ct);
        }
        catch
        {
            DeactivateOnIdle(); // memory is ahead of the index now: forget it
            throw;
        }
    }

    private Task EndAsync(IReadOnlyList<long> sequences, EventEnd end, CancellationToken ct) =>
        sequences.Count == 0 ? Task.CompletedTask : index.EndEventsAsync(sequences, end, clock.GetUtcNow(), ct);

    private async Task ForgetAsync(DateTimeOffset? endedBefore, CancellationToken ct)
    {
        while (await index.ForgetEventsAsync(Name, endedBefore, BatchMax, ct) == BatchMax)
        {
        }
    }

    [LoggerMessage(LogLevel.Warning, "Event target {Target} did not take all of its events ({Failure}); tried again in {Delay}")]
    private static partial void LogFailed(ILogger log, string target, string? failure, TimeSpan delay);

    [LoggerMessage(LogLevel.Error, "Event {Sequence} for {Target} was given up: {Failure}")]
    private static partial void LogGivenUp(ILogger log, string target, long sequence, string failure);

    [LoggerMessage(LogLevel.Error, "Event {Sequence} for {Target} does not match its checksum and is not sent")]
    private static partial void LogDamaged(ILogger log, string target, long sequence);
}
