// Invariants:
// - Any `Data` of a stripe's shards give all others: every square choice of rows of the generator has an inverse.
// - Data shards are the content as it is; what is made is a function of the content, the shape and the format alone, never of the processor.
// - Nothing here checks that a shard is what was written: a caller hands in only what matched its checksum.
using System.Buffers;
using System.Collections.Concurrent;

namespace DarkStorage.Storage.ErasureCoding;

/// <summary>A systematic Reed-Solomon code over GF(2^8): parity shards beside data shards, all of one length. docs/FORMATS.md, "Erasure coding", has every byte.</summary>
/// <remarks>Safe for many threads at once. No call allocates but one that meets a pattern of loss for the first time, and those kept are bounded.</remarks>
public sealed partial class ErasureCode
{
    public const int DataMax = 32;
    public const int ParityMax = 16;

    /// <summary>Decode matrices that are kept. A stripe of 10+4 has 1,470 ways to lose up to four shards, but a cluster has few nodes down at a time.
    /// The largest takes 16 KiB.</summary>
    private const int RebuildsMax = 64;

    /// <summary>Bytes of each parity shard that <see cref="Verify"/> makes at a time.</summary>
    private const int VerifyBytes = 16 << 10;

    private static readonly ConcurrentDictionary<(int Data, int Parity), ErasureCode> Codes = new();

    private readonly ErasureKernel _kernel;
    private readonly GaloisMatrix _generator;
    private readonly CodingMatrix _encode;
    private readonly Dictionary<(ShardSet From, ShardSet Wanted), CodingMatrix> _rebuilds = [];
    private readonly Lock _lock = new();

    private ErasureCode(int data, int parity, ErasureKernel kernel)
    {
        Data = data;
        Parity = parity;
        _kernel = kernel;
        var vandermonde = GaloisMatrix.Vandermonde(data + parity, data);
        _generator = vandermonde.Times(vandermonde.Select(ShardSet.First(data).ToArray()).Inverse());
        _encode = Prepare(_generator.Select([.. Enumerable.Range(data, parity)]));
    }

    /// <summary>Shards of content in a stripe.</summary>
    public int Data { get; }

    /// <summary>Shards beside them: as many may be lost.</summary>
    public int Parity { get; }

    /// <summary>Shards of a stripe, numbered from 0: data, then parity.</summary>
    public int Shards => Data + Parity;

    /// <param name="data">1 to <see cref="DataMax"/>.</param>
    /// <param name="parity">1 to <see cref="ParityMax"/>.</param>
    public static ErasureCode Create(int data, int parity) =>
        Codes.TryGetValue((data, parity), out var code) ? code : Codes.GetOrAdd((data, parity), Create(data, parity, ErasureKernel.Best));

    /// <summary>The same code by a kernel that is not the best one.</summary>
    internal static ErasureCode Create(int data, int parity, ErasureKernel kernel)
    {
        if (data is < 1 or > DataMax) throw new ArgumentException($"A stripe has 1 to {DataMax} data shards, not {data}.", nameof(data));
        if (parity is < 1 or > ParityMax) throw new ArgumentException($"A stripe has 1 to {ParityMax} parity shards, not {parity}.", nameof(parity));
        if (!kernel.IsSupported) throw new PlatformNotSupportedException($"This processor has no {kernel.Name}.");
        return new(data, parity, kernel);
    }

    /// <summary>Makes all parity shards of a stripe.</summary>
    /// <param name="data">All data shards, in order, of one length.</param>
    /// <param name="parity">Where the parity shards go, in order, of that length; what is there is overwritten.</param>
    /// <exception cref="ArgumentException">The shards are not as many or not of one length, or memory is written that is read or written elsewhere.</exception>
    public void Encode(ReadOnlySpan<ReadOnlyMemory<byte>> data, ReadOnlySpan<Memory<byte>> parity)
    {
        if (data.Length != Data) throw new ArgumentException($"{this} takes {Data} data shards, not {data.Length}.", nameof(data));
        if (parity.Length != Parity) throw new ArgumentException($"{this} takes {Parity} parity shards, not {parity.Length}.", nameof(parity));
        var stripe = new PinnedStripe(data[0].Length);
        try
        {
            foreach (var shard in data) stripe.AddInput(shard);
            foreach (var shard in parity) stripe.AddOutput(shard);
            stripe.Multiply(_kernel, _encode);
        }
        finally
        {
            stripe.Dispose();
        }
    }

    /// <summary>Makes lost shards again, data and parity alike, out of those that are there.</summary>
    /// <param name="shards">Memory for each shard of the stripe, in order, of one length; for those neither present nor wanted it may be empty.</param>
    /// <param name="present">The shards whose content is right: <see cref="Data"/> of them at least.</param>
    /// <param name="wanted">The shards to make, none of them present. No other memory is written.</param>
    /// <exception cref="ArgumentException">Too few are present, or the shards are not as many or not of one length, or memory is written that is read or
    /// written elsewhere.</exception>
    public void Reconstruct(ReadOnlySpan<Memory<byte>> shards, ShardSet present, ShardSet wanted)
    {
        if (shards.Length != Shards) throw new ArgumentException($"{this} has {Shards} shards, not {shards.Length}.", nameof(shards));
        var all = ShardSet.First(Shards);
        if (present.Except(all).Count + wanted.Except(all).Count > 0) throw new ArgumentException($"{this} has the shards 0 to {Shards - 1} and no others.", nameof(present));
        if (present.Count < Data) throw new ArgumentException($"{this} needs {Data} shards, and {present.Count} are present.", nameof(present));
        if (wanted.Intersect(present).Count > 0) throw new ArgumentException($"Of the shards {wanted} that are wanted, {wanted.Intersect(present)} are present.", nameof(wanted));
        if (wanted == ShardSet.None) return;

        var from = present.Lowest(Data);   // data shards first: the more of them, the less there is to compute
        var matrix = Rebuild(from, wanted);
        var stripe = new PinnedStripe(shards[from.LowestNumber].Length);
        try
        {
            for (var i = 0; i < shards.Length; i++)
            {
                if (from.Contains(i)) stripe.AddInput(shards[i]);
            }
            for (var i = 0; i < shards.Length; i++)
            {
                if (wanted.Contains(i)) stripe.AddOutput(shards[i]);
            }
            stripe.Multiply(_kernel, matrix);
        }
        finally
        {
            stripe.Dispose();
        }
    }

    /// <summary>Whether the parity shards are those of the data shards.</summary>
    /// <param name="shards">All shards of a stripe, in order, of one length.</param>
    /// <exception cref="ArgumentException">The shards are not as many or not of one length.</exception>
    public bool Verify(ReadOnlySpan<ReadOnlyMemory<byte>> shards)
    {
        if (shards.Length != Shards) throw new ArgumentException($"{this} has {Shards} shards, not {shards.Length}.", nameof(shards));
        var length = shards[0].Length;
        foreach (var shard in shards) ThrowUnlessLength(shard.Length, length);
        var made = ArrayPool<byte>.Shared.Rent(Parity * VerifyBytes);
        try
        {
            for (var at = 0; at < length; at += VerifyBytes)
            {
                var count = Math.Min(VerifyBytes, length - at);
                var stripe = new PinnedStripe(count);
                try
                {
                    foreach (var shard in shards[..Data]) stripe.AddInput(shard.Slice(at, count));
                    for (var i = 0; i < Parity; i++) stripe.AddOutput(made.AsMemory(i * VerifyBytes, count));
                    stripe.Multiply(_kernel, _encode);
                }
                finally
                {
                    stripe.Dispose();
                }
                for (var i = 0; i < Parity; i++)
                {
                    if (!shards[Data + i].Span.Slice(at, count).SequenceEqual(made.AsSpan(i * VerifyBytes, count))) return false;
                }
            }
            return true;
        }
        finally
        {
            ArrayPool<byte>.Shared.Return(made);
        }
    }

    /// <summary>Such as <c>4+2</c>.</summary>
    public override string ToString() => $"{Data}+{Parity}";

    private CodingMatrix Prepare(GaloisMatrix cells) => new(cells, _kernel);

    private CodingMatrix Rebuild(ShardSet from, ShardSet wanted)
    {
        lock (_lock)
        {
            if (_rebuilds.TryGetValue((from, wanted), out var known)) return known;
        }
        var content = _generator.Select(from.ToArray()).Inverse();   // the data shards, out of the shards that are there
        var matrix = Prepare(_generator.Select(wanted.ToArray()).Times(content));
        lock (_lock)
        {
            // Forgetting all at once costs a few inversions now and then, and needs no order of use.
            if (_rebuilds.Count >= RebuildsMax) _rebuilds.Clear();
            _rebuilds[(from, wanted)] = matrix;
        }
        return matrix;
    }

    private static void ThrowUnlessLength(int length, int expected)
    {
        if (length != expected) throw new ArgumentException($"The shards of a stripe are of one length: one has {expected} bytes and another {length}.");
    }
}
