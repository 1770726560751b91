using System.Buffers.Binary;
using Orleans.Runtime;
using Orleans.Serialization;

namespace DarkStorage.Engine;

internal enum FrameKind : byte
{
    Hello = 1,
    Welcome = 2,
    Refusal = 3,
    Request = 4,
    Response = 5,
    Cancel = 6,
}

/// <summary>What a request asks for.</summary>
internal enum CallShape : byte
{
    Method,
    FirstPull,
    Pull,
    EndEnumeration,
}

[Flags]
internal enum RequestFlags : byte
{
    None = 0,
    OneWay = 1,
    ToSilo = 2,   // to the silo itself, not to a grain that has a home
    HasSource = 4,
    HasContext = 8,
    Placed = 16,   // the grain's home says that it is, or is to be, at the silo that gets this
}

/// <summary>The frames between silos. Their layout is in docs/FORMATS.md.</summary>
internal static class Frames
{
    public const byte Protocol = 1;
    public const int FirstFrameMax = 4096;

    [ThreadStatic]
    private static WireWriter? t_writer;

    private static ReadOnlySpan<byte> Magic => "DSSILO"u8;

    public static Frame Hello(string cluster, string service, SiloAddress from, SiloAddress to, long version) => Build(FirstFrameMax, writer =>
    {
        writer.Byte((byte)FrameKind.Hello);
        writer.Bytes(Magic);
        writer.Byte(Protocol);
        writer.Text(cluster);
        writer.Text(service);
        writer.Text(from.ToParsableString());
        writer.Text(to.ToParsableString());
        writer.Signed(version);
    });

    public static Frame Welcome(long version) => Build(FirstFrameMax, writer =>
    {
        writer.Byte((byte)FrameKind.Welcome);
        writer.Byte(Protocol);
        writer.Signed(version);
    });

    public static Frame Refusal(string reason) => Build(FirstFrameMax, writer =>
    {
        writer.Byte((byte)FrameKind.Refusal);
        writer.Text(reason);
    });

    public static Frame Cancel(ulong id) => Build(64, writer =>
    {
        writer.Byte((byte)FrameKind.Cancel);
        writer.Varint(id);
    });

    public static (string Cluster, string Service, SiloAddress From, SiloAddress To, long Version) ReadHello(byte[] frame) =>
        new WireReader(frame, null).Decode(reader =>
        {
            if (reader.Byte() != (byte)FrameKind.Hello || !reader.Take(Magic.Length).SequenceEqual(Magic)) throw new SerializerException("No silo calls here");
            var protocol = reader.Byte();
            if (protocol != Protocol) throw new SerializerException($"Protocol {protocol} is not spoken here, {Protocol} is");
            return (reader.Text() ?? "", reader.Text() ?? "", SiloAddress.Parse(reader.Text() ?? ""), SiloAddress.Parse(reader.Text() ?? ""), reader.Signed());
        });

    /// <returns>The other side's membership version.</returns>
    /// <exception cref="SiloUnavailableException">It refuses to talk, and says why.</exception>
    public static long ReadWelcome(byte[] frame, SiloAddress silo)
    {
        var (version, refusal) = new WireReader(frame, null).Decode(reader => (FrameKind)reader.Byte() switch
        {
            FrameKind.Welcome when reader.Byte() == Protocol => (reader.Signed(), (string?)null),
            FrameKind.Refusal => (0L, reader.Text() ?? ""),
            _ => throw new SerializerException("The answer is no silo's"),
        });
        return refusal is null ? version : throw new SiloUnavailableException($"Silo {silo} refuses: {refusal}");
    }

    public static Frame Request(Call call, ulong id, long version, int bytesMax) => Build(bytesMax, writer =>
    {
        var flags = RequestFlags.None;
        if (call.Method.IsOneWay) flags |= RequestFlags.OneWay;
        if (call.Target.Destination is not null) flags |= RequestFlags.ToSilo;
        if (call.SourceId is not null) flags |= RequestFlags.HasSource;
        if (call.Context is not null) flags |= RequestFlags.HasContext;
        if (call.Place == CallPlace.Found) flags |= RequestFlags.Placed;
        writer.Byte((byte)FrameKind.Request);
        writer.Varint(id);
        writer.Signed(version);
        writer.Byte((byte)flags);
        writer.Byte((byte)call.Hops);
        writer.Varint((ulong)call.RemainingMilliseconds);
        writer.Grain(call.Target.GrainId);
        if (call.SourceId is { } source) writer.Grain(source);
        if (call.Context is { } context)
        {
            writer.Varint((ulong)context.Count);
            foreach (var (key, value) in context)
            {
                writer.Text(key);
                Wire<object>.Write(writer, value);
            }
        }

        call.WriteRequest(writer);
    });

    /// <summary>The answer to a call: what <paramref name="write"/> writes, or why that cannot be sent.</summary>
    public static Frame Response(ulong id, long version, int bytesMax, Action<WireWriter> write)
    {
        try
        {
            return Build(bytesMax, writer => Write(writer, 0, write));
        }
        catch (Exception error)
        {
            // A result that is too large, or that cannot cross after all: the caller is told.
            return Failure(id, version, bytesMax, error);
        }

        void Write(WireWriter writer, byte status, Action<WireWriter> content)
        {
            writer.Byte((byte)FrameKind.Response);
            writer.Varint(id);
            writer.Signed(version);
            writer.Byte(status);
            content(writer);
        }
    }

    public static Frame Failure(ulong id, long version, int bytesMax, Exception error)
    {
        try
        {
            return Build(bytesMax, writer => WriteFailure(writer, error));
        }
        catch (Exception unsendable)
        {
            // The exception's own members cannot cross: what it said still does.
            return Build(bytesMax, writer => WriteFailure(writer, new OrleansException($"{error.GetType()}: {error.Message} ({unsendable.Message})")));
        }

        void WriteFailure(WireWriter writer, Exception exception)
        {
            writer.Byte((byte)FrameKind.Response);
            writer.Varint(id);
            writer.Signed(version);
            writer.Byte(1);
            Wire<Exception>.Write(writer, exception);
        }
    }

    private static Frame Build(int bytesMax, Action<WireWriter> write)
    {
        // A writer per thread; one that is in use while a getter of what is written makes a call gets a second one.
        var writer = t_writer ?? new();
        t_writer = null;
        writer.Begin(bytesMax);
        try
        {
            writer.UInt32(0);
            writer.BeginMessage();
            write(writer);
            if (writer.Length > bytesMax)
                throw new SerializerException($"A message of {writer.Length} bytes is larger than {bytesMax}, which is as large as one may be");
            var (buffer, length) = writer.Detach();
            BinaryPrimitives.WriteUInt32LittleEndian(buffer, (uint)(length - FrameConnection.HeaderLength));
            return new(buffer, length);
        }
        finally
        {
            writer.Dispose();
            t_writer = writer;
        }
    }
}
