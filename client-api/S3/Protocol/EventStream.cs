using System.Buffers;
using System.Buffers.Binary;
using System.Text;
using DarkStorage.Storage;

namespace DarkStorage.ClientApi.S3;

/// <summary>Messages of <c>application/vnd.amazon.eventstream</c> (AWS, RESTSelectObjectAppendix): two lengths and their CRC-32, headers, a payload, and a CRC-32 of all of it.</summary>
internal static class EventStream
{
    public const string ContentType = "application/vnd.amazon.eventstream";

    /// <summary>Bytes of a message beside headers and payload.</summary>
    private const int Overhead = 16;
    private const int PreludeBytes = 8;
    private const byte TextHeader = 7;

    /// <summary>An event.</summary>
    /// <param name="contentType">Of the payload; null where there is none.</param>
    public static void WriteEvent(IBufferWriter<byte> output, string type, string? contentType, ReadOnlySpan<byte> payload)
    {
        if (contentType is null) Write(output, payload, (":message-type", "event"), (":event-type", type));
        else Write(output, payload, (":message-type", "event"), (":event-type", type), (":content-type", contentType));
    }

    /// <summary>The end of an answer that was begun and can't be brought to its end.</summary>
    public static void WriteError(IBufferWriter<byte> output, string code, string message) =>
        Write(output, [], (":message-type", "error"), (":error-code", code), (":error-message", message));

    private static void Write(IBufferWriter<byte> output, ReadOnlySpan<byte> payload, params ReadOnlySpan<(string Name, string Value)> headers)
    {
        var headerBytes = 0;
        foreach (var (name, value) in headers) headerBytes += 1 + Encoding.UTF8.GetByteCount(name) + 1 + 2 + Encoding.UTF8.GetByteCount(value);
        var total = Overhead + headerBytes + payload.Length;
        var message = output.GetSpan(total)[..total];
        BinaryPrimitives.WriteInt32BigEndian(message, total);
        BinaryPrimitives.WriteInt32BigEndian(message[4..], headerBytes);
        BinaryPrimitives.WriteUInt32BigEndian(message[PreludeBytes..], Crc32.Append(0, message[..PreludeBytes]));
        var rest = message[(PreludeBytes + 4)..];
        foreach (var (name, value) in headers)
        {
            rest[0] = (byte)Encoding.UTF8.GetBytes(name, rest[1..]);
            rest = rest[(1 + rest[0])..];
            rest[0] = TextHeader;
            var length = Encoding.UTF8.GetBytes(value, rest[3..]);
            BinaryPrimitives.WriteUInt16BigEndian(rest[1..], checked((ushort)length));
            rest = rest[(3 + length)..];
        }
        payload.CopyTo(rest);
        BinaryPrimitives.WriteUInt32BigEndian(rest[payload.Length..], Crc32.Append(0, message[..^4]));
        output.Advance(total);
    }
}
