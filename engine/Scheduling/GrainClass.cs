using System.Linq.Expressions;
using System.Reflection;
using Microsoft.Extensions.DependencyInjection;
using Orleans;
using Orleans.Concurrency;
using Orleans.Placement;
using Orleans.Runtime;
using Orleans.Serialization.Invocation;

namespace DarkStorage.Engine;

/// <summary>What the engine knows of one grain class, found once.</summary>
internal sealed class GrainClass
{
    private static readonly MethodInfo CreateStateMethod =
        typeof(GrainClass).GetMethod(nameof(CreateState), BindingFlags.NonPublic | BindingFlags.Static)!;

    private readonly ConstructorInvoker _constructor;
    private readonly Func<Activation, object?>[] _arguments;

    public GrainClass(Type type, GrainType grainType)
    {
        Type = type;
        GrainType = grainType;
        Interfaces = [.. type.GetInterfaces().Where(i => typeof(IGrain).IsAssignableFrom(i))];
        IsReentrant = type.IsDefined(typeof(ReentrantAttribute), inherit: true);
        IsKeptAlive = type.IsDefined(typeof(KeepAliveAttribute), inherit: true);
        CollectionAge = type.GetCustomAttribute<CollectionAgeLimitAttribute>(inherit: true)?.AgeLimit;
        MaxWorkers = type.GetCustomAttribute<StatelessWorkerAttribute>(inherit: true)?.MaxLocalWorkers ?? 0;
        var placement = type.GetCustomAttribute<PlacementAttribute>(inherit: true)?.PlacementStrategy;
        PrefersLocal = placement is PreferLocalPlacement;
        IsPlaced = placement is PreferLocalPlacement or RandomPlacement;
        if (type.GetCustomAttribute<MayInterleaveAttribute>(inherit: true) is { } predicate) MayInterleave = Predicate(predicate.CallbackMethodName);
        HooksActivation = Implements(nameof(IGrainBase.OnActivateAsync));
        HooksDeactivation = Implements(nameof(IGrainBase.OnDeactivateAsync));

        var constructors = type.GetConstructors(BindingFlags.Instance | BindingFlags.Public);
        var constructor = constructors.FirstOrDefault(c => c.IsDefined(typeof(ActivatorUtilitiesConstructorAttribute)))
            ?? constructors.MaxBy(c => c.GetParameters().Length)
            ?? throw new OrleansConfigurationException($"Grain class {type} has no public constructor");
        _constructor = ConstructorInvoker.Create(constructor);
        _arguments = [.. constructor.GetParameters().Select(Argument)];
    }

    public Type Type { get; }

    public GrainType GrainType { get; }

    public Type[] Interfaces { get; }

    public bool IsReentrant { get; }

    public bool IsKeptAlive { get; }

    public TimeSpan? CollectionAge { get; }

    /// <summary>More than zero for a stateless worker.</summary>
    public int MaxWorkers { get; }

    /// <summary>Lives where it is first wanted, or anywhere, rather than at the home that its hash gives.</summary>
    public bool IsPlaced { get; }

    public bool PrefersLocal { get; }

    public Func<object?, IInvokable, bool>? MayInterleave { get; }

    /// <summary>False spares every activation the timeout of a method that does nothing.</summary>
    public bool HooksActivation { get; }

    public bool HooksDeactivation { get; }

    /// <summary>Constructs the grain, in a turn of its activation, where <see cref="Grain"/>'s own constructor finds it.</summary>
    public object Create(Activation activation)
    {
        if (_arguments.Length == 0) return _constructor.Invoke();
        var arguments = new object?[_arguments.Length];
        for (var i = 0; i < arguments.Length; i++) arguments[i] = _arguments[i](activation);
        return _constructor.Invoke(arguments.AsSpan());
    }

    private Func<Activation, object?> Argument(ParameterInfo parameter)
    {
        var type = parameter.ParameterType;
        if (type == typeof(IGrainContext)) return static activation => activation;
        if (parameter.GetCustomAttribute<PersistentStateAttribute>() is { } state)
        {
            if (!type.IsGenericType || type.GetGenericTypeDefinition() != typeof(IPersistentState<>))
                throw new OrleansConfigurationException($"{Type}: [PersistentState] is on {parameter.Name}, which is no IPersistentState");
            var create = CreateStateMethod.MakeGenericMethod(type.GetGenericArguments()).CreateDelegate<Func<Activation, string, string?, object>>();
            var name = state.StateName ?? parameter.Name!;
            return activation => create(activation, name, state.StorageName);
        }

        if (parameter.GetCustomAttribute<FromKeyedServicesAttribute>() is { } keyed)
            return activation => ((IKeyedServiceProvider)activation.ActivationServices).GetRequiredKeyedService(type, keyed.Key);
        return parameter.HasDefaultValue
            ? activation => activation.ActivationServices.GetService(type) ?? parameter.DefaultValue
            : activation => activation.ActivationServices.GetRequiredService(type);
    }

    private static PersistentState<T> CreateState<T>(Activation activation, string name, string? storage) =>
        activation.Add(PersistentState<T>.Create(activation, name, storage));

    private bool Implements(string hook)
    {
        if (!typeof(IGrainBase).IsAssignableFrom(Type)) return false;
        var map = Type.GetInterfaceMap(typeof(IGrainBase));
        var implementation = map.TargetMethods[Array.FindIndex(map.InterfaceMethods, m => m.Name == hook)];
        var declared = implementation.GetBaseDefinition() == implementation
            ? implementation
            : Type.GetMethod(hook, BindingFlags.Instance | BindingFlags.Public, implementation.GetParameters().Select(p => p.ParameterType).ToArray());
        return declared?.DeclaringType != typeof(Grain) && declared?.DeclaringType != typeof(IGrainBase);
    }

    private Func<object?, IInvokable, bool> Predicate(string name)
    {
        var method = Type.GetMethod(name, BindingFlags.Static | BindingFlags.Instance | BindingFlags.Public | BindingFlags.NonPublic | BindingFlags.FlattenHierarchy);
        if (method is null || method.ReturnType != typeof(bool) || method.GetParameters() is not [{ } parameter] || parameter.ParameterType != typeof(IInvokable))
            throw new OrleansConfigurationException($"{Type}: [MayInterleave] names {name}, which is no bool {name}(IInvokable)");
        var instance = Expression.Parameter(typeof(object));
        var request = Expression.Parameter(typeof(IInvokable));
        var call = Expression.Call(method.IsStatic ? null : Expression.Convert(instance, Type), method, request);
        var compiled = Expression.Lambda<Func<object?, IInvokable, bool>>(call, instance, request).Compile();
        return method.IsStatic ? compiled : (target, request) => target is not null && compiled(target, request);
    }
}
