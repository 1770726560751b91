using System.Reflection;
using Orleans;
using Orleans.Runtime;
using Orleans.Serialization.Invocation;

namespace DarkStorage.Engine;

internal abstract class FilterChain(Call call) : IGrainCallContext
{
    private int _stage;

    public IInvokable Request => call;

    public abstract object Grain { get; }

    public GrainId? SourceId => call.SourceId;

    public GrainId TargetId => call.Target.GrainId;

    public GrainInterfaceType InterfaceType => Proxies.NameOf(call.Method.Interface);

    public string InterfaceName => call.GetInterfaceName();

    public string MethodName => call.Method.Name;

    public MethodInfo InterfaceMethod => call.GetMethod();

    public object? Result { get; set; }

    protected Call Call => call;

    public Task Invoke() => Invoke(_stage++);

    protected abstract Task Invoke(int stage);
}

internal sealed class IncomingChain(Call call, Activation activation) : FilterChain(call), IIncomingGrainCallContext
{
    private readonly IIncomingGrainCallFilter[] _filters = activation.Silo.IncomingFilters;

    public override object Grain => activation.GrainInstance!;

    public IGrainContext TargetContext => activation;

    public MethodInfo ImplementationMethod
    {
        get
        {
            var method = Call.GetMethod();
            var map = Grain.GetType().GetInterfaceMap(method.DeclaringType!);
            return map.TargetMethods[Array.IndexOf(map.InterfaceMethods, method)];
        }
    }

    protected override Task Invoke(int stage)
    {
        if (stage < _filters.Length) return _filters[stage].Invoke(this);
        if (stage == _filters.Length && Grain is IIncomingGrainCallFilter self) return self.Invoke(this);
        return CallMethod();
    }

    private async Task CallMethod() => Result = await Call.InvokeBoxed(Grain);
}

internal sealed class OutgoingChain(Call call) : FilterChain(call), IOutgoingGrainCallContext
{
    private readonly IOutgoingGrainCallFilter[] _filters = call.Target.Silo.OutgoingFilters;

    public override object Grain => Call.Target;

    public IGrainContext? SourceContext => Call.Source;

    protected override Task Invoke(int stage) => stage < _filters.Length ? _filters[stage].Invoke(this) : Send();

    private async Task Send() => Result = await Call.SendBoxed();
}
