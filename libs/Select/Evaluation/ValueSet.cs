namespace DarkStorage.Select.Evaluation;

/// <summary>The literals of an IN, however many: found by hash, and equal as <see cref="SelectValue.Compare"/> has it.</summary>
internal sealed class ValueSet
{
    private readonly HashSet<string> _texts = new(StringComparer.Ordinal);
    private readonly HashSet<(ValueKind, long)> _numbers = [];

    /// <summary>The texts that read as numbers, for numbers to be found among.</summary>
    private readonly HashSet<(ValueKind, long)> _textsAsNumbers = [];
    private readonly List<SelectValue> _others = [];
    private readonly List<SelectValue> _all = [];
    private readonly bool _hasNull;

    public ValueSet(IEnumerable<SelectValue> values)
    {
        foreach (var value in values)
        {
            if (value.IsNull)
            {
                _hasNull = true;
                continue;
            }
            _all.Add(value);
            if (value.IsNumber)
            {
                _numbers.Add(KeyOf(value));
            }
            else if (value.Kind == ValueKind.Text)
            {
                _texts.Add(value.Text);
                if (SelectValue.TryParseNumber(value.Bytes.Span, default, out var number)) _textsAsNumbers.Add(KeyOf(number));
            }
            else
            {
                _others.Add(value);
            }
        }
    }

    /// <returns>Null where it is not known: the value is null, or is not there but a null is.</returns>
    public bool? Contains(in SelectValue value)
    {
        if (value.IsNull) return null;
        var found = value.Kind switch
        {
            ValueKind.Text => _texts.Contains(value.Text)
                || (_numbers.Count > 0 && SelectValue.TryParseNumber(value.Bytes.Span, default, out var number) && _numbers.Contains(KeyOf(number)))
                || Any(_others, value),
            ValueKind.Integer or ValueKind.Real => _numbers.Contains(KeyOf(value)) || _textsAsNumbers.Contains(KeyOf(value)),
            _ => Any(_all, value),
        };
        return found ? true : _hasNull ? null : false;
    }

    private static bool Any(List<SelectValue> values, in SelectValue value)
    {
        foreach (var other in values)
        {
            if (SelectValue.Compare(value, other) == 0) return true;
        }
        return false;
    }

    /// <summary>1 and 1.0 are one.</summary>
    private static (ValueKind, long) KeyOf(in SelectValue number)
    {
        if (number.Kind == ValueKind.Integer) return (ValueKind.Integer, number.Integer);
        var real = number.Real;
        return real >= long.MinValue && real < 9223372036854775808.0 && Math.Floor(real) == real ? (ValueKind.Integer, (long)real) : (ValueKind.Real, BitConverter.DoubleToInt64Bits(real));
    }
}
