using System.Buffers.Binary;
using System.Numerics;
using DarkStorage.Storage.ErasureCoding;

namespace DarkStorage.Unit.ErasureCoding;

/// <summary>The shards of one stripe, each somewhere inside memory of its own whose rest must not change.</summary>
internal sealed class Stripe
{
    private const byte Surroundings = 0xA5;
    private const int MarginMax = 70;

    private readonly int _data;
    private readonly (byte[] Memory, int At)[] _shards;
    private readonly int _length;

    private Stripe(int data, int length, (byte[] Memory, int At)[] shards) => (_data, _length, _shards) = (data, length, shards);

    public static Stripe Of(byte[][] data, int parity) =>
        new(data.Length, data[0].Length, [.. data.Concat(Enumerable.Range(0, parity).Select(_ => new byte[data[0].Length])).Select(shard => (shard.ToArray(), 0))]);

    public static Stripe Random(Random random, int data, int parity, int length, bool misaligned = false)
    {
        var shards = new (byte[] Memory, int At)[data + parity];
        for (var i = 0; i < shards.Length; i++)
        {
            var at = misaligned ? random.Next(MarginMax) : 0;
            var memory = new byte[at + length + (misaligned ? random.Next(MarginMax) : 0)];
            memory.AsSpan().Fill(Surroundings);
            random.NextBytes(memory.AsSpan(at, length));
            shards[i] = (memory, at);
        }
        return new(data, length, shards);
    }

    public Memory<byte>[] Memory => [.. _shards.Select(shard => shard.Memory.AsMemory(shard.At, _length))];

    public ReadOnlyMemory<byte>[] ReadOnly => [.. Memory.Select(shard => (ReadOnlyMemory<byte>)shard)];

    public byte[][] All => [.. Memory.Select(shard => shard.ToArray())];

    public byte[][] Parity => All[_data..];

    public Stripe Copy() => new(_data, _length, [.. _shards.Select(shard => (shard.Memory.ToArray(), shard.At))]);

    public void Spoil(ShardSet lost)
    {
        for (var i = 0; i < _shards.Length; i++)
        {
            if (lost.Contains(i)) Memory[i].Span.Fill(0xEE);
        }
    }

    public void ThrowIfSurroundingsChanged()
    {
        foreach (var (memory, at) in _shards)
        {
            if (memory.AsSpan(0, at).ContainsAnyExcept(Surroundings) || memory.AsSpan(at + _length).ContainsAnyExcept(Surroundings))
                throw new InvalidOperationException("Bytes beside a shard were written.");
        }
    }
}

internal static class StripeCalls
{
    public static void Encode(this ErasureCode code, Stripe stripe) => code.Encode(stripe.ReadOnly.AsSpan(0, code.Data), stripe.Memory.AsSpan(code.Data));
}

/// <summary>xxHash64 with seed 0 (github.com/Cyan4973/xxHash, doc/xxhash_spec.md), as far as test vectors of others need it.</summary>
internal static class XxHash64
{
    private const ulong P1 = 0x9E3779B185EBCA87, P2 = 0xC2B2AE3D27D4EB4F, P3 = 0x165667B19E3779F9, P4 = 0x85EBCA77C2B2AE63, P5 = 0x27D4EB2F165667C5;

    public static ulong Of(ReadOnlySpan<byte> bytes)
    {
        var length = (ulong)bytes.Length;
        ulong hash;
        if (bytes.Length >= 32)
        {
            Span<ulong> lanes = [unchecked(P1 + P2), P2, 0, unchecked(0 - P1)];
            for (; bytes.Length >= 32; bytes = bytes[32..])
            {
                for (var i = 0; i < 4; i++) lanes[i] = Round(lanes[i], BinaryPrimitives.ReadUInt64LittleEndian(bytes[(i * 8)..]));
            }
            hash = BitOperations.RotateLeft(lanes[0], 1) + BitOperations.RotateLeft(lanes[1], 7) + BitOperations.RotateLeft(lanes[2], 12) + BitOperations.RotateLeft(lanes[3], 18);
            foreach (var lane in lanes) hash = ((hash ^ Round(0, lane)) * P1) + P4;
        }
        else
        {
            hash = P5;
        }
        hash += length;
        for (; bytes.Length >= 8; bytes = bytes[8..]) hash = (BitOperations.RotateLeft(hash ^ Round(0, BinaryPrimitives.ReadUInt64LittleEndian(bytes)), 27) * P1) + P4;
        if (bytes.Length >= 4)
        {
            hash = (BitOperations.RotateLeft(hash ^ (BinaryPrimitives.ReadUInt32LittleEndian(bytes) * P1), 23) * P2) + P3;
            bytes = bytes[4..];
        }
        foreach (var b in bytes) hash = BitOperations.RotateLeft(hash ^ (b * P5), 11) * P1;
        hash = (hash ^ hash >> 33) * P2;
        hash = (hash ^ hash >> 29) * P3;
        return hash ^ hash >> 32;
    }

    private static ulong Round(ulong lane, ulong input) => BitOperations.RotateLeft(lane + (input * P2), 31) * P1;
}
