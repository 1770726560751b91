using Orleans.Runtime;

namespace DarkStorage.Engine;

// One for each shape that a grain method may have. Emitted classes derive from these and add the arguments and Begin.

internal abstract class TaskCall : Call<VoidResult>
{
    public abstract Task Begin(object grain);

    protected override Task Invoke(object grain) => Begin(grain);

    public new Task Send(GrainReference target, GrainMethod method) => base.Send(target, method);
}

internal abstract class TaskCall<T> : Call<T>
{
    public abstract Task<T> Begin(object grain);

    protected override Task Invoke(object grain) => Begin(grain);

    public new Task<T> Send(GrainReference target, GrainMethod method) => base.Send(target, method);
}

internal abstract class ValueTaskCall : Call<VoidResult>
{
    public abstract ValueTask Begin(object grain);

    protected override Task Invoke(object grain) => Begin(grain).AsTask();

    public new ValueTask Send(GrainReference target, GrainMethod method) => new(base.Send(target, method));
}

internal abstract class ValueTaskCall<T> : Call<T>
{
    public abstract ValueTask<T> Begin(object grain);

    protected override Task Invoke(object grain) => Begin(grain).AsTask();

    public new ValueTask<T> Send(GrainReference target, GrainMethod method) => new(base.Send(target, method));
}
