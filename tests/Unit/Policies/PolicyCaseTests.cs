using DarkStorage.Rules;
using DarkStorage.Rules.Policies;
using Xunit;

namespace DarkStorage.Unit.Policies;

/// <summary>Every row of the files in Policies/Cases.</summary>
public sealed class PolicyCaseTests
{
    private static readonly Dictionary<string, PolicyCase> Cases =
        new[] { "conditions.txt", "statements.txt", "authorization.txt" }.SelectMany(CaseFile.Read).ToDictionary(c => c.Place);

    public static TheoryData<string> Places => [.. Cases.Keys];

    [Theory, MemberData(nameof(Places))]
    public void A_case_is_decided_as_its_row_says(string place)
    {
        var row = Cases[place];
        var (actual, why) = char.IsUpper(row.Expected[0]) ? Whole(row.Asked) : Policies(row.Asked);
        Assert.True(row.Expected == actual, $"{row}\nexpected {row.Expected}, was {actual}: {why}");
    }

    [Fact]
    public void There_are_hundreds_of_cases() => Assert.True(Cases.Count > 450, $"{Cases.Count}");

    private static (string, string) Whole(AuthorizationRequest asked)
    {
        var decision = Authorization.Decide(asked);
        Assert.StartsWith(decision.IsAllowed ? "Allowed" : "Denied", decision.Explain(), StringComparison.Ordinal);
        return (decision.Basis.ToString(), decision.Explain());
    }

    private static (string, string) Policies(AuthorizationRequest asked)
    {
        Policy[] all = asked.Bucket?.Policy is { } policy ? [.. asked.IdentityPolicies, policy] : [.. asked.IdentityPolicies];
        var decision = PolicyEvaluator.Evaluate(all, asked.Request);
        var word = decision.Outcome switch
        {
            PolicyOutcome.Allow => "allow",
            PolicyOutcome.ExplicitDeny => "explicit",
            _ => "implicit",
        };
        return (word, decision.Explain());
    }
}
