using BenchmarkDotNet.Attributes;
using DarkStorage.Storage.ErasureCoding;

namespace DarkStorage.Micro;

/// <summary>Stripes of 1 MiB shards, on one core, by each kernel that the processor has. Rates are of data bytes: a column of the table.</summary>
[MemoryDiagnoser, Config(typeof(Rates))]
public class ErasureCodes
{
    private const int ShardBytes = 1 << 20;

    private ErasureCode _code = null!;
    private ReadOnlyMemory<byte>[] _data = [];
    private Memory<byte>[] _all = [];
    private ShardSet _lost;

    public static IEnumerable<string> Kernels => ErasureKernel.All.Where(kernel => kernel.IsSupported).Select(kernel => kernel.Name);

    [ParamsSource(nameof(Kernels))]
    public string Kernel { get; set; } = "";

    [Params("4+2", "8+3", "10+4")]
    public string Shape { get; set; } = "";

    public long DataBytes => long.Parse(Shape[..Shape.IndexOf('+', StringComparison.Ordinal)], System.Globalization.CultureInfo.InvariantCulture) * ShardBytes;

    [GlobalSetup]
    public void Prepare()
    {
        var parity = int.Parse(Shape[(Shape.IndexOf('+', StringComparison.Ordinal) + 1)..], System.Globalization.CultureInfo.InvariantCulture);
        var data = (int)(DataBytes / ShardBytes);
        _code = ErasureCode.Create(data, parity, ErasureKernel.All.Single(kernel => kernel.Name == Kernel));
        var random = new Random(1);
        _all = new Memory<byte>[_code.Shards];
        for (var i = 0; i < _all.Length; i++)
        {
            // As chunks are: in memory of their own, that begins at no round place.
            var memory = GC.AllocateUninitializedArray<byte>(ShardBytes + (192 * (i + 1)), pinned: true);
            random.NextBytes(memory);
            _all[i] = memory.AsMemory(192 * (i + 1));
        }
        _data = [.. _all.Take(data).Select(shard => (ReadOnlyMemory<byte>)shard)];
        _lost = ShardSet.First(parity);
    }

    [Benchmark]
    public void Encode() => _code.Encode(_data, _all.AsSpan(_code.Data));

    /// <summary>As many data shards are lost as may be.</summary>
    [Benchmark]
    public void Reconstruct() => _code.Reconstruct(_all, ShardSet.First(_code.Shards).Except(_lost), _lost);
}
