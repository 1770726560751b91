using System.Numerics;

namespace DarkStorage.Storage.ErasureCoding;

/// <summary>Some of a stripe's shards, by number: the data shards from 0, the parity shards behind them.</summary>
public readonly record struct ShardSet
{
    private const int NumberMax = 63;

    private ShardSet(ulong bits) => Bits = bits;

    internal ulong Bits { get; }

    public static readonly ShardSet None;

    public int Count => BitOperations.PopCount(Bits);

    /// <summary>The shards from 0 up to, and without, <paramref name="count"/>.</summary>
    public static ShardSet First(int count) => count == 0 ? None : new(ulong.MaxValue >> (NumberMax - Checked(count - 1)));

    public static ShardSet Of(params ReadOnlySpan<int> shards)
    {
        var set = None;
        foreach (var shard in shards) set = set.With(shard);
        return set;
    }

    public bool Contains(int shard) => (Bits >> Checked(shard) & 1) != 0;

    public ShardSet With(int shard) => new(Bits | 1ul << Checked(shard));

    public ShardSet Without(int shard) => new(Bits & ~(1ul << Checked(shard)));

    public ShardSet Intersect(ShardSet other) => new(Bits & other.Bits);

    public ShardSet Except(ShardSet other) => new(Bits & ~other.Bits);

    /// <summary>The lowest number; the set is not empty.</summary>
    internal int LowestNumber => BitOperations.TrailingZeroCount(Bits);

    internal ShardSet Lowest(int count)
    {
        var bits = Bits;
        for (var i = Count; i > count; i--) bits &= ~(1ul << BitOperations.Log2(bits));
        return new(bits);
    }

    internal int[] ToArray()
    {
        var shards = new int[Count];
        var bits = Bits;
        for (var i = 0; i < shards.Length; i++, bits &= bits - 1) shards[i] = BitOperations.TrailingZeroCount(bits);
        return shards;
    }

    private static int Checked(int shard)
    {
        ArgumentOutOfRangeException.ThrowIfNegative(shard);
        ArgumentOutOfRangeException.ThrowIfGreaterThan(shard, NumberMax);
        return shard;
    }

    public override string ToString() => $"{{{string.Join(", ", ToArray())}}}";
}
