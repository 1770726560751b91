using System.Collections.Immutable;
using System.Globalization;

namespace DarkStorage.Rules.Lifecycle.Language;

public enum LifecycleFindingKind
{
    /// <summary>No version there can be is one that the rule's condition holds for.</summary>
    NeverHolds,
    /// <summary>Rules before it decide on all that it matches, and say another tier.</summary>
    Contradiction,
    /// <summary>The same, and they say the same tier.</summary>
    Redundant,
    /// <summary>A version goes from tier to tier and comes back, with nothing else changed.</summary>
    Circular,
    /// <summary>Whether there is any of the above takes too long to find out.</summary>
    TooComplicated,
}

/// <param name="Rule">Counted from 1; of a circle, its first.</param>
public sealed record LifecycleFinding(LifecycleFindingKind Kind, int Rule, string Sentence)
{
    /// <summary>The rules that it is about besides, counted from 1.</summary>
    public ImmutableArray<int> Others { get; init; } = [];
}

/// <remarks>What is found is so. A rule is called dead where no version at all is left for it, and a circle is shown with a version that the rules were tried on. The other way
/// it is not complete: patterns are compared by how they begin and end, and names are not compared with extensions, so some rules that never decide are let pass.</remarks>
public sealed partial class LifecyclePolicy
{
    /// <summary>Of all questions about one policy together: a second or two.</summary>
    private const int StepsMax = 500_000;

    /// <summary>What the policy says that can't be meant.</summary>
    /// <param name="classOf">The storage class of a tier; null where it has none.</param>
    public ImmutableArray<LifecycleFinding> FindMistakes(Func<string, string?> classOf) => FindMistakes(classOf, static _ => false);

    /// <param name="isKnown">What is passed over: others are looked for behind it.</param>
    internal ImmutableArray<LifecycleFinding> FindMistakes(Func<string, string?> classOf, Func<LifecycleFinding, bool> isKnown)
    {
        var findings = ImmutableArray.CreateBuilder<LifecycleFinding>();
        var search = new SubjectSearch(_rules, StepsMax);
        var rule = 0;
        try
        {
            for (; rule < _rules.Length; rule++)
            {
                if (FindDead(search, rule) is { } dead && !isKnown(dead)) findings.Add(dead);
            }
            if (AsksForPlace) findings.AddRange(FindCircles(search, classOf, isKnown));
        }
        catch (SubjectSearch.TooLongException)
        {
            var at = Math.Min(rule, _rules.Length - 1);
            var tooLong = new LifecycleFinding(LifecycleFindingKind.TooComplicated, at + 1, string.Create(CultureInfo.InvariantCulture,
                $"{NameOf(at)} is too complicated to check beside the others: that took more than {StepsMax} steps. Fewer ORs, or a policy for each group of objects, make it simpler."));
            if (!isKnown(tooLong)) findings.Add(tooLong);
        }
        return findings.ToImmutable();
    }

    /// <summary>As <see cref="FindMistakes(Func{string, string?})"/>, of circles alone; none where that takes too long to find out.</summary>
    internal IReadOnlyList<LifecycleFinding> FindCircles(Func<string, string?> classOf, Func<LifecycleFinding, bool> isKnown)
    {
        try
        {
            return FindCircles(new SubjectSearch(_rules, StepsMax), classOf, isKnown);
        }
        catch (SubjectSearch.TooLongException)
        {
            return [];
        }
    }

    private LifecycleFinding? FindDead(SubjectSearch search, int rule)
    {
        if (!search.Exists(new(_rules[rule].Condition, true)))
            return new(LifecycleFindingKind.NeverHolds, rule + 1, $"{NameOf(rule)} never holds: no version is all that at once.");
        var earlier = Enumerable.Range(0, rule).ToList();
        if (search.Exists(Remainder(rule, earlier))) return null;

        // Said with as few rules as it takes: one that decides on all of it, or those that can't be left out.
        if (earlier.FindIndex(e => !search.Exists(Remainder(rule, [e]))) is >= 0 and var one) earlier = [one];
        foreach (var other in earlier.ToList())
        {
            if (earlier.Count > 1 && earlier.Where(e => e != other).ToList() is var rest && !search.Exists(Remainder(rule, rest))) earlier = rest;
        }
        var by = earlier.Count == 1 ? NameOf(earlier[0], "rule") : $"rules {Enumerate(earlier)} together";
        var verb = earlier.Count == 1 ? "decides" : "decide";
        LifecycleFinding finding = earlier.TrueForAll(e => _rules[e].Tier == _rules[rule].Tier)
            ? new(LifecycleFindingKind.Redundant, rule + 1, $"{NameOf(rule)} is redundant: {by} {verb} on all that it matches, for the same tier. Take it out.")
            : new(LifecycleFindingKind.Contradiction, rule + 1, $"{NameOf(rule)} contradicts {by}, which {verb} on all that it matches and {(earlier.Count == 1 ? "comes" : "come")} first. Put it in front, or take it out.");
        return finding with { Others = [.. earlier.Select(static e => e + 1)] };
    }

    /// <summary>What the rule matches and the others leave.</summary>
    private SubjectSearch.Goal Remainder(int rule, IEnumerable<int> earlier) => new(_rules[rule].Condition, true, Next: Without(earlier, null, null, null));

    private SubjectSearch.Goal? Without(IEnumerable<int> rules, string? tier, string? storageClass, SubjectSearch.Goal? next)
    {
        foreach (var rule in rules) next = new(_rules[rule].Condition, false, tier, storageClass, next);
        return next;
    }

    /// <summary>Follows one version, of which nothing but the place changes, from each tier that rules move to. Each circle is found from the tier that is first in the text.</summary>
    private List<LifecycleFinding> FindCircles(SubjectSearch search, Func<string, string?> classOf, Func<LifecycleFinding, bool> isKnown)
    {
        var findings = new List<LifecycleFinding>();
        var tiers = _rules.Select(static r => r.Tier).Distinct(StringComparer.Ordinal).ToList();
        var asksForClass = _rules.Any(static r => r.Condition?.Comparisons.Any(static c => c.Attribute.Kind == LifecycleAttributeKind.StorageClass) == true);
        for (var start = 0; start < tiers.Count; start++) Follow(start, start, [], null, null);
        return findings;

        // What rules match on the way comes in front of what the rules before them must not: most ways end there at once.
        bool Follow(int start, int at, List<int> path, SubjectSearch.Goal? matched, SubjectSearch.Goal? left)
        {
            var storageClass = classOf(tiers[at]);
            if (asksForClass && storageClass is null) return false;
            for (var rule = 0; rule < _rules.Length; rule++)
            {
                var to = tiers.IndexOf(_rules[rule].Tier);
                if (to == at || to < start || path.Exists(p => _rules[p].Tier == tiers[to] && to != start)) continue;
                var (match, leave) = (new SubjectSearch.Goal(_rules[rule].Condition, true, tiers[at], storageClass ?? "", matched), Without(Enumerable.Range(0, rule), tiers[at], storageClass ?? "", left));
                List<int> further = [.. path, rule];
                if (to != start)
                {
                    if (search.Exists(match, leave) && Follow(start, to, further, match, leave)) return true;
                    continue;
                }
                if (search.Find(match, leave, s => GoesRound(s, tiers[start], further, classOf)) is not { } subject) continue;
                // Told from the rule on that is first in the text.
                var first = further.IndexOf(further.Min());
                further = [.. further[first..], .. further[..first]];
                var circle = new LifecycleFinding(LifecycleFindingKind.Circular, further[0] + 1, Tell(_rules[further[^1]].Tier, further, subject)) { Others = [.. further.Skip(1).Select(static r => r + 1)] };
                if (isKnown(circle)) continue;
                findings.Add(circle);
                return true;
            }
            return false;
        }
    }

    /// <summary>The proof: the rules as they decide, one move after another.</summary>
    private bool GoesRound(LifecyclePolicySubject subject, string start, List<int> path, Func<string, string?> classOf)
    {
        subject = subject with { Tier = start, StorageClass = classOf(start) ?? subject.StorageClass };
        foreach (var rule in path)
        {
            if (Decide(subject, SubjectSearch.Now).Rule != rule + 1) return false;
            subject = subject with { Tier = _rules[rule].Tier, StorageClass = classOf(_rules[rule].Tier) ?? subject.StorageClass };
        }
        return subject.Tier == start;
    }

    private string Tell(string start, List<int> path, LifecyclePolicySubject subject)
    {
        var way = string.Join(" to ", path.Select(r => string.Create(CultureInfo.InvariantCulture, $"{_rules[r].Tier} (rule {r + 1})")));
        var facts = _rules.SelectMany(static r => r.Condition?.Comparisons ?? [])
            .Where(static c => !IsPlace(c.Attribute)).DistinctBy(static c => c.Attribute).Take(5)
            .Select(c => $"{c.Attribute}: {c.Actual(subject, SubjectSearch.Now.UtcTicks)}").ToList();
        return $"{NameOf(path[0])} begins a circle: a version in {start} goes to {way}, and so on for ever{(facts.Count == 0 ? "." : $"; for example one with {string.Join("; ", facts)}.")}";
    }

    /// <summary>Whether a version that is moved as is decided now comes back to where it is by one move after another, with nothing else changed.</summary>
    /// <param name="subject">With all that <see cref="Needs"/> names: of what nobody knows it stays where it is on the way, as everywhere.</param>
    /// <param name="classOf">The storage class of a tier; null where there is no such tier, which takes nothing.</param>
    public bool ComesBack(in LifecyclePolicySubject subject, DateTimeOffset now, Func<string, string?> classOf)
    {
        if (!AsksForPlace) return false;
        var at = subject;
        for (var hop = 0; hop <= _rules.Length; hop++)
        {
            if (Decide(at, now) is not { IsKnown: true } decided || !decided.Moves(at) || classOf(decided.Tier!) is not { } storageClass) return false;
            if (decided.Tier == subject.Tier) return true;
            at = at with { Tier = decided.Tier!, StorageClass = storageClass };
        }
        // It gets into a circle that it is not in yet, and stays where that begins.
        return false;
    }

    /// <summary>Whether it turns on where a version is: otherwise moving one changes no answer.</summary>
    public bool AsksForPlace => _rules.Any(static r => r.Condition?.Comparisons.Any(static c => IsPlace(c.Attribute)) == true);

    private static bool IsPlace(LifecycleAttribute attribute) => attribute.Kind is LifecycleAttributeKind.Tier or LifecycleAttributeKind.StorageClass;

    private string NameOf(int rule, string word = "Rule") => string.Create(CultureInfo.InvariantCulture, $"{word} {rule + 1} ({Shorten(_rules[rule].ToString())})");

    private static string Shorten(string text) => text.Length <= 200 ? text : $"{text[..(char.IsHighSurrogate(text[159]) ? 159 : 160)]} … {text[^30..]}";

    private static string Enumerate(List<int> rules)
    {
        var numbers = rules.Select(r => (r + 1).ToString(CultureInfo.InvariantCulture)).ToList();
        return $"{string.Join(", ", numbers[..^1])} and {numbers[^1]}";
    }
}
