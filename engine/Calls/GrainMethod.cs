using System.Reflection;
using Orleans;
using Orleans.Concurrency;
using Orleans.Runtime;

namespace DarkStorage.Engine;

/// <summary>What the engine knows of one method of a grain interface.</summary>
internal sealed class GrainMethod
{
    public GrainMethod(Type declaring, MethodInfo method)
    {
        Interface = declaring;
        Method = method;
        Name = method.Name;
        WireName = method.GetCustomAttribute<AliasAttribute>()?.Alias ?? (declaring.GetMethods().Count(m => m.Name == method.Name) == 1
            ? method.Name
            : $"{method.Name}({string.Join(',', method.GetParameters().Select(p => p.ParameterType))})");
        IsOneWay = method.IsDefined(typeof(OneWayAttribute));
        IsReadOnly = method.IsDefined(typeof(ReadOnlyAttribute));
        AlwaysInterleaves = method.IsDefined(typeof(AlwaysInterleaveAttribute));
        Timeout = method.GetCustomAttribute<ResponseTimeoutAttribute>()?.Timeout;
        IsCancellable = method.GetParameters().Any(p => p.ParameterType == typeof(CancellationToken));
    }

    /// <summary>A turn that the engine itself asks for: a timer's tick, or a pull from an enumeration.</summary>
    public GrainMethod(string name, bool alwaysInterleaves)
    {
        Interface = typeof(IAddressable);
        Name = name;
        WireName = name;
        AlwaysInterleaves = alwaysInterleaves;
    }

    public Type Interface { get; }

    public MethodInfo? Method { get; }

    public string Name { get; }

    /// <summary>Between silos: the alias, or the name, with the parameters' types where it is overloaded.</summary>
    public string WireName { get; }

    public bool IsOneWay { get; }

    public bool IsReadOnly { get; }

    public bool AlwaysInterleaves { get; }

    public bool IsCancellable { get; }

    public TimeSpan? Timeout { get; }

    /// <summary>False when every argument is of a type that never changes.</summary>
    public bool CopiesArguments { get; set; }

    /// <summary>The fields of the call that hold the arguments, in order; null for a cancellation token.</summary>
    public FieldInfo?[] Arguments { get; set; } = [];

    public override string ToString() => $"{Interface.Name}.{Name}";
}

internal readonly struct VoidResult;
