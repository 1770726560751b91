using System.Diagnostics.Metrics;
using System.Runtime.CompilerServices;
using System.Runtime.ExceptionServices;
using DarkStorage.GrainInterfaces.Integrations;
using DarkStorage.GrainInterfaces.Objects;
using DarkStorage.Storage;
using DarkStorage.Storage.Backends;
using Polly;
using Polly.CircuitBreaker;

namespace DarkStorage.Connectors.Guards;

/// <summary>Calls a backend as something outside is to be called: bounded in time, number and rate; again, a bounded number of times, where that may help; not at all for a while where it keeps
/// failing; and counted.</summary>
/// <remarks>A call that does not answer in time is cancelled and left behind; its slot is free when it has ended, so what hangs is bounded too. A stream that breaks is opened again where it broke.</remarks>
internal sealed class GuardedBackend : IMeteredBackend
{
    private static readonly Meter Meter = new("DarkStorage.Connectors");
    private static readonly Histogram<double> Durations = Meter.CreateHistogram<double>("darkstorage.backend.call.duration", "s", "Calls to backends outside, each attempt, to the answer.");
    private static readonly Counter<long> Bytes = Meter.CreateCounter<long>("darkstorage.backend.bytes", "By", "Bytes to and from backends outside.");

    /// <summary>Of a copy within the place, which says nothing on its way: of the largest blob there may be.</summary>
    private static readonly TimeSpan SettleTimeout = TimeSpan.FromHours(24);

    private readonly IBackend _inner;
    private readonly string _name;
    private readonly BackendLimits _limits;
    private readonly TimeProvider _clock;
    private readonly ResiliencePipeline _attempts;
    private readonly ResiliencePipeline _rests;
    private readonly CircuitBreakerStateProvider _rest = new();
    private readonly SemaphoreSlim _slots;

    /// <summary>Cleaning takes an hour, and health is to be asked for meanwhile, where one call may be under way too. One that hangs is the only one.</summary>
    private readonly SemaphoreSlim _cleaning = new(1);

    private readonly Pace? _pace;

    private long _calls, _failures, _bytesWritten, _bytesRead, _busyTicks;

    /// <param name="name">The integration's.</param>
    public GuardedBackend(IBackend inner, string name, BackendLimits limits, TimeProvider clock)
    {
        (_inner, _name, _limits, _clock) = (inner, name, limits, clock);
        _slots = new(limits.CallsMax);
        _pace = limits.BytesPerSecondMax > 0 ? new(limits.BytesPerSecondMax, clock) : null;
        _attempts = Attempts();
        _rests = new ResiliencePipelineBuilder { TimeProvider = clock }.AddCircuitBreaker(new()
        {
            // A caller that leaves says nothing of the backend; of the one call that asks whether it is back, it must not say that it is.
            ShouldHandle = a => new(a.Outcome.Exception is BackendException { Error: BackendError.Unavailable or BackendError.Throttled }
                || (a.Outcome.Exception is OperationCanceledException && _rest.CircuitState == CircuitState.HalfOpen)),
            FailureRatio = 0.5,
            MinimumThroughput = limits.RestAfterAttempts,
            SamplingDuration = limits.RestAfterTime,
            BreakDuration = limits.Rest,
            StateProvider = _rest,
        }).Build();
    }

    public BackendTraits Traits => _inner.Traits;

    public Task PrepareAsync(CancellationToken ct) => CallAsync("prepare", watch => NothingAsync(_inner.PrepareAsync(watch.Token)), ct);

    public Task<string?> IdentifyAsync(CancellationToken ct) => CallAsync("identify", watch => _inner.IdentifyAsync(watch.Token), ct);

    public Task CleanAsync(CancellationToken ct) => LongCallAsync("clean", _limits.LongTimeout, watch => NothingAsync(_inner.CleanAsync(watch.Token)), _cleaning, ct);

    public Task<BackendBlob> PutAsync(BlobName name, BlobSource content, CancellationToken ct)
    {
        if (content.Length > Traits.BlobBytesMax) throw new BackendException(BackendError.Refused, $"{name} has {content.Length} bytes, and {_name} takes {Traits.BlobBytesMax} at most.");
        // What is there already is not sent, and may be waited for all the same.
        return LongCallAsync("put", _limits.FinishTimeoutOf(0, Traits), async watch =>
        {
            var source = new GuardedSource(content, this, watch, _limits.Timeout, _limits.FinishTimeoutOf(content.Length, Traits));
            try
            {
                var blob = await _inner.PutAsync(name, source, watch.Token);
                return blob.Length == content.Length ? blob : throw BackendException.WrongLength(name, content.Length, blob.Length);
            }
            catch when (source.Failure is not null)
            {
                throw new SourceFailedException(source.Failure);
            }
        }, ct);
    }

    public async Task<Stream> OpenAsync(BlobName name, ByteRange range, CancellationToken ct)
    {
        var first = await OpenOnceAsync(name, range, ct);
        return new GuardedStream(this, name, range, first, _limits, _clock);
    }

    public Task<BackendBlob?> StatAsync(BlobName name, CancellationToken ct) => CallAsync("stat", watch => _inner.StatAsync(name, watch.Token), ct);

    public Task DeleteAsync(BlobName name, CancellationToken ct) => LongCallAsync("delete", _limits.FinishTimeoutOf(0, Traits), watch => NothingAsync(_inner.DeleteAsync(name, watch.Token)), ct);

    /// <summary>Asks again for the first blob, or step, alone. A list that breaks later is not begun again: who lists may have acted on what came before.</summary>
    public async IAsyncEnumerable<BackendBlob> ListAsync(string prefix, [EnumeratorCancellation] CancellationToken ct)
    {
        await using var listing = await CallAsync("list", _ => BeginListAsync(prefix, ct), ct);
        while (listing.IsThere)
        {
            listing.Watch.Pause();
            if (listing.Current is { } blob) yield return blob;
            listing.Watch.Resume();
            listing.IsThere = await NextAsync(listing);
        }
    }

    public Task<BackendBlob> CopyAsync(BlobName from, BlobName to, CancellationToken ct) => LongCallAsync("copy", _limits.LongTimeout, watch => _inner.CopyAsync(from, to, watch.Token), ct);

    public Task SettleAsync(BlobName name, CancellationToken ct) => LongCallAsync("settle", SettleTimeout, watch => NothingAsync(_inner.SettleAsync(name, watch.Token)), ct);

    public Task WarmUpAsync(BlobName name, WarmUpSpeed speed, TimeSpan keep, CancellationToken ct) => CallAsync("warm-up", watch => NothingAsync(_inner.WarmUpAsync(name, speed, keep, watch.Token)), ct);

    public BackendUsage TakeUsage() => new(Interlocked.Exchange(ref _calls, 0), Interlocked.Exchange(ref _failures, 0), Interlocked.Exchange(ref _bytesWritten, 0), Interlocked.Exchange(ref _bytesRead, 0),
        TimeSpan.FromTicks(Interlocked.Exchange(ref _busyTicks, 0)));

    public ValueTask DisposeAsync() => _inner.DisposeAsync(); // calls under way end with what they get; the semaphore has no handle to free

    internal Task<Stream> OpenOnceAsync(BlobName name, ByteRange range, CancellationToken ct) => CallAsync("get", watch => _inner.OpenAsync(name, range, watch.Token), ct);

    /// <summary>Counts bytes, and waits until they are within the rate.</summary>
    internal ValueTask PassedAsync(int bytes, bool isWrite, CancellationToken ct)
    {
        Passed(bytes, isWrite);
        return _pace is null || bytes == 0 ? ValueTask.CompletedTask : _pace.SpendAsync(bytes, ct);
    }

    internal void Passed(int bytes, bool isWrite)
    {
        if (bytes == 0) return;
        Interlocked.Add(ref isWrite ? ref _bytesWritten : ref _bytesRead, bytes);
        Bytes.Add(bytes, new("integration", _name), new KeyValuePair<string, object?>("direction", isWrite ? "write" : "read"));
    }

    internal BackendException TooLate(TimeSpan after) => new(BackendError.Unavailable, $"{_name} did not answer for {after.TotalSeconds:0} s.");

    private ResiliencePipeline Attempts() => _limits.AttemptsMax == 1 ? ResiliencePipeline.Empty : new ResiliencePipelineBuilder { TimeProvider = _clock }.AddRetry(new()
    {
        // One that is left alone is not asked again by who was just told so.
        ShouldHandle = new PredicateBuilder().Handle<BackendException>(e => e is { IsTransient: true, InnerException: not BrokenCircuitException }),
        MaxRetryAttempts = _limits.AttemptsMax - 1,
        BackoffType = DelayBackoffType.Exponential,
        UseJitter = true,
        Delay = _limits.RetryDelay,
        MaxDelay = _limits.RetryDelayMax,
        DelayGenerator = a => new((a.Outcome.Exception as BackendException)?.RetryAfter is { } wanted ? (wanted < _limits.RetryDelayMax ? wanted : _limits.RetryDelayMax) : null),
    }).Build();

    private static async Task<bool> NothingAsync(Task call)
    {
        await call;
        return true;
    }

    /// <summary>A call that is over soon. Where the backend rests, one such call asks whether it is back.</summary>
    private Task<T> CallAsync<T>(string operation, Func<IdleWatch, Task<T>> call, CancellationToken ct) =>
        RetryAsync(slot => RestingAsync(() => AttemptAsync(operation, _limits.Timeout, call, slot, ct), ct), _slots, ct);

    /// <summary>A call that may take minutes, or hours, and so is not the one to ask whether a backend is back: a short one is made before it.</summary>
    private Task<T> LongCallAsync<T>(string operation, TimeSpan timeout, Func<IdleWatch, Task<T>> call, CancellationToken ct) => LongCallAsync(operation, timeout, call, _slots, ct);

    private Task<T> LongCallAsync<T>(string operation, TimeSpan timeout, Func<IdleWatch, Task<T>> call, SemaphoreSlim slots, CancellationToken ct) => RetryAsync(async slot =>
    {
        if (_rest.CircuitState != CircuitState.Closed) await RestingAsync(() => AttemptAsync("stat", _limits.Timeout, watch => _inner.StatAsync(BackendProbe.HealthName, watch.Token), slot, ct), ct);
        try
        {
            var result = await AttemptAsync(operation, timeout, call, slot, ct);
            await CountForRestAsync(null);
            return result;
        }
        catch (BackendException e)
        {
            await CountForRestAsync(e);
            throw;
        }
    }, slots, ct);

    private async Task<T> RetryAsync<T>(Func<Slot, Task<T>> attempt, SemaphoreSlim slots, CancellationToken ct)
    {
        try
        {
            return await _attempts.ExecuteAsync(async attemptCt =>
            {
                await TakeSlotAsync(slots, attemptCt);
                using var slot = new Slot(slots);
                return await attempt(slot);
            }, ct);
        }
        catch (SourceFailedException e)
        {
            ExceptionDispatchInfo.Throw(e.InnerException!);
            throw;
        }
    }

    private async Task TakeSlotAsync(SemaphoreSlim slots, CancellationToken ct)
    {
        if (slots.Wait(0, CancellationToken.None)) return;
        using var patience = new IdleWatch(_limits.Timeout, _clock, ct);
        try
        {
            await slots.WaitAsync(patience.Token);
        }
        catch (OperationCanceledException) when (!ct.IsCancellationRequested)
        {
            throw new BackendException(BackendError.Throttled, $"{(slots == _slots ? $"{_limits.CallsMax} calls to {_name} are" : $"A cleaning of {_name} is")} under way, and none ended for {_limits.Timeout.TotalSeconds:0} s.");
        }
    }

    private async Task<T> RestingAsync<T>(Func<Task<T>> call, CancellationToken ct)
    {
        try
        {
            return await _rests.ExecuteAsync(async _ => await call(), ct);
        }
        catch (BrokenCircuitException e)
        {
            throw new BackendException(BackendError.Unavailable, $"{_name} failed again and again and is left alone for up to {_limits.Rest.TotalSeconds:0} s. The last time: {e.InnerException?.Message}", e);
        }
    }

    private async Task CountForRestAsync(BackendException? failure)
    {
        try
        {
            await _rests.ExecuteAsync(_ => failure is null ? ValueTask.CompletedTask : ValueTask.FromException(failure), CancellationToken.None);
        }
        catch (Exception e) when (e == failure || e is BrokenCircuitException)
        {
            // Counted; or there is a rest already.
        }
    }

    private async Task<T> AttemptAsync<T>(string operation, TimeSpan timeout, Func<IdleWatch, Task<T>> call, Slot slot, CancellationToken ct)
    {
        var began = _clock.GetTimestamp();
        var outcome = "ok";
        var watch = new IdleWatch(timeout, _clock, ct);
        var work = BeginAsync();
        slot.HoldUntil(work);
        try
        {
            return await work.WaitAsync(watch.Token);
        }
        catch (OperationCanceledException) when (!ct.IsCancellationRequested)
        {
            outcome = nameof(BackendError.Unavailable);
            throw TooLate(watch.Limit);
        }
        catch (BackendException e)
        {
            outcome = e.Error.ToString();
            throw;
        }
        catch (Exception e)
        {
            outcome = e is OperationCanceledException ? "Cancelled" : e is SourceFailedException ? "SourceFailed" : "Failed";
            throw;
        }
        finally
        {
            Count(operation, outcome, _clock.GetElapsedTime(began));
            if (work.IsCompleted && outcome == "ok") watch.Dispose();
            else _ = EndAsync(work, watch);
        }

        async Task<T> BeginAsync() => await call(watch);
    }

    /// <summary>What a call that was left behind still brings is nobody's.</summary>
    private static async Task EndAsync<T>(Task<T> work, IdleWatch watch)
    {
        await ((Task)work).ConfigureAwait(ConfigureAwaitOptions.SuppressThrowing);
        if (work.IsCompletedSuccessfully && work.Result is IAsyncDisposable late) await late.DisposeAsync();
        watch.Dispose();
    }

    private async Task<Listing> BeginListAsync(string prefix, CancellationToken ct)
    {
        var watch = new IdleWatch(_limits.Timeout, _clock, ct);
        var blobs = _inner is IListsInSteps slow ? slow.ListInStepsAsync(prefix, watch.Token) : _inner.ListAsync(prefix, watch.Token);
        var listing = new Listing(blobs.GetAsyncEnumerator(CancellationToken.None), watch);
        try
        {
            listing.IsThere = await NextAsync(listing);
            return listing;
        }
        catch
        {
            await listing.DisposeAsync();
            throw;
        }
    }

    private async Task<bool> NextAsync(Listing listing)
    {
        try
        {
            return await listing.MoveAsync();
        }
        catch (OperationCanceledException) when (listing.Watch.HasExpired)
        {
            throw TooLate(_limits.Timeout);
        }
    }

    private void Count(string operation, string outcome, TimeSpan duration)
    {
        Interlocked.Increment(ref _calls);
        if (outcome is not ("ok" or "Cancelled" or "SourceFailed" or nameof(BackendError.NotFound) or nameof(BackendError.Cold))) Interlocked.Increment(ref _failures);
        Interlocked.Add(ref _busyTicks, duration.Ticks);
        Durations.Record(duration.TotalSeconds, new("integration", _name), new("operation", operation), new KeyValuePair<string, object?>("outcome", outcome));
    }

    /// <summary>A list under way. Where its next blob does not come, it is left behind, and ended when that has come after all.</summary>
    private sealed class Listing(IAsyncEnumerator<BackendBlob?> blobs, IdleWatch watch) : IAsyncDisposable
    {
        private Task<bool> _moving = Task.FromResult(false);

        /// <summary>Null for a step without one.</summary>
        public BackendBlob? Current => blobs.Current;

        public IdleWatch Watch => watch;

        public bool IsThere { get; set; }

        public Task<bool> MoveAsync()
        {
            _moving = blobs.MoveNextAsync().AsTask();
            return _moving.WaitAsync(watch.Token);
        }

        public ValueTask DisposeAsync()
        {
            if (_moving.IsCompleted) return new(EndAsync());
            _ = EndAsync();
            return ValueTask.CompletedTask;
        }

        private async Task EndAsync()
        {
            await ((Task)_moving).ConfigureAwait(ConfigureAwaitOptions.SuppressThrowing);
            await blobs.DisposeAsync();
            watch.Dispose();
        }
    }

    /// <summary>One of the calls that may be under way. It is free again when the call has ended, which may be long after whoever made it has left.</summary>
    private sealed class Slot(SemaphoreSlim slots) : IDisposable
    {
        private Task _work = Task.CompletedTask;

        public void HoldUntil(Task work) => _work = work;

        public void Dispose() => _ = ReleaseAsync();

        private async Task ReleaseAsync()
        {
            await _work.ConfigureAwait(ConfigureAwaitOptions.SuppressThrowing);
            slots.Release();
        }
    }

    /// <summary>The content could not be read: nothing that another attempt would mend, and nothing of the backend.</summary>
    private sealed class SourceFailedException(Exception failure) : Exception(failure.Message, failure);
}
