using System.Diagnostics;
using System.Diagnostics.Metrics;
using System.Runtime.CompilerServices;
using DarkStorage.GrainInterfaces.Integrations;
using DarkStorage.Storage;
using DarkStorage.Storage.Backends;
using Polly;
using Polly.CircuitBreaker;

namespace DarkStorage.Connectors.Guards;

/// <summary>Calls a backend as something outside is to be called: bounded in time, number and rate; again, a bounded number of times, where that may help; not at all for a while where it keeps
/// failing; and counted.</summary>
/// <remarks>A stream that breaks is opened again where it broke. So a blob that is replaced while it is read may read as some of both: who must not see that compares checksums, as every reader of objects does.</remarks>
internal sealed class GuardedBackend : IMeteredBackend
{
    private static readonly Meter Meter = new("DarkStorage.Connectors");
    private static readonly Histogram<double> Durations = Meter.CreateHistogram<double>("darkstorage.backend.call.duration", "s", "Calls to backends outside, each attempt, to the answer.");
    private static readonly Counter<long> Bytes = Meter.CreateCounter<long>("darkstorage.backend.bytes", "By", "Bytes to and from backends outside.");

    private readonly IBackend _inner;
    private readonly string _name;
    private readonly BackendLimits _limits;
    private readonly TimeProvider _clock;
    private readonly ResiliencePipeline _attempts;
    private readonly SemaphoreSlim _slots;
    private readonly Pace? _pace;

    private long _calls, _failures, _bytesWritten, _bytesRead, _busyTicks;

    /// <param name="name">The integration's.</param>
    public GuardedBackend(IBackend inner, string name, BackendLimits limits, TimeProvider clock)
    {
        (_inner, _name, _limits, _clock) = (inner, name, limits, clock);
        _slots = new(limits.CallsMax);
        _pace = limits.BytesPerSecondMax > 0 ? new(limits.BytesPerSecondMax, clock) : null;
        var isTransient = new PredicateBuilder().Handle<BackendException>(e => e.IsTransient);
        var attempts = new ResiliencePipelineBuilder { TimeProvider = clock };
        if (limits.AttemptsMax > 1)
        {
            attempts.AddRetry(new()
            {
                ShouldHandle = isTransient,
                MaxRetryAttempts = limits.AttemptsMax - 1,
                BackoffType = DelayBackoffType.Exponential,
                UseJitter = true,
                Delay = limits.RetryDelay,
                MaxDelay = limits.RetryDelayMax,
                DelayGenerator = a => new((a.Outcome.Exception as BackendException)?.RetryAfter is { } wanted ? (wanted < limits.RetryDelayMax ? wanted : limits.RetryDelayMax) : null),
            });
        }
        _attempts = attempts.AddCircuitBreaker(new()
        {
            ShouldHandle = isTransient,
            FailureRatio = 0.5,
            MinimumThroughput = limits.RestAfterAttempts,
            SamplingDuration = limits.RestAfterTime,
            BreakDuration = limits.Rest,
        }).Build();
    }

    public BackendTraits Traits => _inner.Traits;

    public Task PrepareAsync(CancellationToken ct) => CallAsync("prepare", async watch =>
    {
        await _inner.PrepareAsync(watch.Token);
        return true;
    }, ct);

    public Task CleanAsync(CancellationToken ct) => CallAsync("clean", async watch =>
    {
        await _inner.CleanAsync(watch.Token);
        return true;
    }, ct);

    public Task<BackendBlob> PutAsync(BlobName name, BlobSource content, CancellationToken ct)
    {
        if (content.Length > Traits.BlobBytesMax) throw new BackendException(BackendError.Refused, $"{name} has {content.Length} bytes, and {_name} takes {Traits.BlobBytesMax} at most.");
        return CallAsync("put", async watch =>
        {
            var blob = await _inner.PutAsync(name, new GuardedSource(content, this, watch), watch.Token);
            return blob.Length == content.Length ? blob : throw BackendException.WrongLength(name, content.Length, blob.Length);
        }, ct);
    }

    public async Task<Stream> OpenAsync(BlobName name, ByteRange range, CancellationToken ct)
    {
        var first = await OpenOnceAsync(name, range, ct);
        return new GuardedStream(this, name, range, first, _limits, _clock);
    }

    public Task<BackendBlob?> StatAsync(BlobName name, CancellationToken ct) => CallAsync("stat", watch => _inner.StatAsync(name, watch.Token), ct);

    public Task DeleteAsync(BlobName name, CancellationToken ct) => CallAsync("delete", async watch =>
    {
        await _inner.DeleteAsync(name, watch.Token);
        return true;
    }, ct);

    /// <summary>Asks again for the first blob alone. A list that breaks later is not begun again: who lists may have acted on what came before.</summary>
    public async IAsyncEnumerable<BackendBlob> ListAsync(string prefix, [EnumeratorCancellation] CancellationToken ct)
    {
        var (blobs, watch, isThere) = await CallAsync("list", _ => BeginListAsync(prefix, ct), ct);
        using var ended = watch;
        await using var disposed = blobs;
        while (isThere)
        {
            watch.Pause();
            yield return blobs.Current;
            watch.Touch();
            isThere = await NextAsync(blobs, watch);
        }
    }

    public Task<BackendBlob> CopyAsync(BlobName from, BlobName to, CancellationToken ct) => CallAsync("copy", watch => _inner.CopyAsync(from, to, watch.Token), ct);

    public Task WarmUpAsync(BlobName name, WarmUpSpeed speed, TimeSpan keep, CancellationToken ct) => CallAsync("warm-up", async watch =>
    {
        await _inner.WarmUpAsync(name, speed, keep, watch.Token);
        return true;
    }, ct);

    public BackendUsage TakeUsage() => new(Interlocked.Exchange(ref _calls, 0), Interlocked.Exchange(ref _failures, 0), Interlocked.Exchange(ref _bytesWritten, 0), Interlocked.Exchange(ref _bytesRead, 0),
        TimeSpan.FromTicks(Interlocked.Exchange(ref _busyTicks, 0)));

    public ValueTask DisposeAsync() => _inner.DisposeAsync(); // calls under way end with what they get; the semaphore has no handle to free

    internal Task<Stream> OpenOnceAsync(BlobName name, ByteRange range, CancellationToken ct) => CallAsync("get", watch => _inner.OpenAsync(name, range, watch.Token), ct);

    private async Task<(IAsyncEnumerator<BackendBlob>, IdleWatch, bool IsThere)> BeginListAsync(string prefix, CancellationToken ct)
    {
        var watch = new IdleWatch(_limits.Timeout, _clock, ct);
        var blobs = _inner.ListAsync(prefix, watch.Token).GetAsyncEnumerator(CancellationToken.None);
        try
        {
            return (blobs, watch, await NextAsync(blobs, watch));
        }
        catch
        {
            await blobs.DisposeAsync();
            watch.Dispose();
            throw;
        }
    }

    private async Task<bool> NextAsync(IAsyncEnumerator<BackendBlob> blobs, IdleWatch watch)
    {
        try
        {
            return await blobs.MoveNextAsync();
        }
        catch (OperationCanceledException) when (watch.HasExpired)
        {
            throw TooLate();
        }
    }

    private async Task<T> CallAsync<T>(string operation, Func<IdleWatch, Task<T>> call, CancellationToken ct)
    {
        try
        {
            return await _attempts.ExecuteAsync(async attemptCt => await AttemptAsync(operation, call, attemptCt), ct);
        }
        catch (BrokenCircuitException e)
        {
            throw new BackendException(BackendError.Unavailable, $"{_name} failed again and again and is left alone for {(e.RetryAfter ?? _limits.Rest).TotalSeconds:0} s. The last time: {e.InnerException?.Message}", e);
        }
    }

    private async Task<T> AttemptAsync<T>(string operation, Func<IdleWatch, Task<T>> call, CancellationToken ct)
    {
        if (!await _slots.WaitAsync(_limits.Timeout, ct)) throw new BackendException(BackendError.Throttled, $"{_limits.CallsMax} calls to {_name} are under way, and none ended for {_limits.Timeout.TotalSeconds:0} s.");
        var began = _clock.GetTimestamp();
        var outcome = "ok";
        using var watch = new IdleWatch(_limits.Timeout, _clock, ct);
        try
        {
            return await call(watch);
        }
        catch (OperationCanceledException) when (watch.HasExpired && !ct.IsCancellationRequested)
        {
            outcome = nameof(BackendError.Unavailable);
            throw TooLate();
        }
        catch (BackendException e)
        {
            outcome = e.Error.ToString();
            throw;
        }
        catch (OperationCanceledException)
        {
            outcome = "Cancelled";
            throw;
        }
        finally
        {
            _slots.Release();
            Count(operation, outcome, _clock.GetElapsedTime(began));
        }
    }

    private void Count(string operation, string outcome, TimeSpan duration)
    {
        Interlocked.Increment(ref _calls);
        if (outcome is not ("ok" or "Cancelled" or nameof(BackendError.NotFound) or nameof(BackendError.Cold))) Interlocked.Increment(ref _failures);
        Interlocked.Add(ref _busyTicks, duration.Ticks);
        Durations.Record(duration.TotalSeconds, new("integration", _name), new("operation", operation), new KeyValuePair<string, object?>("outcome", outcome));
    }

    internal async ValueTask PassedAsync(int bytes, bool isWrite, CancellationToken ct)
    {
        Interlocked.Add(ref isWrite ? ref _bytesWritten : ref _bytesRead, bytes);
        Bytes.Add(bytes, new("integration", _name), new KeyValuePair<string, object?>("direction", isWrite ? "write" : "read"));
        if (_pace is not null) await _pace.SpendAsync(bytes, ct);
    }

    internal BackendException TooLate() => new(BackendError.Unavailable, $"{_name} did not answer for {_limits.Timeout.TotalSeconds:0} s.");
}
