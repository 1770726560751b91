using System.Collections.Concurrent;
using System.Collections.Immutable;
using System.Reflection;
using Orleans;
using Orleans.Concurrency;
using Orleans.Runtime;
using Orleans.Serialization;

namespace DarkStorage.Engine;

/// <summary>
/// The names of types between silos: an alias or a full name, the arguments of a generic type in angle brackets, and <c>[]</c> behind
/// an array's element. A name is looked up in a fixed list, never loaded: what a peer may have made here is what this program itself
/// could send.
/// </summary>
internal static class WireTypes
{
    private const int NameLengthMax = 2048;
    private const int ArgumentsDepthMax = 8;
    private const int FoundMax = 16_384;   // closed types that peers named; no program has as many

    private static readonly ConcurrentDictionary<Type, string> Names = new();
    private static readonly ConcurrentDictionary<string, Type> Found = new();

    private static readonly Dictionary<Type, string> BuiltIn = new Type[]
    {
        typeof(object), typeof(bool), typeof(byte), typeof(sbyte), typeof(short), typeof(ushort), typeof(int), typeof(uint), typeof(long),
        typeof(ulong), typeof(char), typeof(float), typeof(double), typeof(nint), typeof(nuint), typeof(Type),
        typeof(List<>), typeof(Dictionary<,>), typeof(SortedDictionary<,>), typeof(HashSet<>), typeof(Queue<>), typeof(ReadOnlyMemory<>),
        typeof(Memory<>), typeof(ImmutableArray<>), typeof(ImmutableList<>), typeof(ImmutableHashSet<>), typeof(ImmutableDictionary<,>),
        typeof(ImmutableSortedDictionary<,>), typeof(Nullable<>), typeof(Immutable<>), typeof(KeyValuePair<,>),
        typeof(Tuple<>), typeof(Tuple<,>), typeof(Tuple<,,>), typeof(Tuple<,,,>), typeof(Tuple<,,,,>), typeof(Tuple<,,,,,>),
        typeof(Tuple<,,,,,,>), typeof(Tuple<,,,,,,,>), typeof(ValueTuple<>), typeof(ValueTuple<,>), typeof(ValueTuple<,,>), typeof(ValueTuple<,,,>),
        typeof(ValueTuple<,,,,>), typeof(ValueTuple<,,,,,>), typeof(ValueTuple<,,,,,,>), typeof(ValueTuple<,,,,,,,>),
        typeof(IAddressable), typeof(IEnumerable<>), typeof(IList<>), typeof(IReadOnlyList<>), typeof(ICollection<>), typeof(IReadOnlyCollection<>),
        typeof(IDictionary<,>), typeof(IReadOnlyDictionary<,>), typeof(ISet<>), typeof(IReadOnlySet<>),
    }.Concat(Copiers.ImmutableTypes).ToDictionary(type => type, type => type.Name);

    private static readonly Lazy<Dictionary<string, Type?>> Listed = new(List);

    /// <exception cref="CodecNotFoundException">The type is not one that may be named.</exception>
    public static string NameOf(Type type) => Names.GetOrAdd(type, static t =>
    {
        if (t.IsArray && t.GetArrayRank() == 1) return NameOf(t.GetElementType()!) + "[]";
        if (t.IsConstructedGenericType)
            return $"{NameOf(t.GetGenericTypeDefinition())}<{string.Join(',', t.GetGenericArguments().Select(NameOf))}>";
        return BuiltIn.TryGetValue(t, out var name) ? name : NameOfListed(t);
    });

    /// <exception cref="SerializerException">No type that may cross has this name.</exception>
    public static Type Find(string name)
    {
        if (Found.TryGetValue(name, out var known)) return known;
        if (name.Length > NameLengthMax) throw new SerializerException("A type's name is too long");
        if (Found.Count >= FoundMax) throw new SerializerException("Too many types were named");
        var rest = name.AsSpan();
        var type = Parse(ref rest, 0);
        if (rest.Length > 0) throw Unknown(name);
        if (Copiers.FindError(type, []) is { } error) throw new SerializerException(error);
        Found.TryAdd(name, type);
        return type;
    }

    public static Type FindInterface(string name)
    {
        var type = Find(name);
        return type.IsInterface && typeof(IAddressable).IsAssignableFrom(type) ? type : throw new SerializerException($"{name} is no grain interface");
    }

    /// <summary>Null when this program has no such exception.</summary>
    public static Type? FindException(string name)
    {
        Type type;
        try
        {
            type = Find(name);
        }
        catch (SerializerException)
        {
            // Another version's, perhaps: the caller makes a general one of it.
            return null;
        }

        return typeof(Exception).IsAssignableFrom(type) && !type.IsAbstract && !type.ContainsGenericParameters ? type : null;
    }

    private static Type Parse(ref ReadOnlySpan<char> rest, int depth)
    {
        if (depth > ArgumentsDepthMax) throw new SerializerException("A type's name is nested too deep");
        var end = rest.IndexOfAny("<>,[");
        var name = (end < 0 ? rest : rest[..end]).ToString();
        rest = end < 0 ? [] : rest[end..];
        var type = FindPlain(name);
        if (type.IsGenericTypeDefinition)
        {
            var arguments = new Type[type.GetGenericArguments().Length];
            for (var i = 0; i < arguments.Length; i++)
            {
                if (rest.IsEmpty || rest[0] != (i == 0 ? '<' : ',')) throw Unknown(name);
                rest = rest[1..];
                arguments[i] = Parse(ref rest, depth + 1);
            }

            if (rest.IsEmpty || rest[0] != '>') throw Unknown(name);
            rest = rest[1..];
            try
            {
                type = type.MakeGenericType(arguments);
            }
            catch (ArgumentException)
            {
                // An argument that the type does not take.
                throw Unknown(name);
            }
        }

        for (; rest.StartsWith("[]", StringComparison.Ordinal); rest = rest[2..]) type = type.MakeArrayType();
        return type;
    }

    private static Type FindPlain(string name)
    {
        if (Listed.Value.TryGetValue(name, out var listed))
            return listed ?? throw new SerializerException($"Several types of this program are named {name}: give them an [Alias] each");

        // Enums and exceptions need no attribute to cross, so those of the framework cross too, where they are loaded.
        foreach (var assembly in AppDomain.CurrentDomain.GetAssemblies())
        {
            if (assembly.IsDynamic || assembly.GetType(name, throwOnError: false) is not { } type) continue;
            if (type.IsEnum || typeof(Exception).IsAssignableFrom(type)) return type;
        }

        throw Unknown(name);
    }

    private static SerializerException Unknown(string name) => new($"No type \"{name}\" may cross grains");

    private static string NameOfListed(Type type)
    {
        var name = type.GetCustomAttribute<AliasAttribute>()?.Alias ?? type.FullName ?? type.Name;
        if (name.AsSpan().IndexOfAny("<>,[") >= 0) throw new CodecNotFoundException($"{type} has a name that cannot be sent: {name}");
        return name;
    }

    private static Dictionary<string, Type?> List()
    {
        var listed = BuiltIn.ToDictionary(entry => entry.Value, entry => (Type?)entry.Key);
        foreach (var type in GrainTypes.Assemblies().SelectMany(assembly => assembly.GetTypes()))
        {
            var isWanted = SerializedMembers.IsSerializable(type) || type.IsEnum
                || (typeof(Exception).IsAssignableFrom(type) && !type.IsAbstract)
                || (type.IsInterface && typeof(IAddressable).IsAssignableFrom(type));
            if (!isWanted) continue;
            var name = type.GetCustomAttribute<AliasAttribute>()?.Alias ?? type.FullName ?? type.Name;
            if (!listed.TryAdd(name, type) && listed[name] != type) listed[name] = null;
        }

        return listed;
    }
}
