using System.Text.Json;
using DarkStorage.Rules.Policies;
using Xunit;

namespace DarkStorage.Unit.Policies;

/// <summary>Who may assume a role, over trust policies at random: what must hold of all of them.</summary>
public sealed class RoleTrustTests(ITestOutputHelper output)
{
    private const string Account = "000000000000";
    private const string Provider = "issuer.example";
    private const string Role = $"arn:aws:iam::{Account}:role/wanted";
    private const int Rounds = 2_000;

    private static readonly DateTimeOffset Issued = new(2026, 1, 1, 0, 0, 0, TimeSpan.Zero);

    private static readonly PolicyPrincipal Holder = PolicyPrincipal.WebIdentity(Account, new(Issued, Provider, "ann", "client"));

    private static readonly PolicyPrincipal[] Callers =
    [
        PolicyPrincipal.Anonymous, PolicyPrincipal.Root(Account, "root"), PolicyPrincipal.User(Account, "ann", "ann", "ann"), PolicyPrincipal.User(Account, "bob", "bob", "bob"),
        PolicyPrincipal.AssumedRole(Account, "other", "session", "role/other", "AROAOTHER").With(new SessionFacts(Issued)), Holder,
    ];

    private static readonly string[] Principals =
    [
        "\"*\"", """{"AWS":"*"}""", $$"""{"AWS":"{{Account}}"}""", $$"""{"AWS":"arn:aws:iam::{{Account}}:root"}""", $$"""{"AWS":"arn:aws:iam::{{Account}}:user/ann"}""",
        $$"""{"AWS":["arn:aws:iam::{{Account}}:user/bob","arn:aws:iam::{{Account}}:role/other"]}""", $$"""{"Federated":"{{Provider}}"}""", """{"Federated":"other.example"}""",
    ];

    private static readonly string[] Actions = ["sts:AssumeRole", "sts:AssumeRoleWithWebIdentity", "sts:*", "sts:TagSession"];

    private static readonly string[] Conditions = ["", "", """{"StringEquals":{"sts:ExternalId":"x"}}""", """{"StringNotEquals":{"sts:ExternalId":"x"}}""", """{"Null":{"sts:ExternalId":"true"}}"""];

    public static TheoryData<int> Seeds => [1, 2, 3, Random.Shared.Next()];

    [Theory, MemberData(nameof(Seeds))]
    public void A_denial_never_allows_more_an_allowance_never_less_and_the_order_does_not_matter(int seed)
    {
        var random = new Random(seed);  // the seed is in the test's name
        var allowed = 0;
        for (var i = 0; i < Rounds; i++)
        {
            var statements = Enumerable.Range(0, random.Next(1, 5)).Select(_ => Statement(random, null)).ToList();
            var (own, session, request) = (Own(random), random.Next(3) == 0 ? Own(random)[0] : null, Request(random));
            var before = Allows(statements, own, session, request);
            if (before) allowed++;
            string Case() => $"{string.Join(",", statements)} for {request.Principal} {request.Action}";

            Assert.False(!before && Allows([.. statements, Statement(random, "Deny")], own, session, request), $"More with a denial: {Case()}");
            Assert.False(before && !Allows([.. statements, Statement(random, "Allow")], own, session, request), $"Less with an allowance: {Case()}");
            var shuffled = statements.ToArray();
            random.Shuffle(shuffled);
            Assert.True(before == Allows(shuffled, own, session, request), $"Another order: {Case()}");
            Assert.False(before && session is not null && !Allows(statements, own, null, request), $"More with a session policy: {Case()}");
            Assert.False(Allows([.. statements, """{"Effect":"Deny","Principal":"*","Action":"sts:*"}"""], own, session, request), $"In spite of a denial of everybody: {Case()}");
        }
        output.WriteLine($"{allowed} of {Rounds} allowed");
        Assert.InRange(allowed, Rounds / 20, Rounds / 2);
    }

    [Theory, MemberData(nameof(Seeds))]
    public void Root_and_strangers_never_assume_a_role_and_who_holds_a_token_only_by_their_provider(int seed)
    {
        var random = new Random(seed);
        for (var i = 0; i < Rounds; i++)
        {
            var statements = Enumerable.Range(0, random.Next(1, 5)).Select(_ => Statement(random, "Allow")).ToList();
            foreach (var caller in Callers[..2]) Assert.False(Allows(statements, Own(random), null, Request(random) with { Principal = caller }), string.Join(",", statements));
            if (statements.Exists(s => s.Contains(Provider, StringComparison.Ordinal))) continue;
            Assert.False(Allows(statements, [], null, Request(random) with { Principal = Holder }), string.Join(",", statements));
        }
    }

    private static bool Allows(IEnumerable<string> statements, IReadOnlyList<IdentityPolicy> own, IdentityPolicy? session, PolicyRequest request) =>
        RoleTrust.Allows(TrustPolicy.Parse($$"""{"Version":"2012-10-17","Statement":[{{string.Join(',', statements)}}]}"""), own, session, request);

    private static string Statement(Random random, string? effect)
    {
        effect ??= random.Next(4) == 0 ? "Deny" : "Allow";
        var condition = Of(random, Conditions);
        return $$"""{"Effect":"{{effect}}","Principal":{{Of(random, Principals)}},"Action":{{JsonSerializer.Serialize(Of(random, Actions))}}{{(condition.Length > 0 ? ",\"Condition\":" + condition : "")}}}""";
    }

    private static IReadOnlyList<IdentityPolicy> Own(Random random)
    {
        var (effect, action, resource) = (random.Next(5) == 0 ? "Deny" : "Allow", Of(random, ["sts:*", "sts:AssumeRole", "s3:GetObject"]), Of(random, ["*", Role, Role + "2"]));
        return [IdentityPolicy.Parse("own", $$"""{"Version":"2012-10-17","Statement":[{"Effect":"{{effect}}","Action":"{{action}}","Resource":"{{resource}}"}]}""")];
    }

    private static PolicyRequest Request(Random random)
    {
        var caller = Of(random, Callers);
        return new(caller, caller == Holder ? StsActions.AssumeRoleWithWebIdentity : StsActions.AssumeRole, Role, new Context(random.Next(2) == 0 ? "x" : null));
    }

    private static T Of<T>(Random random, IReadOnlyList<T> all) => all[random.Next(all.Count)];

    private sealed class Context(string? externalId) : IConditionContext
    {
        public ConditionValues Find(ConditionKey key) => key.Name == "sts:ExternalId" ? new(externalId) : default;
    }
}
