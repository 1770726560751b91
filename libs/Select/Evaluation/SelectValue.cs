using System.Buffers;
using System.Buffers.Binary;
using System.Globalization;
using System.Text;

namespace DarkStorage.Select.Evaluation;

internal enum ValueKind
{
    /// <summary>The record has no such field.</summary>
    Missing,
    Null,
    Text,
    Integer,
    Real,
    Boolean,
    Timestamp,

    /// <summary>An object or an array of JSON.</summary>
    Json,
}

/// <summary>One value of S3 Select. SQLite knows the first five kinds; the others travel through it as blobs that begin with their kind's letter.</summary>
internal readonly struct SelectValue
{
    private const byte BooleanTag = (byte)'b';
    private const byte TimestampTag = (byte)'t';
    private const byte JsonTag = (byte)'j';
    private const int TimestampBytes = 1 + 8 + 2 + 1;

    private static readonly SearchValues<byte> OfNumbers = SearchValues.Create("0123456789+-.eE"u8);

    private readonly long _bits;
    private readonly short _offset;
    private readonly TimestampPrecision _precision;

    private SelectValue(ValueKind kind, long bits, ReadOnlyMemory<byte> bytes = default, short offset = 0, TimestampPrecision precision = default) =>
        (Kind, _bits, Bytes, _offset, _precision) = (kind, bits, bytes, offset, precision);

    public ValueKind Kind { get; }

    /// <summary>UTF-8 of a text, of JSON, and of a number as the object writes it, where it comes from there.</summary>
    public ReadOnlyMemory<byte> Bytes { get; }

    public bool IsNull => Kind is ValueKind.Missing or ValueKind.Null;

    public long Integer => _bits;
    public double Real => BitConverter.Int64BitsToDouble(_bits);
    public bool Boolean => _bits != 0;
    public Timestamp Timestamp => new(new DateTime(_bits, DateTimeKind.Utc), _offset, _precision);
    public string Text => Encoding.UTF8.GetString(Bytes.Span);

    /// <summary>The number, of either kind.</summary>
    public double Number => Kind == ValueKind.Integer ? Integer : Real;

    public bool IsNumber => Kind is ValueKind.Integer or ValueKind.Real;

    public static SelectValue Missing => default;
    public static SelectValue Null => new(ValueKind.Null, 0);
    public static SelectValue OfText(ReadOnlyMemory<byte> utf8) => new(ValueKind.Text, 0, utf8);
    public static SelectValue OfText(string text) => OfText(Encoding.UTF8.GetBytes(text));
    public static SelectValue OfInteger(long value, ReadOnlyMemory<byte> written = default) => new(ValueKind.Integer, value, written);
    public static SelectValue OfReal(double value, ReadOnlyMemory<byte> written = default) => new(ValueKind.Real, BitConverter.DoubleToInt64Bits(value), written);
    public static SelectValue OfBoolean(bool value) => new(ValueKind.Boolean, value ? 1 : 0);
    public static SelectValue OfTimestamp(Timestamp value) => new(ValueKind.Timestamp, value.Utc.Ticks, default, (short)value.OffsetMinutes, value.Precision);
    public static SelectValue OfJson(ReadOnlyMemory<byte> json) => new(ValueKind.Json, 0, json);

    /// <summary>A number as written: an integer where it fits, else the nearest double.</summary>
    public static bool TryParseNumber(ReadOnlySpan<byte> utf8, ReadOnlyMemory<byte> written, out SelectValue value)
    {
        value = default;
        utf8 = utf8.Trim(" \t\r\n"u8);
        if (utf8.IsEmpty || utf8.Length > 400 || utf8.ContainsAnyExcept(OfNumbers)) return false;
        if (long.TryParse(utf8, NumberStyles.AllowLeadingSign, CultureInfo.InvariantCulture, out var integer))
        {
            value = OfInteger(integer, written);
            return true;
        }
        if (!double.TryParse(utf8, NumberStyles.Float, CultureInfo.InvariantCulture, out var real) || !double.IsFinite(real)) return false;
        value = OfReal(real, written);
        return true;
    }

    public static bool TryParseBoolean(ReadOnlySpan<byte> utf8, out bool value)
    {
        utf8 = utf8.Trim((byte)' ');
        value = Ascii.EqualsIgnoreCase(utf8, "true"u8);
        return value || Ascii.EqualsIgnoreCase(utf8, "false"u8);
    }

    /// <summary>As text: what CSV is written with, and what CAST to a string gives. Empty for null.</summary>
    public ReadOnlyMemory<byte> ToText() => Kind switch
    {
        ValueKind.Missing or ValueKind.Null => default,
        ValueKind.Integer or ValueKind.Real when Bytes.Length > 0 => Bytes,
        ValueKind.Integer => Encoding.ASCII.GetBytes(Integer.ToString(CultureInfo.InvariantCulture)),
        ValueKind.Real => Encoding.ASCII.GetBytes(Real.ToString("R", CultureInfo.InvariantCulture)),
        ValueKind.Boolean => Boolean ? "true"u8.ToArray() : "false"u8.ToArray(),
        ValueKind.Timestamp => Encoding.ASCII.GetBytes(Timestamp.ToString()),
        _ => Bytes,
    };

    /// <summary>The blob that stands for a kind that SQLite does not know.</summary>
    public byte[] ToBlob()
    {
        switch (Kind)
        {
            case ValueKind.Boolean: return [BooleanTag, (byte)_bits];
            case ValueKind.Timestamp:
                var blob = new byte[TimestampBytes];
                blob[0] = TimestampTag;
                BinaryPrimitives.WriteInt64BigEndian(blob.AsSpan(1), _bits);
                BinaryPrimitives.WriteInt16BigEndian(blob.AsSpan(9), _offset);
                blob[11] = (byte)_precision;
                return blob;
            default: return [JsonTag, .. Bytes.Span];
        }
    }

    public static SelectValue OfBlob(ReadOnlySpan<byte> blob) => blob[0] switch
    {
        BooleanTag => OfBoolean(blob[1] != 0),
        TimestampTag => new(ValueKind.Timestamp, BinaryPrimitives.ReadInt64BigEndian(blob[1..]), default, BinaryPrimitives.ReadInt16BigEndian(blob[9..]), (TimestampPrecision)blob[11]),
        _ => OfJson(blob[1..].ToArray()),
    };

    /// <summary>Order of two values, neither of them null.</summary>
    /// <returns>Null where they can't be compared. A text beside another kind is read as that kind, as CSV has nothing but texts.</returns>
    public static int? Compare(in SelectValue a, in SelectValue b)
    {
        if (a.Kind == ValueKind.Text && b.Kind != ValueKind.Text) return TryReadAs(a, b.Kind, out var read) ? CompareSame(read, b) : null;
        if (b.Kind == ValueKind.Text && a.Kind != ValueKind.Text) return TryReadAs(b, a.Kind, out var read) ? CompareSame(a, read) : null;
        return CompareSame(a, b);
    }

    private static bool TryReadAs(in SelectValue text, ValueKind kind, out SelectValue value)
    {
        value = default;
        switch (kind)
        {
            case ValueKind.Integer or ValueKind.Real: return TryParseNumber(text.Bytes.Span, default, out value);
            case ValueKind.Boolean when TryParseBoolean(text.Bytes.Span, out var truth):
                value = OfBoolean(truth);
                return true;
            case ValueKind.Timestamp when Timestamp.TryParse(text.Text, out var time):
                value = OfTimestamp(time);
                return true;
            default: return false;
        }
    }

    private static int? CompareSame(in SelectValue a, in SelectValue b)
    {
        if (a.IsNumber && b.IsNumber)
        {
            if (a.Kind == ValueKind.Integer && b.Kind == ValueKind.Integer) return a.Integer.CompareTo(b.Integer);
            if (a.Kind == ValueKind.Real && b.Kind == ValueKind.Real) return a.Real.CompareTo(b.Real);
            return a.Kind == ValueKind.Integer ? CompareMixed(a.Integer, b.Real) : -CompareMixed(b.Integer, a.Real);
        }
        if (a.Kind != b.Kind) return null;
        return a.Kind switch
        {
            ValueKind.Text => Math.Sign(a.Bytes.Span.SequenceCompareTo(b.Bytes.Span)),
            ValueKind.Json => a.Bytes.Span.SequenceEqual(b.Bytes.Span) ? 0 : null,
            _ => a._bits.CompareTo(b._bits),
        };
    }

    /// <summary>Without rounding the integer, which a double may not hold.</summary>
    private static int CompareMixed(long integer, double real)
    {
        if (real >= 9223372036854775808.0) return -1;
        if (real < -9223372036854775808.0) return 1;
        var whole = (long)real;
        var order = integer.CompareTo(whole);
        return order != 0 ? order : 0.0.CompareTo(real - whole);
    }
}
