using System.Buffers.Binary;
using System.Security.Cryptography;

namespace DarkStorage.Connectors.Rclone;

/// <summary>A checksum that places behind rclone know, in the hexadecimal form that rclone gives it.</summary>
internal abstract class PlaceHash : IDisposable
{
    /// <summary>By rclone's names, the better ones first. SHA-256 and the others are what the place itself says of what it has.</summary>
    private static readonly (string Name, Func<PlaceHash> New)[] Known =
    [
        ("sha256", static () => new Plain("sha256", HashAlgorithmName.SHA256)),
        ("sha1", static () => new Plain("sha1", HashAlgorithmName.SHA1)),
        ("md5", static () => new Plain("md5", HashAlgorithmName.MD5)),
        ("dropbox", static () => new Dropbox()),
        ("quickxor", static () => new QuickXor()),
    ];

    /// <summary>As rclone calls it.</summary>
    public abstract string Name { get; }

    /// <param name="offered">What the place can say, by rclone's names.</param>
    /// <returns>Null where it is nothing that is known here.</returns>
    public static PlaceHash? Best(IReadOnlyCollection<string> offered) => Known.FirstOrDefault(h => offered.Contains(h.Name)).New?.Invoke();

    public abstract void Append(ReadOnlySpan<byte> bytes);

    /// <summary>Of all that was appended; called once.</summary>
    public string Finish() => Convert.ToHexStringLower(Digest());

    public virtual void Dispose()
    {
    }

    protected abstract byte[] Digest();

    private sealed class Plain(string name, HashAlgorithmName algorithm) : PlaceHash
    {
        private readonly IncrementalHash _hash = IncrementalHash.CreateHash(algorithm);

        public override string Name => name;

        public override void Append(ReadOnlySpan<byte> bytes) => _hash.AppendData(bytes);

        public override void Dispose()
        {
            _hash.Dispose();
            base.Dispose();
        }

        protected override byte[] Digest() => _hash.GetHashAndReset();
    }

    /// <summary>SHA-256 of the SHA-256 of each 4 MiB ("Content hash" in Dropbox's developer documentation).</summary>
    private sealed class Dropbox : PlaceHash
    {
        private const int BlockBytes = 4 << 20;

        private readonly IncrementalHash _block = IncrementalHash.CreateHash(HashAlgorithmName.SHA256);
        private readonly IncrementalHash _all = IncrementalHash.CreateHash(HashAlgorithmName.SHA256);
        private int _inBlock;

        public override string Name => "dropbox";

        public override void Append(ReadOnlySpan<byte> bytes)
        {
            while (!bytes.IsEmpty)
            {
                var some = bytes[..Math.Min(bytes.Length, BlockBytes - _inBlock)];
                _block.AppendData(some);
                _inBlock += some.Length;
                bytes = bytes[some.Length..];
                if (_inBlock == BlockBytes) EndBlock();
            }
        }

        public override void Dispose()
        {
            _block.Dispose();
            _all.Dispose();
            base.Dispose();
        }

        protected override byte[] Digest()
        {
            if (_inBlock > 0) EndBlock();
            return _all.GetHashAndReset();
        }

        private void EndBlock()
        {
            _all.AppendData(_block.GetHashAndReset());
            _inBlock = 0;
        }
    }

    /// <summary>OneDrive's: each byte is XORed into 160 bits, 11 bits behind the one before, and the length into the last 64 ("QuickXorHash algorithm" in Microsoft's documentation).</summary>
    private sealed class QuickXor : PlaceHash
    {
        private const int WidthBytes = 20;
        private const int Shift = 11;

        private readonly byte[] _cells = new byte[WidthBytes];
        private int _bit;
        private long _length;

        public override string Name => "quickxor";

        public override void Append(ReadOnlySpan<byte> bytes)
        {
            foreach (var value in bytes)
            {
                var (cell, shift) = (_bit >> 3, _bit & 7);
                _cells[cell] ^= (byte)(value << shift);
                _cells[cell + 1 == WidthBytes ? 0 : cell + 1] ^= (byte)(value >> (8 - shift));
                _bit += Shift;
                if (_bit >= WidthBytes * 8) _bit -= WidthBytes * 8;
            }
            _length += bytes.Length;
        }

        protected override byte[] Digest()
        {
            var length = _cells.AsSpan(WidthBytes - sizeof(long));
            BinaryPrimitives.WriteInt64LittleEndian(length, BinaryPrimitives.ReadInt64LittleEndian(length) ^ _length);
            return _cells;
        }
    }
}
