using System.Collections.Immutable;

namespace DarkStorage.Rules.Lifecycle.Language;

/// <summary>Looks for a version for which conditions hold and others don't. It takes the conditions apart, from the first to the last; a choice (an OR) is tried one part
/// after another, and given up as soon as an attribute has no value left. What is left in the end is a box: for each attribute the values it may have.</summary>
internal sealed class SubjectSearch
{
    /// <summary>When its versions are looked at: far enough on, that they can be as old as a policy can say.</summary>
    public static readonly DateTimeOffset Now = new(2400, 1, 1, 12, 0, 0, TimeSpan.Zero);

    private static readonly LifecycleAttribute Age = new(LifecycleAttributeKind.Age);
    private static readonly LifecycleAttribute Access = new(LifecycleAttributeKind.Access);
    private static readonly LifecycleAttribute NoncurrentAge = new(LifecycleAttributeKind.NoncurrentAge);
    private static readonly LifecycleAttribute Name = new(LifecycleAttributeKind.Name);
    private static readonly LifecycleAttribute FileExtension = new(LifecycleAttributeKind.FileExtension);

    /// <summary>Choices within choices: as deep as this calls itself.</summary>
    private const int DepthMax = 2_000;

    private readonly Dictionary<LifecycleAttribute, int> _places = [];

    /// <summary>Counts of accesses, each at most the next: those of fewer days first, those ever last.</summary>
    private readonly LifecycleAttribute[] _counts;

    private int _steps;
    private int _depth;

    public SubjectSearch(IEnumerable<LifecyclePolicyRule> rules, int stepsMax)
    {
        foreach (var comparison in rules.SelectMany(static r => r.Condition?.Comparisons ?? [])) _places.TryAdd(PlaceOf(comparison.Attribute), _places.Count);
        _counts = [.. _places.Keys.Where(static a => a.Needs == LifecycleNeeds.Access && a != Access).OrderBy(static a => a.Kind == LifecycleAttributeKind.AccessCount ? int.MaxValue : a.Days)];
        _steps = stepsMax;
    }

    public sealed class TooLongException : Exception;

    /// <summary>One condition of a list of them.</summary>
    /// <param name="Condition">Null holds always.</param>
    /// <param name="Tier">Where the version is to be in the eyes of this condition; null for anywhere.</param>
    public sealed record Goal(LifecycleCondition? Condition, bool Holds, string? Tier = null, string? StorageClass = null, Goal? Next = null);

    /// <returns>False where there is none. True where there may be: of patterns not all is known.</returns>
    public bool Exists(Goal goals, Goal? more = null) => Search(goals, more, new Domain?[_places.Count], static _ => true);

    /// <returns>A version that was tried, and found to be one.</returns>
    public LifecyclePolicySubject? Find(Goal goals, Goal? more, Func<LifecyclePolicySubject, bool> isOne)
    {
        LifecyclePolicySubject? found = null;
        Search(goals, more, new Domain?[_places.Count], box =>
        {
            var subject = Sample(box);
            if (isOne(subject)) found = subject;
            return found is not null;
        });
        return found;
    }

    private bool Search(Goal? goals, Goal? more, Domain?[] box, Func<Domain?[], bool> isEnough)
    {
        var (choices, pending) = ((Goal?)null, goals);
        while (pending is not null || more is not null)
        {
            if (--_steps < 0) throw new TooLongException();
            if (pending is null) (pending, more) = (more, null);
            var goal = pending!;
            pending = goal.Next;
            if (goal.Condition is null)
            {
                if (!goal.Holds) return false;
                continue;
            }
            if (goal.Condition is LifecycleComparison comparison)
            {
                if (!Narrow(box, comparison, goal)) return false;
                continue;
            }
            if (!goal.Condition.TakeApart(goal.Holds, out var parts))
            {
                choices = goal with { Next = choices };
                continue;
            }
            for (var i = parts.Length - 1; i >= 0; i--) pending = goal with { Condition = parts[i].Condition, Holds = parts[i].Holds, Next = pending };
        }
        if (!IsInOrder(box)) return false;
        if (choices is null) return isEnough(box);
        if (++_depth > DepthMax) throw new TooLongException();
        choices.Condition!.TakeApart(choices.Holds, out var ways);
        var isThere = ways.Any(w => Search(choices with { Condition = w.Condition, Holds = w.Holds }, null, [.. box], isEnough));
        _depth--;
        return isThere;
    }

    /// <returns>Whether the attribute has a value left.</returns>
    private bool Narrow(Domain?[] box, LifecycleComparison comparison, Goal goal)
    {
        var place = comparison.Attribute.Kind switch
        {
            LifecycleAttributeKind.Tier => goal.Tier,
            LifecycleAttributeKind.StorageClass => goal.StorageClass,
            _ => null,
        };
        if (place is not null) return ((TextComparison)comparison).Of(place) == goal.Holds;
        ref var domain = ref box[_places[PlaceOf(comparison.Attribute)]];
        domain = comparison switch
        {
            TextComparison text => ((TextDomain?)domain ?? TextDomain.All(text.Attribute)).With(text, goal.Holds),
            NumberComparison number => ((NumberDomain?)domain ?? NumberDomain.All(number.Attribute)).With(number.Numbers, number.IsNegative, goal.Holds),
            _ => ((NumberDomain?)domain ?? NumberDomain.All(NoncurrentAge)).With(NumberSet.All, holdsOfNone: false, goal.Holds),
        };
        return !domain.IsEmpty;
    }

    /// <summary>A version is noncurrent where it has a time since which it is.</summary>
    private static LifecycleAttribute PlaceOf(LifecycleAttribute attribute) => attribute.Kind == LifecycleAttributeKind.Noncurrent ? NoncurrentAge : attribute;

    private T? Of<T>(Domain?[] box, LifecycleAttribute attribute) where T : Domain => _places.TryGetValue(attribute, out var place) ? (T?)box[place] : null;

    /// <summary>Whether the times and counts that are left can be those of one version: it is accessed and replaced after it is made, and more days have no fewer accesses.</summary>
    private bool IsInOrder(Domain?[] box)
    {
        if (LeastAge(box) is null) return false;
        var least = (long?)0;
        foreach (var count in _counts) least = least is { } from ? First(box, count, from) : null;
        return least is not null;
    }

    private long? LeastAge(Domain?[] box)
    {
        var noncurrent = Of<NumberDomain>(box, NoncurrentAge);
        return First(box, Age, Math.Max(First(box, Access, 0)!.Value, noncurrent is null or { HasNone: true } ? 0 : noncurrent.Numbers.FirstFrom(0)!.Value));
    }

    private long? First(Domain?[] box, LifecycleAttribute attribute, long from) => Of<NumberDomain>(box, attribute) is { } domain ? domain.Numbers.FirstFrom(from) : from;

    /// <summary>One version of a box: of each attribute the least value that it may have.</summary>
    private LifecyclePolicySubject Sample(Domain?[] box)
    {
        var made = Now.AddTicks(-LeastAge(box)!.Value);
        var noncurrent = Of<NumberDomain>(box, NoncurrentAge);
        var (days, total) = (new List<KeyValuePair<DateOnly, long>>(), 0L);
        foreach (var count in _counts)
        {
            var least = First(box, count, total)!.Value;
            // What more days have more is of the first of them.
            if (count.Kind == LifecycleAttributeKind.RecentAccessCount) days.Add(new(DateOnly.FromDateTime(Now.UtcDateTime).AddDays(1 - count.Days), least - total));
            total = least;
        }
        var name = Of<TextDomain>(box, Name)?.Sample();
        var extension = Of<TextDomain>(box, FileExtension)?.Sample() ?? "";
        return new(
            name is null ? $"object{extension}" : name.EndsWith(extension, StringComparison.OrdinalIgnoreCase) ? name : name + extension,
            First(box, new(LifecycleAttributeKind.Size), 0)!.Value, made,
            Of<TextDomain>(box, new(LifecycleAttributeKind.Tier))?.Sample() ?? "hot",
            Of<TextDomain>(box, new(LifecycleAttributeKind.StorageClass))?.Sample() ?? "STANDARD",
            noncurrent is null or { HasNone: true } ? null : Now.AddTicks(-noncurrent.Numbers.FirstFrom(0)!.Value),
            [.. _places.Keys.Where(a => a.Kind == LifecycleAttributeKind.Tag && Of<TextDomain>(box, a) is { HasNone: false })
                .Select(a => KeyValuePair.Create(a.Tag!, Of<TextDomain>(box, a)!.Sample() ?? ""))],
            new(total, Now.AddTicks(-First(box, Access, 0)!.Value), days));
    }

    /// <summary>The values that an attribute may have.</summary>
    private abstract record Domain(bool HasNone)
    {
        public abstract bool IsEmpty { get; }
    }

    private sealed record NumberDomain(NumberSet Numbers, bool HasNone) : Domain(HasNone)
    {
        public static NumberDomain All(LifecycleAttribute attribute) => new(NumberSet.All, attribute.Kind == LifecycleAttributeKind.NoncurrentAge);

        public override bool IsEmpty => !HasNone && Numbers.IsEmpty;

        public NumberDomain With(NumberSet numbers, bool holdsOfNone, bool holds) => new(Numbers.Intersect(holds ? numbers : numbers.Complement()), HasNone && holdsOfNone == holds);
    }

    /// <param name="Only">Null for all.</param>
    /// <param name="Like">Patterns that all match.</param>
    /// <param name="NotLike">Patterns of which none does.</param>
    private sealed record TextDomain(bool HasNone, bool IgnoresCase, ImmutableArray<string>? Only, ImmutableHashSet<string> Not, ImmutableArray<string> Like, ImmutableArray<string> NotLike) : Domain(HasNone)
    {
        private const char Run = '*';
        private const char One = '?';

        public static TextDomain All(LifecycleAttribute attribute) => new(attribute.Kind == LifecycleAttributeKind.Tag, attribute.IgnoresCase, null,
            ImmutableHashSet.Create<string>(attribute.IgnoresCase ? StringComparer.OrdinalIgnoreCase : StringComparer.Ordinal), [], []);

        public TextDomain With(TextComparison comparison, bool holds)
        {
            var isNot = comparison.IsNegative == holds;
            var next = this with { HasNone = HasNone && isNot };
            if (comparison.Relation is LifecycleRelation.Like or LifecycleRelation.NotLike)
            {
                var pattern = comparison.Values[0];
                next = isNot ? next with { NotLike = NotLike.Add(pattern) } : next with { Like = Like.Add(pattern) };
            }
            else if (isNot) next = next with { Not = Not.Union(comparison.Values) };
            else next = next with { Only = Only is null ? comparison.Values : [.. Only.Value.Where(t => comparison.Of(t) == holds)] };
            return next with { Only = next.Only is { } only ? [.. only.Where(next.Fits)] : null };
        }

        public override bool IsEmpty => !HasNone && (Only is { } only ? only.IsEmpty : !MayHaveMore());

        private bool Fits(string text) => !Not.Contains(text)
            && Like.All(p => TextComparison.PatternOf(p, IgnoresCase).Matches(text)) && !NotLike.Any(p => TextComparison.PatternOf(p, IgnoresCase).Matches(text));

        /// <summary>False only where there is certainly no text: two patterns begin or end differently, or one is all within another that must not match.</summary>
        private bool MayHaveMore()
        {
            for (var i = 0; i < Like.Length; i++)
            {
                for (var j = 0; j < i; j++)
                {
                    if (!Agree(Head(Like[i]), Head(Like[j]), static (a, b) => a.StartsWith(b, StringComparison.Ordinal))) return false;
                    if (!Agree(Tail(Like[i]), Tail(Like[j]), static (a, b) => a.EndsWith(b, StringComparison.Ordinal))) return false;
                }
            }
            foreach (var outer in NotLike)
            {
                if (IsWithin("*", outer) || Like.Any(inner => IsWithin(Fold(inner), outer))) return false;
            }
            // A pattern without wildcards is one text.
            return Like.FirstOrDefault(static p => p.AsSpan().IndexOfAny(Run, One) < 0) is not { } text || Fits(text);
        }

        private static bool Agree(string a, string b, Func<string, string, bool> covers) => covers(a, b) || covers(b, a);

        private string Head(string pattern) => Fold(pattern.AsSpan().IndexOfAny(Run, One) is >= 0 and var end ? pattern[..end] : pattern);

        private string Tail(string pattern) => Fold(pattern[(pattern.AsSpan().LastIndexOfAny(Run, One) + 1)..]);

        /// <summary>As patterns compare letters.</summary>
        private string Fold(string text) => IgnoresCase ? string.Create(text.Length, text, static (to, from) =>
        {
            for (var i = 0; i < to.Length; i++) to[i] = char.ToUpperInvariant(from[i]);
        }) : text;

        /// <summary>Whether one pattern matches the other as a text, in which a run is matched by a run alone: then it matches all that the other does.</summary>
        private bool IsWithin(string inner, string outer)
        {
            outer = Fold(outer);
            // Of prefixes there may be very many: what begins so is within, and nothing else.
            if (outer is [.. var head, Run] && head.AsSpan().IndexOfAny(Run, One) < 0) return inner.StartsWith(head, StringComparison.Ordinal);
            // reached[i]: what was read of the outer pattern can match the first i of the inner one
            var reached = new bool[inner.Length + 1];
            reached[0] = true;
            foreach (var c in outer)
            {
                var next = new bool[inner.Length + 1];
                if (c == Run)
                {
                    next[0] = reached[0];
                    for (var i = 1; i < next.Length; i++) next[i] = reached[i] || next[i - 1];
                }
                else
                {
                    for (var i = 1; i < next.Length; i++) next[i] = reached[i - 1] && (inner[i - 1] == c || (c == One && inner[i - 1] != Run && !char.IsSurrogate(inner[i - 1])));
                }
                reached = next;
            }
            return reached[^1];
        }

        /// <returns>A text of them; null where none was found.</returns>
        public string? Sample()
        {
            if (Only is { } only) return only.FirstOrDefault();
            foreach (var filling in (ReadOnlySpan<string>)["x", "", "other", "y/z"])
            {
                foreach (var pattern in Like.IsEmpty ? ["*"] : Like)
                {
                    var text = pattern.Replace("*", filling, StringComparison.Ordinal).Replace(One, 'x');
                    if (Fits(text)) return text;
                }
            }
            return null;
        }
    }
}
