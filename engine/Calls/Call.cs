using System.Reflection;
using Orleans.Runtime;
using Orleans.Serialization;
using Orleans.Serialization.Invocation;

namespace DarkStorage.Engine;

/// <summary>
/// One call, from the proxy that makes it to the answer. A class per grain method is emitted by <see cref="Proxies"/>: it holds the
/// arguments in fields and calls the method without reflection. What runs where: <see cref="Prepare"/> and <see cref="Dispatch"/> on
/// the caller; <see cref="Run"/> as a turn of the activation; the answer completes the caller's task from there, or from the timer
/// of <see cref="CallTimeouts"/>, or from the caller's cancellation, whichever is first. A call to a grain on another silo is written
/// there and read there as a call of the same class, whose <see cref="Origin"/> takes the answer back.
/// </summary>
#pragma warning disable CA1001 // The token source of a call has no timer and no link: there is nothing to dispose of.
internal abstract class Call : IInvokable
{
    private static readonly Action<Task, object?> FinishLater = static (task, call) => ((Call)call!).Finish(task);
    private static readonly Action<object?> CancelByCaller = static call => ((Call)call!).CancelledByCaller();

    private CancellationTokenSource? _cancellation;
    private CancellationToken _callerToken;
    private CancellationTokenRegistration _registration;
    private Activation? _activation;   // guarded by _cancellation, where there is one
    private Travel? _travel;

    public GrainMethod Method { get; set; } = null!;

    public GrainReference Target { get; set; } = null!;

    /// <summary>The activation that calls, or null for code outside grains and for a call from another silo.</summary>
    public Activation? Source { get; private set; }

    /// <summary>The grain that calls, wherever it is.</summary>
    public GrainId? SourceId => Source?.GrainId ?? _travel?.SourceId;

    /// <summary>Where the answer to a call from another silo goes.</summary>
    public CallOrigin? Origin
    {
        get => _travel?.Origin;
        set => (_travel ??= new()).Origin = value;
    }

    /// <summary>The silo that sent it here, or null for a call that was made here.</summary>
    public SiloAddress? CameFrom => _travel?.CameFrom;

    /// <summary>For a grain that does not live at its home.</summary>
    public CallPlace Place
    {
        get => _travel?.Place ?? CallPlace.None;
        set => (_travel ??= new()).Place = value;
    }

    /// <summary>The caller has given it up.</summary>
    public bool IsCancelled => _cancellation is { IsCancellationRequested: true };

    /// <summary>How often the call was sent from silo to silo.</summary>
    public int Hops
    {
        get => _travel?.Hops ?? 0;
        set => (_travel ??= new()).Hops = value;
    }

    /// <summary>Until the caller's timeout, at least 1; 0 for a call without one.</summary>
    public long RemainingMilliseconds => Timeout.Stripe is null
        ? 0
        : Math.Max(1, (long)Target.Silo.Clock.GetElapsedTime(Target.Silo.Clock.GetTimestamp(), Timeout.Deadline).TotalMilliseconds);

    public Dictionary<string, object>? Context { get; set; }

    public Guid ReentrancyId { get; private set; }

    /// <summary>The grain class' own predicate says that this call may interleave.</summary>
    public bool IsLetThrough { get; set; }

    /// <summary>How often the call went on from an activation that ended without running any call.</summary>
    public int FruitlessForwards { get; set; }

    /// <summary>Next in the activation's queue of waiting calls.</summary>
    public Call? NextWaiting { get; set; }

    public CallTimeouts.Entry Timeout;

    protected Activation? RunsOn => _activation;

    /// <summary>The caller has its answer, so nobody waits for the call any more.</summary>
    public abstract bool IsAnswered { get; }

    /// <summary>Does it count as use of the activation, keeping idle collection away?</summary>
    public virtual bool CountsAsUse => true;

    /// <summary>Belongs to one activation, and ends with it rather than going on to the next.</summary>
    public virtual bool EndsWithActivation => false;

    public virtual bool IsReadOnly => Method.IsReadOnly;

    /// <summary>May it start whatever runs, and run beside whatever starts?</summary>
    public virtual bool Interleaves => Method.AlwaysInterleaves || IsLetThrough;

    /// <summary>What the emitted code passes for a parameter of type <see cref="CancellationToken"/>.</summary>
    public virtual CancellationToken CalleeToken => _cancellation?.Token ?? default;

    protected CancellationToken CallerToken => _callerToken;

    /// <summary>Set by the emitted proxy.</summary>
    public void SetCallerToken(CancellationToken token)
    {
        _callerToken = token;
        _cancellation = new();
    }

    /// <summary>Set by the emitted code that reads arguments: the token is cancelled by a message.</summary>
    public void ExpectToken() => SetCallerToken(default);

    public abstract void CopyArguments(CopyContext context);

    /// <summary>The emitted code for another silo: every argument but a cancellation token, in order.</summary>
    public abstract void WriteArguments(WireWriter writer);

    public abstract void ReadArguments(WireReader reader);

    /// <summary>The answer from another silo.</summary>
    public abstract void Complete(WireReader reader);

    /// <summary>What is asked for, after the head of a request.</summary>
    public virtual void WriteRequest(WireWriter writer)
    {
        writer.Byte((byte)CallShape.Method);
        WriteMethod(writer);
        WriteArguments(writer);
    }

    /// <summary>Calls the grain's method.</summary>
    protected abstract Task Invoke(object grain);

    public abstract Task<object?> InvokeBoxed(object grain);

    public abstract Task<object?> SendBoxed();

    public abstract void Answer(Exception error);

    protected abstract Task InvokeFiltered(Activation activation);

    /// <summary>Usually still in the grain's last turn of this call, so the result is copied before another turn can change it.</summary>
    protected abstract void Finish(Task task);

    /// <summary>The caller's side: who calls, with which context; arguments copied unless an outgoing filter may still change them.</summary>
    protected void Prepare(GrainReference target, GrainMethod method)
    {
        Method = method;
        Source = Activation.Current;
        Target = target.Destination is null ? target.In(target.Silo.Host.LifeOf(Source)) : target;
    }

    protected void Dispatch()
    {
        _callerToken.ThrowIfCancellationRequested();
        if (RequestContext.Current is not null && Target.Destination is null)   // what silos ask of each other belongs to no call
        {
            Context = RequestContext.Export();
            ReentrancyId = RequestContext.ReentrancyIdOf(Context);
        }

        var silo = Target.Silo;
        var peer = silo.Cluster?.RouteOf(this);
        if (peer is null && Method.CopiesArguments)
        {
            var context = CopyContext.Rent();
            try
            {
                CopyArguments(context);
            }
            finally
            {
                context.Return();
            }
        }

        if (!Method.IsOneWay) silo.Timeouts.Add(this, Method.Timeout ?? silo.Messaging.ResponseTimeout);
        if (_callerToken.CanBeCanceled) _registration = _callerToken.UnsafeRegister(CancelByCaller, this);
        silo.Send(this, peer);
    }

    /// <summary>What <see cref="WriteRequest"/> wrote, as a call to run here.</summary>
    public static Call ReadRequest(WireReader reader, GrainReference target)
    {
        var shape = (CallShape)reader.Byte();
        if (shape == CallShape.EndEnumeration) return new EndCall(new(reader.Take(16))) { Target = target, Method = EndCall.End };
        var call = Proxies.NewCall(WireTypes.FindInterface(reader.Name()), reader.Name());
        call.Target = target;
        if (shape == CallShape.Method)
        {
            call.ReadArguments(reader);
            return call;
        }

        var id = new Guid(reader.Take(16));
        var batchSize = (int)Math.Clamp(reader.Varint(), 1, int.MaxValue);
        if (shape == CallShape.FirstPull) call.ReadArguments(reader);
        else if (shape != CallShape.Pull) throw new SerializerException($"{shape} is no shape of a call");
        return call.CreatePull(id, shape == CallShape.FirstPull, batchSize);
    }

    /// <summary>For a call from another silo, before it is sent on: who calls there, and how long the answer is waited for.</summary>
    public void Receive(
        SiloAddress cameFrom, GrainId? source, Dictionary<string, object>? context, int hops, bool isPlaced, ulong timeoutMilliseconds)
    {
        _travel = new() { CameFrom = cameFrom, SourceId = source, Hops = hops, Place = isPlaced ? CallPlace.Found : CallPlace.None };
        Context = context;
        ReentrancyId = RequestContext.ReentrancyIdOf(context);
        if (timeoutMilliseconds is > 0 and < uint.MaxValue) Target.Silo.Timeouts.Add(this, TimeSpan.FromMilliseconds(timeoutMilliseconds));
    }

    /// <summary>A one-way call from another silo takes a place there until it is over here.</summary>
    public void CountedBy(Inbound inbound, int bytes)
    {
        var travel = _travel ??= new();
        travel.Bytes = bytes;
        travel.CountedBy = inbound;
    }

    /// <summary>It is over as far as this silo is concerned.</summary>
    public void GiveUpPlace()
    {
        if (_travel is { CountedBy: not null } travel && Interlocked.Exchange(ref travel.CountedBy, null) is { } inbound) inbound.OneWayDone(travel.Bytes);
    }

    public void SentOver(Peer peer, ulong id)
    {
        var travel = _travel ??= new();
        travel.SentAs = id;
        Volatile.Write(ref travel.SentOver, peer);
    }

    public void WriteMethod(WireWriter writer)
    {
        writer.Name(WireTypes.NameOf(Method.Interface));
        writer.Name(Method.WireName);
    }

    /// <summary>A pull of the enumeration that this call of an enumerating method began.</summary>
    protected virtual Call CreatePull(Guid id, bool isFirst, int batchSize) => throw new SerializerException($"{Method} returns no IAsyncEnumerable");

    /// <summary>The caller no longer waits: its timeout and its cancellation need no watching.</summary>
    protected void Release()
    {
        CallTimeouts.Remove(this);
        _registration.Unregister();
        if (_travel is { SentOver: { } peer } travel) peer.Forget(travel.SentAs);
        GiveUpPlace();
    }

    /// <summary>A turn of the activation, on its scheduler.</summary>
    public void Run(Activation activation)
    {
        if (_cancellation is { } cancellation)
        {
            lock (cancellation) _activation = activation;
            if (cancellation.IsCancellationRequested)
            {
                Finish(Task.FromCanceled(cancellation.Token));
                return;
            }
        }
        else
        {
            _activation = activation;
        }

        if (activation.Silo.IsFenced)
        {
            Finish(Task.FromException(activation.Silo.Cluster!.Unfit(this)));
            return;
        }

        if (Context is not null) RequestContext.Current = Context;
        Task task;
        try
        {
            task = activation.IsFiltered && Method.Method is not null ? InvokeFiltered(activation) : Invoke(activation.GrainInstance!);
            if (task is null) throw new InvalidOperationException($"{Method} returned null where a task was expected");
        }
        catch (Exception error)
        {
            // Whatever the method throws goes to its caller.
            task = Task.FromException(error);
        }

        if (task.IsCompleted) Finish(task);
        else task.ContinueWith(FinishLater, this, default, TaskContinuationOptions.ExecuteSynchronously, TaskScheduler.Default);
    }

    public void TimedOut()
    {
        Answer(new TimeoutException(
            $"No answer in {Method.Timeout ?? Target.Silo.Messaging.ResponseTimeout} to {Method} of {Target.GrainId}"));
        if (Target.Silo.Messaging.CancelRequestOnTimeout) Cancel();
    }

    private void CancelledByCaller()
    {
        Cancel();
        if (!Target.Silo.Messaging.WaitForCancellationAcknowledgement) Answer(new OperationCanceledException(_callerToken));
    }

    /// <summary>Once the method runs, what it registered on its token runs as a turn of its grain, wherever that is.</summary>
    public void Cancel()
    {
        if (_cancellation is not { } cancellation) return;
        if (_travel is { SentOver: { } peer } travel) peer.Cancel(travel.SentAs);
        Activation? activation;
        lock (cancellation)
        {
            activation = _activation;
            if (activation is null) cancellation.Cancel();
        }

        activation?.Post(cancellation.Cancel);
    }

    /// <summary>What only a call between silos has: most calls stay in theirs, and are smaller without it.</summary>
    private sealed class Travel
    {
        public GrainId? SourceId;
        public SiloAddress? CameFrom;
        public CallPlace Place;
        public CallOrigin? Origin;
        public Peer? SentOver;
        public ulong SentAs;
        public Inbound? CountedBy;
        public int Bytes;
        public int Hops;
    }

    int IInvokable.GetArgumentCount() => Method.Arguments.Length;

    object? IInvokable.GetArgument(int index) => Method.Arguments[index] is { } field ? field.GetValue(this) : CalleeToken;

    void IInvokable.SetArgument(int index, object? value)
    {
        if (Method.Arguments[index] is not { } field)
            throw new InvalidOperationException($"{Method}: its cancellation token cannot be replaced");
        field.SetValue(this, value);
    }

    string IInvokable.GetMethodName() => Method.Name;

    public string GetInterfaceName() => Method.Interface.FullName ?? Method.Interface.Name;

    Type IInvokable.GetInterfaceType() => Method.Interface;

    public MethodInfo GetMethod() => Method.Method ?? throw new InvalidOperationException($"{Method} is a turn of the engine");

    object? IInvokable.GetTarget() => _activation?.GrainInstance;

    CancellationToken IInvokable.GetCancellationToken() => CalleeToken;

    public override string ToString() => $"{Method} of {Target.GrainId}";
}

#pragma warning restore CA1001

/// <summary>Where a call stands that is for a grain which does not live at its home.</summary>
internal enum CallPlace : byte
{
    None,

    /// <summary>It is at the grain's home, which is to find out where the grain is.</summary>
    Wanted,

    /// <summary>The home has found it: the silo that gets the call wakes the grain.</summary>
    Found,
}

/// <summary>A call and the task that its caller awaits.</summary>
internal abstract class Call<T> : Call
{
    // Continuations of the caller must not run inside a turn of the grain that answers.
    private readonly TaskCompletionSource<T> _answer = new(TaskCreationOptions.RunContinuationsAsynchronously);

    public override bool IsAnswered => _answer.Task.IsCompleted;

    public Task<T> Answered => _answer.Task;

    public override void Answer(Exception error)
    {
        if (!_answer.TrySetException(error)) return;
        Release();
        if (Method.IsOneWay || Origin is not null) _ = _answer.Task.Exception;   // nobody here awaits it
        if (Origin is { } origin) origin.Send(origin.EncodeFailure(error));
    }

    public override void Complete(WireReader reader)
    {
        var result = reader.Decode(Wire<T>.Read);
        if (Origin is { } origin) Complete(origin, origin.Encode(result));
        else if (_answer.TrySetResult(result)) Release();
    }

    private void Complete(CallOrigin origin, Frame answer)
    {
        if (_answer.TrySetResult(default!))
        {
            Release();
            origin.Send(answer);
        }
        else
        {
            answer.Return();   // it timed out
        }
    }

    /// <summary>The result of the task that <see cref="Call.Invoke"/> returned.</summary>
    protected virtual T ResultOf(Task task) => task is Task<T> typed ? typed.Result : default!;

    protected Task<T> Send(GrainReference target, GrainMethod method)
    {
        Prepare(target, method);
        try
        {
            if (target.Silo.OutgoingFilters.Length > 0 && target.Destination is null) return SendFiltered();
            Dispatch();
            return method.IsOneWay ? Task.FromResult<T>(default!) : _answer.Task;
        }
        catch (Exception error)
        {
            // An argument that cannot be copied, for one: the caller finds it where it finds every failure.
            Release();
            return Task.FromException<T>(error);
        }
    }

    public override async Task<object?> SendBoxed()
    {
        Dispatch();
        return Method.IsOneWay ? default(T) : await _answer.Task;
    }

    public override async Task<object?> InvokeBoxed(object grain)
    {
        var task = Invoke(grain);
        await task;
        return ResultOf(task);
    }

    private async Task<T> SendFiltered()
    {
        var chain = new OutgoingChain(this);
        await chain.Invoke();
        return Unbox(chain.Result);
    }

    protected override Task InvokeFiltered(Activation activation) => InvokeFilteredTyped(activation);

    private async Task<T> InvokeFilteredTyped(Activation activation)
    {
        var chain = new IncomingChain(this, activation);
        await chain.Invoke();
        return Unbox(chain.Result);
    }

    private T Unbox(object? result) => result switch
    {
        T typed => typed,
        null => default!,
        _ when typeof(T) == typeof(VoidResult) => default!,
        _ => throw new InvalidCastException($"A filter of {Method} left a {result.GetType()} where a {typeof(T)} was expected"),
    };

    protected override void Finish(Task task)
    {
        T result = default!;
        Frame answer = default;
        Exception? error = null;
        if (RunsOn!.Silo.IsFenced)
        {
            _ = task.Exception;
            error = RunsOn.Silo.Cluster!.Unfit(this);   // whatever it is, it may be stale
        }
        else if (task.IsCompletedSuccessfully)
        {
            try
            {
                // For a caller on another silo it is written here and now, which is a copy too.
                if (Origin is { } origin) answer = origin.Encode(ResultOf(task));
                else result = DeepCopy<T>.Copy(ResultOf(task));
            }
            catch (Exception failure)
            {
                // A result that cannot cross is the caller's failure to see.
                error = failure;
            }
        }
        else
        {
            error = task.Exception?.InnerException ?? new TaskCanceledException(task);
        }

        RunsOn!.OnCallFinished(this, error);   // first: a caller that sees the answer sees the activation's next state too
        if (error is not null) Answer(error);
        else if (Origin is { } caller) Complete(caller, answer);
        else if (_answer.TrySetResult(result)) Release();
    }
}
