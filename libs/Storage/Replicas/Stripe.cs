using System.Buffers;
using DarkStorage.Storage.Chunks;
using DarkStorage.Storage.ErasureCoding;

namespace DarkStorage.Storage.Replicas;

/// <summary>A chunk cut into shards: the first data shard has the chunk's first bytes, the second the next ones, and so on, the last is filled up with zeros; parity shards are behind them.
/// All are of one length. docs/FORMATS.md, "Erasure coding".</summary>
/// <remarks>Cut lengthwise, and not block by block in turn, so that a short range is read from one node.</remarks>
internal static class Stripe
{
    /// <summary>Bytes of content that are coded in one go: few enough for all shards' to stay in a processor's cache.</summary>
    private const int StepBytes = 16 << 10;

    /// <summary>What shards are filled up with. Less than one byte for each data shard is wanted in all.</summary>
    private static ReadOnlySpan<byte> Zeros => new byte[ErasureCode.DataMax];

    /// <summary>Bytes of each shard of a chunk.</summary>
    public static int ShardBytes(int chunk, int data) => (chunk + data - 1) / data;

    /// <summary>All shards of a chunk that is finished, and sealed where it is to be: data, then parity. The caller disposes them.</summary>
    public static ChunkBuffer[] Cut(ChunkBuffer chunk, ErasureCode code, ChunkMemory memory)
    {
        var length = ShardBytes(chunk.Filled, code.Data);
        var shards = new ChunkBuffer[code.Shards];
        var made = 0;
        try
        {
            for (; made < shards.Length; made++) shards[made] = new(memory, length, length, whole: true);
            Deal(chunk, shards.AsSpan(0, code.Data), length);
            Encode(code, shards, length);
            return shards;
        }
        catch
        {
            foreach (var shard in shards.AsSpan(0, made)) shard.Dispose();
            throw;
        }
    }

    private static void Deal(ChunkBuffer chunk, ReadOnlySpan<ChunkBuffer> data, int length)
    {
        for (var i = 0; i < data.Length; i++)
        {
            var shard = data[i];
            for (var at = Math.Min(i * length, chunk.Filled); shard.Filled < length && at < chunk.Filled;)
            {
                var bytes = chunk.Payload(at).Span;
                bytes = bytes[..Math.Min(bytes.Length, length - shard.Filled)];
                shard.Append(bytes, length - shard.Filled);
                at += bytes.Length;
            }
            if (shard.Filled < length) shard.Append(Zeros[..(length - shard.Filled)], length - shard.Filled);
            shard.Finish(last: false);
        }
    }

    private static void Encode(ErasureCode code, ReadOnlySpan<ChunkBuffer> shards, int length)
    {
        var coded = ArrayPool<byte>.Shared.Rent(code.Parity * StepBytes);
        try
        {
            var data = new ReadOnlyMemory<byte>[code.Data];
            var parity = new Memory<byte>[code.Parity];
            for (var at = 0; at < length;)
            {
                var count = StepBytes;
                for (var i = 0; i < data.Length; i++)
                {
                    data[i] = shards[i].Payload(at);
                    count = Math.Min(count, data[i].Length);
                }
                for (var i = 0; i < data.Length; i++) data[i] = data[i][..count];
                for (var i = 0; i < parity.Length; i++) parity[i] = coded.AsMemory(i * StepBytes, count);
                code.Encode(data, parity);
                for (var i = 0; i < parity.Length; i++) shards[code.Data + i].Append(parity[i].Span, length - at);
                at += count;
            }
            for (var i = code.Data; i < shards.Length; i++) shards[i].Finish(last: false);
        }
        finally
        {
            ArrayPool<byte>.Shared.Return(coded);
        }
    }
}
