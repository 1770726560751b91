namespace DarkStorage.Rules.Lifecycle.Language;

/// <summary>A set of whole numbers from 0 on: intervals, both ends in, in order and apart from one another.</summary>
internal sealed class NumberSet
{
    public static readonly NumberSet All = new([(0, long.MaxValue)]);

    private readonly (long First, long Last)[] _intervals;

    private NumberSet((long First, long Last)[] intervals) => _intervals = intervals;

    public bool IsEmpty => _intervals.Length == 0;

    /// <summary>The numbers that stand in a relation to one of the values (to none of them, where the relation says not).</summary>
    public static NumberSet Of(LifecycleRelation relation, ReadOnlySpan<long> values) => relation switch
    {
        LifecycleRelation.Less => values[0] == 0 ? new([]) : new([(0, values[0] - 1)]),
        LifecycleRelation.AtMost => new([(0, values[0])]),
        LifecycleRelation.Greater => new([(values[0] + 1, long.MaxValue)]),
        LifecycleRelation.AtLeast => new([(values[0], long.MaxValue)]),
        LifecycleRelation.Equal or LifecycleRelation.In => Points(values),
        _ => Points(values).Complement(),
    };

    private static NumberSet Points(ReadOnlySpan<long> values)
    {
        var sorted = values.ToArray().Distinct().Order().ToArray();
        return new([.. sorted.Select(v => (v, v))]);
    }

    public bool Contains(long number)
    {
        foreach (var (first, last) in _intervals)
        {
            if (number <= last) return number >= first;
        }
        return false;
    }

    /// <summary>Whether it has all of the numbers from one to another (true), none (false), or some.</summary>
    public bool? Covers(long from, long to)
    {
        foreach (var (first, last) in _intervals)
        {
            if (last < from) continue;
            if (first > to) return false;
            if (first <= from && to <= last) return true;
            // Points side by side are intervals of their own, and together have all; then "some" is a true answer too, of less use.
            return null;
        }
        return false;
    }

    public long? FirstFrom(long number)
    {
        foreach (var (first, last) in _intervals)
        {
            if (number <= last) return Math.Max(first, number);
        }
        return null;
    }

    public NumberSet Intersect(NumberSet other)
    {
        var both = new List<(long, long)>();
        for (int i = 0, j = 0; i < _intervals.Length && j < other._intervals.Length;)
        {
            var (a, b) = (_intervals[i], other._intervals[j]);
            var (first, last) = (Math.Max(a.First, b.First), Math.Min(a.Last, b.Last));
            if (first <= last) both.Add((first, last));
            if (a.Last < b.Last) i++;
            else j++;
        }
        return new([.. both]);
    }

    public NumberSet Complement()
    {
        var gaps = new List<(long, long)>();
        var next = 0L;
        foreach (var (first, last) in _intervals)
        {
            if (first > next) gaps.Add((next, first - 1));
            if (last == long.MaxValue) return new([.. gaps]);
            next = last + 1;
        }
        gaps.Add((next, long.MaxValue));
        return new([.. gaps]);
    }
}
