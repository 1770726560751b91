using Orleans;
using Orleans.Runtime;
using Orleans.Storage;

namespace DarkStorage.Engine;

/// <summary>
/// One activation of a grain: its turns, the calls that run and wait, and its life. Invariants:
/// at most one thread runs turns at a time; a turn runs with this as its <see cref="TaskScheduler"/>, so awaits come back here;
/// no call starts before activation succeeded or after deactivation began; the directory names this activation until
/// <see cref="State.Gone"/>, so no other of the same grain exists in the silo before <c>OnDeactivateAsync</c> has finished.
/// The partial files: turns and calls here, life in <c>Activation.Life.cs</c>.
/// </summary>
internal sealed partial class Activation : TaskScheduler, IGrainContext, IThreadPoolWorkItem
{
    private const int TurnsPerSlice = 64;   // then other activations get the thread

    [ThreadStatic]
    private static Activation? t_current;

    private static readonly object ActivateTurn = new();
    private static readonly object DeactivateTurn = new();

    // Everything below is guarded by a lock on _turns. It holds Task (continuations), Call (admitted), Action and the two turns above.
    private readonly Queue<object> _turns = new(2);
    private bool _isScheduled;
    private Call? _firstWaiting, _lastWaiting;
    private int _waiting;
    private int _waitingInterleavers;   // waiting calls that may start although one before them may not
    private int _running;
    private int _runningExclusive;
    private int _runningReaders;
    private long _callsRun;
    private List<Guid>? _reentrantSections;

    public Activation(Silo silo, GrainClass grainClass, GrainId grainId, WorkerPool? pool = null)
    {
        Silo = silo;
        Class = grainClass;
        GrainId = grainId;
        _pool = pool;
        _lastUsed = silo.Clock.GetTimestamp();
        _turns.Enqueue(ActivateTurn);
    }

    /// <summary>The activation whose turn runs on this thread.</summary>
    public static new Activation? Current => t_current;

    public Silo Silo { get; }

    public GrainClass Class { get; }

    public GrainId GrainId { get; }

    /// <summary>It lives at its home in the cluster: no stateless worker, none that is placed otherwise, no part of the silo.</summary>
    public bool HasHome => _pool is null && !Class.IsPlaced && !IsOfSilo;

    private bool IsOfSilo => Class.Type == typeof(SiloControl);

    /// <summary>Calls pass through filters: the silo's, or the grain itself is one.</summary>
    public bool IsFiltered => (Silo.IncomingFilters.Length > 0 && !IsOfSilo) || GrainInstance is IIncomingGrainCallFilter;

    /// <summary>For a stateless worker's pool: nothing to do at this moment.</summary>
    public bool IsIdle
    {
        get
        {
            lock (_turns) return _running == 0 && _waiting == 0;
        }
    }

    public int Load
    {
        get
        {
            lock (_turns) return _running + _waiting;
        }
    }

    public override int MaximumConcurrencyLevel => 1;

    /// <summary>Takes a call to run now or later. False when the activation is gone: ask the directory again.</summary>
    public bool TryPost(Call call)
    {
        if (Class.MayInterleave is { } predicate && call.Method.Method is not null) call.IsLetThrough = predicate(GrainInstance, call);
        var limit = Silo.Messaging.MaxEnqueuedRequestsHardLimit;
        lock (_turns)
        {
            if (_state == State.Gone) return false;
            if (limit > 0 && _waiting >= limit) goto overloaded;
            if (_state == State.Active && MayStart(call))
            {
                Admit(call);
            }
            else
            {
                Append(call);
                ScheduleLocked();   // the first call of a fresh activation sets it going
            }

            return true;
        }

    overloaded:
        call.Answer(new LimitExceededException($"{limit} calls wait for {GrainId} already"));
        return true;
    }

    /// <summary>Runs an action as a turn, beside whatever runs.</summary>
    public void Post(Action action) => Enqueue(action);

    public void OnCallFinished(Call call, Exception? error)
    {
        var isStale = error is InconsistentStateException { IsSourceActivation: true };
        if (error is InconsistentStateException inconsistent) inconsistent.IsSourceActivation = false;
        lock (_turns)
        {
            _running--;
            if (IsExclusive(call)) _runningExclusive--;
            else if (call.IsReadOnly) _runningReaders--;
            if (call.CountsAsUse) _lastUsed = Silo.Clock.GetTimestamp();
            if (_state == State.Active) StartWaiting();
            else if (_running == 0) EnqueueLocked(DeactivateTurn);
        }

        if (isStale)
        {
            Deactivate(new(
                DeactivationReasonCode.ApplicationError, error, "The grain's state is not the one in storage: it is read anew by the next activation."));
        }

        if (error is not null && call.Method.IsOneWay) Silo.Log.OneWayFailed(error, call.Method.ToString(), GrainId);
    }

    public void EnterReentrantSection(Guid id)
    {
        lock (_turns) (_reentrantSections ??= []).Add(id);
    }

    public void LeaveReentrantSection(Guid id)
    {
        lock (_turns) _reentrantSections?.Remove(id);
    }

    public bool Equals(IGrainContext? other) => ReferenceEquals(this, other);

    public override string ToString() => $"{GrainId} {ActivationId} on {Silo.Address}";

    // ---- Which calls may start. All of these under the lock.

    private bool IsExclusive(Call call) => !Class.IsReentrant && !call.Interleaves && !call.IsReadOnly;

    private bool MayStart(Call call)
    {
        if (_running == 0 || Class.IsReentrant || call.Interleaves) return true;
        if (_runningExclusive == 0 && (call.IsReadOnly || _runningReaders == 0)) return true;
        return call.ReentrancyId != Guid.Empty && _reentrantSections is { } sections && sections.Contains(call.ReentrancyId);
    }

    private void Admit(Call call)
    {
        _running++;
        if (IsExclusive(call)) _runningExclusive++;
        else if (call.IsReadOnly) _runningReaders++;
        if (call.CountsAsUse) _lastUsed = Silo.Clock.GetTimestamp();
        EnqueueLocked(call);
    }

    private static bool MayOvertake(Call call) => call.Interleaves || call.IsReadOnly || call.ReentrancyId != Guid.Empty;

    private void Append(Call call)
    {
        call.NextWaiting = null;
        if (_lastWaiting is { } last) last.NextWaiting = call;
        else _firstWaiting = call;
        _lastWaiting = call;
        _waiting++;
        if (MayOvertake(call)) _waitingInterleavers++;
    }

    /// <summary>Starts waiting calls in their order; past a call that must wait only those that may interleave.</summary>
    private void StartWaiting()
    {
        Call? before = null;
        for (var call = _firstWaiting; call is not null;)
        {
            var next = call.NextWaiting;
            if (MayStart(call))
            {
                if (before is null) _firstWaiting = next;
                else before.NextWaiting = next;
                if (next is null) _lastWaiting = before;
                call.NextWaiting = null;
                _waiting--;
                if (MayOvertake(call)) _waitingInterleavers--;
                Admit(call);
            }
            else if (_waitingInterleavers > 0)
            {
                before = call;
            }
            else
            {
                return;
            }

            call = next;
        }
    }

    private Call? TakeWaiting()
    {
        var first = _firstWaiting;
        _firstWaiting = _lastWaiting = null;
        _waiting = _waitingInterleavers = 0;
        return first;
    }

    // ---- Turns.

    protected override void QueueTask(Task task) => Enqueue(task);

    protected override bool TryExecuteTaskInline(Task task, bool taskWasPreviouslyQueued) =>
        !taskWasPreviouslyQueued && t_current == this && TryExecuteTask(task);

    protected override IEnumerable<Task> GetScheduledTasks()
    {
        lock (_turns) return _turns.OfType<Task>().ToArray();
    }

    private void Enqueue(object turn)
    {
        lock (_turns) EnqueueLocked(turn);
    }

    private void EnqueueLocked(object turn)
    {
        _turns.Enqueue(turn);
        ScheduleLocked();
    }

    private void ScheduleLocked()
    {
        if (_isScheduled) return;
        _isScheduled = true;
        ThreadPool.UnsafeQueueUserWorkItem(this, preferLocal: true);
    }

    void IThreadPoolWorkItem.Execute()
    {
        t_current = this;
        try
        {
            for (var i = 0; i < TurnsPerSlice; i++)
            {
                object? turn;
                lock (_turns)
                {
                    if (!_turns.TryDequeue(out turn))
                    {
                        _isScheduled = false;
                        return;
                    }
                }

                if (turn is Task continuation) TryExecuteTask(continuation);
                else Start(turn);
            }
        }
        finally
        {
            t_current = null;
        }

        ThreadPool.UnsafeQueueUserWorkItem(this, preferLocal: false);
    }

    /// <summary>Runs the first piece of something as a task of this scheduler, which is what makes its awaits come back here.</summary>
    private void Start(object turn)
    {
        if (turn is Call { IsAnswered: true } unwanted)
        {
            OnCallFinished(unwanted, null);   // timed out or cancelled while it waited: nobody would see the result
            return;
        }

        if (turn is Call) _callsRun++;
        var task = turn switch
        {
            Call call => new Task(static state => ((Call)state!).Run(t_current!), call),
            Action action => new Task(action),
            _ when turn == ActivateTurn => new Task(static state => _ = ((Activation)state!).ActivateAsync(), this),
            _ => new Task(static state => _ = ((Activation)state!).FinishDeactivationAsync(), this),
        };
        task.RunSynchronously(this);
        if (task.IsFaulted) Silo.Log.TurnFailed(task.Exception, GrainId);
    }
}
