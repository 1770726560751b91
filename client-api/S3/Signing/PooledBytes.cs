using System.Buffers;
using System.Text;

namespace DarkStorage.ClientApi.S3;

/// <summary>A text in the making, as UTF-8 in a pooled array. Dispose it; never copy it.</summary>
internal ref struct PooledBytes(int capacity)
{
    private byte[] _array = ArrayPool<byte>.Shared.Rent(capacity);

    public int Length { get; private set; }

    public readonly ReadOnlySpan<byte> Span => _array.AsSpan(0, Length);

    public void Add(byte value)
    {
        Reserve(1)[0] = value;
        Length++;
    }

    public void Add(ReadOnlySpan<byte> bytes)
    {
        bytes.CopyTo(Reserve(bytes.Length));
        Length += bytes.Length;
    }

    public void Add(ReadOnlySpan<char> text) => Length += Encoding.UTF8.GetBytes(text, Reserve(3 * text.Length));

    /// <summary>Adds 32 bytes as 64 lower-case hexadecimal digits.</summary>
    public void AddHex(ReadOnlySpan<byte> hash)
    {
        Convert.TryToHexStringLower(hash, Reserve(2 * hash.Length), out var written);
        Length += written;
    }

    /// <summary>Room to write into; tell <see cref="Advance"/> how much of it was used.</summary>
    public Span<byte> Reserve(int length)
    {
        if (_array.Length - Length < length)
        {
            var larger = ArrayPool<byte>.Shared.Rent(Math.Max(2 * _array.Length, Length + length));
            Span.CopyTo(larger);
            ArrayPool<byte>.Shared.Return(_array);
            _array = larger;
        }
        return _array.AsSpan(Length);
    }

    public void Advance(int length) => Length += length;

    public void Dispose()
    {
        ArrayPool<byte>.Shared.Return(_array);
        _array = [];
        Length = 0;
    }
}
