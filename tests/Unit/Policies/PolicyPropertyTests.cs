using System.Text;
using DarkStorage.Rules;
using DarkStorage.Rules.Acls;
using DarkStorage.Rules.Policies;
using Xunit;

namespace DarkStorage.Unit.Policies;

/// <summary>What holds of every policy and request, tried on made-up ones. The seed is in the name of the test that failed.</summary>
public sealed class PolicyPropertyTests
{
    private const int RequestsPerSeed = 20;

    private static readonly string[] Actions = ["s3:GetObject", "s3:PutObject", "s3:DeleteObject", "s3:PutObjectTagging", "s3:Get*", "s3:*", "*", "s3:*Object"];
    private static readonly string[] AskedActions = ["s3:GetObject", "s3:PutObject", "s3:DeleteObject", "s3:ListBucket", "s3:GetObjectAcl"];
    private static readonly string[] Keys = ["a", "alice", "alice/x", "bob/y", "*", "red", ""];
    private static readonly string[] Resources = ["arn:aws:s3:::photos/*", "arn:aws:s3:::photos/${aws:username}*", "arn:aws:s3:::photos/a", "arn:aws:s3:::photos/?*/x",
        "arn:aws:s3:::photos/${aws:PrincipalTag/team}", "arn:aws:s3:::photos/${aws:username, 'a'}"];
    private static readonly string[] Names = ["alice", "bob", "carol", "anonymous", "root", "role:ops/x"];
    private static readonly string[] Conditions =
    [
        """{"StringEquals": {"s3:prefix": ["a", "${aws:username}"]}}""", """{"StringNotEquals": {"s3:prefix": "${aws:PrincipalTag/team}"}}""",
        """{"NumericLessThan": {"s3:max-keys": 10}}""", """{"IpAddress": {"aws:SourceIp": "10.0.0.0/8"}}""", """{"NotIpAddress": {"aws:SourceIp": "10.0.0.0/8"}}""",
        """{"Null": {"s3:prefix": "true"}}""", """{"Bool": {"aws:SecureTransport": true}}""", """{"ForAllValues:StringLike": {"aws:TagKeys": "a*"}}""",
        """{"ForAnyValue:StringNotEquals": {"aws:TagKeys": "a"}}""", """{"ArnLike": {"aws:PrincipalArn": "arn:aws:iam::*:user/a*"}}""",
        """{"NumericNotEqualsIfExists": {"s3:max-keys": 1}}""",
    ];
    private static readonly (string Key, string[] Values)[] ContextValues =
    [
        ("s3:prefix", ["a", "alice", "red"]), ("aws:PrincipalTag/team", ["red", "a"]), ("s3:max-keys", ["1", "9", "10", "many"]),
        ("aws:SourceIp", ["10.1.1.1", "1.1.1.1", "?"]),
        ("aws:SecureTransport", ["true", "false", "-"]), ("aws:TagKeys", ["a", "ab", "b"]),
    ];

    public static TheoryData<int> Seeds => [.. Enumerable.Range(1, 300), .. Enumerable.Range(0, 20).Select(_ => Random.Shared.Next())];

    [Theory, MemberData(nameof(Seeds))]
    public void Statements_and_policies_are_a_set(int seed)
    {
        var random = new Random(seed);
        var statements = Statements(random);
        var extra = Statements(random);
        for (var i = 0; i < RequestsPerSeed; i++)
        {
            var request = Request(random);
            var outcome = Outcome(request, statements, extra);
            Assert.Equal(outcome, Outcome(request, extra, statements));
            Assert.Equal(outcome, Outcome(request, [.. Shuffled(random, statements)], [.. Shuffled(random, extra)]));
            Assert.Equal(outcome, Outcome(request, [.. statements, .. extra]));
            Assert.Equal(outcome, Outcome(request, [.. statements, statements[random.Next(statements.Count)]], extra));
            Assert.Equal(outcome, Outcome(request, statements, extra, extra));
        }
    }

    [Theory, MemberData(nameof(Seeds))]
    public void A_deny_more_or_an_allow_less_never_allows_more(int seed)
    {
        var random = new Random(seed);
        var statements = Statements(random);
        var more = statements.Append(Statement(random, "Deny")).ToList();
        var allow = statements.FindIndex(s => s.Contains("\"Allow\"", StringComparison.Ordinal));
        var less = statements.Where((_, i) => i != allow).ToList();
        for (var i = 0; i < RequestsPerSeed; i++)
        {
            var request = Request(random);
            var world = World(random, request);
            if (Authorization.Decide(With(world, statements)).IsAllowed) continue;
            Assert.False(Authorization.Decide(With(world, more)).IsAllowed);
            // The one exception is AWS's: RestrictPublicBuckets looks at the policy as a whole, so taking the public statement out gives the others back.
            if (allow >= 0 && less.Count > 0 && !world.Bucket!.PublicAccess.RestrictPublicBuckets) Assert.False(Authorization.Decide(With(world, less)).IsAllowed);
            // Nor do any of the guards: each only takes away.
            var guarded = With(world, statements);
            Assert.False(Authorization.Decide(guarded with { Bucket = guarded.Bucket! with { PublicAccess = PublicAccessBlock.All } }).IsAllowed);
            Assert.False(Authorization.Decide(guarded with { SessionPolicy = IdentityPolicy.Parse("", Document([.. Statements(random).Select(WithoutPrincipal)])) }).IsAllowed);
        }
    }

    [Theory, MemberData(nameof(Seeds))]
    public void Nothing_but_a_policy_a_list_or_ownership_lets_anybody_in(int seed)
    {
        var random = new Random(seed);
        for (var i = 0; i < RequestsPerSeed; i++)
        {
            var request = Request(random);
            var asked = World(random, request);
            var decision = Authorization.Decide(asked);
            var isAnonymous = request.Principal.Kind == PrincipalKind.Anonymous;
            switch (decision.Basis)
            {
                case AuthorizationBasis.BucketPolicy:
                    Assert.Equal(PolicyOutcome.Allow, PolicyEvaluator.Evaluate(asked.Bucket!.Policy!, request).Outcome);
                    break;
                case AuthorizationBasis.BucketAcl:
                    Assert.True(asked.Bucket!.Acl!.PermitsOnBucket(request.Action, request.Principal.CanonicalId, !isAnonymous));
                    Assert.NotEqual(ObjectOwnership.BucketOwnerEnforced, asked.Bucket.Ownership);
                    break;
                case AuthorizationBasis.ObjectAcl:
                    Assert.True(asked.Object!.Acl!.PermitsOnObject(request.Action, request.Principal.CanonicalId, !isAnonymous));
                    Assert.NotEqual(ObjectOwnership.BucketOwnerEnforced, asked.Bucket!.Ownership);
                    break;
                case AuthorizationBasis.Ownership:
                    Assert.Empty(asked.IdentityPolicies);
                    Assert.Contains(request.Principal.CanonicalId, new[] { asked.Bucket!.Owner, asked.Object?.Owner });
                    break;
                case AuthorizationBasis.IdentityPolicy:
                    Assert.False(isAnonymous);
                    Assert.Equal(PolicyOutcome.Allow, PolicyEvaluator.Evaluate(asked.IdentityPolicies, request).Outcome);
                    break;
                case AuthorizationBasis.Root:
                    Assert.Equal(PrincipalKind.Root, request.Principal.Kind);
                    break;
                default:
                    Assert.False(decision.IsAllowed);
                    break;
            }
        }
    }

    [Theory, MemberData(nameof(Seeds))]
    public void A_mutated_document_parses_or_is_refused_and_then_decides(int seed)
    {
        var random = new Random(seed);
        var document = Document([.. Enumerable.Range(0, random.Next(1, 4)).Select(_ => Statement(random, random.Next(2) == 0 ? "Allow" : "Deny"))]);
        for (var i = 0; i < RequestsPerSeed; i++)
        {
            var mutated = Mutate(random, document);
            var request = Request(random);
            try
            {
                PolicyEvaluator.Evaluate(BucketPolicy.Parse("photos", mutated), request);
            }
            catch (PolicyFormatException error)
            {
                Assert.NotEmpty(error.Message);
            }
            try
            {
                PolicyEvaluator.Evaluate(IdentityPolicy.Parse("x", mutated.Replace("\"Principal\"", "\"Sid\"")), request);
            }
            catch (PolicyFormatException error)
            {
                Assert.NotEmpty(error.Message);
            }
        }
    }

    [Theory, MemberData(nameof(Seeds))]
    public void Wildcards_match_what_a_slow_reading_of_them_matches(int seed)
    {
        var random = new Random(seed);
        for (var i = 0; i < 50; i++)
        {
            var pattern = Letters(random, "ab*?/", 8);
            var text = Letters(random, "ab/", 10);
            var policy = IdentityPolicy.Parse("x", $$"""{"Statement": {"Effect": "Allow", "Action": "*", "Resource": "arn:aws:s3:::{{pattern}}"} }""");
            var request = new PolicyRequest(CaseFile.Principal("alice"), "s3:GetObject", $"arn:aws:s3:::{text}", new Context());
            Assert.True(Slow(pattern, text) == (PolicyEvaluator.Evaluate(policy, request).Outcome == PolicyOutcome.Allow), $"{pattern} and {text}");
        }
    }

    [Fact]
    public void A_pattern_made_to_take_long_does_not()
    {
        var pattern = string.Concat(Enumerable.Repeat("*a", 2000)) + "b";
        var policy = IdentityPolicy.Parse("x", $$"""{"Statement": {"Effect": "Deny", "Action": "*", "Resource": "arn:aws:s3:::{{pattern}}"} }""");
        var request = new PolicyRequest(CaseFile.Principal("alice"), "s3:GetObject", $"arn:aws:s3:::photos/{new string('a', 1024)}", new Context());
        Assert.Equal(PolicyOutcome.ImplicitDeny, PolicyEvaluator.Evaluate(policy, request).Outcome);
    }

    [Fact]
    public void A_variable_that_grows_past_measure_cannot_be_told_and_so_denies()
    {
        static PolicyOutcome Evaluate(string effect)
        {
            var resource = string.Concat(Enumerable.Repeat("${aws:UserAgent}", 300));
            var policy = IdentityPolicy.Parse("x", CaseFile.Document("2012-10-17",
                [$$"""{"Effect": "{{effect}}", "Action": "*", "Resource": "arn:aws:s3:::{{resource}}"}"""]));
            var context = new Context().With("aws:UserAgent", new string('a', 8000));
            return PolicyEvaluator.Evaluate(policy, new(CaseFile.Principal("alice"), "s3:GetObject", "arn:aws:s3:::photos/a", context)).Outcome;
        }
        Assert.Equal(PolicyOutcome.ExplicitDeny, Evaluate("Deny"));
        Assert.Equal(PolicyOutcome.ImplicitDeny, Evaluate("Allow"));
    }

    private static bool Slow(string pattern, string text)
    {
        if (pattern.Length == 0) return text.Length == 0;
        if (pattern[0] == '*') return Slow(pattern[1..], text) || (text.Length > 0 && Slow(pattern, text[1..]));
        return text.Length > 0 && (pattern[0] == '?' || pattern[0] == text[0]) && Slow(pattern[1..], text[1..]);
    }

    private static string Letters(Random random, string alphabet, int lengthMax) =>
        new([.. Enumerable.Range(0, random.Next(1, lengthMax)).Select(_ => alphabet[random.Next(alphabet.Length)])]);

    private static PolicyOutcome Outcome(PolicyRequest request, params IReadOnlyList<string>[] policies) =>
        PolicyEvaluator.Evaluate([.. policies.Select(p => BucketPolicy.Parse("photos", Document(p)))], request).Outcome;

    private static string Document(IReadOnlyList<string> statements) => CaseFile.Document("2012-10-17", statements);

    private static List<string> Statements(Random random) =>
        [.. Enumerable.Range(0, random.Next(1, 6)).Select(_ => Statement(random, random.Next(3) == 0 ? "Deny" : "Allow"))];

    private static string Statement(Random random, string effect)
    {
        var principal = random.Next(4) switch
        {
            0 => "\"Principal\": {\"AWS\": \"arn:aws:iam:::user/alice\"}",
            1 => "\"Principal\": {\"AWS\": \"123456789012\"}",
            2 when effect == "Deny" => "\"NotPrincipal\": {\"AWS\": [\"arn:aws:iam:::user/bob\"]}",
            _ => "\"Principal\": \"*\"",
        };
        var action = $"\"{(random.Next(5) == 0 ? "NotAction" : "Action")}\": [\"{Pick(random, Actions)}\", \"{Pick(random, Actions)}\"]";
        var resource = $"\"{(random.Next(5) == 0 ? "NotResource" : "Resource")}\": \"{Pick(random, Resources)}\"";
        var condition = random.Next(2) == 0 ? "" : $", \"Condition\": {Pick(random, Conditions)}";
        return $"{{\"Effect\": \"{effect}\", {principal}, {action}, {resource}{condition}}}";
    }

    private static string WithoutPrincipal(string statement)
    {
        var start = statement.IndexOf(statement.Contains("NotPrincipal", StringComparison.Ordinal) ? "\"NotPrincipal\"" : "\"Principal\"", StringComparison.Ordinal);
        var end = statement.IndexOf(statement.Contains("\"NotAction\"", StringComparison.Ordinal) ? "\"NotAction\"" : "\"Action\"", StringComparison.Ordinal);
        return statement[..start] + statement[end..];
    }

    private static PolicyRequest Request(Random random)
    {
        var context = new Context();
        foreach (var (key, values) in ContextValues)
        {
            for (var n = random.Next(3); n > 0; n--) context.With(key, Pick(random, values));
        }
        return new(CaseFile.Principal(Pick(random, Names)), Pick(random, AskedActions), $"arn:aws:s3:::photos/{Pick(random, Keys)}", context);
    }

    private static AuthorizationRequest World(Random random, PolicyRequest request)
    {
        string[] canned = ["private", "public-read", "public-read-write", "authenticated-read", "bucket-owner-full-control"];
        var writer = $"id-{Pick(random, Names)}";
        var ownership = (ObjectOwnership)random.Next(3);
        return new()
        {
            Request = request,
            IdentityPolicies = random.Next(2) == 0 ? [] : [IdentityPolicy.Parse("x", Document([.. Statements(random).Select(WithoutPrincipal)]))],
            Bucket = new("id-bob", BucketPolicy.Parse("photos", Document(Statements(random))), AccessControlList.Canned(Pick(random, canned), "id-bob", null), ownership,
                new(random.Next(2) == 0, random.Next(2) == 0, random.Next(2) == 0, random.Next(2) == 0)),
            Object = random.Next(2) == 0 ? null : new(writer, AccessControlList.Canned(Pick(random, canned), writer, "id-bob")),
        };
    }

    private static AuthorizationRequest With(AuthorizationRequest world, IReadOnlyList<string> bucketPolicy) =>
        world with { Bucket = world.Bucket! with { Policy = BucketPolicy.Parse("photos", Document(bucketPolicy)) } };

    private static string Mutate(Random random, string document)
    {
        const string Letters = "{}[]\",:*?$/\\ 019ae\0\ud83d\u00e9";
        var text = new StringBuilder(document);
        for (var n = random.Next(1, 6); n > 0 && text.Length > 2; n--)
        {
            var at = random.Next(text.Length);
            switch (random.Next(5))
            {
                case 0:
                    text[at] = Letters[random.Next(Letters.Length)];
                    break;
                case 1:
                    text.Remove(at, Math.Min(random.Next(1, 12), text.Length - at));
                    break;
                case 2:
                    text.Insert(at, Letters[random.Next(Letters.Length)]);
                    break;
                case 3:
                    text.Insert(random.Next(text.Length), text.ToString(at, Math.Min(random.Next(1, 30), text.Length - at)));
                    break;
                default:
                    text.Replace(Pick(random, Words), Pick(random, Words));
                    break;
            }
        }
        return text.ToString();
    }

    private static readonly string[] Words =
        ["\"Allow\"", "\"Action\"", "\"Resource\"", "\"*\"", "null", "[]", "{}", "1e400", "\"\\ud800\"", "${", "}", "StringEquals", "IpAddress", "s3:",
            "arn:aws:s3:::photos", "true", "aws:SourceIp"];

    private static T Pick<T>(Random random, IReadOnlyList<T> from) => from[random.Next(from.Count)];

    private static IEnumerable<T> Shuffled<T>(Random random, IReadOnlyList<T> from)
    {
        var copy = from.ToArray();
        random.Shuffle(copy);
        return copy;
    }
}
