using System.Collections.Immutable;
using System.Runtime.InteropServices;
using DarkStorage.Rules.Policies;

namespace DarkStorage.Rules.Lifecycle.Language;

/// <summary>What must hold of a version. Two are equal where they print the same.</summary>
public abstract record LifecycleCondition
{
    private protected LifecycleCondition()
    {
    }

    /// <summary>What it could turn on that is dear to get.</summary>
    public abstract LifecycleNeeds Needs { get; }

    /// <summary>Conditions that all must hold. What is such a one itself is taken apart.</summary>
    public static LifecycleCondition All(params IEnumerable<LifecycleCondition> parts) => Of(isAll: true, parts);

    /// <summary>Conditions of which one must hold. What is such a one itself is taken apart.</summary>
    public static LifecycleCondition Any(params IEnumerable<LifecycleCondition> parts) => Of(isAll: false, parts);

    private static LifecycleCondition Of(bool isAll, IEnumerable<LifecycleCondition> parts) =>
        parts.SelectMany(p => p is Junction junction && junction.IsAll == isAll ? junction.Parts : [p]).ToImmutableArray() is [_, _, ..] many ? new Junction(isAll, many) : parts.Single();

    /// <param name="missing">What it turned on that was not fetched, if anything, is added.</param>
    internal abstract Truth Test(in LifecyclePolicySubject subject, long now, ref LifecycleNeeds missing);

    /// <returns>The first instant after another at which a comparison of it may turn out otherwise; <see cref="long.MaxValue"/> where there is none.</returns>
    internal abstract long NextTurn(in LifecyclePolicySubject subject, long after);

    internal abstract IEnumerable<LifecycleComparison> Comparisons { get; }

    public sealed override string ToString() => Print();

    private protected abstract string Print();

    /// <summary>How tightly it holds together: a part that does so less stands in parentheses.</summary>
    private protected virtual int Binding => 3;

    /// <summary>Parts that all must hold, or of which one must.</summary>
    private sealed record Junction(bool IsAll, ImmutableArray<LifecycleCondition> Parts) : LifecycleCondition
    {
        /// <summary>What one part says that is what the whole says, whatever the others are.</summary>
        private Truth Decisive => IsAll ? Truth.No : Truth.Yes;

        public override LifecycleNeeds Needs { get; } = Parts.Aggregate(LifecycleNeeds.None, (needs, p) => needs | p.Needs);

        private protected override int Binding => IsAll ? 1 : 0;

        internal override IEnumerable<LifecycleComparison> Comparisons => Parts.SelectMany(p => p.Comparisons);

        internal override Truth Test(in LifecyclePolicySubject subject, long now, ref LifecycleNeeds missing)
        {
            var (truth, asked) = (Decisive.Not(), missing);
            foreach (var part in Parts)
            {
                var said = part.Test(subject, now, ref asked);
                truth = IsAll ? truth.And(said) : truth.Or(said);
                if (truth == Decisive) return truth;
            }
            missing = asked;
            return truth;
        }

        internal override long NextTurn(in LifecyclePolicySubject subject, long after)
        {
            var next = long.MaxValue;
            foreach (var part in Parts) next = Math.Min(next, part.NextTurn(subject, after));
            return next;
        }

        internal override bool TakeApart(bool holds, out ImmutableArray<(LifecycleCondition, bool)> parts)
        {
            parts = [.. Parts.Select(p => (p, holds))];
            return holds == IsAll;
        }

        private protected override string Print() =>
            string.Join(IsAll ? " AND " : " OR ", Parts.Select(p => p.Binding > Binding ? p.Print() : $"({p.Print()})"));

        public bool Equals(Junction? other) => other is not null && IsAll == other.IsAll && Parts.AsSpan().SequenceEqual(other.Parts.AsSpan());

        public override int GetHashCode() => Parts.Aggregate(IsAll ? 1 : 2, HashCode.Combine);
    }

    /// <summary>For what looks for a version of which it holds, or does not.</summary>
    /// <param name="parts">Conditions that must hold, or not; empty for a comparison.</param>
    /// <returns>Whether all of the parts must; otherwise one.</returns>
    internal abstract bool TakeApart(bool holds, out ImmutableArray<(LifecycleCondition Condition, bool Holds)> parts);

    public static LifecycleCondition Not(LifecycleCondition condition) => new Negation(condition);

    private sealed record Negation(LifecycleCondition Part) : LifecycleCondition
    {
        public override LifecycleNeeds Needs => Part.Needs;

        private protected override int Binding => 2;

        internal override IEnumerable<LifecycleComparison> Comparisons => Part.Comparisons;

        internal override Truth Test(in LifecyclePolicySubject subject, long now, ref LifecycleNeeds missing) => Part.Test(subject, now, ref missing).Not();

        internal override long NextTurn(in LifecyclePolicySubject subject, long after) => Part.NextTurn(subject, after);

        internal override bool TakeApart(bool holds, out ImmutableArray<(LifecycleCondition, bool)> parts)
        {
            parts = [(Part, !holds)];
            return true;
        }

        private protected override string Print() => "NOT " + (Part.Binding >= Binding ? Part.Print() : $"({Part.Print()})");
    }
}

public enum LifecycleRelation
{
    Less,
    AtMost,
    Greater,
    AtLeast,
    Equal,
    NotEqual,
    In,
    NotIn,
    /// <summary>Matches a pattern: <c>*</c> is any run of characters, also over slashes, <c>?</c> is one.</summary>
    Like,
    NotLike,
}

/// <summary>An attribute beside values. What a version has none of (a tag, a time since it was replaced) is unequal to all: what says not holds, everything else doesn't.</summary>
public abstract record LifecycleComparison(LifecycleAttribute Attribute, LifecycleRelation Relation) : LifecycleCondition
{
    public override LifecycleNeeds Needs => Attribute.Needs;

    internal bool IsNegative => Relation is LifecycleRelation.NotEqual or LifecycleRelation.NotIn or LifecycleRelation.NotLike;

    internal override IEnumerable<LifecycleComparison> Comparisons => [this];

    internal override long NextTurn(in LifecyclePolicySubject subject, long after) => long.MaxValue;

    internal override bool TakeApart(bool holds, out ImmutableArray<(LifecycleCondition Condition, bool Holds)> parts)
    {
        parts = [];
        return true;
    }

    /// <summary>What the version has, for a reader.</summary>
    internal abstract string Actual(in LifecyclePolicySubject subject, long now);

    private protected abstract string PrintValue(int index);

    private protected abstract int ValueCount { get; }

    private protected override string Print() => Relation switch
    {
        LifecycleRelation.In => $"{Attribute} IN ({Values})",
        LifecycleRelation.NotIn => $"{Attribute} NOT IN ({Values})",
        LifecycleRelation.Like => $"{Attribute} LIKE {PrintValue(0)}",
        LifecycleRelation.NotLike => $"{Attribute} NOT LIKE {PrintValue(0)}",
        _ => $"{Attribute} {Operator(Relation)} {PrintValue(0)}",
    };

    internal static string Operator(LifecycleRelation relation) => relation switch
    {
        LifecycleRelation.Less => "<",
        LifecycleRelation.AtMost => "<=",
        LifecycleRelation.Greater => ">",
        LifecycleRelation.AtLeast => ">=",
        LifecycleRelation.Equal => "==",
        _ => "!=",
    };

    private string Values => string.Join(", ", Enumerable.Range(0, ValueCount).Select(PrintValue));
}

/// <summary>Of times, counts and sizes.</summary>
public sealed record NumberComparison : LifecycleComparison
{
    private readonly long[] _values;

    /// <param name="values">Times in ticks of 100 ns, sizes in bytes. One, but for <see cref="LifecycleRelation.In"/> and <see cref="LifecycleRelation.NotIn"/>.</param>
    public NumberComparison(LifecycleAttribute attribute, LifecycleRelation relation, params ReadOnlySpan<long> values) : base(attribute, relation) =>
        (_values, Numbers) = (values.ToArray(), NumberSet.Of(relation, values));

    /// <summary>Those for which it holds.</summary>
    internal NumberSet Numbers { get; }

    internal override Truth Test(in LifecyclePolicySubject subject, long now, ref LifecycleNeeds missing)
    {
        var number = 0L;
        switch (Attribute.Kind)
        {
            case LifecycleAttributeKind.Age:
                number = subject.AgeTicks(now);
                break;
            case LifecycleAttributeKind.Size:
                number = subject.Size;
                break;
            case LifecycleAttributeKind.NoncurrentAge:
                if (subject.NoncurrentTicks is not { } since) return IsNegative.ToTruth();
                number = Math.Max(0, now - since);
                break;
            case LifecycleAttributeKind.Access:
                // It is not longer ago than the version was made: of a young one nothing has to be fetched.
                if (subject.AccessTicks is not { } accessed) return Within(0, subject.AgeTicks(now), ref missing);
                number = Math.Max(0, now - accessed);
                break;
            default:
                if (subject.Access is null) return Within(0, long.MaxValue, ref missing);
                number = CountOf(subject.Access, now);
                // There may have been more, while nobody counted.
                if (FirstDayKnown(subject) > now / TimeSpan.TicksPerDay) return Within(number, long.MaxValue, ref missing);
                break;
        }
        return Numbers.Contains(number).ToTruth();
    }

    /// <summary>Of a number within bounds, of which no more is known.</summary>
    private Truth Within(long min, long max, ref LifecycleNeeds missing)
    {
        if (Numbers.Covers(min, max) is { } known) return known.ToTruth();
        missing |= Needs;
        return Truth.Unknown;
    }

    private long CountOf(AccessHistory access, long now) =>
        Attribute.Kind == LifecycleAttributeKind.AccessCount ? access.Total : access.CountOf(Attribute.Days, (int)(now / TimeSpan.TicksPerDay));

    /// <summary>The first day on which it is known how many accesses there were on it and the days before; 0 for every one. How many there were ever can't be known of what was made before they were counted: then those of as many days as are told apart stand for all.</summary>
    private int FirstDayKnown(in LifecyclePolicySubject subject) =>
        subject.FirstDayCounted is > 0 and var first ? first + (Attribute.Kind == LifecycleAttributeKind.AccessCount ? AccessHistory.DaysMax : Attribute.Days) - 1 : 0;

    internal override long NextTurn(in LifecyclePolicySubject subject, long after)
    {
        if (Attribute.Kind == LifecycleAttributeKind.RecentAccessCount)
        {
            // A day's accesses no longer count from a midnight on; of the days, the oldest ends first.
            if (subject.Access is null) return long.MaxValue;
            foreach (var (day, _) in subject.Access.Days.Reverse())
            {
                if ((day.DayNumber + Attribute.Days) * TimeSpan.TicksPerDay is var end && end > after) return end;
            }
            return long.MaxValue;
        }
        var from = Attribute.Kind switch
        {
            LifecycleAttributeKind.Age => subject.Modified.UtcTicks,
            LifecycleAttributeKind.Access => subject.AccessTicks ?? subject.Modified.UtcTicks,
            LifecycleAttributeKind.NoncurrentAge => subject.NoncurrentTicks,
            _ => null,
        };
        var next = long.MaxValue;
        if (from is { } start)
        {
            foreach (var value in _values)
            {
                // It is reached at one instant, and exceeded at the next.
                if (start + value > after) next = Math.Min(next, start + value);
                else if (start + value == after) next = Math.Min(next, after + 1);
            }
        }
        return next;
    }

    internal override string Actual(in LifecyclePolicySubject subject, long now) => Attribute.Kind switch
    {
        LifecycleAttributeKind.Age => Of(subject.AgeTicks(now)),
        LifecycleAttributeKind.Size => Of(subject.Size),
        LifecycleAttributeKind.NoncurrentAge => subject.NoncurrentTicks is { } since ? Of(Math.Max(0, now - since)) : "it is the version on top",
        _ when subject.Access is null => "accesses were not looked up",
        LifecycleAttributeKind.Access when subject.Access.Since > subject.Modified && subject.Access.Last is null => $"{Of(Math.Max(0, now - subject.AccessTicks!.Value))}, as it was not accessed since accesses are counted",
        LifecycleAttributeKind.Access when subject.Access.Last is null => $"{Of(Math.Max(0, now - subject.AccessTicks!.Value))}, as it was never accessed",
        LifecycleAttributeKind.Access => Of(Math.Max(0, now - subject.AccessTicks!.Value)),
        _ when FirstDayKnown(subject) > now / TimeSpan.TicksPerDay => $"{Of(CountOf(subject.Access, now))} or more, as accesses are not counted for that long",
        _ => Of(CountOf(subject.Access, now)),
    };

    private string Of(long value) => "it is " + LifecycleLiterals.Approximate(Attribute, value);

    private protected override int ValueCount => _values.Length;

    private protected override string PrintValue(int index) => LifecycleLiterals.Print(Attribute, _values[index]);

    public bool Equals(NumberComparison? other) => base.Equals(other) && _values.AsSpan().SequenceEqual(other._values);

    public override int GetHashCode() => _values.Aggregate(base.GetHashCode(), HashCode.Combine);
}

/// <summary>Of names, extensions, tags, tiers and classes.</summary>
public sealed record TextComparison : LifecycleComparison
{
    private readonly string[] _values;
    private readonly Pattern? _pattern;

    /// <param name="values">One, but for <see cref="LifecycleRelation.In"/> and <see cref="LifecycleRelation.NotIn"/>.</param>
    public TextComparison(LifecycleAttribute attribute, LifecycleRelation relation, params ReadOnlySpan<string> values) : base(attribute, relation)
    {
        _values = values.ToArray();
        if (attribute.IgnoresCase) _values = Array.ConvertAll(_values, v => v.ToLowerInvariant());
        if (relation is LifecycleRelation.Like or LifecycleRelation.NotLike) _pattern = PatternOf(_values[0], attribute.IgnoresCase);
    }

    /// <summary>Texts, or one pattern.</summary>
    internal ImmutableArray<string> Values => ImmutableCollectionsMarshal.AsImmutableArray(_values);

    internal static Pattern PatternOf(string text, bool ignoreCase) => Pattern.Parse(text, wildcards: true, variables: false, ignoreCase);

    internal override Truth Test(in LifecyclePolicySubject subject, long now, ref LifecycleNeeds missing)
    {
        switch (Attribute.Kind)
        {
            case LifecycleAttributeKind.Name:
                return Of(subject.Key).ToTruth();
            case LifecycleAttributeKind.FileExtension:
                return Of(subject.FileExtension).ToTruth();
            case LifecycleAttributeKind.Tier:
                return Of(subject.Tier).ToTruth();
            case LifecycleAttributeKind.StorageClass:
                return Of(subject.StorageClass).ToTruth();
            default:
                if (subject.Tags is not null) return (subject.FindTag(Attribute.Tag!) is { } tag ? Of(tag) : IsNegative).ToTruth();
                missing |= Needs;
                return Truth.Unknown;
        }
    }

    internal bool Of(ReadOnlySpan<char> text)
    {
        if (_pattern is not null) return _pattern.Matches(text) != IsNegative;
        foreach (var value in _values)
        {
            if (text.Equals(value, Attribute.IgnoresCase ? StringComparison.OrdinalIgnoreCase : StringComparison.Ordinal)) return !IsNegative;
        }
        return IsNegative;
    }

    internal override string Actual(in LifecyclePolicySubject subject, long now) => Attribute.Kind switch
    {
        LifecycleAttributeKind.Name => $"it is {LifecycleLiterals.Quote(subject.Key)}",
        LifecycleAttributeKind.FileExtension => subject.FileExtension is { IsEmpty: false } extension ? $"it is {extension}" : "it has none",
        LifecycleAttributeKind.Tier => $"it is {subject.Tier}",
        LifecycleAttributeKind.StorageClass => $"it is {subject.StorageClass}",
        _ when subject.Tags is null => "tags were not looked up",
        _ => subject.FindTag(Attribute.Tag!) is { } tag ? $"it is {LifecycleLiterals.Quote(tag)}" : "it has no such tag",
    };

    private protected override int ValueCount => _values.Length;

    private protected override string PrintValue(int index)
    {
        var text = _values[index];
        var isBare = Attribute.Kind is LifecycleAttributeKind.FileExtension or LifecycleAttributeKind.Tier or LifecycleAttributeKind.StorageClass
            && _pattern is null && LifecyclePolicyParser.IsBare(text);
        return isBare ? text : LifecycleLiterals.Quote(text);
    }

    public bool Equals(TextComparison? other) => base.Equals(other) && _values.AsSpan().SequenceEqual(other._values);

    public override int GetHashCode() => _values.Aggregate(base.GetHashCode(), HashCode.Combine);
}

/// <summary><c>noncurrent</c>: a newer version took its place.</summary>
public sealed record NoncurrentComparison() : LifecycleComparison(new(LifecycleAttributeKind.Noncurrent), LifecycleRelation.Equal)
{
    internal override Truth Test(in LifecyclePolicySubject subject, long now, ref LifecycleNeeds missing) => (subject.NoncurrentSince is not null).ToTruth();

    internal override string Actual(in LifecyclePolicySubject subject, long now) => subject.NoncurrentSince is null ? "it is the version on top" : "a newer version took its place";

    private protected override int ValueCount => 0;

    private protected override string PrintValue(int index) => "";

    private protected override string Print() => Attribute.ToString();
}
