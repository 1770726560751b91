using System.Globalization;
using DarkStorage.Storage;

namespace DarkStorage.ClientApi.S3;

/// <summary>The Range header of a GET or HEAD (RFC 9110, section 14.2), as S3 takes it.</summary>
internal static class RangeHeader
{
    private const int LengthMax = 256;

    /// <summary>The bytes asked for.</summary>
    /// <param name="length">Bytes of the object.</param>
    /// <returns>Null where the whole object is to be sent: without the header, and where it is malformed, in another unit, or names several
    /// ranges, all of which S3 ignores.</returns>
    /// <exception cref="S3Exception"><c>InvalidRange</c>: no byte of the object is in the range.</exception>
    public static ByteRange? Parse(string? header, long length)
    {
        if (string.IsNullOrEmpty(header) || header.Length > LengthMax) return null;
        var text = header.AsSpan().Trim();
        if (!text.StartsWith("bytes=", StringComparison.OrdinalIgnoreCase)) return null;
        text = text["bytes=".Length..].Trim();
        var dash = text.IndexOf('-');
        if (dash < 0 || text.Contains(',')) return null;

        var first = text[..dash].Trim();
        var last = text[(dash + 1)..].Trim();
        if (first.IsEmpty)
        {
            if (!TryParse(last, out var suffix)) return null;
            if (suffix == 0 || length == 0) throw NotSatisfiable(header, length);
            return new(Math.Max(0, length - suffix), length - 1);
        }
        if (!TryParse(first, out var start)) return null;
        var end = long.MaxValue;
        if (!last.IsEmpty && (!TryParse(last, out end) || end < start)) return null;
        return start < length ? new(start, Math.Min(end, length - 1)) : throw NotSatisfiable(header, length);
    }

    /// <summary>The range of <c>x-amz-copy-source-range</c>, which is <c>bytes=first-last</c> and nothing else, within the source.</summary>
    /// <exception cref="S3Exception"><c>InvalidArgument</c>, also past the end: so AWS answers here.</exception>
    public static ByteRange ParseCopySource(string header, long length)
    {
        const string Name = "x-amz-copy-source-range";
        var text = header.Length <= LengthMax && header.StartsWith("bytes=", StringComparison.Ordinal) ? header.AsSpan("bytes=".Length) : default;
        var dash = text.IndexOf('-');
        if (dash < 0 || !TryParse(text[..dash], out var first) || !TryParse(text[(dash + 1)..], out var last) || last < first)
            throw S3Exception.InvalidArgument("The x-amz-copy-source-range value must be of the form bytes=first-last where first and last are the zero-based offsets of the first and last bytes to copy",
                Name, header.Length <= LengthMax ? header : header[..LengthMax]);
        if (last < length) return new(first, last);
        throw new S3Exception(S3Error.InvalidArgument, $"Range specified is not valid for source object of size: {length}")
            .With("ArgumentName", Name).With("ArgumentValue", header);
    }

    private static S3Exception NotSatisfiable(string header, long length) => new S3Exception(S3Error.InvalidRange)
        .With("RangeRequested", header)
        .With("ActualObjectSize", length.ToString(CultureInfo.InvariantCulture));

    /// <summary>Digits only. More of them than a 64-bit number has mean "very far", not an error.</summary>
    private static bool TryParse(ReadOnlySpan<char> digits, out long value)
    {
        value = 0;
        if (digits.IsEmpty || digits.ContainsAnyExceptInRange('0', '9')) return false;
        if (!long.TryParse(digits, NumberStyles.None, CultureInfo.InvariantCulture, out value)) value = long.MaxValue;
        return true;
    }
}
