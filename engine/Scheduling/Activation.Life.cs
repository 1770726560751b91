using Microsoft.Extensions.DependencyInjection;
using Orleans;
using Orleans.Core;
using Orleans.Runtime;

namespace DarkStorage.Engine;

internal sealed partial class Activation
{
    private readonly WorkerPool? _pool;

    // Guarded by _turns, as all shared state is.
    private State _state;
    private bool _isActivated;
    private bool _isFinishing;
    private DeactivationReason _reason;
    private CancellationToken _stopToken;
    private long _lastUsed;
    private long _keepUntil;
    private TaskCompletionSource? _deactivated;
    private HashSet<GrainTimer>? _timers;

    // Touched by turns only.
    private AsyncServiceScope? _scope;
    private List<IActivationState>? _states;
    private Enumerations? _enumerations;
    private GrainReference? _reference;
    private ActivationId _activationId;

    private enum State : byte
    {
        Activating,
        Active,
        Deactivating,
        Gone,
    }

    public object? GrainInstance { get; private set; }

    public GrainReference GrainReference => _reference ??= new(Silo, GrainId);

    public ActivationId ActivationId => _activationId.IsDefault ? _activationId = ActivationId.NewId() : _activationId;

    public GrainAddress Address => new() { GrainId = GrainId, ActivationId = ActivationId, SiloAddress = Silo.Address };

    public Enumerations Enumerations => _enumerations ??= new(this);

    public IServiceProvider ActivationServices => (_scope ??= Silo.Services.CreateAsyncScope()).ServiceProvider;

    public Task Deactivated
    {
        get
        {
            lock (_turns)
            {
                if (_state == State.Gone) return Task.CompletedTask;
                return (_deactivated ??= new(TaskCreationOptions.RunContinuationsAsynchronously)).Task;
            }
        }
    }

    /// <summary>While the grain is constructed: a state that is read before <c>OnActivateAsync</c>.</summary>
    public TState Add<TState>(TState state) where TState : IActivationState
    {
        (_states ??= []).Add(state);
        return state;
    }

    public IStorage<T> DefaultState<T>() => Add(PersistentState<T>.Create(this, "state", null));

    public IGrainTimer RegisterTimer(Func<CancellationToken, Task> callback, GrainTimerCreationOptions options)
    {
        var timer = new GrainTimer(this, callback, options);
        bool isEnding;
        lock (_turns)
        {
            isEnding = _state >= State.Deactivating;
            if (!isEnding) (_timers ??= []).Add(timer);
        }

        if (isEnding) timer.Dispose();
        else timer.Start();
        return timer;
    }

    public void Forget(GrainTimer timer)
    {
        lock (_turns) _timers?.Remove(timer);
    }

    public void DelayDeactivation(TimeSpan time)
    {
        lock (_turns) _keepUntil = time > TimeSpan.Zero ? Silo.AddTo(Silo.Clock.GetTimestamp(), time) : 0;
    }

    /// <summary>Begins deactivation if nothing has used the activation for the time its class gives, or for <paramref name="age"/>.</summary>
    public bool CollectIfIdle(TimeSpan? age = null)
    {
        var limit = age ?? Class.CollectionAge ?? Silo.Collection.CollectionAge;
        if (Class.IsKeptAlive || (limit == Timeout.InfiniteTimeSpan)) return false;
        var now = Silo.Clock.GetTimestamp();
        lock (_turns)
        {
            if (_state != State.Active || _running > 0 || _waiting > 0 || _keepUntil > now) return false;
            if (Silo.Clock.GetElapsedTime(_lastUsed, now) < limit) return false;
        }

        Deactivate(new(DeactivationReasonCode.ActivationIdle, $"Nothing has called the grain for {limit}."));
        return true;
    }

    public void Deactivate(DeactivationReason deactivationReason, CancellationToken cancellationToken = default)
    {
        HashSet<GrainTimer>? timers;
        lock (_turns)
        {
            if (_state >= State.Deactivating) return;
            _state = State.Deactivating;
            _reason = deactivationReason;
            _stopToken = cancellationToken;
            timers = _timers;
            _timers = null;
            if (_isActivated && _running == 0) EnqueueLocked(DeactivateTurn);
            else ScheduleLocked();
        }

        if (_enumerations is { } enumerations) Post(enumerations.Abort);   // or their pulls, which run, would hold the end up
        foreach (var timer in timers ?? []) timer.Dispose();
    }

    private async Task ActivateAsync()
    {
        try
        {
            if (Silo.Cluster is { } cluster && HasHome && !(await cluster.ClaimAsync(GrainId) && IsWanted))
            {
                EndUnborn();
                return;
            }

            GrainInstance = Class.Create(this);
            if (_states is not null || Class.HooksActivation)
            {
                using var timeout = new CancellationTokenSource(Silo.Collection.ActivationTimeout, Silo.Clock);
                lock (_turns) RequestContext.Current = _firstWaiting?.Context;   // what OnActivateAsync calls belongs to the first call
                foreach (var state in _states ?? []) await state.ReadStateAsync(timeout.Token);
                if (GrainInstance is IGrainBase grain) await grain.OnActivateAsync(timeout.Token);
            }
        }
        catch (Exception error)
        {
            // Whatever the grain throws fails the calls that wait for it.
            Silo.Log.ActivationFailed(error, GrainId);
            await FailAsync(error);
            return;
        }

        lock (_turns)
        {
            _isActivated = true;
            if (_state == State.Activating) _state = State.Active;
            if (_state == State.Active) StartWaiting();
            else EnqueueLocked(DeactivateTurn);
        }
    }

    private bool IsWanted
    {
        get
        {
            lock (_turns) return _state == State.Activating && !Silo.IsFenced;
        }
    }

    /// <summary>The grain's home is another silo: what waits goes there.</summary>
    private void EndUnborn()
    {
        Call? waiting;
        lock (_turns)
        {
            waiting = TakeWaiting();
            _state = State.Gone;
            Silo.Catalog.Remove(this);
        }

        _deactivated?.TrySetResult();
        SendOn(waiting);
    }

    private void SendOn(Call? waiting)
    {
        for (var call = waiting; call is not null;)
        {
            var next = call.NextWaiting;
            call.NextWaiting = null;
            if (call.EndsWithActivation) call.Answer(Rejection(call));
            else Silo.Send(call);
            call = next;
        }
    }

    private async Task FailAsync(Exception error)
    {
        Call? waiting;
        HashSet<GrainTimer>? timers;
        lock (_turns)
        {
            _state = State.Deactivating;
            timers = _timers;
            _timers = null;
        }

        foreach (var timer in timers ?? []) timer.Dispose();
        await DisposeAsync();
        lock (_turns)
        {
            waiting = TakeWaiting();
            _state = State.Gone;
            if (_pool is null) Silo.Catalog.Remove(this);
        }

        _pool?.Remove(this);
        _deactivated?.TrySetResult();
        for (var call = waiting; call is not null; call = call.NextWaiting) call.Answer(error);
    }

    private async Task FinishDeactivationAsync()
    {
        if (_isFinishing) return;
        _isFinishing = true;
        var timeout = Silo.Collection.DeactivationTimeout;
        using (var cancellation = CancellationTokenSource.CreateLinkedTokenSource(_stopToken))
        {
            try
            {
                if (Class.HooksDeactivation && GrainInstance is IGrainBase grain)
                {
                    using var timer = Silo.Clock.CreateTimer(static c => ((CancellationTokenSource)c!).Cancel(), cancellation, timeout, Timeout.InfiniteTimeSpan);
                    await grain.OnDeactivateAsync(_reason, cancellation.Token).WaitAsync(timeout, Silo.Clock, _stopToken);
                }
            }
            catch (Exception error)
            {
                // A grain that fails to say goodbye is gone all the same.
                Silo.Log.DeactivationFailed(error, GrainId);
            }
        }

        await DisposeAsync();
        Call? waiting;
        lock (_turns)
        {
            waiting = TakeWaiting();
            _state = State.Gone;
            if (_pool is null)
            {
                // The next activation takes the place of this one at once, with the calls that waited, so no later call overtakes them.
                waiting = Silo.Catalog.Succeed(this, waiting);
            }
        }

        _pool?.Remove(this);
        _deactivated?.TrySetResult();
        for (var call = waiting; call is not null;)
        {
            var next = call.NextWaiting;
            call.NextWaiting = null;
            if ((_pool is null && Silo.MayStay(Class, GrainId)) || call.EndsWithActivation) call.Answer(Rejection(call));
            else Silo.Send(call);
            call = next;
        }
    }

    private Exception Rejection(Call call) => call.EndsWithActivation
        ? new EnumerationAbortedException($"The activation of {GrainId} ended")
        : Silo.Accepts(call)
            ? new OrleansMessageRejectionException($"{GrainId} deactivates itself before it runs a call: {_reason}")
            : new SiloUnavailableException($"Silo {Silo.Address} is stopping");

    /// <summary>Under the lock of the activation that this one follows: takes the calls that waited for that one.</summary>
    public void Inherit(Call call)
    {
        lock (_turns) Append(call);
    }

    public bool HasRunCalls => _callsRun > 0;

    /// <summary>Sets a successor going.</summary>
    public void Begin()
    {
        lock (_turns) ScheduleLocked();
    }

    private async Task DisposeAsync()
    {
        try
        {
            if (_enumerations is not null) await _enumerations.DisposeAsync();
            if (GrainInstance is IAsyncDisposable asyncDisposable) await asyncDisposable.DisposeAsync();
            else if (GrainInstance is IDisposable disposable) disposable.Dispose();
            if (_scope is { } scope) await scope.DisposeAsync();
        }
        catch (Exception error)
        {
            // As above.
            Silo.Log.DeactivationFailed(error, GrainId);
        }
    }
}

/// <summary>A part of a grain that is read from storage before <c>OnActivateAsync</c>.</summary>
internal interface IActivationState
{
    Task ReadStateAsync(CancellationToken cancellationToken);
}
