namespace DarkStorage.Rules.Policies;

public enum PolicyEffect
{
    Allow,
    Deny,
}

/// <summary>One statement of a policy, compiled.</summary>
public sealed record PolicyStatement
{
    internal PolicyStatement()
    {
    }

    /// <summary>Its name; empty where it has none.</summary>
    public string Sid { get; internal init; } = "";

    /// <summary>Its place in the policy, from 1.</summary>
    public int Number { get; internal init; }

    public PolicyEffect Effect { get; internal init; }

    /// <summary>Null in the policy of an identity, which is about that identity.</summary>
    internal Principals? Principals { get; init; }

    internal Pattern[] Actions { get; init; } = [];

    /// <summary>NotAction: all but these.</summary>
    internal bool ActionsNegated { get; init; }

    internal ArnPattern[] Resources { get; init; } = [];

    internal bool ResourcesNegated { get; init; }

    internal Condition[] Conditions { get; init; } = [];

    internal IEnumerable<ConditionKey> Keys => Conditions.SelectMany(c => c.Keys).Concat(Resources.SelectMany(r => r.Variables));

    /// <summary>How sure it is that the statement is about the request. The cheap questions come first.</summary>
    internal Truth Match(PolicyRequest request)
    {
        if (Principals?.Match(request.Principal) == false || MatchesAction(request.Action) == ActionsNegated) return Truth.No;
        var result = MatchResource(request);
        foreach (var condition in Conditions)
        {
            if (result == Truth.No) break;
            result = result.And(condition.Test(request));
        }
        return result;
    }

    private bool MatchesAction(string action)
    {
        foreach (var pattern in Actions)
        {
            if (pattern.Matches(action)) return true;
        }
        return false;
    }

    private Truth MatchResource(PolicyRequest request)
    {
        var any = Truth.No;
        foreach (var pattern in Resources)
        {
            any = any.Or(pattern.Test(request.Resource, request));
            if (any == Truth.Yes) break;
        }
        return ResourcesNegated ? any.Not() : any;
    }

    public override string ToString() => Sid.Length > 0 ? $"statement \"{Sid}\"" : $"statement {Number}";
}
