using System.Buffers;
using System.Text;

namespace DarkStorage.ClientApi.S3;

/// <summary>Percent-encoding as Signature V4 defines it: all but <c>A-Z a-z 0-9 - . _ ~</c> becomes <c>%XX</c> in upper case.</summary>
/// <remarks>
/// For <c>encoding-type=url</c> AWS writes a space as <c>+</c>. We write <c>%20</c>: it is read alike by clients that decode <c>+</c> and by
/// those that don't, so no key can come back wrong.
/// </remarks>
internal static class S3UrlEncoding
{
    private static readonly SearchValues<byte> Unreserved = SearchValues.Create("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~"u8);
    private static readonly SearchValues<byte> UnreservedAndSlash = SearchValues.Create("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~/"u8);

    /// <summary>Encodes bytes.</summary>
    /// <param name="destination">At least three times as long.</param>
    /// <returns>Bytes written.</returns>
    public static int Encode(ReadOnlySpan<byte> source, Span<byte> destination, bool keepSlash)
    {
        var kept = keepSlash ? UnreservedAndSlash : Unreserved;
        var written = 0;
        while (source.Length > 0)
        {
            var plain = source.IndexOfAnyExcept(kept);
            if (plain < 0) plain = source.Length;
            source[..plain].CopyTo(destination[written..]);
            written += plain;
            if (plain == source.Length) break;
            var b = source[plain];
            destination[written++] = (byte)'%';
            destination[written++] = "0123456789ABCDEF"u8[b >> 4];
            destination[written++] = "0123456789ABCDEF"u8[b & 15];
            source = source[(plain + 1)..];
        }
        return written;
    }

    /// <summary>Encodes a text's UTF-8, as copy sources and redirect targets are written.</summary>
    public static string Encode(string text, bool keepSlash = true)
    {
        var utf8 = Encoding.UTF8.GetBytes(text);
        var encoded = new byte[3 * utf8.Length];
        return Encoding.ASCII.GetString(encoded, 0, Encode(utf8, encoded, keepSlash));
    }

    /// <summary>Decodes <c>%XX</c> escapes into bytes.</summary>
    /// <param name="destination">At least as long as the source.</param>
    /// <param name="plusIsSpace">True in a query, false in a path.</param>
    /// <returns>Bytes written, or -1 where an escape is malformed or a character is not ASCII.</returns>
    public static int Decode(ReadOnlySpan<char> source, Span<byte> destination, bool plusIsSpace)
    {
        var written = 0;
        for (var i = 0; i < source.Length; i++)
        {
            var c = source[i];
            if (c == '%')
            {
                if (i + 2 >= source.Length) return -1;
                int high = Hex(source[i + 1]), low = Hex(source[i + 2]);
                if ((high | low) < 0) return -1;
                destination[written++] = (byte)(high << 4 | low);
                i += 2;
            }
            else if (c > 0x7F) return -1;
            else destination[written++] = c == '+' && plusIsSpace ? (byte)' ' : (byte)c;
        }
        return written;
    }

    /// <summary>Escapes what is not ASCII and leaves the rest, escapes included, as it is.</summary>
    public static string EscapeUnicode(ReadOnlySpan<char> text)
    {
        var utf8 = new byte[Encoding.UTF8.GetMaxByteCount(text.Length)];
        var length = Encoding.UTF8.GetBytes(text, utf8);
        var escaped = new StringBuilder(3 * length);
        foreach (var b in utf8.AsSpan(0, length))
        {
            if (b <= 0x7F) escaped.Append((char)b);
            else escaped.Append('%').Append("0123456789ABCDEF"[b >> 4]).Append("0123456789ABCDEF"[b & 15]);
        }
        return escaped.ToString();
    }

    private static int Hex(char c) => c switch
    {
        >= '0' and <= '9' => c - '0',
        >= 'A' and <= 'F' => c - 'A' + 10,
        >= 'a' and <= 'f' => c - 'a' + 10,
        _ => -1,
    };
}
