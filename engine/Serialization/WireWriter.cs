using System.Buffers;
using System.Buffers.Binary;
using System.Runtime.CompilerServices;
using System.Text;
using Orleans.Runtime;
using Orleans.Serialization;

namespace DarkStorage.Engine;

/// <summary>How the bytes of a member are delimited, so that a reader that does not know the member can step over it.</summary>
internal enum WireKind : byte
{
    /// <summary>A number, seven bits a byte, low bits first.</summary>
    Varint,
    Bytes4,
    Bytes8,
    Bytes16,

    /// <summary>A varint, n: 0 for null, else n - 1 bytes follow.</summary>
    Text,

    /// <summary>Four bytes of length, little-endian, and as many bytes.</summary>
    Block,
}

/// <summary>
/// One message in the making, in one pooled array. Not shared between threads. Places are counted from the message's first byte: a
/// back reference names the place of the object that it means. The format is in docs/FORMATS.md.
/// </summary>
internal sealed class WireWriter : IDisposable
{
    /// <summary>Objects within objects; the reader has the same limit.</summary>
    public const int DepthMax = 1000;

    private const int LinearMax = 8;

    private readonly object?[] _seen = new object?[LinearMax];
    private readonly int[] _places = new int[LinearMax];
    private byte[] _buffer = [];
    private int _bytesMax;
    private int _origin;
    private Dictionary<object, int>? _moreSeen;
    private Dictionary<string, int>? _names;
    private int _seenCount;
    private int _depth;

    /// <summary>Before anything is written, and again after <see cref="Detach"/> or <see cref="Dispose"/>.</summary>
    public void Begin(int bytesMax)
    {
        Array.Clear(_seen, 0, _seenCount);
        _seenCount = 0;
        _moreSeen = null;
        _names?.Clear();
        _depth = 0;
        _origin = 0;
        _bytesMax = bytesMax;
        _buffer = ArrayPool<byte>.Shared.Rent(512);
        Length = 0;
    }

    /// <summary>What follows is the message: what is there already stands before it.</summary>
    public void BeginMessage() => _origin = Length;

    public int Length { get; private set; }

    public ReadOnlySpan<byte> Written => _buffer.AsSpan(0, Length);

    /// <summary>Gives the bytes away; the caller returns the array to the pool.</summary>
    public (byte[] Buffer, int Length) Detach()
    {
        var result = (_buffer, Length);
        _buffer = [];
        Length = 0;
        return result;
    }

    public void Dispose()
    {
        if (_buffer.Length > 0) ArrayPool<byte>.Shared.Return(_buffer);
        _buffer = [];
    }

    public void Byte(byte value)
    {
        if (Length == _buffer.Length) Grow(1);
        _buffer[Length++] = value;
    }

    public void Varint(ulong value)
    {
        while (value >= 0x80)
        {
            Byte((byte)(value | 0x80));
            value >>= 7;
        }

        Byte((byte)value);
    }

    /// <summary>Each as a <see cref="Varint"/>.</summary>
    public void Numbers(ReadOnlySpan<byte> values)
    {
        var length = values.Length;
        foreach (var value in values) length += value >> 7;
        if (length == 0) return;
        // The second byte is written each time, and most often written over by the next one: content is as often this as that, which no processor can foresee.
        var to = Take(length);
        var at = 0;
        foreach (var value in values[..^1])
        {
            to[at] = value;
            to[at + 1] = 1;
            at += 1 + (value >> 7);
        }
        to[at] = values[^1];
        if (values[^1] >= 0x80) to[at + 1] = 1;
    }

    /// <summary>Small numbers of either sign become short.</summary>
    public void Signed(long value) => Varint((ulong)((value << 1) ^ (value >> 63)));

    public void UInt32(uint value) => BinaryPrimitives.WriteUInt32LittleEndian(Take(4), value);

    public void UInt64(ulong value) => BinaryPrimitives.WriteUInt64LittleEndian(Take(8), value);

    public void Bytes(ReadOnlySpan<byte> value) => value.CopyTo(Take(value.Length));

    public void Text(string? value)
    {
        if (value is null)
        {
            Byte(0);
            return;
        }

        var length = Encoding.UTF8.GetByteCount(value);
        Varint((ulong)length + 1);
        Encoding.UTF8.GetBytes(value, Take(length));
    }

    /// <summary>The name of a type or a method: in full where it comes first, then by its place.</summary>
    public void Name(string name)
    {
        _names ??= [];
        if (_names.TryGetValue(name, out var place))
        {
            Varint((ulong)place);
            return;
        }

        Byte(0);
        _names.Add(name, Length - _origin);
        Text(name);
    }

    public void Grain(GrainId id)
    {
        Varint((ulong)id.Type.AsSpan().Length);
        Bytes(id.Type.AsSpan());
        Varint((ulong)id.Key.AsSpan().Length);
        Bytes(id.Key.AsSpan());
    }

    public int BeginBlock()
    {
        Take(4);
        return Length;
    }

    public void EndBlock(int start) =>
        BinaryPrimitives.WriteUInt32LittleEndian(_buffer.AsSpan(start - 4, 4), (uint)(Length - start));

    /// <summary>True when the object is in the message already: then the reference to it has been written.</summary>
    public bool TryReference(object value)
    {
        if (!Find(value, out var place)) return false;
        Byte(WireHeader.Reference);
        Varint((ulong)place);
        return true;
    }

    /// <summary>Called where the object's header is about to be written.</summary>
    public void Remember(object value)
    {
        if (_seenCount < LinearMax)
        {
            _seen[_seenCount] = value;
            _places[_seenCount++] = Length - _origin;
        }
        else
        {
            (_moreSeen ??= new(ReferenceEqualityComparer.Instance)).Add(value, Length - _origin);
        }
    }

    public void Enter()
    {
        if (++_depth > DepthMax || !RuntimeHelpers.TryEnsureSufficientExecutionStack())
            throw new SerializerException($"Objects are nested more than {DepthMax} deep");
    }

    public void Leave() => _depth--;

    private bool Find(object value, out int place)
    {
        for (var i = 0; i < _seenCount; i++)
        {
            if (!ReferenceEquals(_seen[i], value)) continue;
            place = _places[i];
            return true;
        }

        place = 0;
        return _moreSeen is not null && _moreSeen.TryGetValue(value, out place);
    }

    private Span<byte> Take(int count)
    {
        if (_buffer.Length - Length < count) Grow(count);
        var span = _buffer.AsSpan(Length, count);
        Length += count;
        return span;
    }

    private void Grow(int count)
    {
        var needed = (long)Length + count;
        if (needed > _bytesMax) throw new SerializerException($"The message is larger than {_bytesMax} bytes, which is as large as one may be");
        var larger = ArrayPool<byte>.Shared.Rent((int)Math.Min(_bytesMax, Math.Max(needed, _buffer.Length * 2L)));
        Written.CopyTo(larger);
        ArrayPool<byte>.Shared.Return(_buffer);
        _buffer = larger;
    }
}

/// <summary>What stands before an object.</summary>
internal static class WireHeader
{
    public const byte Null = 0;
    public const byte Reference = 1;   // the place of the object follows
    public const byte Here = 2;        // the object follows, of the very type that the reader expects
    public const byte Named = 3;       // a type's name follows, then the object as of that type
}
