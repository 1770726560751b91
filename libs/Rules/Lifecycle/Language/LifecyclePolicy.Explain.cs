using System.Collections.Immutable;
using System.Globalization;
using DarkStorage.Rules.Policies;

namespace DarkStorage.Rules.Lifecycle.Language;

public enum LifecycleRuleOutcome
{
    /// <summary>The first whose condition holds.</summary>
    Decides,
    /// <summary>It holds, and a rule before it decided.</summary>
    TooLate,
    DoesNotHold,
    /// <summary>It turns on what was not fetched.</summary>
    Unknown,
}

/// <param name="Held">Null where it turns on what was not fetched.</param>
/// <param name="Actual">What the version has: <c>it is 12d 3h</c>.</param>
public sealed record LifecycleComparisonTrace(string Text, bool? Held, string Actual)
{
    public override string ToString() => $"{Text}: {(Held switch { true => "yes", false => "no", _ => "unknown" })}, {Actual}";
}

/// <param name="Number">Counted from 1.</param>
/// <param name="Comparisons">All of its condition, as they stand there.</param>
public sealed record LifecycleRuleTrace(int Number, string Text, LifecycleRuleOutcome Outcome, ImmutableArray<LifecycleComparisonTrace> Comparisons)
{
    public override string ToString() => string.Create(CultureInfo.InvariantCulture, $"Rule {Number}, {Text}, ") + Outcome switch
    {
        LifecycleRuleOutcome.Decides => "decides.",
        LifecycleRuleOutcome.TooLate => "holds, but one before it decided.",
        LifecycleRuleOutcome.DoesNotHold => "does not hold.",
        _ => "turns on what is not known.",
    };
}

/// <summary>Why a version belongs where it does.</summary>
public sealed record LifecycleExplanation(LifecyclePolicyDecision Decision, ImmutableArray<LifecycleRuleTrace> Rules, string Current)
{
    /// <summary>In plain sentences, a line each: what is decided, and how each rule came out.</summary>
    public IEnumerable<string> Lines()
    {
        yield return Decision switch
        {
            { IsKnown: false } => $"Where it belongs turns on {Names(Decision.Missing)}, of which too little is known.",
            { Tier: null } => $"It stays in {Current}: no rule holds.",
            { Rule: null } => $"It belongs in {Decision.Tier}, whichever of several rules decides.",
            _ => string.Create(CultureInfo.InvariantCulture, $"It {(Decision.Tier == Current ? "stays" : $"is in {Current} and belongs")} in {Decision.Tier}: rule {Decision.Rule} decides."),
        };
        foreach (var rule in Rules)
        {
            yield return rule.ToString();
            foreach (var comparison in rule.Comparisons) yield return $"  {comparison}";
        }
    }

    private static string Names(LifecycleNeeds needs) => needs switch
    {
        LifecycleNeeds.Tags => "tags",
        LifecycleNeeds.Access => "accesses",
        _ => "tags and accesses",
    };
}

public sealed partial class LifecyclePolicy
{
    /// <summary>How each rule comes out for a version, and each comparison of it.</summary>
    public LifecycleExplanation Explain(in LifecyclePolicySubject subject, DateTimeOffset now)
    {
        var decision = Decide(subject, now);
        var rules = ImmutableArray.CreateBuilder<LifecycleRuleTrace>(_rules.Length);
        for (var i = 0; i < _rules.Length; i++)
        {
            var comparisons = ImmutableArray.CreateBuilder<LifecycleComparisonTrace>();
            foreach (var comparison in _rules[i].Condition?.Comparisons ?? [])
                comparisons.Add(new(comparison.ToString(), HeldOf(comparison, subject, now), comparison.Actual(subject, now.UtcTicks)));
            var outcome = HeldOf(_rules[i].Condition, subject, now) switch
            {
                null => LifecycleRuleOutcome.Unknown,
                false => LifecycleRuleOutcome.DoesNotHold,
                // A rule that holds is the first to: unless one before did, or may.
                _ when rules.Any(static r => r.Outcome is LifecycleRuleOutcome.Decides) => LifecycleRuleOutcome.TooLate,
                _ when rules.Any(static r => r.Outcome is LifecycleRuleOutcome.Unknown) => LifecycleRuleOutcome.Unknown,
                _ => LifecycleRuleOutcome.Decides,
            };
            rules.Add(new(i + 1, _rules[i].ToString(), outcome, comparisons.ToImmutable()));
        }
        return new(decision, rules.MoveToImmutable(), subject.Tier);
    }

    private static bool? HeldOf(LifecycleCondition? condition, in LifecyclePolicySubject subject, DateTimeOffset now)
    {
        var missing = LifecycleNeeds.None;
        return (condition?.Test(subject, now.UtcTicks, ref missing) ?? Truth.Yes) switch
        {
            Truth.Yes => true,
            Truth.No => false,
            _ => null,
        };
    }
}
