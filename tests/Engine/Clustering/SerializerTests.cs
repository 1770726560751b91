#if EMBEDDED_ENGINE
using System.Collections.Immutable;
using System.Net;
using System.Numerics;
using Orleans.Serialization;

namespace DarkStorage.Engine.Tests;

#pragma warning disable CA1051 // Fields, since a type may have them.

public enum Shade : byte
{
    Red = 1,
    Green = 200,
}

[GenerateSerializer, Alias("tests.spot")]
public readonly record struct Spot(int X, long Y);

[GenerateSerializer]
public abstract class Animal
{
    [Id(0)] public string? Name { get; set; }
}

[GenerateSerializer]
public sealed class Dog : Animal
{
    [Id(0)] public int Age { get; set; }

    [Id(1)] public Animal? Friend { get; set; }

    public string NotSent { get; set; } = "default";
}

[GenerateSerializer, Immutable]
public sealed record Leaf(string? Text, double Weight, DateTimeOffset At)
{
    [Id(0)] public Guid Extra { get; init; }
}

[GenerateSerializer]
public class Tree
{
    [Id(0)] public Tree? Left;
    [Id(1)] public Tree? Right;
    [Id(2)] public object? Any;
    [Id(3)] public List<Tree?>? Many;
    [Id(4)] public Dictionary<string, Leaf?>? Leaves;
    [Id(5)] public (int, string?, Spot?) Tuple;
    [Id(6)] public byte[]? Bytes;
    [Id(7)] public ImmutableArray<string> Texts;
    [Id(8)] public Shade Shade;
    [Id(9)] public decimal Money;
    [Id(10)] public DateTime Time;
    [Id(11)] public Animal? Animal;
    [Id(12)] public HashSet<long>? Numbers;
    [Id(13)] public Immutable<int[]> Fixed;
    [Id(14)] public int?[]? Optional;
    [Id(15)] public IReadOnlyList<Spot>? Points;
}

[GenerateSerializer]
public class SecondVersion
{
    [Id(0)] public int Kept;
    [Id(1)] public Tree? Dropped;
    [Id(2)] public string? AlsoDropped;
    [Id(3)] public Tree? SharedWithDropped;
    [Id(4)] public double Number;
    [Id(5)] public Guid Key;
}

[GenerateSerializer]
public class FirstVersion
{
    [Id(0)] public int Kept;
    [Id(3)] public Tree? SharedWithDropped;
    [Id(9)] public string MissingThere = "as before";
}

#pragma warning restore CA1051

[GenerateSerializer]
public sealed class TooBusyException(string message, int seconds) : Exception(message)
{
    [Id(0)] public int Seconds { get; } = seconds;
}

public sealed class OddException(string name) : Exception($"odd: {name}");

public sealed class UnfitException : Exception
{
    private readonly List<string> _parts = ["one", "two"];

    public override string Message => string.Join(", ", _parts);
}

public sealed class SerializerTests
{
    private const int BytesMax = 1 << 24;

    public static TheoryData<int> Seeds => [.. Enumerable.Range(1, 20)];

    [Theory]
    [MemberData(nameof(Seeds))]
    public void What_comes_back_is_what_a_deep_copy_is(int seed)
    {
        var random = new Random(seed);
        for (var i = 0; i < 100; i++)
        {
            var value = new Arbitrary(random).Tree(4)!;
            var there = Bytes(value);
            var back = Read<Tree>(there);
            // The same bytes: the same values, sharing the same objects in the same places.
            Assert.Equal(Bytes(DeepCopy<Tree>.Copy(value)), Bytes(back));
            Assert.Equal(there, Bytes(back));
        }
    }

    [Theory]
    [MemberData(nameof(Seeds))]
    public void Damaged_and_random_bytes_end_in_a_refusal_within_limits(int seed)
    {
        var random = new Random(seed);
        for (var i = 0; i < 400; i++)
        {
            var bytes = Bytes(new Arbitrary(random).Tree(3)!);
            if (i % 4 == 0) random.NextBytes(bytes);
            else if (i % 4 == 1) bytes = bytes[..random.Next(bytes.Length)];
            else for (var n = random.Next(1, 8); n > 0; n--) bytes[random.Next(bytes.Length)] = (byte)(n % 2 == 0 ? random.Next(256) : 0xFF);
            var before = GC.GetAllocatedBytesForCurrentThread();
            try
            {
                Read<Tree>(bytes);
            }
            catch (SerializerException)
            {
                // As it should be.
            }

            var allocated = GC.GetAllocatedBytesForCurrentThread() - before;
            Assert.True(allocated < 1_000_000 + (200L * bytes.Length), $"seed {seed}, run {i}: {allocated} bytes for {bytes.Length}");
        }
    }

    [Fact]
    public void A_count_that_is_not_there_is_not_believed()
    {
        byte[] list = [WireHeader.Here, 0xFF, 0xFF, 0xFF, 0xFF, 0x07];
        Assert.Throws<SerializerException>(() => Read<List<Guid>>(list));
        Assert.Throws<SerializerException>(() => Read<long[]>(list));
        Assert.Throws<SerializerException>(() => Read<Dictionary<string, int>>(list));
        Assert.Throws<SerializerException>(() => Read<string>([0xFF, 0xFF, 0xFF, 0xFF, 0x07]));
    }

    [Fact]
    public void Nesting_has_a_limit_for_writer_and_reader_alike()
    {
        var chain = new Tree();
        for (var i = 0; i < WireWriter.DepthMax + 1; i++) chain = new() { Left = chain };
        Assert.Throws<SerializerException>(() => Bytes(chain));
        var nested = new List<byte>();
        for (var i = 0; i < 100_000; i++) nested.AddRange([WireHeader.Named, 0, 7, .. "Object"u8]);
        Assert.Throws<SerializerException>(() => Read<object>([.. nested]));
    }

    [Fact]
    public void A_message_larger_than_one_may_be_is_refused_where_it_is_written()
    {
        using var writer = Writer(10_000);
        Assert.Throws<SerializerException>(() => Wire<byte[]>.Write(writer, new byte[20_000]));
    }

    [Fact]
    public void A_type_that_may_not_cross_cannot_be_named()
    {
        foreach (var name in new[] { "System.IO.FileInfo", "System.Diagnostics.Process", "List`1<System.IO.FileInfo>", "List`1", "Dictionary`2<String>", "[]", "" })
        {
            using var writer = Writer();
            writer.Byte(WireHeader.Named);
            writer.Name(name);
            writer.Byte(WireHeader.Here);
            Assert.Throws<SerializerException>(() => Read<object>(writer.Written.ToArray()));
        }
    }

    [Fact]
    public void Every_simple_type_crosses_as_itself()
    {
        object[] values =
        [
            true, (byte)200, (sbyte)-3, (short)-300, (ushort)60_000, -70_000, 4_000_000_000u, long.MinValue, ulong.MaxValue, 'ä', (nint)(-5), (nuint)6,
            1.5f, double.NaN, (Half)2.5, Int128.MinValue, UInt128.MaxValue, 123.456m, "text", Guid.NewGuid(), DateTime.UtcNow, DateTime.Now,
            DateTimeOffset.Now, TimeSpan.FromTicks(-7), DateOnly.FromDateTime(DateTime.Now), TimeOnly.MaxValue, BigInteger.Pow(-7, 99),
            new Uri("https://a.example/b?c"), new Version(1, 2, 3, 4), IPAddress.Parse("10.0.0.1"), new IPEndPoint(IPAddress.Loopback, 80), DBNull.Value,
            GrainId.Create("type", "key"), GrainType.Create("t"), IdSpan.Create("k"), GrainInterfaceType.Create("i"), SiloAddress.New(IPAddress.Loopback, 1, 2),
            ActivationId.NewId(), Shade.Green, DayOfWeek.Friday, typeof(List<Spot>), new Spot(1, 2), (1, "two"), new KeyValuePair<int, string>(1, "b"),
            new TickStatus(DateTime.UtcNow, TimeSpan.FromMinutes(1), DateTime.UtcNow),
        ];
        foreach (var value in values) Assert.Equal(value, Read<object>(Bytes<object>(value)));
        Assert.Equal(Tuple.Create(1, "b"), Read<Tuple<int, string>>(Bytes(Tuple.Create(1, "b"))));
    }

    [Fact]
    public void Every_collection_crosses_with_its_comparer()
    {
        var map = Read<Dictionary<string, int>>(Bytes(new Dictionary<string, int>(StringComparer.OrdinalIgnoreCase) { ["A"] = 1 }));
        Assert.Equal(1, map["a"]);
        Assert.Equal([1, 2], Read<Queue<int>>(Bytes(new Queue<int>([1, 2]))));
        Assert.Equal(new SortedDictionary<string, int> { ["b"] = 2 }, Read<SortedDictionary<string, int>>(Bytes(new SortedDictionary<string, int> { ["b"] = 2 })));
        Assert.Equal(new byte[] { 1, 2 }, Read<ReadOnlyMemory<byte>>(Bytes<ReadOnlyMemory<byte>>(new byte[] { 1, 2 })).ToArray());
        Assert.Equal([3, 4], Read<ImmutableList<int>>(Bytes(ImmutableList.Create(3, 4))));
        Assert.Contains("X", Read<ImmutableHashSet<string>>(Bytes(ImmutableHashSet.Create(StringComparer.OrdinalIgnoreCase, "x"))));
        Assert.Equal(1, Read<ImmutableDictionary<string, int>>(Bytes(ImmutableDictionary.Create<string, int>().Add("a", 1)))["a"]);
        Assert.Equal(1, Read<ImmutableSortedDictionary<string, int>>(Bytes(ImmutableSortedDictionary.Create<string, int>().Add("a", 1)))["a"]);
        Assert.Null(Read<List<int>>(Bytes<List<int>>(null!)));
        var odd = new Dictionary<string, int>(EqualityComparer<string>.Create((a, b) => a?.Length == b?.Length, s => s.Length));
        Assert.Throws<CodecNotFoundException>(() => Bytes(odd));
        Assert.Throws<CodecNotFoundException>(() => DeepCopy<Dictionary<string, int>>.Copy(odd));
    }

    [Fact]
    public void Circles_and_shared_objects_stay_so()
    {
        var dog = new Dog { Name = "a", Age = 3, NotSent = "stays" };
        dog.Friend = dog;
        var list = Read<List<Animal>>(Bytes(new List<Animal> { dog, dog }));
        var copy = Assert.IsType<Dog>(list[0]);
        Assert.Same(copy, list[1]);
        Assert.Same(copy, copy.Friend);
        Assert.Equal("default", copy.NotSent);
    }

    [Fact]
    public void Two_versions_of_a_type_understand_each_other()
    {
        var shared = new Tree { Shade = Shade.Green };
        shared.Left = shared;
        var newer = new SecondVersion { Kept = 7, Dropped = new() { Right = shared }, AlsoDropped = "x", SharedWithDropped = shared, Number = 1, Key = Guid.NewGuid() };
        var older = Read<FirstVersion>(Bytes(newer));
        Assert.Equal(7, older.Kept);
        Assert.Equal("as before", older.MissingThere);
        // It first stood in a member that this version does not have.
        Assert.Equal(Shade.Green, older.SharedWithDropped!.Shade);
        Assert.Same(older.SharedWithDropped, older.SharedWithDropped.Left);
        Assert.Equal(7, Read<SecondVersion>(Bytes(older)).Kept);
    }

    [Fact]
    public void Exceptions_keep_their_type_their_members_and_their_trace()
    {
        Exception thrown;
        try
        {
            throw new TooBusyException("come back", 5) { HResult = 77 };
        }
        catch (TooBusyException error)
        {
            thrown = error;
        }

        var back = Assert.IsType<TooBusyException>(Read<Exception>(Bytes(thrown)));
        Assert.Equal(("come back", 5, 77), (back.Message, back.Seconds, back.HResult));
        Assert.Contains(nameof(Exceptions_keep_their_type_their_members_and_their_trace), back.StackTrace);

        var argument = Read<Exception>(Bytes<Exception>(new ArgumentException("no", "name", new InvalidOperationException("because"))));
        Assert.IsType<ArgumentException>(argument);
        Assert.Equal("no (Parameter 'name')", argument.Message);
        Assert.Equal("because", Assert.IsType<InvalidOperationException>(argument.InnerException).Message);
        Assert.Equal("odd: x", Assert.IsType<OddException>(Read<Exception>(Bytes<Exception>(new OddException("x")))).Message);

        var unfit = Assert.IsType<OrleansException>(Read<Exception>(Bytes<Exception>(new UnfitException())));
        Assert.Contains("one, two", unfit.Message);
        Assert.Contains(nameof(UnfitException), unfit.Message);
    }

    [Theory]
    [InlineData(0)]
    [InlineData(1)]
    [InlineData(256)]
    [InlineData(70_000)]
    public void Immutable_bytes_are_written_like_the_items_of_any_collection_and_read_as_strictly(int count)
    {
        ImmutableArray<byte> value = [.. Enumerable.Range(0, count).Select(i => (byte)i)];
        var bytes = Bytes(value);
        Assert.Equal(Bytes(value.ToImmutableList()), bytes);   // what programs from before read and write
        Assert.Equal(value, Read<ImmutableArray<byte>>(bytes));
        Assert.True(Read<ImmutableArray<byte>>(Bytes(default(ImmutableArray<byte>))).IsDefault);
        if (count == 0) return;
        Assert.Throws<SerializerException>(() => Read<ImmutableArray<byte>>(bytes[..^1]));
        Assert.Throws<SerializerException>(() => Read<ImmutableArray<byte>>([.. bytes, 1]));
        if (count == 256) Assert.Throws<SerializerException>(() => Read<ImmutableArray<byte>>([.. bytes[..^1], 2]));   // 383 is no byte
        using var small = Writer(bytes.Length - 1);
        Assert.Throws<SerializerException>(() =>
        {
            for (var i = 0; i < 600; i++) Wire<ImmutableArray<byte>>.Write(small, value);
        });
    }

    private static WireWriter Writer(int bytesMax = BytesMax)
    {
        var writer = new WireWriter();
        writer.Begin(bytesMax);
        return writer;
    }

    private static byte[] Bytes<T>(T value)
    {
        using var writer = Writer();
        Wire<T>.Write(writer, value);
        return writer.Written.ToArray();
    }

    private static T Read<T>(byte[] bytes)
    {
        var reader = new WireReader(bytes, null);
        var value = reader.Decode(Wire<T>.Read);
        return reader.Remaining == 0 ? value : throw new SerializerException("Bytes are left over");
    }

    private sealed class Arbitrary(Random random)
    {
        private readonly List<Tree> _made = [];

        public Tree? Tree(int depth)
        {
            if (depth == 0 || random.Next(8) == 0) return null;
            if (_made.Count > 0 && random.Next(6) == 0) return _made[random.Next(_made.Count)];   // shared, or a circle
            var tree = new Tree();
            _made.Add(tree);
            tree.Left = Tree(depth - 1);
            tree.Right = Tree(depth - 1);
            tree.Any = Any(depth - 1);
            tree.Many = random.Next(3) == 0 ? null : [.. Enumerable.Range(0, random.Next(4)).Select(_ => Tree(depth - 1))];
            tree.Leaves = random.Next(3) == 0 ? null : Enumerable.Range(0, random.Next(3)).ToDictionary(i => $"leaf {i}", _ => Leaf());
            tree.Tuple = (random.Next(), Text(), random.Next(2) == 0 ? null : new Spot(random.Next(), random.NextInt64()));
            tree.Bytes = new byte[random.Next(50)];
            random.NextBytes(tree.Bytes);
            tree.Texts = random.Next(4) == 0 ? default : [Text()!, "x"];
            tree.Shade = random.Next(2) == 0 ? Shade.Red : Shade.Green;
            tree.Money = new(random.Next(), random.Next(), random.Next(), random.Next(2) == 0, (byte)random.Next(28));
            tree.Time = new(random.NextInt64(DateTime.MaxValue.Ticks), (DateTimeKind)random.Next(3));
            tree.Animal = random.Next(2) == 0 ? null : new Dog { Name = Text(), Age = random.Next(20) };
            tree.Numbers = random.Next(2) == 0 ? null : [.. Enumerable.Range(0, random.Next(5)).Select(_ => random.NextInt64())];
            tree.Fixed = new(random.Next(2) == 0 ? null! : [random.Next(), -random.Next()]);
            tree.Optional = random.Next(2) == 0 ? null : [null, random.Next()];
            tree.Points = random.Next(2) == 0 ? null : new List<Spot> { new(1, random.Next()) };
            return tree;
        }

        private object? Any(int depth) => random.Next(8) switch
        {
            0 => null,
            1 => random.Next(),
            2 => Text(),
            3 => new Spot(1, 2),
            4 => new object?[] { 1, "two", null, Leaf() },
            5 => Leaf(),
            6 => new List<Shade> { Shade.Green },
            _ => Tree(depth),
        };

        private Leaf? Leaf() => random.Next(3) == 0 ? null : new(Text(), random.NextDouble(), new(random.NextInt64(1, 3_000_000_000_000_000_000), TimeSpan.FromMinutes(random.Next(-800, 800))))
        {
            Extra = Guid.NewGuid(),
        };

        private string? Text() => random.Next(5) == 0 ? null : new string((char)random.Next(32, 2000), random.Next(20));
    }
}
#endif
