using System.Buffers;
using System.Buffers.Binary;
using System.Numerics;
using System.Runtime.CompilerServices;
using System.Security.Cryptography;
using System.Text;
using Orleans;

namespace DarkStorage.GrainInterfaces.Cluster;

/// <summary>The key of the hash that deals keys out to partitions. It is drawn once for a cluster, so that nobody from outside can choose keys that all fall on one node.</summary>
[GenerateSerializer, Immutable, Alias("placement-key")]
public readonly record struct PlacementKey(ulong First, ulong Second)
{
    private const int StackBytesMax = 1024;

    public static PlacementKey New()
    {
        var bytes = RandomNumberGenerator.GetBytes(2 * sizeof(ulong));
        return new(BinaryPrimitives.ReadUInt64LittleEndian(bytes), BinaryPrimitives.ReadUInt64LittleEndian(bytes.AsSpan(sizeof(ulong))));
    }

    public ulong Hash(BucketId bucket, string key)
    {
        var lengthMax = Encoding.UTF8.GetMaxByteCount(key.Length);
        byte[]? rented = null;
        var utf8 = lengthMax <= StackBytesMax ? stackalloc byte[StackBytesMax] : rented = ArrayPool<byte>.Shared.Rent(lengthMax);
        var hash = Hash(bucket, utf8[..Encoding.UTF8.GetBytes(key, utf8)]);
        if (rented is not null) ArrayPool<byte>.Shared.Return(rented);
        return hash;
    }

    /// <summary>SipHash-2-4 (Aumasson and Bernstein, 2012) of the bucket's id in 8 bytes, little-endian, and the key in UTF-8.</summary>
    public ulong Hash(BucketId bucket, ReadOnlySpan<byte> key)
    {
        var state = new SipState(this);
        state.Add((ulong)bucket.Value);
        return state.Finish(key, sizeof(long));
    }

    /// <summary>SipHash-2-4 of any bytes.</summary>
    public ulong Hash(ReadOnlySpan<byte> bytes) => new SipState(this).Finish(bytes, before: 0);

    private struct SipState(PlacementKey key)
    {
        private ulong _v0 = key.First ^ 0x736F6D6570736575, _v1 = key.Second ^ 0x646F72616E646F6D, _v2 = key.First ^ 0x6C7967656E657261, _v3 = key.Second ^ 0x7465646279746573;

        public void Add(ulong word)
        {
            _v3 ^= word;
            Round();
            Round();
            _v0 ^= word;
        }

        /// <param name="before">Bytes that were added before these.</param>
        public ulong Finish(ReadOnlySpan<byte> bytes, int before)
        {
            var last = (ulong)(bytes.Length + before) << 56;
            for (; bytes.Length >= sizeof(ulong); bytes = bytes[sizeof(ulong)..]) Add(BinaryPrimitives.ReadUInt64LittleEndian(bytes));
            for (var i = 0; i < bytes.Length; i++) last |= (ulong)bytes[i] << (8 * i);
            Add(last);
            _v2 ^= 0xFF;
            for (var i = 0; i < 4; i++) Round();
            return _v0 ^ _v1 ^ _v2 ^ _v3;
        }

        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        private void Round()
        {
            _v0 += _v1;
            _v1 = BitOperations.RotateLeft(_v1, 13) ^ _v0;
            _v0 = BitOperations.RotateLeft(_v0, 32);
            _v2 += _v3;
            _v3 = BitOperations.RotateLeft(_v3, 16) ^ _v2;
            _v0 += _v3;
            _v3 = BitOperations.RotateLeft(_v3, 21) ^ _v0;
            _v2 += _v1;
            _v1 = BitOperations.RotateLeft(_v1, 17) ^ _v2;
            _v2 = BitOperations.RotateLeft(_v2, 32);
        }
    }
}
