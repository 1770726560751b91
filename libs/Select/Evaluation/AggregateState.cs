using DarkStorage.Select.Sql;

namespace DarkStorage.Select.Evaluation;

/// <summary>One aggregate over the records so far. A null counts for nothing.</summary>
internal sealed class AggregateState(AggregateKind kind)
{
    private long _count;
    private Int128 _whole;
    private double _real;
    private double _lost;
    private bool _hasReal;
    private SelectValue _extreme;

    /// <returns>How many bytes more are kept for the answer than before.</returns>
    /// <exception cref="SelectException"><c>CastFailed</c>: a text is summed that is no number. <c>InvalidDataType</c>: values of kinds that have no order.</exception>
    public int Add(in SelectValue value)
    {
        if (value.IsNull) return 0;
        _count++;
        var kept = _extreme.Bytes.Length;
        switch (kind)
        {
            case AggregateKind.Sum or AggregateKind.Avg:
                var number = SelectFunctions.Number(value);
                if (number.Kind == ValueKind.Integer) _whole += number.Integer;
                else AddReal(number.Real);
                break;
            case AggregateKind.Min or AggregateKind.Max:
                // A text that an object was read with stays in the reader's buffer, which moves on.
                if (_count == 1)
                {
                    _extreme = Kept(value);
                    break;
                }
                var order = SelectValue.Compare(value, _extreme) ?? throw new SelectException("InvalidDataType", "MIN or MAX is asked of values that have no order among them.");
                if (kind == AggregateKind.Min ? order < 0 : order > 0) _extreme = Kept(value);
                break;
        }
        return _extreme.Bytes.Length - kept;
    }

    /// <summary>COUNT(*).</summary>
    public void AddRecord() => _count++;

    /// <exception cref="SelectException"><c>IntegerOverflow</c>.</exception>
    public SelectValue Result() => kind switch
    {
        AggregateKind.Count => SelectValue.OfInteger(_count),
        _ when _count == 0 => SelectValue.Null,
        AggregateKind.Avg => SelectValue.OfReal(((double)_whole + _real + _lost) / _count),
        AggregateKind.Sum when _hasReal => SelectValue.OfReal((double)_whole + _real + _lost),
        AggregateKind.Sum => _whole >= long.MinValue && _whole <= long.MaxValue
            ? SelectValue.OfInteger((long)_whole)
            : throw new SelectException("IntegerOverflow", "An integer overflow or underflow occurred in the SQL expression."),
        _ => _extreme,
    };

    /// <summary>What a sum loses to rounding is summed beside it (Neumaier, 1974).</summary>
    private void AddReal(double value)
    {
        _hasReal = true;
        var sum = _real + value;
        _lost += Math.Abs(_real) >= Math.Abs(value) ? _real - sum + value : value - sum + _real;
        _real = sum;
    }

    private static SelectValue Kept(in SelectValue value) => value.Kind switch
    {
        ValueKind.Text => SelectValue.OfText(value.Bytes.ToArray()),
        ValueKind.Json => SelectValue.OfJson(value.Bytes.ToArray()),
        ValueKind.Integer => SelectValue.OfInteger(value.Integer, value.Bytes.ToArray()),
        ValueKind.Real => SelectValue.OfReal(value.Real, value.Bytes.ToArray()),
        _ => value,
    };
}
