using System.Text;
using DarkStorage.Select.Sql;

namespace DarkStorage.Select.Evaluation;

/// <summary>What SQLite does not do as S3 Select has it: casts, texts by character, timestamps, comparison of different kinds.</summary>
/// <remarks>A null among the arguments gives null, unless a function says otherwise.</remarks>
internal static class SelectFunctions
{
    private const string InvalidArguments = "EvaluatorInvalidArguments";

    public static SelectValue Boolean(in SelectValue condition) => condition.IsNull ? SelectValue.Null : SelectValue.OfBoolean(condition.Integer != 0);

    /// <summary>A value where a condition is wanted: what is neither true nor false is unknown.</summary>
    public static SelectValue Truth(in SelectValue value) => value.Kind switch
    {
        ValueKind.Boolean => OfCondition(value.Boolean),
        ValueKind.Text when SelectValue.TryParseBoolean(value.Bytes.Span, out var truth) => OfCondition(truth),
        _ => SelectValue.Null,
    };

    public static SelectValue Compare(in SelectValue a, in SelectValue b) =>
        a.IsNull || b.IsNull || SelectValue.Compare(a, b) is not { } order ? SelectValue.Null : SelectValue.OfInteger(order);

    public static SelectValue Between(in SelectValue value, in SelectValue low, in SelectValue high)
    {
        var (fromLow, toHigh) = (Compare(value, low), Compare(value, high));
        if ((!fromLow.IsNull && fromLow.Integer < 0) || (!toHigh.IsNull && toHigh.Integer > 0)) return OfCondition(false);
        return fromLow.IsNull || toHigh.IsNull ? SelectValue.Null : OfCondition(true);
    }

    public static SelectValue In(ReadOnlySpan<SelectValue> arguments)
    {
        var unknown = false;
        foreach (ref readonly var item in arguments[1..])
        {
            if (arguments[0].IsNull || item.IsNull) unknown = true;
            else if (SelectValue.Compare(arguments[0], item) == 0) return OfCondition(true);
        }
        return unknown ? SelectValue.Null : OfCondition(false);
    }

    /// <returns>Which of the arguments after the first equals it, counted from 1; 0 for none.</returns>
    public static SelectValue Match(ReadOnlySpan<SelectValue> arguments)
    {
        for (var i = 1; i < arguments.Length; i++)
        {
            if (!arguments[0].IsNull && !arguments[i].IsNull && SelectValue.Compare(arguments[0], arguments[i]) == 0) return SelectValue.OfInteger(i);
        }
        return SelectValue.OfInteger(0);
    }

    public static SelectValue NullIf(in SelectValue a, in SelectValue b) => !a.IsNull && !b.IsNull && SelectValue.Compare(a, b) == 0 ? SelectValue.Null : a;

    /// <summary>Texts, one behind the other.</summary>
    public static SelectValue Concat(ReadOnlySpan<SelectValue> texts)
    {
        var length = 0;
        foreach (ref readonly var text in texts)
        {
            if (text.IsNull) return SelectValue.Null;
            length += text.Bytes.Length;
        }
        var (joined, at) = (new byte[length], 0);
        foreach (ref readonly var text in texts)
        {
            text.Bytes.Span.CopyTo(joined.AsSpan(at));
            at += text.Bytes.Length;
        }
        return SelectValue.OfText(joined);
    }

    /// <summary>An operand of arithmetic.</summary>
    /// <exception cref="SelectException"><c>CastFailed</c>.</exception>
    public static SelectValue Number(in SelectValue value)
    {
        if (value.IsNull || value.IsNumber) return value.IsNull ? SelectValue.Null : value;
        return value.Kind == ValueKind.Text && SelectValue.TryParseNumber(value.Bytes.Span, default, out var number) ? number : throw CastFailed("a number");
    }

    /// <summary>The remainder has the dividend's sign. Of a division by zero it is null, as the quotient is.</summary>
    public static SelectValue Modulo(in SelectValue a, in SelectValue b)
    {
        if (a.IsNull || b.IsNull || b.Number == 0) return SelectValue.Null;
        if (a.Kind != ValueKind.Integer || b.Kind != ValueKind.Integer) return SelectValue.OfReal(a.Number % b.Number);
        return SelectValue.OfInteger(b.Integer == -1 ? 0 : a.Integer % b.Integer);
    }

    public static SelectValue Cast(CastType type, in SelectValue value)
    {
        if (value.IsNull) return SelectValue.Null;
        switch (type)
        {
            case CastType.String: return SelectValue.OfText(value.ToText());
            case CastType.Integer:
                if (value.Kind == ValueKind.Integer) return value;
                if (value.Kind == ValueKind.Boolean) return OfCondition(value.Boolean);
                var number = value.Kind == ValueKind.Real ? value
                    : value.Kind == ValueKind.Text && SelectValue.TryParseNumber(value.Bytes.Span, default, out var read) ? read : throw CastFailed("an integer");
                if (number.Kind == ValueKind.Integer) return number;
                // What stands after the point is cut off.
                if (number.Real is < -9223372036854775808.0 or >= 9223372036854775808.0) throw new SelectException("IntegerOverflow", "An integer overflow or underflow occurred in the SQL expression.");
                return SelectValue.OfInteger((long)number.Real);
            case CastType.Float or CastType.Decimal:
                if (value.Kind == ValueKind.Boolean) return SelectValue.OfReal(value.Boolean ? 1 : 0);
                if (value.IsNumber) return SelectValue.OfReal(value.Number);
                return value.Kind == ValueKind.Text && SelectValue.TryParseNumber(value.Bytes.Span, default, out var real) ? SelectValue.OfReal(real.Number) : throw CastFailed("a number");
            case CastType.Boolean:
                if (value.Kind == ValueKind.Boolean) return value;
                if (value.IsNumber) return SelectValue.OfBoolean(value.Number != 0);
                return value.Kind == ValueKind.Text && SelectValue.TryParseBoolean(value.Bytes.Span, out var truth) ? SelectValue.OfBoolean(truth) : throw CastFailed("a boolean");
            default: return ToTimestamp(value);
        }
    }

    public static SelectValue ToTimestamp(in SelectValue value)
    {
        if (value.IsNull) return SelectValue.Null;
        if (value.Kind == ValueKind.Timestamp) return value;
        return value.Kind == ValueKind.Text && Timestamp.TryParse(value.Text, out var time) ? SelectValue.OfTimestamp(time) : throw CastFailed("a timestamp");
    }

    /// <summary>Positions count from 1; what lies before the text's begin counts into the length and gives nothing, as SQL has it.</summary>
    public static SelectValue Substring(ReadOnlySpan<SelectValue> arguments)
    {
        foreach (ref readonly var argument in arguments)
        {
            if (argument.IsNull) return SelectValue.Null;
        }
        var text = TextOf(arguments[0]);
        var start = WholeOf(arguments[1]);
        var length = arguments.Length > 2 ? WholeOf(arguments[2]) : long.MaxValue;
        if (length < 0) throw new SelectException(InvalidArguments, "The length of SUBSTRING must not be negative.");
        var end = length == long.MaxValue || start > long.MaxValue - length ? long.MaxValue : start + length;
        return SelectValue.OfText(Characters(text, Math.Max(start, 1), end));
    }

    public static SelectValue CharLength(in SelectValue text) => text.IsNull ? SelectValue.Null : SelectValue.OfInteger(CountCharacters(TextOf(text).Span));

    public static SelectValue Upper(in SelectValue text) => text.IsNull ? SelectValue.Null : SelectValue.OfText(Encoding.UTF8.GetString(TextOf(text).Span).ToUpperInvariant());

    public static SelectValue Lower(in SelectValue text) => text.IsNull ? SelectValue.Null : SelectValue.OfText(Encoding.UTF8.GetString(TextOf(text).Span).ToLowerInvariant());

    /// <param name="arguments">The text and, where they are not spaces, the characters to take off.</param>
    public static SelectValue Trim(ReadOnlySpan<SelectValue> arguments, bool leading, bool trailing)
    {
        if (arguments[0].IsNull || (arguments.Length > 1 && arguments[1].IsNull)) return SelectValue.Null;
        var characters = new HashSet<Rune>();
        if (arguments.Length == 1) characters.Add(new Rune(' '));
        else foreach (var rune in Encoding.UTF8.GetString(TextOf(arguments[1]).Span).EnumerateRunes()) characters.Add(rune);
        var text = TextOf(arguments[0]);
        while (leading && text.Length > 0 && Rune.DecodeFromUtf8(text.Span, out var rune, out var bytes) == System.Buffers.OperationStatus.Done && characters.Contains(rune)) text = text[bytes..];
        while (trailing && text.Length > 0 && Rune.DecodeLastFromUtf8(text.Span, out var rune, out var bytes) == System.Buffers.OperationStatus.Done && characters.Contains(rune)) text = text[..^bytes];
        return SelectValue.OfText(text);
    }

    /// <summary>A pattern of <c>%</c> and <c>_</c>. The time is the product of both lengths at the worst, whatever the pattern: SQLite's own LIKE goes back further.</summary>
    /// <param name="steps">What is left of the comparisons that one record may cost.</param>
    public static SelectValue Like(ReadOnlySpan<SelectValue> arguments, ref long steps, CancellationToken ct)
    {
        foreach (ref readonly var argument in arguments)
        {
            if (argument.IsNull) return SelectValue.Null;
            if (argument.Kind != ValueKind.Text) throw new SelectException("LikeInvalidInputs", "LIKE compares texts: one of its arguments is none.");
        }
        const int AnyOne = -1;
        const int AnyMany = -2;
        int? escape = null;
        if (arguments.Length > 2)
        {
            if (CountCharacters(arguments[2].Bytes.Span) != 1) throw new SelectException("LikeInvalidInputs", "The escape of LIKE is one character.");
            Rune.DecodeFromUtf8(arguments[2].Bytes.Span, out var rune, out _);
            escape = rune.Value;
        }
        var pattern = new List<int>();
        var escaped = false;
        foreach (var rune in arguments[1].Text.EnumerateRunes())
        {
            if (!escaped && rune.Value == escape)
            {
                escaped = true;
                continue;
            }
            pattern.Add(escaped ? rune.Value : rune.Value switch { '%' => AnyMany, '_' => AnyOne, var other => other });
            escaped = false;
        }
        if (escaped) throw new SelectException("LikeInvalidInputs", "The pattern of LIKE ends in its escape character.");
        var text = new List<int>();
        foreach (var rune in arguments[0].Text.EnumerateRunes()) text.Add(rune.Value);

        var (t, p, many, retry) = (0, 0, -1, 0);
        while (t < text.Count)
        {
            if ((--steps & 0xFFFFF) == 0) ct.ThrowIfCancellationRequested();
            if (steps < 0) throw new SelectException("LikeInvalidInputs", "LIKE looks through a record for too long: the pattern fits too much of it by halves.");
            if (p < pattern.Count && pattern[p] == AnyMany)
            {
                (many, retry) = (p++, t);
            }
            else if (p < pattern.Count && (pattern[p] == AnyOne || pattern[p] == text[t]))
            {
                (p, t) = (p + 1, t + 1);
            }
            else if (many >= 0)
            {
                // The last % takes one more character, and what follows it starts anew.
                (p, t) = (many + 1, ++retry);
            }
            else
            {
                return OfCondition(false);
            }
        }
        while (p < pattern.Count && pattern[p] == AnyMany) p++;
        return OfCondition(p == pattern.Count);
    }

    public static SelectValue DateAdd(in SelectValue part, in SelectValue quantity, in SelectValue timestamp)
    {
        if (quantity.IsNull || timestamp.IsNull) return SelectValue.Null;
        var (count, time) = (WholeOf(quantity), TimeOf(timestamp));
        try
        {
            var local = part.Text switch
            {
                "year" => time.Local.AddYears(checked((int)count)),
                "month" => time.Local.AddMonths(checked((int)count)),
                "day" => time.Local.AddDays(count),
                "hour" => time.Local.AddHours(count),
                "minute" => time.Local.AddMinutes(count),
                _ => time.Local.AddSeconds(count),
            };
            // What is added is told, also where it was not written before.
            var precision = part.Text switch
            {
                "year" => TimestampPrecision.Year,
                "month" => TimestampPrecision.Month,
                "day" => TimestampPrecision.Day,
                "hour" or "minute" => TimestampPrecision.Minute,
                _ => TimestampPrecision.Second,
            };
            return SelectValue.OfTimestamp(time.WithLocal(local) with { Precision = time.Precision > precision ? time.Precision : precision });
        }
        catch (Exception e) when (e is ArgumentOutOfRangeException or OverflowException)
        {
            throw new SelectException(InvalidArguments, "DATE_ADD leaves the years 1 to 9999.", inner: e);
        }
    }

    /// <summary>Whole parts from the first to the second; of years and months by the calendar, of the others by the time between.</summary>
    public static SelectValue DateDiff(in SelectValue part, in SelectValue from, in SelectValue to)
    {
        if (from.IsNull || to.IsNull) return SelectValue.Null;
        var (a, b) = (TimeOf(from), TimeOf(to));
        var ticks = b.Utc.Ticks - a.Utc.Ticks;
        return SelectValue.OfInteger(part.Text switch
        {
            "year" => b.Utc.Year - a.Utc.Year - Short(b.Utc.Year - a.Utc.Year, a.Utc.AddYears),
            "month" => Months() - Short(Months(), a.Utc.AddMonths),
            "day" => ticks / TimeSpan.TicksPerDay,
            "hour" => ticks / TimeSpan.TicksPerHour,
            "minute" => ticks / TimeSpan.TicksPerMinute,
            _ => ticks / TimeSpan.TicksPerSecond,
        });

        int Months() => ((b.Utc.Year - a.Utc.Year) * 12) + b.Utc.Month - a.Utc.Month;

        // One part too many was counted where the calendar's parts are not full.
        int Short(int count, Func<int, DateTime> add) => count > 0 && add(count) > b.Utc ? 1 : count < 0 && add(count) < b.Utc ? -1 : 0;
    }

    public static SelectValue Extract(in SelectValue part, in SelectValue timestamp)
    {
        if (timestamp.IsNull) return SelectValue.Null;
        var time = TimeOf(timestamp);
        return SelectValue.OfInteger(part.Text switch
        {
            "year" => time.Local.Year,
            "month" => time.Local.Month,
            "day" => time.Local.Day,
            "hour" => time.Local.Hour,
            "minute" => time.Local.Minute,
            "second" => time.Local.Second,
            "timezone_hour" => time.OffsetMinutes / 60,
            _ => time.OffsetMinutes % 60,
        });
    }

    public static SelectValue ToText(in SelectValue timestamp, in SelectValue pattern)
    {
        if (timestamp.IsNull || pattern.IsNull) return SelectValue.Null;
        var time = TimeOf(timestamp);
        if (pattern.Kind != ValueKind.Text || pattern.Bytes.Length > 1024 || time.ToString(pattern.Text) is not { } text)
            throw new SelectException("EvaluatorInvalidTimestampFormatPattern", "The timestamp format string in the SQL expression is invalid.");
        return SelectValue.OfText(text);
    }

    private static SelectValue OfCondition(bool value) => SelectValue.OfInteger(value ? 1 : 0);

    private static ReadOnlyMemory<byte> TextOf(in SelectValue value) =>
        value.Kind == ValueKind.Text ? value.Bytes : throw new SelectException("IncorrectSqlFunctionArgumentType", "A function of texts is called with something else.");

    private static long WholeOf(in SelectValue value)
    {
        if (value.Kind == ValueKind.Integer) return value.Integer;
        if (value.Kind == ValueKind.Text && SelectValue.TryParseNumber(value.Bytes.Span, default, out var number) && number.Kind == ValueKind.Integer) return number.Integer;
        throw new SelectException(InvalidArguments, "A function is called with something else where it needs a whole number.");
    }

    private static Timestamp TimeOf(in SelectValue value)
    {
        if (value.Kind == ValueKind.Timestamp) return value.Timestamp;
        if (value.Kind == ValueKind.Text && Timestamp.TryParse(value.Text, out var time)) return time;
        throw new SelectException(InvalidArguments, "A function is called with something else where it needs a timestamp.");
    }

    private static SelectException CastFailed(string to) => new("CastFailed", $"Attempt to convert from one data type to another failed in the SQL expression: a value is not {to}.");

    private static int CountCharacters(ReadOnlySpan<byte> utf8)
    {
        var count = 0;
        foreach (var b in utf8)
        {
            if ((b & 0xC0) != 0x80) count++;
        }
        return count;
    }

    /// <summary>The characters from one position, from 1, to before another.</summary>
    private static ReadOnlyMemory<byte> Characters(ReadOnlyMemory<byte> utf8, long first, long end)
    {
        var span = utf8.Span;
        var (position, from) = (0L, -1);
        for (var i = 0; i < span.Length; i++)
        {
            if ((span[i] & 0xC0) == 0x80) continue;
            position++;
            if (position == end) return from < 0 ? default : utf8[from..i];
            if (position == first) from = i;
        }
        return from < 0 || end <= first ? default : utf8[from..];
    }
}
