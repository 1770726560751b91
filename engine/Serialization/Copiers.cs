using System.Collections.Concurrent;
using System.Collections.Immutable;
using System.Net;
using System.Numerics;
using System.Reflection;
using System.Reflection.Emit;
using System.Runtime.CompilerServices;
using Orleans;
using Orleans.Concurrency;
using Orleans.Runtime;
using Orleans.Serialization;

namespace DarkStorage.Engine;

/// <summary>
/// Decides how each type is copied between grains, and compiles the copiers of types with <see cref="GenerateSerializerAttribute"/>.
/// A type that is none of these fails with <see cref="CodecNotFoundException"/>: it could not be put on a wire either.
/// </summary>
internal static class Copiers
{
    private static readonly ConcurrentDictionary<Type, Func<object, CopyContext, object>> ByRuntimeType = new();

    public static readonly HashSet<Type> ImmutableTypes =
    [
        typeof(string), typeof(decimal), typeof(Guid), typeof(DateTime), typeof(DateTimeOffset), typeof(TimeSpan), typeof(DateOnly),
        typeof(TimeOnly), typeof(Half), typeof(Int128), typeof(UInt128), typeof(BigInteger), typeof(Uri), typeof(Version),
        typeof(IPAddress), typeof(IPEndPoint), typeof(CancellationToken), typeof(GrainId), typeof(GrainType), typeof(IdSpan),
        typeof(GrainInterfaceType), typeof(SiloAddress), typeof(ActivationId), typeof(GrainAddress), typeof(DBNull), typeof(TickStatus),
        typeof(VoidResult),
    ];

    // Generic collections with a way to copy that knows them. The method is closed over the collection's own type arguments.
    private static readonly Dictionary<Type, string> Collections = new()
    {
        [typeof(List<>)] = nameof(ListOf),
        [typeof(Dictionary<,>)] = nameof(DictionaryOf),
        [typeof(SortedDictionary<,>)] = nameof(SortedDictionaryOf),
        [typeof(HashSet<>)] = nameof(HashSetOf),
        [typeof(Queue<>)] = nameof(QueueOf),
        [typeof(ReadOnlyMemory<>)] = nameof(ReadOnlyMemoryOf),
        [typeof(Memory<>)] = nameof(MemoryOf),
        [typeof(ImmutableArray<>)] = nameof(ImmutableArrayOf),
        [typeof(ImmutableList<>)] = nameof(ImmutableListOf),
        [typeof(ImmutableHashSet<>)] = nameof(ImmutableHashSetOf),
        [typeof(ImmutableDictionary<,>)] = nameof(ImmutableDictionaryOf),
        [typeof(ImmutableSortedDictionary<,>)] = nameof(ImmutableSortedDictionaryOf),
    };

    /// <summary>Copies a value by the type that it turns out to have.</summary>
    public static object CopyBoxed(object value, CopyContext context) =>
        ByRuntimeType.GetOrAdd(value.GetType(), static type => typeof(Copiers)
            .GetMethod(nameof(Boxed), BindingFlags.NonPublic | BindingFlags.Static)!
            .MakeGenericMethod(type).CreateDelegate<Func<object, CopyContext, object>>())(value, context);

    public static Copier<T> Build<T>()
    {
        var type = typeof(T);
        if (FindError(type, []) is { } error) return new(null, error);
        if (IsImmutable(type, [])) return Copier<T>.Immutable;
        if (typeof(IAddressable).IsAssignableFrom(type) || typeof(IGrainBase).IsAssignableFrom(type)) return Copier<T>.By(CopyReference);
        if (IsOpen(type)) return Copier<T>.By((value, context) => (T)CopyBoxed(value!, context));
        if (type.IsArray) return Invoke<T>(nameof(ArrayOf), type.GetElementType()!);
        if (type.IsGenericType && Collections.TryGetValue(type.GetGenericTypeDefinition(), out var collection))
            return Invoke<T>(collection, type.GetGenericArguments());
        return Compile<T>();
    }

    /// <summary>Why values of this type cannot cross grains, or null. What is only known at run time is judged then.</summary>
    public static string? FindError(Type type, HashSet<Type> seen)
    {
        if (!seen.Add(type) || IsKnown(type) || IsOpen(type)) return null;
        if (type.IsPointer || type.IsByRef || type.IsByRefLike) return $"{type} cannot cross grains";
        if (type.IsArray) return FindError(type.GetElementType()!, seen);
        if (Nullable.GetUnderlyingType(type) is { } underlying) return FindError(underlying, seen);
        if (type.IsGenericType && (Collections.ContainsKey(type.GetGenericTypeDefinition()) || IsTuple(type) || IsImmutableWrapper(type)))
            return type.GetGenericArguments().Select(t => FindError(t, seen)).FirstOrDefault(e => e is not null);
        if (typeof(Delegate).IsAssignableFrom(type) || !SerializedMembers.IsSerializable(type))
            return $"Could not find a copier for type {type}: it has no [GenerateSerializer]";
        return SerializedMembers.Of(type)
            .Select(member => (member.Name, Error: FindError(member.Type, seen)))
            .Where(found => found.Error is not null)
            .Select(found => $"{found.Error}, in {type}.{found.Name}").FirstOrDefault();
    }

    private static bool IsKnown(Type type) => type.IsPrimitive || type.IsEnum || ImmutableTypes.Contains(type)
        || typeof(Exception).IsAssignableFrom(type) || typeof(Type).IsAssignableFrom(type)
        || typeof(IAddressable).IsAssignableFrom(type);

    /// <summary>Values are of a derived type, so their own type decides.</summary>
    public static bool IsOpen(Type type) => type == typeof(object) || type.IsInterface || type.IsAbstract;

    public static bool IsTuple(Type type) => type.IsGenericType
        && (typeof(ITuple).IsAssignableFrom(type) || type.GetGenericTypeDefinition() == typeof(KeyValuePair<,>));

    public static bool IsImmutableWrapper(Type type) => type.GetGenericTypeDefinition() == typeof(Immutable<>);

    private static bool IsImmutable(Type type, HashSet<Type> seen)
    {
        // Exceptions are thrown, not changed: the one that the grain threw is the one that its caller catches.
        if (IsKnown(type)) return !typeof(IAddressable).IsAssignableFrom(type) || typeof(GrainReference).IsAssignableFrom(type);
        if (type.IsGenericType && IsImmutableWrapper(type)) return true;
        if (Nullable.GetUnderlyingType(type) is { } underlying) return IsImmutable(underlying, seen);
        if (IsOpen(type) || type.IsArray) return false;
        if (type.IsGenericType && type.Namespace == typeof(ImmutableArray).Namespace)
            return type.GetGenericArguments().All(argument => IsImmutable(argument, seen));
        if (type.IsGenericType && Collections.ContainsKey(type.GetGenericTypeDefinition())) return false;
        if (type.IsDefined(typeof(ImmutableAttribute), inherit: false)) return type.IsSealed || type.IsValueType;
        return type.IsValueType && seen.Add(type) && Fields(type).All(field => IsImmutable(field.FieldType, seen));
    }

    public static FieldInfo[] Fields(Type type) => type.GetFields(BindingFlags.Instance | BindingFlags.Public | BindingFlags.NonPublic);

    private static object Boxed<T>(object value, CopyContext context) => DeepCopy<T>.Copy((T)value, context)!;

    /// <summary>A grain that gives itself away gives a reference to itself.</summary>
    private static T CopyReference<T>(T value, CopyContext context) =>
        value is IGrainBase grain and not GrainReference ? (T)grain.GrainContext.GrainReference.As(typeof(T)) : value;

    private static Copier<T> Invoke<T>(string method, params Type[] arguments) => (Copier<T>)typeof(Copiers)
        .GetMethod(method, BindingFlags.NonPublic | BindingFlags.Static)!.MakeGenericMethod(arguments).Invoke(null, null)!;

    private static Copier<T[]> ArrayOf<T>()
    {
        return DeepCopy<T>.IsImmutable
            ? Copier<T[]>.By((from, context) => Track(from, context, (T[])from.Clone()))
            : Copier<T[]>.By((from, context) =>
            {
                if (context.TryGet(from, out var done)) return (T[])done;
                var to = new T[from.Length];
                context.Add(from, to);
                for (var i = 0; i < from.Length; i++) to[i] = DeepCopy<T>.Copy(from[i], context);
                return to;
            });

        static T[] Track(T[] from, CopyContext context, T[] to)
        {
            if (context.TryGet(from, out var done)) return (T[])done;
            context.Add(from, to);
            return to;
        }
    }

    private static Copier<List<T>> ListOf<T>() => Copier<List<T>>.By((from, context) =>
    {
        if (context.TryGet(from, out var done)) return (List<T>)done;
        var to = DeepCopy<T>.IsImmutable ? new List<T>(from) : new List<T>(from.Count);
        context.Add(from, to);
        if (DeepCopy<T>.IsImmutable) return to;
        foreach (var item in from) to.Add(DeepCopy<T>.Copy(item, context));
        return to;
    });

    private static Copier<Dictionary<TKey, TValue>> DictionaryOf<TKey, TValue>() where TKey : notnull =>
        Copier<Dictionary<TKey, TValue>>.By((from, context) =>
        {
            if (context.TryGet(from, out var done)) return (Dictionary<TKey, TValue>)done;
            Codecs.IndexOfComparer<TKey>(from.Comparer, EqualityComparer<TKey>.Default);
            var to = new Dictionary<TKey, TValue>(from.Count, from.Comparer);
            context.Add(from, to);
            foreach (var (key, value) in from) to.Add(DeepCopy<TKey>.Copy(key, context), DeepCopy<TValue>.Copy(value, context));
            return to;
        });

    private static Copier<SortedDictionary<TKey, TValue>> SortedDictionaryOf<TKey, TValue>() where TKey : notnull =>
        Copier<SortedDictionary<TKey, TValue>>.By((from, context) =>
        {
            if (context.TryGet(from, out var done)) return (SortedDictionary<TKey, TValue>)done;
            Codecs.IndexOfComparer<TKey>(from.Comparer, Comparer<TKey>.Default);
            var to = new SortedDictionary<TKey, TValue>(from.Comparer);
            context.Add(from, to);
            foreach (var (key, value) in from) to.Add(DeepCopy<TKey>.Copy(key, context), DeepCopy<TValue>.Copy(value, context));
            return to;
        });

    private static Copier<HashSet<T>> HashSetOf<T>() => Copier<HashSet<T>>.By((from, context) =>
    {
        if (context.TryGet(from, out var done)) return (HashSet<T>)done;
        Codecs.IndexOfComparer<T>(from.Comparer, EqualityComparer<T>.Default);
        var to = new HashSet<T>(from.Count, from.Comparer);
        context.Add(from, to);
        foreach (var item in from) to.Add(DeepCopy<T>.Copy(item, context));
        return to;
    });

    private static Copier<Queue<T>> QueueOf<T>() => Copier<Queue<T>>.By((from, context) =>
    {
        if (context.TryGet(from, out var done)) return (Queue<T>)done;
        var to = new Queue<T>(from.Count);
        context.Add(from, to);
        foreach (var item in from) to.Enqueue(DeepCopy<T>.Copy(item, context));
        return to;
    });

    private static Copier<ReadOnlyMemory<T>> ReadOnlyMemoryOf<T>() =>
        Copier<ReadOnlyMemory<T>>.By((from, context) => DeepCopy<T[]>.Copy(from.ToArray(), context));

    private static Copier<Memory<T>> MemoryOf<T>() =>
        Copier<Memory<T>>.By((from, context) => DeepCopy<T[]>.Copy(from.ToArray(), context));

    private static Copier<ImmutableArray<T>> ImmutableArrayOf<T>() => Copier<ImmutableArray<T>>.By((from, context) =>
        from.IsDefault ? from : ImmutableArray.CreateRange(from, DeepCopy<T>.Copy, context));

    private static Copier<ImmutableList<T>> ImmutableListOf<T>() => Copier<ImmutableList<T>>.By((from, context) =>
        ImmutableList.CreateRange(from.Select(item => DeepCopy<T>.Copy(item, context))));

    private static Copier<ImmutableHashSet<T>> ImmutableHashSetOf<T>() => Copier<ImmutableHashSet<T>>.By((from, context) =>
        ImmutableHashSet.CreateRange(from.KeyComparer, from.Select(item => DeepCopy<T>.Copy(item, context))));

    private static Copier<ImmutableDictionary<TKey, TValue>> ImmutableDictionaryOf<TKey, TValue>() where TKey : notnull =>
        Copier<ImmutableDictionary<TKey, TValue>>.By((from, context) => ImmutableDictionary.CreateRange(
            from.KeyComparer, from.ValueComparer, from.Select(pair => CopyPair(pair, context))));

    private static Copier<ImmutableSortedDictionary<TKey, TValue>> ImmutableSortedDictionaryOf<TKey, TValue>() where TKey : notnull =>
        Copier<ImmutableSortedDictionary<TKey, TValue>>.By((from, context) => ImmutableSortedDictionary.CreateRange(
            from.KeyComparer, from.ValueComparer, from.Select(pair => CopyPair(pair, context))));

    private static KeyValuePair<TKey, TValue> CopyPair<TKey, TValue>(KeyValuePair<TKey, TValue> pair, CopyContext context) =>
        new(DeepCopy<TKey>.Copy(pair.Key, context), DeepCopy<TValue>.Copy(pair.Value, context));

    private delegate void CopyMembers<T>(ref T from, ref T to, CopyContext context);

    /// <summary>A fresh object with the members that cross; what has no [Id] stays behind, as it would on a wire.</summary>
    private static Copier<T> Compile<T>()
    {
        var type = typeof(T);
        var members = IsTuple(type) || Nullable.GetUnderlyingType(type) is not null
            ? [.. Fields(type).Select(field => new SerializedMember(field, null))]
            : SerializedMembers.Of(type);
        var copyMembers = EmitCopy<T>(members);

        if (type.IsValueType)
        {
            return Copier<T>.By((from, context) =>
            {
                T to = default!;
                copyMembers(ref from, ref to, context);
                return to;
            });
        }

        var hasConstructor = type.GetConstructor(Type.EmptyTypes) is not null;
        var isImmutable = type.IsDefined(typeof(ImmutableAttribute), inherit: false);
        return Copier<T>.By((from, context) =>
        {
            if (from!.GetType() != typeof(T)) return (T)CopyBoxed(from, context);
            if (isImmutable) return from;
            if (context.TryGet(from, out var done)) return (T)done;
            var to = hasConstructor ? Activator.CreateInstance<T>() : (T)RuntimeHelpers.GetUninitializedObject(typeof(T));
            context.Add(from, to!);
            copyMembers(ref from, ref to, context);
            return to;
        });
    }

    private static CopyMembers<T> EmitCopy<T>(List<SerializedMember> members)
    {
        var owner = typeof(T);
        var method = new DynamicMethod(
            $"Copy {owner}", typeof(void), [owner.MakeByRefType(), owner.MakeByRefType(), typeof(CopyContext)], typeof(Copiers).Module, true);
        var il = method.GetILGenerator();
        foreach (var member in members)
        {
            if (member.Field is null && member.Property is not { CanRead: true, CanWrite: true })
                throw new InvalidOperationException($"{owner}.{member.Name} has an [Id], but no field of its own and no get and set");
            Load(OpCodes.Ldarg_1);
            Load(OpCodes.Ldarg_0);
            if (member.Field is { } read) il.Emit(OpCodes.Ldfld, read);
            else il.Emit(owner.IsValueType ? OpCodes.Call : OpCodes.Callvirt, member.Property!.GetMethod!);

            var copier = typeof(DeepCopy<>).MakeGenericType(member.Type);
            if (!member.Declared.IsDefined(typeof(ImmutableAttribute)) && !IsImmutable(member.Type, []))
            {
                il.Emit(OpCodes.Ldarg_2);
                il.Emit(OpCodes.Call, copier.GetMethod("Copy", [member.Type, typeof(CopyContext)])!);
            }

            if (member.Field is { } write) il.Emit(OpCodes.Stfld, write);
            else il.Emit(owner.IsValueType ? OpCodes.Call : OpCodes.Callvirt, member.Property!.SetMethod!);
        }

        il.Emit(OpCodes.Ret);
        return method.CreateDelegate<CopyMembers<T>>();

        void Load(OpCode argument)
        {
            il.Emit(argument);
            if (!owner.IsValueType) il.Emit(OpCodes.Ldind_Ref);
        }
    }
}
