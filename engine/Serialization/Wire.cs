using Orleans.Serialization;

namespace DarkStorage.Engine;

/// <summary>Writes and reads values of one declared type. Built once per type, by <see cref="Codecs"/>.</summary>
internal static class Wire<T>
{
    private static readonly (Codec<T>? Codec, string? Error) Built = Codecs.Build<T>();

    public static WireKind Kind { get; } = Codecs.KindOf(typeof(T));

    public static void Write(WireWriter writer, T value) => (Built.Codec ?? throw new CodecNotFoundException(Built.Error!)).Write(writer, value);

    public static T Read(WireReader reader) => (Built.Codec ?? throw new CodecNotFoundException(Built.Error!)).Read(reader);
}

internal abstract class Codec<T>
{
    public abstract void Write(WireWriter writer, T value);

    public abstract T Read(WireReader reader);
}

internal sealed class SimpleCodec<T>(Action<WireWriter, T> write, Func<WireReader, T> read) : Codec<T>
{
    public override void Write(WireWriter writer, T value) => write(writer, value);

    public override T Read(WireReader reader) => read(reader);
}

/// <summary>Objects: null, a reference to one before, one of this very type, or one of a derived type.</summary>
internal abstract class ObjectCodec<T> : Codec<T>
    where T : class
{
    public sealed override void Write(WireWriter writer, T value)
    {
        if (value is null)
        {
            writer.Byte(WireHeader.Null);
        }
        else if (IsOther(value))
        {
            Codecs.WriteNamed(writer, value);
        }
        else if (!writer.TryReference(value))
        {
            writer.Enter();
            writer.Remember(value);
            writer.Byte(WireHeader.Here);
            WriteContent(writer, value);
            writer.Leave();
        }
    }

    public sealed override T Read(WireReader reader)
    {
        var place = reader.Position;
        switch (reader.Byte())
        {
            case WireHeader.Null:
                return null!;
            case WireHeader.Reference:
                return reader.Resolve<T>();
            case WireHeader.Here:
                reader.Enter();
                reader.Charge(64);
                var value = ReadContent(reader, place);
                reader.Leave();
                return value;
            case WireHeader.Named when !typeof(T).IsSealed:
                return (T)Codecs.ReadNamed(reader, typeof(T));
            default:
                throw new SerializerException($"What stands here is no {typeof(T)}");
        }
    }

    protected virtual bool IsOther(T value) => false;

    protected abstract void WriteContent(WireWriter writer, T value);

    /// <summary>Registers the object at its place before it reads what the object holds, so that circles close.</summary>
    protected abstract T ReadContent(WireReader reader, int place);
}

/// <summary>A declared type that values only derive from: their own type is named.</summary>
internal sealed class OpenCodec<T> : Codec<T>
{
    public override void Write(WireWriter writer, T value)
    {
        if (value is null) writer.Byte(WireHeader.Null);
        else Codecs.WriteNamed(writer, value);
    }

    public override T Read(WireReader reader) => reader.Byte() switch
    {
        WireHeader.Null => default!,
        WireHeader.Named => (T)Codecs.ReadNamed(reader, typeof(T)),
        _ => throw new SerializerException($"What stands here is no {typeof(T)}"),
    };
}
