namespace System.Runtime.CompilerServices;

/// <summary>Known to the runtime by its name: the assembly that bears it may use the internal types of the one it names.</summary>
[AttributeUsage(AttributeTargets.Assembly, AllowMultiple = true)]
internal sealed class IgnoresAccessChecksToAttribute(string assemblyName) : Attribute
{
    public string AssemblyName { get; } = assemblyName;
}
