using System.Globalization;
using System.Net;
using System.Net.Sockets;

namespace DarkStorage.Rules.Policies;

/// <summary>Addresses that share their first bits (RFC 4632), of IPv4 or IPv6. An IPv4 address in IPv6's clothes counts as IPv4.</summary>
internal readonly record struct AddressRange
{
    private const int TextLengthMax = 64;
    private const int MappedPrefix = 96;

    private readonly UInt128 _bits;
    private readonly UInt128 _mask;

    private AddressRange(UInt128 bits, bool isV4, int prefix)
    {
        IsV4 = isV4;
        Prefix = prefix;
        var shift = (isV4 ? 32 : 128) - prefix;
        _mask = shift >= 128 ? UInt128.Zero : UInt128.MaxValue << shift;
        _bits = bits & _mask;
    }

    public bool IsV4 { get; }

    /// <summary>How many bits are given.</summary>
    public int Prefix { get; }

    /// <summary>An address, or an address, a slash and the number of bits that count.</summary>
    public static bool TryParse(string text, out AddressRange range)
    {
        range = default;
        if (text.Length > TextLengthMax) return false;
        var slash = text.IndexOf('/');
        var address = slash < 0 ? text.AsSpan() : text.AsSpan(0, slash);
        if (!TryParseAddress(address, out var bits, out var isV4, out var mapped)) return false;
        var width = isV4 ? 32 : 128;
        var prefix = width;
        if (slash >= 0)
        {
            var digits = text.AsSpan(slash + 1);
            if (digits.Length is 0 or > 3 || !int.TryParse(digits, NumberStyles.None, CultureInfo.InvariantCulture, out prefix)) return false;
            if (mapped) prefix -= MappedPrefix;
            if (prefix < 0 || prefix > width) return false;
        }
        range = new(bits, isV4, prefix);
        return true;
    }

    /// <returns>Null where the text is no address.</returns>
    public bool? Contains(string text)
    {
        if (text.Length > TextLengthMax || !TryParseAddress(text, out var bits, out var isV4, out _)) return null;
        return isV4 == IsV4 && (bits & _mask) == _bits;
    }

    /// <summary>Whether it lies within the networks that no router of the internet knows (RFC 1918).</summary>
    public bool IsPrivate => IsV4 && (IsWithin(10, 0, 8) || IsWithin(172, 16, 12) || IsWithin(192, 168, 16));

    private bool IsWithin(uint first, uint second, int prefix) => Prefix >= prefix && (uint)_bits >> (32 - prefix) == ((first << 24) | (second << 16)) >> (32 - prefix);

    private static bool TryParseAddress(ReadOnlySpan<char> text, out UInt128 bits, out bool isV4, out bool mapped)
    {
        (bits, isV4, mapped) = (default, false, false);
        var hasColon = text.Contains(':');
        // .NET also takes "1", "0x7f.1" and "010.0.0.1" for IPv4, each meaning something else to somebody.
        if (!hasColon && !IsDottedQuad(text)) return false;
        if (text.IndexOfAny('[', ']') >= 0 || !IPAddress.TryParse(text, out var address)) return false;
        if (address.IsIPv4MappedToIPv6)
        {
            mapped = true;
            address = address.MapToIPv4();
        }
        isV4 = address.AddressFamily == AddressFamily.InterNetwork;
        Span<byte> bytes = stackalloc byte[16];
        if (!address.TryWriteBytes(bytes, out var length)) return false;
        foreach (var b in bytes[..length]) bits = (bits << 8) | b;
        return true;
    }

    private static bool IsDottedQuad(ReadOnlySpan<char> text)
    {
        var parts = 0;
        foreach (var range in text.Split('.'))
        {
            var part = text[range];
            if (++parts > 4 || part.Length is 0 or > 3 || part.ContainsAnyExceptInRange('0', '9') || (part.Length > 1 && part[0] == '0')) return false;
        }
        return parts == 4;
    }
}
