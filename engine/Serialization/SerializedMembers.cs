using System.Reflection;
using System.Runtime.CompilerServices;
using Orleans;

namespace DarkStorage.Engine;

/// <summary>One member that crosses grains: a field, or a property that has no field of its own.</summary>
/// <param name="Level">Which type of the chain of base types declares it, counted from the farthest base that crosses.</param>
/// <param name="Key">Its number within that type on the wire: twice an [Id]; twice a parameter's position, and one; a hash of the name, made odd.</param>
internal readonly record struct SerializedMember(FieldInfo? Field, PropertyInfo? Property, int Level = 0, ulong Key = 0)
{
    public Type Type => Field?.FieldType ?? Property!.PropertyType;

    public string Name => Property?.Name ?? Field!.Name;

    public MemberInfo Declared => (MemberInfo?)Property ?? Field!;
}

/// <summary>Which members of a type with <see cref="GenerateSerializerAttribute"/> cross grains.</summary>
internal static class SerializedMembers
{
    private const BindingFlags Declared =
        BindingFlags.Instance | BindingFlags.Public | BindingFlags.NonPublic | BindingFlags.DeclaredOnly;

    public static bool IsSerializable(Type type) => type.GetCustomAttribute<GenerateSerializerAttribute>(inherit: false) is not null;

    /// <summary>Base members first; within a type its parameters in order, then members by their number.</summary>
    public static List<SerializedMember> Of(Type type)
    {
        var members = new List<SerializedMember>();
        var chain = new Stack<Type>();
        for (var t = type; t is not null && t != typeof(object) && t != typeof(ValueType) && t != typeof(Exception); t = t.BaseType)
            if (IsSerializable(t)) chain.Push(t);
        var level = 0;
        foreach (var t in chain) AddDeclared(t, level++, members);
        return members;
    }

    /// <summary>How many types of the chain of base types, this one included, have members that cross.</summary>
    public static int LevelsOf(Type type)
    {
        var levels = 0;
        for (var t = type; t is not null; t = t.BaseType) levels += IsSerializable(t) ? 1 : 0;
        return levels;
    }

    private static void AddDeclared(Type type, int level, List<SerializedMember> members)
    {
        var attribute = type.GetCustomAttribute<GenerateSerializerAttribute>(inherit: false)!;
        var numbered = new SortedDictionary<uint, SerializedMember>();
        var implied = new List<SerializedMember>();

        foreach (var (position, name) in ConstructorParameters(type, attribute).Index())
        {
            var key = ((ulong)position * 2) + 1;
            if (type.GetProperty(name, Declared) is { } property) implied.Add(Member(type, property, level, key));
            else if (type.GetField($"<{name}>P", Declared) is { } captured) implied.Add(new(captured, null, level, key));
        }

        foreach (var property in type.GetProperties(Declared))
        {
            if (property.GetIndexParameters().Length > 0) continue;
            if (property.GetCustomAttribute<IdAttribute>() is { } id) Add(id.Id, Member(type, property, level, id.Id * 2UL));
            else if (attribute.GenerateFieldIds == GenerateFieldIds.PublicProperties && property.GetMethod?.IsPublic == true && property.CanWrite
                && !implied.Any(m => m.Name == property.Name))
                implied.Add(Member(type, property, level, (StableHash.ComputeHash(property.Name) * 2UL) + 1));
        }

        foreach (var field in type.GetFields(Declared))
            if (field.GetCustomAttribute<IdAttribute>() is { } id) Add(id.Id, new(field, null, level, id.Id * 2UL));

        members.AddRange(implied);
        members.AddRange(numbered.Values.Where(m => !implied.Any(i => i.Declared == m.Declared)));

        void Add(uint id, SerializedMember member)
        {
            if (!numbered.TryAdd(id, member))
                throw new InvalidOperationException($"{type}: [Id({id})] is on both {numbered[id].Name} and {member.Name}");
        }
    }

    private static SerializedMember Member(Type type, PropertyInfo property, int level, ulong key) =>
        new(type.GetField($"<{property.Name}>k__BackingField", Declared), property, level, key);

    /// <summary>A record's parameters are those of the <c>Deconstruct</c> that the compiler writes for it.</summary>
    private static IEnumerable<string> ConstructorParameters(Type type, GenerateSerializerAttribute attribute)
    {
        var isRecord = type.GetMethod("PrintMembers", Declared) is { } print && print.IsDefined(typeof(CompilerGeneratedAttribute));
        if (isRecord)
        {
            return type.GetMethods(Declared)
                .FirstOrDefault(m => m.Name == "Deconstruct" && m.IsDefined(typeof(CompilerGeneratedAttribute)))
                ?.GetParameters().Select(p => p.Name!) ?? [];
        }

        return attribute.IncludePrimaryConstructorParameters
            ? type.GetConstructors(Declared).SelectMany(c => c.GetParameters()).Select(p => p.Name!).Distinct()
            : [];
    }
}
