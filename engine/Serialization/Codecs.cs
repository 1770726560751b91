using System.Collections.Concurrent;
using System.Collections.Immutable;
using System.Net;
using System.Numerics;
using System.Reflection;
using System.Text;
using Orleans;
using Orleans.Concurrency;
using Orleans.Runtime;
using Orleans.Serialization;

namespace DarkStorage.Engine;

/// <summary>
/// Decides how each type is written between silos. The rule of what may cross is <see cref="Copiers.FindError"/>, the one that holds
/// for calls within a silo, so a call never works here and fails there.
/// </summary>
internal static partial class Codecs
{
    private static readonly ConcurrentDictionary<Type, IBoxed> ByRuntimeType = new();

    private static readonly Dictionary<Type, WireKind> Kinds = new()
    {
        [typeof(bool)] = WireKind.Varint, [typeof(byte)] = WireKind.Varint, [typeof(sbyte)] = WireKind.Varint, [typeof(short)] = WireKind.Varint,
        [typeof(ushort)] = WireKind.Varint, [typeof(int)] = WireKind.Varint, [typeof(uint)] = WireKind.Varint, [typeof(long)] = WireKind.Varint,
        [typeof(ulong)] = WireKind.Varint, [typeof(char)] = WireKind.Varint, [typeof(nint)] = WireKind.Varint, [typeof(nuint)] = WireKind.Varint,
        [typeof(TimeSpan)] = WireKind.Varint, [typeof(DateOnly)] = WireKind.Varint, [typeof(TimeOnly)] = WireKind.Varint,
        [typeof(float)] = WireKind.Bytes4, [typeof(double)] = WireKind.Bytes8, [typeof(DateTime)] = WireKind.Bytes8,
        [typeof(Guid)] = WireKind.Bytes16, [typeof(decimal)] = WireKind.Bytes16, [typeof(ActivationId)] = WireKind.Bytes16,
        [typeof(string)] = WireKind.Text,
    };

    private static readonly Dictionary<Type, object> Simple = new object[]
    {
        Of<bool>((w, v) => w.Byte(v ? (byte)1 : (byte)0), r => r.Byte() switch { 0 => false, 1 => true, _ => throw new SerializerException("No truth value") }),
        Of<byte>((w, v) => w.Varint(v), r => checked((byte)r.Varint())),
        Of<sbyte>((w, v) => w.Signed(v), r => checked((sbyte)r.Signed())),
        Of<short>((w, v) => w.Signed(v), r => checked((short)r.Signed())),
        Of<ushort>((w, v) => w.Varint(v), r => checked((ushort)r.Varint())),
        Of<int>((w, v) => w.Signed(v), r => checked((int)r.Signed())),
        Of<uint>((w, v) => w.Varint(v), r => checked((uint)r.Varint())),
        Of<long>((w, v) => w.Signed(v), r => r.Signed()),
        Of<ulong>((w, v) => w.Varint(v), r => r.Varint()),
        Of<char>((w, v) => w.Varint(v), r => checked((char)r.Varint())),
        Of<nint>((w, v) => w.Signed(v), r => checked((nint)r.Signed())),
        Of<nuint>((w, v) => w.Varint(v), r => checked((nuint)r.Varint())),
        Of<float>((w, v) => w.UInt32(BitConverter.SingleToUInt32Bits(v)), r => BitConverter.UInt32BitsToSingle(r.UInt32())),
        Of<double>((w, v) => w.UInt64(BitConverter.DoubleToUInt64Bits(v)), r => BitConverter.UInt64BitsToDouble(r.UInt64())),
        Of<Half>((w, v) => w.Varint(BitConverter.HalfToUInt16Bits(v)), r => BitConverter.UInt16BitsToHalf(checked((ushort)r.Varint()))),
        Of<Int128>((w, v) => { w.UInt64((ulong)v); w.UInt64((ulong)(v >> 64)); }, r => { var low = r.UInt64(); return new(r.UInt64(), low); }),
        Of<UInt128>((w, v) => { w.UInt64((ulong)v); w.UInt64((ulong)(v >> 64)); }, r => { var low = r.UInt64(); return new(r.UInt64(), low); }),
        Of<decimal>(WriteDecimal, r => new([(int)r.UInt32(), (int)r.UInt32(), (int)r.UInt32(), (int)r.UInt32()])),
        Of<string>((w, v) => w.Text(v), r => r.Text()!),
        Of<Guid>((w, v) => { Span<byte> bytes = stackalloc byte[16]; v.TryWriteBytes(bytes); w.Bytes(bytes); }, r => new(r.Take(16))),
        Of<DateTime>(
            (w, v) => w.UInt64((ulong)v.Ticks | ((ulong)v.Kind << 62)),
            r => { var v = r.UInt64(); return new((long)(v & (ulong.MaxValue >> 2)), (DateTimeKind)(v >> 62)); }),
        Of<DateTimeOffset>(
            (w, v) => { w.UInt64((ulong)v.Ticks); w.Signed(v.TotalOffsetMinutes); },
            r => new((long)r.UInt64(), TimeSpan.FromMinutes(checked((int)r.Signed())))),
        Of<TimeSpan>((w, v) => w.Signed(v.Ticks), r => new(r.Signed())),
        Of<DateOnly>((w, v) => w.Varint((ulong)v.DayNumber), r => DateOnly.FromDayNumber(checked((int)r.Varint()))),
        Of<TimeOnly>((w, v) => w.Varint((ulong)v.Ticks), r => new(checked((long)r.Varint()))),
        Of<BigInteger>((w, v) => { var bytes = v.ToByteArray(); w.Varint((ulong)bytes.Length); w.Bytes(bytes); }, r => new(r.Take(r.Count(1)))),
        Of<Uri>((w, v) => w.Text(v?.OriginalString), r => r.Text() is { } text ? new(text, UriKind.RelativeOrAbsolute) : null!),
        Of<Version>((w, v) => w.Text(v?.ToString()), r => r.Text() is { } text ? Version.Parse(text) : null!),
        Of<IPAddress>((w, v) => w.Text(v?.ToString()), r => r.Text() is { } text ? IPAddress.Parse(text) : null!),
        Of<IPEndPoint>((w, v) => w.Text(v?.ToString()), r => r.Text() is { } text ? IPEndPoint.Parse(text) : null!),
        Of<CancellationToken>((w, _) => w.Byte(0), r => { r.Byte(); return default; }),
        Of<DBNull>((w, v) => w.Byte(v is null ? (byte)0 : (byte)1), r => r.Byte() == 0 ? null! : DBNull.Value),
        Of<VoidResult>((w, _) => w.Byte(0), r => { r.Byte(); return default; }),
        Of<GrainId>((w, v) => w.Grain(v), r => r.Grain()),
        Of<GrainType>((w, v) => w.Text(v.IsDefault ? null : v.ToString()), r => r.Text() is { } text ? GrainType.Create(text) : default),
        Of<IdSpan>((w, v) => { w.Varint((ulong)v.AsSpan().Length); w.Bytes(v.AsSpan()); }, r => new(r.Take(r.Count(1)).ToArray())),
        Of<GrainInterfaceType>((w, v) => w.Text(v.IsDefault ? null : v.ToString()), r => r.Text() is { } text ? GrainInterfaceType.Create(text) : default),
        Of<SiloAddress>((w, v) => w.Text(v?.ToParsableString()), r => r.Text() is { } text ? SiloAddress.Parse(text) : null!),
        Of<ActivationId>((w, v) => w.Bytes(v.ToGuid().ToByteArray()), r => new(new Guid(r.Take(16)))),
        Of<GrainAddress>(WriteAddress, ReadAddress),
        Of<TickStatus>(
            (w, v) => { Wire<DateTime>.Write(w, v.FirstTickTime); w.Signed(v.Period.Ticks); Wire<DateTime>.Write(w, v.CurrentTickTime); },
            r => new(Wire<DateTime>.Read(r), new(r.Signed()), Wire<DateTime>.Read(r))),
    }.ToDictionary(codec => codec.GetType().GetGenericArguments()[0]);

    // As in Copiers: the method is closed over the collection's own type arguments.
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
        [typeof(Nullable<>)] = nameof(NullableOf),
    };

    private interface IBoxed
    {
        void Write(WireWriter writer, object value);

        object? Read(WireReader reader);
    }

    public static WireKind KindOf(Type type)
    {
        if (type.IsEnum) type = type.GetEnumUnderlyingType();
        return Kinds.GetValueOrDefault(type, WireKind.Block);
    }

    public static (Codec<T>? Codec, string? Error) Build<T>()
    {
        var type = typeof(T);
        if (Copiers.FindError(type, []) is { } error) return (null, error);
        if (Simple.TryGetValue(type, out var simple)) return ((Codec<T>)simple, null);
        if (type.IsEnum) return (Make<T>(nameof(EnumOf), type, type.GetEnumUnderlyingType()), null);
        if (typeof(Exception).IsAssignableFrom(type)) return (Close<T>(typeof(ExceptionCodec<>)), null);
        if (typeof(Type).IsAssignableFrom(type)) return (Close<T>(typeof(TypeCodec<>)), null);
        if (typeof(IAddressable).IsAssignableFrom(type) || typeof(IGrainBase).IsAssignableFrom(type)) return (new ReferenceCodec<T>(), null);
        if (Copiers.IsOpen(type)) return (new OpenCodec<T>(), null);
        if (type == typeof(byte[])) return ((Codec<T>)(object)new BytesCodec(), null);
        if (type == typeof(ImmutableArray<byte>)) return ((Codec<T>)(object)new SimpleCodec<ImmutableArray<byte>>(WriteNumbers, ReadNumbers), null);
        if (type.IsArray) return (Make<T>(nameof(ArrayOf), type.GetElementType()!), null);
        if (type.IsGenericType && Collections.TryGetValue(type.GetGenericTypeDefinition(), out var collection))
            return (Make<T>(collection, type.GetGenericArguments()), null);
        try
        {
            return (Close<T>(type.IsValueType ? typeof(StructCodec<>) : typeof(ClassCodec<>)), null);
        }
        catch (TargetInvocationException failure)
        {
            return (null, failure.InnerException!.Message);
        }
    }

    public static void WriteNamed(WireWriter writer, object value)
    {
        // A grain that gives itself away gives a reference to itself.
        if (value is IGrainBase grain and not GrainReference) value = grain.GrainContext.GrainReference;
        var type = value switch
        {
            Type => typeof(Type),
            GrainReference => typeof(IAddressable),
            _ => value.GetType(),
        };
        writer.Enter();
        writer.Byte(WireHeader.Named);
        writer.Name(WireTypes.NameOf(type));
        Boxed(type).Write(writer, value);
        writer.Leave();
    }

    /// <summary>After the header: the name, then the value.</summary>
    public static object ReadNamed(WireReader reader, Type declared)
    {
        var type = WireTypes.Find(reader.Name());
        if (!declared.IsAssignableFrom(type) && type != typeof(IAddressable))
            throw new SerializerException($"A {type} stands where a {declared} is expected");
        reader.Enter();
        reader.Charge(32);
        var value = Boxed(type).Read(reader);
        reader.Leave();
        return declared.IsInstanceOfType(value) ? value : throw new SerializerException($"What is said to be a {type} is no {declared}");
    }

    private static IBoxed Boxed(Type type) =>
        ByRuntimeType.GetOrAdd(type, static t => (IBoxed)Activator.CreateInstance(typeof(BoxedCodec<>).MakeGenericType(t))!);

    private static SimpleCodec<T> Of<T>(Action<WireWriter, T> write, Func<WireReader, T> read) => new(write, read);

    private static Codec<T> Close<T>(Type codec) => (Codec<T>)Activator.CreateInstance(codec.MakeGenericType(typeof(T)))!;

    private static Codec<T> Make<T>(string method, params Type[] arguments) => (Codec<T>)typeof(Codecs)
        .GetMethod(method, BindingFlags.NonPublic | BindingFlags.Static)!.MakeGenericMethod(arguments).Invoke(null, null)!;

    private static void WriteDecimal(WireWriter writer, decimal value)
    {
        Span<int> parts = stackalloc int[4];
        decimal.GetBits(value, parts);
        foreach (var part in parts) writer.UInt32((uint)part);
    }

    private static void WriteAddress(WireWriter writer, GrainAddress? value)
    {
        writer.Byte(value is null ? (byte)0 : (byte)1);
        if (value is null) return;
        writer.Grain(value.GrainId);
        Wire<ActivationId>.Write(writer, value.ActivationId);
        Wire<SiloAddress?>.Write(writer, value.SiloAddress);
    }

    private static GrainAddress ReadAddress(WireReader reader) => reader.Byte() == 0 ? null! : new()
    {
        GrainId = reader.Grain(),
        ActivationId = Wire<ActivationId>.Read(reader),
        SiloAddress = Wire<SiloAddress?>.Read(reader),
    };

    private static SimpleCodec<TEnum> EnumOf<TEnum, TNumber>() where TEnum : struct where TNumber : struct => new(
        static (w, v) => Wire<TNumber>.Write(w, System.Runtime.CompilerServices.Unsafe.BitCast<TEnum, TNumber>(v)),
        static r => System.Runtime.CompilerServices.Unsafe.BitCast<TNumber, TEnum>(Wire<TNumber>.Read(r)));

    private sealed class BoxedCodec<T> : IBoxed
    {
        public void Write(WireWriter writer, object value) => Wire<T>.Write(writer, (T)value);

        public object? Read(WireReader reader) => Wire<T>.Read(reader);
    }

    private sealed class TypeCodec<T> : Codec<T>
        where T : Type
    {
        public override void Write(WireWriter writer, T value)
        {
            writer.Byte(value is null ? WireHeader.Null : WireHeader.Named);
            if (value is not null) writer.Name(WireTypes.NameOf(value));
        }

        public override T Read(WireReader reader) => reader.Byte() == WireHeader.Null ? null! : (T)WireTypes.Find(reader.Name());
    }

    /// <summary>A reference to a grain: which grain, behind which interface.</summary>
    private sealed class ReferenceCodec<T> : Codec<T>
    {
        public override void Write(WireWriter writer, T value)
        {
            object? target = value is IGrainBase grain and not GrainReference ? grain.GrainContext.GrainReference.As(typeof(T)) : value;
            if (target is null)
            {
                writer.Byte(WireHeader.Null);
                return;
            }

            if (target is not GrainReference reference)
                throw new CodecNotFoundException($"{target.GetType()} is neither a grain nor a reference to one");
            writer.Byte(WireHeader.Here);
            writer.Grain(reference.GrainId);
            writer.Name(Proxies.InterfaceOf(reference.GetType()) is { } contract ? WireTypes.NameOf(contract) : "");
        }

        public override T Read(WireReader reader)
        {
            if (reader.Byte() == WireHeader.Null) return default!;
            reader.Charge(128);
            var id = reader.Grain();
            var name = reader.Name();
            var silo = reader.Silo ?? throw new SerializerException("A reference to a grain is not expected here");
            var reference = name.Length == 0 ? new GrainReference(silo, id) : silo.References.Create(WireTypes.FindInterface(name), id);
            return reference is T typed ? typed : throw new SerializerException($"A reference to a {name} stands where a {typeof(T)} is expected");
        }
    }
}
