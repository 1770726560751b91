using System.Collections.Immutable;
using DarkStorage.Rules.Policies;

namespace DarkStorage.Rules.Lifecycle.Language;

/// <param name="Condition">Null holds always.</param>
/// <param name="Tier">Where a version belongs that it decides on.</param>
public sealed record LifecyclePolicyRule(LifecycleCondition? Condition, string Tier)
{
    /// <summary>As it is written, in its one canonical form.</summary>
    public override string ToString() => Condition is null ? $"-> {Tier}" : $"{Condition} -> {Tier}";
}

/// <summary>A tier that a policy names.</summary>
/// <param name="Rule">Counted from 1.</param>
/// <param name="IsTarget">Versions are moved there; else it is compared with.</param>
public sealed record TierMention(string Tier, int Rule, bool IsTarget, TextPlace Place);

/// <param name="Tier">Where the version belongs; null for where it is.</param>
/// <param name="Rule">That decided, counted from 1; null where none did, and where several may have that all say the same.</param>
/// <param name="Missing">What has to be fetched to tell; unless it is none, tier and rule say nothing.</param>
public readonly record struct LifecyclePolicyDecision(string? Tier, int? Rule, LifecycleNeeds Missing)
{
    public bool IsKnown => Missing == LifecycleNeeds.None;

    public bool Moves(in LifecyclePolicySubject subject) => Tier is not null && Tier != subject.Tier;
}

/// <summary>Rules that say which tier a version belongs in (docs/LIFECYCLE.md). They are tried from the first on; the first whose condition holds decides, and
/// where none does the version stays where it is. Two policies are equal where they print the same.</summary>
public sealed partial class LifecyclePolicy : IEquatable<LifecyclePolicy>
{
    private readonly LifecyclePolicyRule[] _rules;

    private LifecyclePolicy(string text, ImmutableArray<LifecyclePolicyRule> rules, ImmutableArray<TierMention> tiers)
    {
        (Text, Rules, Tiers) = (text, rules, tiers);
        _rules = [.. Rules];
        foreach (var rule in _rules) Needs |= rule.Condition?.Needs ?? LifecycleNeeds.None;
    }

    /// <summary>As it was given, with its comments.</summary>
    public string Text { get; }

    public ImmutableArray<LifecyclePolicyRule> Rules { get; }

    /// <summary>Which there must be: as they stand in the text.</summary>
    public ImmutableArray<TierMention> Tiers { get; }

    /// <summary>What decisions may turn on that is dear to get.</summary>
    public LifecycleNeeds Needs { get; }

    /// <exception cref="LifecyclePolicyFormatException">It is none. Nothing else is thrown, whatever the text.</exception>
    public static LifecyclePolicy Parse(string text)
    {
        var (rules, tiers) = LifecyclePolicyParser.Parse(text);
        return new(text, rules, tiers);
    }

    /// <summary>This one and, behind its rules, others that nobody wrote: for questions about all of them together.</summary>
    internal LifecyclePolicy With(IEnumerable<LifecyclePolicyRule> behind) => new(Text, [.. Rules, .. behind], Tiers);

    /// <returns>The canonical text: one line a rule, keywords in capitals, no parentheses but those that are needed. Parsing it gives the same rules.</returns>
    public static string Print(IEnumerable<LifecyclePolicyRule> rules) => string.Concat(rules.Select(static r => $"{r}\n"));

    public override string ToString() => Print(Rules);

    /// <summary>A refusal for one who knows the tiers, which looks as the parser's do.</summary>
    public LifecyclePolicyFormatException Refusal(TierMention mention, string sentence) => new(Text, mention.Place, sentence);

    /// <summary>Where a version belongs at a time. Of what was not fetched it assumes nothing: where the answer turns on that, it says so.</summary>
    public LifecyclePolicyDecision Decide(in LifecyclePolicySubject subject, DateTimeOffset now) => Decide(subject, now.UtcTicks);

    private LifecyclePolicyDecision Decide(in LifecyclePolicySubject subject, long now)
    {
        var missing = LifecycleNeeds.None;
        string? possible = null;
        var differ = false;
        for (var i = 0; i < _rules.Length; i++)
        {
            var rule = _rules[i];
            var asked = missing;
            var truth = rule.Condition?.Test(subject, now, ref asked) ?? Truth.Yes;
            if (truth == Truth.No) continue;
            if (possible is null) possible = rule.Tier;
            else differ |= possible != rule.Tier;
            if (truth == Truth.Yes) return missing == LifecycleNeeds.None ? new(rule.Tier, i + 1, missing) : differ ? new(null, null, missing) : new(rule.Tier, null, LifecycleNeeds.None);
            missing = asked;
        }
        // No rule may hold: then it stays, and so it does if all that may hold say where it is.
        return differ || possible != subject.Tier ? new(null, null, missing) : default;
    }

    /// <summary>The first later time at which a decision could be another; null where that never comes.</summary>
    internal DateTimeOffset? NextTurn(in LifecyclePolicySubject subject, DateTimeOffset now)
    {
        var next = long.MaxValue;
        foreach (var rule in _rules) next = Math.Min(next, rule.Condition?.NextTurn(subject, now.UtcTicks) ?? long.MaxValue);
        return next > DateTimeOffset.MaxValue.UtcTicks ? null : new(next, TimeSpan.Zero);
    }

    public bool Equals(LifecyclePolicy? other) => other is not null && Rules.AsSpan().SequenceEqual(other.Rules.AsSpan());

    public override bool Equals(object? obj) => Equals(obj as LifecyclePolicy);

    public override int GetHashCode() => Rules.Aggregate(0, HashCode.Combine);
}
