using System.Reflection;

namespace Orleans.Serialization.Invocation;

/// <summary>One call: the method and its arguments.</summary>
public interface IInvokable
{
    int GetArgumentCount();

    object? GetArgument(int index);

    void SetArgument(int index, object? value);

    string GetMethodName();

    string GetInterfaceName();

    Type GetInterfaceType();

    MethodInfo GetMethod();

    /// <summary>The grain object, once the call runs.</summary>
    object? GetTarget();

    CancellationToken GetCancellationToken();
}
