using System.Buffers.Binary;
using System.Runtime.CompilerServices;
using System.Text;
using Orleans.Runtime;
using Orleans.Serialization;

namespace DarkStorage.Engine;

/// <summary>
/// Reads one message. The bytes are not trusted: whatever is wrong with them ends in a <see cref="SerializerException"/>, no count is
/// believed before as many bytes are there, and what is allocated is held against a limit that follows the message's length.
/// </summary>
internal sealed class WireReader
{
    private readonly ReadOnlyMemory<byte> _message;
    private readonly List<(int Place, object Value)> _objects = [];
    private Dictionary<int, object>? _byPlace;
    private long _allocatable;
    private int _depth;

    /// <param name="silo">Makes the references to grains; null where none are expected.</param>
    public WireReader(ReadOnlyMemory<byte> message, Silo? silo)
    {
        _message = message;
        Silo = silo;
        _allocatable = Math.Min(4096 + (64L * message.Length), (8L * message.Length) + (256L << 20));
    }

    public Silo? Silo { get; }

    public int Position { get; private set; }

    public int Remaining => _message.Length - Position;

    /// <summary>Runs a decoder; whatever it throws becomes what wrong bytes are.</summary>
    public T Decode<T>(Func<WireReader, T> decode)
    {
        try
        {
            return decode(this);
        }
        catch (Exception error) when (error is not SerializerException)
        {
            // A constructor or a setter may refuse a value with anything.
            throw new SerializerException($"A message cannot be read: {error.Message}");
        }
    }

    public byte Byte() => Take(1)[0];

    public ulong Varint()
    {
        ulong value = 0;
        for (var shift = 0; shift < 64; shift += 7)
        {
            var next = Byte();
            if (shift == 63 && next > 1) break;
            value |= (ulong)(next & 0x7F) << shift;
            if (next < 0x80) return value;
        }

        throw new SerializerException("A number is longer than 64 bits");
    }

    /// <summary>Each a <see cref="Varint"/>.</summary>
    public void Numbers(Span<byte> values)
    {
        var from = _message.Span[Position..];
        var at = 0;
        var wrong = 0;   // without branches on what is read: content is as often this as that, which no processor can foresee
        foreach (ref var value in values)
        {
            if (at == from.Length) throw new SerializerException("The message ends where a number is expected");
            value = from[at];
            var more = value >> 7;
            if (at + more == from.Length) throw new SerializerException("The message ends amid a number");
            wrong |= more * (from[at + more] ^ 1);
            at += 1 + more;
        }
        if (wrong != 0) throw new SerializerException("A number is no byte");
        Position += at;
    }

    public long Signed()
    {
        var value = Varint();
        return (long)(value >> 1) ^ -(long)(value & 1);
    }

    public uint UInt32() => BinaryPrimitives.ReadUInt32LittleEndian(Take(4));

    public ulong UInt64() => BinaryPrimitives.ReadUInt64LittleEndian(Take(8));

    public ReadOnlySpan<byte> Take(int count)
    {
        if ((uint)count > (uint)Remaining) throw new SerializerException($"The message ends where {count} more bytes are expected");
        var span = _message.Span.Slice(Position, count);
        Position += count;
        return span;
    }

    /// <summary>How many of something follow. Each is at least one byte.</summary>
    public int Count(int sizeOfEach)
    {
        var count = Varint();
        if (count > (ulong)Remaining) throw new SerializerException($"{count} elements are said to follow in {Remaining} bytes");
        Charge((long)count * sizeOfEach);
        return (int)count;
    }

    public string? Text()
    {
        var length = Varint();
        if (length == 0) return null;
        if (length - 1 > (ulong)Remaining) throw new SerializerException($"A text of {length - 1} bytes is said to follow in {Remaining}");
        return Encoding.UTF8.GetString(Take((int)length - 1));
    }

    public string Name()
    {
        var place = Varint();
        if (place == 0) return Text() ?? throw new SerializerException("A name is missing");
        if (place >= (ulong)Position) throw new SerializerException("A name refers forward");
        var here = Position;
        Position = (int)place;
        var name = Text();
        Position = here;
        return name ?? throw new SerializerException("A name is missing");
    }

    public GrainId Grain()
    {
        var type = Take(Count(1)).ToArray();
        return new(new(new IdSpan(type)), new IdSpan(Take(Count(1)).ToArray()));
    }

    /// <summary>The length of a block that is all here.</summary>
    public int Block()
    {
        var length = UInt32();
        if (length > (uint)Remaining) throw new SerializerException($"A block of {length} bytes is said to follow in {Remaining}");
        return (int)length;
    }

    /// <summary>Steps over a member that this program does not know.</summary>
    public void Skip(WireKind kind)
    {
        switch (kind)
        {
            case WireKind.Varint: Varint(); break;
            case WireKind.Bytes4: Take(4); break;
            case WireKind.Bytes8: Take(8); break;
            case WireKind.Bytes16: Take(16); break;
            case WireKind.Block: Take(Block()); break;
            case WireKind.Text:
                var length = Varint();
                if (length > (ulong)Remaining + 1) throw new SerializerException("A text is cut off");
                if (length > 0) Take((int)length - 1);
                break;
            default: throw new SerializerException($"{kind} is no kind of member");
        }
    }

    public void Register(int place, object value)
    {
        _objects.Add((place, value));
        _byPlace?.TryAdd(place, value);
    }

    /// <summary>The object at an earlier place; read there now if it stood in a member that was stepped over.</summary>
    public T Resolve<T>()
    {
        var site = Position;
        var place = Varint();
        if (place >= (ulong)site) throw new SerializerException("An object refers forward");
        _byPlace ??= _objects.ToDictionary(o => o.Place, o => o.Value);
        if (!_byPlace.TryGetValue((int)place, out var value))
        {
            var here = Position;
            Position = (int)place;
            if (_message.Span[Position] != WireHeader.Here) throw new SerializerException("A reference is to what is no object");
            var read = Wire<T>.Read(this);
            Position = here;
            return read;
        }

        return value is T typed ? typed : throw new SerializerException($"A {typeof(T)} is expected where a {value.GetType()} is referred to");
    }

    public void Charge(long bytes)
    {
        _allocatable -= bytes;
        if (_allocatable < 0) throw new SerializerException("A message stands for far more memory than its length allows");
    }

    public void Enter()
    {
        if (++_depth > WireWriter.DepthMax || !RuntimeHelpers.TryEnsureSufficientExecutionStack())
            throw new SerializerException($"Objects are nested more than {WireWriter.DepthMax} deep");
    }

    public void Leave() => _depth--;
}
