using Orleans;
using Orleans.Runtime;

namespace DarkStorage.Engine;

/// <summary>A call of a method that returns <see cref="IAsyncEnumerable{T}"/>. Nothing runs until the caller enumerates.</summary>
internal abstract class EnumerableCall<T> : Call<VoidResult>, IAsyncEnumerable<T>
{
    private CancellationToken _enumerationToken;

    public int BatchSize { get; set; } = 100;

    public abstract IAsyncEnumerable<T> Begin(object grain);

    public new IAsyncEnumerable<T> Send(GrainReference target, GrainMethod method)
    {
        Prepare(target, method);
        var context = CopyContext.Rent();
        try
        {
            CopyArguments(context);
        }
        finally
        {
            context.Return();
        }

        return this;
    }

    public IAsyncEnumerator<T> GetAsyncEnumerator(CancellationToken cancellationToken = default) =>
        new Enumerator(this, cancellationToken.CanBeCanceled ? cancellationToken : CallerToken);

    /// <summary>The method's token is the enumeration's: cancelled when the caller cancels, disposes, or is not heard of any more.</summary>
    public IAsyncEnumerable<T> BeginWith(object grain, CancellationToken token)
    {
        _enumerationToken = token;
        return Begin(grain);
    }

    public override CancellationToken CalleeToken => _enumerationToken;

    protected override Task Invoke(object grain) => Task.CompletedTask;

    protected override Call CreatePull(Guid id, bool isFirst, int batchSize)
    {
        BatchSize = batchSize;
        var pull = new PullCall<T>(this, id, isFirst) { Target = Target, Method = PullCall<T>.Pull };
        pull.SetCallerToken(default);
        return pull;
    }

    private sealed class Enumerator(EnumerableCall<T> request, CancellationToken ct) : IAsyncEnumerator<T>
    {
        private readonly Guid _id = Guid.NewGuid();
        private Batch<T> _batch = new([], false);
        private int _next;
        private bool _isStarted, _isDisposed;

        public T Current { get; private set; } = default!;

        public async ValueTask<bool> MoveNextAsync()
        {
            ObjectDisposedException.ThrowIf(_isDisposed, this);
            while (_next == _batch.Items.Count)
            {
                if (_batch.IsLast) return false;
                ct.ThrowIfCancellationRequested();
                var pull = new PullCall<T>(request, _id, isFirst: !_isStarted);
                _isStarted = true;
                _batch = await pull.SendTo(request.Target, ct);   // empty when there was nothing for a while: ask again
                _next = 0;
            }

            Current = _batch.Items[_next++];
            return true;
        }

        public async ValueTask DisposeAsync()
        {
            if (_isDisposed) return;
            _isDisposed = true;
            if (!_isStarted || _batch.IsLast) return;
            try
            {
                await new EndCall(_id).SendTo(request.Target);
            }
            catch (Exception error) when (error is OrleansMessageRejectionException or EnumerationAbortedException)
            {
                // It ended with its activation or its silo.
            }
        }
    }
}

/// <summary>Some elements, each copied when it was taken, and whether they are the last ones.</summary>
[GenerateSerializer, Immutable]
internal readonly record struct Batch<T>(List<T> Items, bool IsLast);

/// <summary>Asks for the next elements of an enumeration; it interleaves, as a grain that enumerates may be called meanwhile.</summary>
internal sealed class PullCall<T>(EnumerableCall<T> request, Guid id, bool isFirst) : EngineCall<Batch<T>>
{
    public static readonly GrainMethod Pull = new("MoveNext", alwaysInterleaves: true);

    // The second and later pulls are for the enumeration in that activation's memory.
    public override bool EndsWithActivation => !isFirst;

    public Task<Batch<T>> SendTo(GrainReference target, CancellationToken token)
    {
        SetCallerToken(token);
        return Send(target, Pull);
    }

    public override void WriteRequest(WireWriter writer)
    {
        writer.Byte((byte)(isFirst ? CallShape.FirstPull : CallShape.Pull));
        request.WriteMethod(writer);
        writer.Bytes(id.ToByteArray());
        writer.Varint((ulong)request.BatchSize);
        if (isFirst) request.WriteArguments(writer);
    }

    protected override Task Invoke(object grain) => RunsOn!.Enumerations.PullAsync(request, id, isFirst, CalleeToken);
}

/// <summary>Tells the grain that its caller enumerates no further.</summary>
internal sealed class EndCall(Guid id) : EngineCall<VoidResult>
{
    public static readonly GrainMethod End = new("DisposeEnumeration", alwaysInterleaves: true);

    public override bool EndsWithActivation => true;

    public Task SendTo(GrainReference target) => Send(target, End);

    public override void WriteRequest(WireWriter writer)
    {
        writer.Byte((byte)CallShape.EndEnumeration);
        writer.Bytes(id.ToByteArray());
    }

    protected override Task Invoke(object grain) => RunsOn!.Enumerations.EndAsync(id);
}

/// <summary>The enumerations that run in one activation. All of it in turns of that activation.</summary>
internal sealed class Enumerations(Activation activation)
{
    private readonly Dictionary<Guid, Running> _running = [];
    private readonly TaskCompletionSource _aborted = new();
    private IGrainTimer? _cleanup;

    /// <summary>Waits for one element, then takes what is there without waiting. Empty after half the response timeout.</summary>
    public async Task<Batch<T>> PullAsync<T>(EnumerableCall<T> request, Guid id, bool isFirst, CancellationToken ct)
    {
        var running = isFirst ? Start(request, id) : Find<T>(id);
        running.IsUsed = true;
        running.IsBusy = true;
        var items = new List<T>();
        try
        {
            while (items.Count < request.BatchSize)
            {
                running.Move ??= running.Items.MoveNextAsync().AsTask();
                if (!running.Move.IsCompleted)
                {
                    if (items.Count > 0) break;
                    await Task.WhenAny(running.Move, _aborted.Task)
                        .WaitAsync(activation.Silo.Messaging.ResponseTimeout / 2, activation.Silo.Clock, ct);
                    if (!running.Move.IsCompleted) throw Aborted(id);
                }

                var move = running.Move;
                if (!move.IsCompletedSuccessfully && items.Count > 0) break;   // what was got goes first: the failure is the next pull's
                running.Move = null;
                if (!await move)
                {
                    await EndAsync(id);
                    return new(items, true);
                }

                items.Add(DeepCopy<T>.Copy(running.Items.Current));
            }
        }
        catch (TimeoutException) when (running.Move is { IsCompleted: false })
        {
            // Nothing yet: the caller asks again, and sees that this grain lives.
        }
        catch
        {
            await EndAsync(id);
            throw;
        }
        finally
        {
            running.IsBusy = false;
        }

        return new(items, false);
    }

    public async Task EndAsync(Guid id)
    {
        if (!_running.Remove(id, out var running)) return;
        if (_running.Count == 0)
        {
            _cleanup?.Dispose();
            _cleanup = null;
        }

        await running.DisposeAsync();
    }

    /// <summary>The activation ends: whoever waits for an element is told so.</summary>
    public void Abort() => _aborted.TrySetResult();

    public async Task DisposeAsync()
    {
        foreach (var id in _running.Keys.ToArray()) await EndAsync(id);
    }

    private Running<T> Start<T>(EnumerableCall<T> request, Guid id)
    {
        var cancellation = new CancellationTokenSource();
        var items = request.BeginWith(activation.GrainInstance!, cancellation.Token).GetAsyncEnumerator(cancellation.Token);
        var running = new Running<T>(items, cancellation, activation.Silo.Collection.DeactivationTimeout, activation.Silo.Clock);
        _running.Add(id, running);
        var period = activation.Silo.Messaging.ResponseTimeout;
        _cleanup ??= activation.RegisterTimer(_ => RemoveUnused(), new(period, period) { Interleave = true });
        return running;
    }

    private Running<T> Find<T>(Guid id) => _running.TryGetValue(id, out var running)
        ? (Running<T>)running
        : throw Aborted(id);

    private EnumerationAbortedException Aborted(Guid id) =>
        new($"{activation.GrainId} knows no enumeration {id}: its activation or its time has ended");

    private async Task RemoveUnused()
    {
        foreach (var (id, running) in _running.ToArray())
        {
            if (!running.IsUsed && !running.IsBusy) await EndAsync(id);
            else running.IsUsed = false;
        }
    }

    private abstract class Running
    {
        public bool IsUsed { get; set; }

        public bool IsBusy { get; set; }

        public abstract Task DisposeAsync();
    }

    private sealed class Running<T>(
        IAsyncEnumerator<T> items, CancellationTokenSource cancellation, TimeSpan patience, TimeProvider clock) : Running
    {
        public IAsyncEnumerator<T> Items => items;

        /// <summary>A move that was begun for an earlier pull.</summary>
        public Task<bool>? Move { get; set; }

        public override async Task DisposeAsync()
        {
            await cancellation.CancelAsync();
            if (Move is { } move)
            {
                // An iterator cannot be disposed while it moves: one that ignores its token for too long is left to itself.
                await Task.WhenAny(move).WaitAsync(patience, clock);
            }

            await items.DisposeAsync();
        }
    }
}
