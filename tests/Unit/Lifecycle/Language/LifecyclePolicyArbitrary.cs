using System.Text.RegularExpressions;
using DarkStorage.Rules.Lifecycle.Language;

namespace DarkStorage.Unit.Lifecycle.Language;

/// <summary>Random conditions, each with a predicate that says the same in other words, and random versions. Values are few, so that they meet.</summary>
internal sealed class LifecyclePolicyArbitrary(Random random)
{
    public static readonly DateTimeOffset Now = new(2026, 8, 20, 15, 30, 0, TimeSpan.Zero);
    public static readonly string[] Tiers = ["hot", "warm", "cold", "archive"];
    private static readonly string[] Classes = ["STANDARD", "STANDARD_IA", "GLACIER_IR", "GLACIER"];
    private static readonly string[] Names = ["logs/app/1.log", "logs/2.LOG", "logs/readme", "photos/a.jpg", "photos/ä?*.JPG", "x", "logs/app/", "a.tar.gz", "line\nend \"quoted\\\u0001😀"];
    private static readonly string[] Globs = ["logs/*", "logs/app/*", "*.log", "*.jpg", "photos/*", "*", "?", "x", "*a*", "logs/????????.log", "p*s/*", ""];
    private static readonly string[] Extensions = [".log", ".jpg", ".gz", ""];
    private static readonly string[] TagNames = ["project", "a b", "über", "x.y-z", "quote\"d"];
    private static readonly string[] TagValues = ["x", "y", "", "x y", "ÿ"];
    private static readonly TimeSpan[] Spans = [TimeSpan.Zero, TimeSpan.FromSeconds(1), TimeSpan.FromMinutes(90), TimeSpan.FromDays(1), TimeSpan.FromDays(7), TimeSpan.FromDays(30), TimeSpan.FromHours(36)];
    private static readonly long[] Numbers = [0, 1, 2, 3, 1_000, 1_024, 1_000_000_000, 5_000_001];

    public T One<T>(IReadOnlyList<T> of) => of[random.Next(of.Count)];

    public (LifecyclePolicyRule Rule, Predicate<LifecyclePolicySubject> Holds) Rule(Predicate<LifecycleAttributeKind>? kinds = null, int depth = 3)
    {
        if (random.Next(12) == 0) return (new(null, One(Tiers)), static _ => true);
        var (condition, holds) = Condition(kinds ?? (static _ => true), depth);
        return (new(condition, One(Tiers)), holds);
    }

    private (LifecycleCondition Condition, Predicate<LifecyclePolicySubject> Holds) Condition(Predicate<LifecycleAttributeKind> kinds, int depth)
    {
        if (depth == 0 || random.Next(4) == 0) return Comparison(kinds);
        if (random.Next(4) == 0)
        {
            var (part, holds) = Condition(kinds, depth - 1);
            return (LifecycleCondition.Not(part), s => !holds(s));
        }
        var parts = Enumerable.Range(0, random.Next(2, 4)).Select(_ => Condition(kinds, depth - 1)).ToList();
        return random.Next(2) == 0
            ? (LifecycleCondition.All(parts.Select(p => p.Condition)), s => parts.All(p => p.Holds(s)))
            : (LifecycleCondition.Any(parts.Select(p => p.Condition)), s => parts.Any(p => p.Holds(s)));
    }

    private (LifecycleCondition Condition, Predicate<LifecyclePolicySubject> Holds) Comparison(Predicate<LifecycleAttributeKind> kinds)
    {
        var kind = One(Enum.GetValues<LifecycleAttributeKind>().Where(k => kinds(k)).ToList());
        if (kind == LifecycleAttributeKind.Noncurrent) return (new NoncurrentComparison(), static s => s.NoncurrentSince is not null);
        var attribute = new LifecycleAttribute(kind, kind == LifecycleAttributeKind.RecentAccessCount ? One([1, 7, 30, 90]) : 0, kind == LifecycleAttributeKind.Tag ? One(TagNames) : null);
        var isIn = random.Next(4) == 0;
        if (attribute.IsNumber)
        {
            var values = Enumerable.Range(0, isIn ? random.Next(1, 4) : 1).Select(_ => attribute.IsDuration ? One(Spans).Ticks : One(Numbers)).ToArray();
            var relation = isIn ? One([LifecycleRelation.In, LifecycleRelation.NotIn])
                : One([LifecycleRelation.Less, LifecycleRelation.AtMost, LifecycleRelation.Greater, LifecycleRelation.AtLeast, LifecycleRelation.Equal, LifecycleRelation.NotEqual]);
            return (new NumberComparison(attribute, relation, values), s => NumberOf(attribute, s, Now) is { } n ? relation switch
            {
                LifecycleRelation.Less => n < values[0],
                LifecycleRelation.AtMost => n <= values[0],
                LifecycleRelation.Greater => n > values[0],
                LifecycleRelation.AtLeast => n >= values[0],
                LifecycleRelation.Equal or LifecycleRelation.In => values.Contains(n),
                _ => !values.Contains(n),
            } : relation is LifecycleRelation.NotEqual or LifecycleRelation.NotIn);
        }
        var isGlob = kind is LifecycleAttributeKind.Name or LifecycleAttributeKind.Tag or LifecycleAttributeKind.FileExtension && random.Next(2) == 0;
        var texts = Enumerable.Range(0, isIn && !isGlob ? random.Next(1, 4) : 1).Select(_ => isGlob ? One(Globs) : One(kind switch
        {
            LifecycleAttributeKind.Name => Names,
            LifecycleAttributeKind.Tag => TagValues,
            LifecycleAttributeKind.FileExtension => Extensions,
            LifecycleAttributeKind.Tier => Tiers,
            _ => Classes,
        })).ToArray();
        var how = isGlob ? One([LifecycleRelation.Like, LifecycleRelation.NotLike]) : isIn ? One([LifecycleRelation.In, LifecycleRelation.NotIn]) : One([LifecycleRelation.Equal, LifecycleRelation.NotEqual]);
        var ignoresCase = kind == LifecycleAttributeKind.FileExtension;
        var isNot = how is LifecycleRelation.NotEqual or LifecycleRelation.NotIn or LifecycleRelation.NotLike;
        return (new TextComparison(attribute, how, texts), s => TextOf(attribute, s) is { } text
            ? (isGlob ? IsLike(text, texts[0], ignoresCase) : texts.Any(t => string.Equals(t, text, ignoresCase ? StringComparison.OrdinalIgnoreCase : StringComparison.Ordinal))) != isNot
            : isNot);
    }

    public LifecyclePolicySubject Subject()
    {
        var made = Now - Span();
        return new(One(Names), One(Numbers), made, One(Tiers), One(Classes), random.Next(2) == 0 ? null : made + Span(),
            [.. TagNames.Where(_ => random.Next(2) == 0).Select(n => KeyValuePair.Create(n, One(TagValues)))], History(made));
    }

    private AccessHistory History(DateTimeOffset made)
    {
        if (random.Next(4) == 0) return AccessHistory.None;
        var days = Enumerable.Range(0, random.Next(4)).Select(_ => random.Next(100)).Distinct().Select(d => KeyValuePair.Create(DateOnly.FromDateTime(Now.UtcDateTime).AddDays(-d), One(Numbers)));
        return new(One(Numbers), made + Span(), days);
    }

    private TimeSpan Span() => One(Spans) + TimeSpan.FromTicks(random.Next(-1, 2)) + (random.Next(5) == 0 ? TimeSpan.FromHours(random.Next(2_000)) : TimeSpan.Zero);

    /// <summary>What the language says that a number is, in other words.</summary>
    private static long? NumberOf(LifecycleAttribute attribute, LifecyclePolicySubject subject, DateTimeOffset now)
    {
        var access = subject.Access!;
        return attribute.Kind switch
        {
            LifecycleAttributeKind.Age => Since(subject.Modified),
            LifecycleAttributeKind.Access => Since(access.Last > subject.Modified ? access.Last.Value : subject.Modified),
            LifecycleAttributeKind.NoncurrentAge => subject.NoncurrentSince is { } since ? Since(since > subject.Modified ? since : subject.Modified) : null,
            LifecycleAttributeKind.Size => subject.Size,
            LifecycleAttributeKind.AccessCount => access.Total,
            _ => access.Days.Where(d => d.Key > DateOnly.FromDateTime(now.UtcDateTime).AddDays(-attribute.Days)).Sum(d => d.Value),
        };

        long Since(DateTimeOffset then) => Math.Max(0, (now - then).Ticks);
    }

    private static string? TextOf(LifecycleAttribute attribute, LifecyclePolicySubject subject) => attribute.Kind switch
    {
        LifecycleAttributeKind.Name => subject.Key,
        LifecycleAttributeKind.FileExtension => Regex.Match(subject.Key, @"(?<=[^/])\.[^./]+\z").Value,
        LifecycleAttributeKind.Tier => subject.Tier,
        LifecycleAttributeKind.StorageClass => subject.StorageClass,
        _ => subject.Tags!.FirstOrDefault(t => t.Key == attribute.Tag).Value,
    };

    private static bool IsLike(string text, string glob, bool ignoresCase) => Regex.IsMatch(
        text, $@"\A{Regex.Escape(glob).Replace(@"\*", ".*", StringComparison.Ordinal).Replace(@"\?", @"([\uD800-\uDBFF][\uDC00-\uDFFF]|.)", StringComparison.Ordinal)}\z",
        RegexOptions.Singleline | RegexOptions.CultureInvariant | (ignoresCase ? RegexOptions.IgnoreCase : RegexOptions.None));
}
