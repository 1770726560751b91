namespace DarkStorage.Rules.Policies;

public enum PolicyOutcome
{
    /// <summary>No statement is about the request.</summary>
    ImplicitDeny,
    Allow,
    ExplicitDeny,
}

/// <summary>What policies say of a request, and which statement says it.</summary>
/// <param name="Policy">Null where no statement is about the request.</param>
/// <param name="Unknown">Whether the statement denies because nobody can tell whether it is about the request.</param>
public readonly record struct PolicyDecision(PolicyOutcome Outcome, Policy? Policy, PolicyStatement? Statement, bool Unknown)
{
    /// <summary>A sentence for people. Made anew each time: only who asks why pays for it.</summary>
    public string Explain() => Outcome switch
    {
        PolicyOutcome.Allow => $"Allowed by {Statement} of {Policy}.",
        PolicyOutcome.ExplicitDeny when Unknown => $"Denied by {Statement} of {Policy}, which may be about this request: a value it needs is missing or unreadable.",
        PolicyOutcome.ExplicitDeny => $"Denied by {Statement} of {Policy}.",
        _ => "No statement of a policy allows it.",
    };
}

/// <summary>Evaluates policies: a statement that denies beats all that allow, and what nothing allows is denied.</summary>
/// <remarks>A statement whose match is unknown counts if it denies and doesn't if it allows. So neither a missing value nor a malformed one ever opens
/// a door.</remarks>
public static class PolicyEvaluator
{
    public static PolicyDecision Evaluate(IReadOnlyList<Policy> policies, PolicyRequest request)
    {
        var result = default(PolicyDecision);
        for (var i = 0; i < policies.Count && result.Outcome != PolicyOutcome.ExplicitDeny; i++)
        {
            var decision = Evaluate(policies[i], request);
            if (decision.Outcome > result.Outcome) result = decision;
        }
        return result;
    }

    public static PolicyDecision Evaluate(Policy policy, PolicyRequest request)
    {
        var statements = policy.Statements;
        PolicyStatement? allows = null;
        for (var i = 0; i < statements.Count; i++)
        {
            var statement = statements[i];
            if (statement.Effect == PolicyEffect.Deny)
            {
                var match = statement.Match(request);
                if (match != Truth.No) return new(PolicyOutcome.ExplicitDeny, policy, statement, match == Truth.Unknown);
            }
            else if (allows is null && statement.Match(request) == Truth.Yes) allows = statement;
        }
        return allows is null ? default : new(PolicyOutcome.Allow, policy, allows, Unknown: false);
    }
}
