#pragma warning disable
namespace Orleans
{
    public interface IGrain { }
    public interface IGrainWithStringKey : IGrain { }
    public interface IGrainWithIntegerKey : IGrain { }
    [AttributeUsage(AttributeTargets.All)] public sealed class GenerateSerializerAttribute : Attribute { }
    [AttributeUsage(AttributeTargets.All)] public sealed class IdAttribute(uint id) : Attribute { public uint Id { get; } = id; }
    [AttributeUsage(AttributeTargets.All)] public sealed class AliasAttribute(string alias) : Attribute { public string Alias { get; } = alias; }
    [AttributeUsage(AttributeTargets.All)] public sealed class ImmutableAttribute : Attribute { }
}
namespace Orleans.Concurrency { [AttributeUsage(AttributeTargets.All)] public sealed class AlwaysInterleaveAttribute : Attribute { } }
