using DarkStorage.Rules.Policies;
using Xunit;

namespace DarkStorage.Unit.Policies;

public sealed class PolicyParserTests
{
    private const string NotJson = "Policies must be valid JSON and the first byte must be '{'";
    private const string Resource = "Policy has invalid resource";
    private const string Action = "Policy has invalid action";
    private const string Principal = "Invalid principal in policy";
    private const string DoesNotApply = "Action does not apply to any resource(s) in statement";

    /// <summary>A statement's members, or a whole document, and what is wrong with it as a policy of the bucket "photos".</summary>
    private static readonly (string Text, string Message)[] BucketErrors =
    [
        ("", NotJson),
        ("[]", NotJson),
        ("null", NotJson),
        ("\"policy\"", NotJson),
        ("{", NotJson),
        ("{\"Statement\": [}", NotJson),
        ("{\"Statement\": [],}", NotJson),
        ("{/* comment */}", NotJson),
        ("{} {}", NotJson),
        ("""{"Id": "\ud800"}""", NotJson),
        ("""{"\ud800": ""}""", NotJson),
        ("""{"Statement": {"Condition": {"StringEquals": {"s3:prefix": [[[[[]]]]]}}}}""", NotJson),
        ("{}", "Missing required field Statement"),
        ("""{"Statement": []}""", "Missing required field Statement"),
        ("""{"Statement": "all"}""", "Invalid policy syntax in field Statement"),
        ("""{"Statement": [1]}""", "Invalid policy syntax in field Statement"),
        ("""{"Statement": null}""", "Invalid policy syntax in field Statement"),
        ("""{"Version": "2020-01-01", "Statement": []}""", "The policy must contain a valid version string"),
        ("""{"Version": 2012, "Statement": []}""", "Invalid policy syntax in field Version"),
        ("""{"Id": ["a"], "Statement": []}""", "Invalid policy syntax in field Id"),
        ("""{"Statements": []}""", "Unknown field Statements"),
        ("""{"statement": []}""", "Unknown field statement"),
        ("""{"Statement": [], "Statement": []}""", "Duplicate field Statement"),

        ("""  "Principal": "*", "Action": "s3:GetObject", "Resource": "arn:aws:s3:::photos/*" """, "Missing required field Effect"),
        ("""  "Effect": "Allow", "Action": "s3:GetObject", "Resource": "arn:aws:s3:::photos/*" """, "Missing required field Principal"),
        ("""  "Effect": "Allow", "Principal": "*", "Resource": "arn:aws:s3:::photos/*" """, "Missing required field Action"),
        ("""  "Effect": "Allow", "Principal": "*", "Action": "s3:GetObject" """, "Missing required field Resource"),
        ("""  "Effect": "allow" """, "Invalid effect: allow"),
        ("""  "Effect": "Permit" """, "Invalid effect: Permit"),
        ("""  "Effect": ["Allow"] """, "Invalid policy syntax in field Effect"),
        ("""  "Effect": "Allow", "Effect": "Deny" """, "Duplicate field Effect"),
        ("""  "Effect": "Allow", "Actions": "s3:GetObject" """, "Unknown field Actions"),
        ("""  "Sid": 1 """, "Invalid policy syntax in field Sid"),

        ("""  "Principal": "alice" """, Principal),
        ("""  "Principal": {} """, Principal),
        ("""  "Principal": ["*"] """, Principal),
        ("""  "Principal": {"AWS": "alice"} """, Principal),
        ("""  "Principal": {"AWS": []} """, "Missing required field Principal"),
        ("""  "Principal": {"AWS": ""} """, "Missing required field Principal"),
        ("""  "Principal": {"AWS": 123456789012} """, "Invalid policy syntax in field Principal"),
        ("""  "Principal": {"AWS": "12345678901"} """, Principal),
        ("""  "Principal": {"AWS": "1234567890123"} """, Principal),
        ("""  "Principal": {"AWS": "arn:aws:iam::123456789012:user/*"} """, Principal),
        ("""  "Principal": {"AWS": "arn:aws:iam::123456789012:user/a?"} """, Principal),
        ("""  "Principal": {"AWS": "arn:aws:iam::123456789012:user/"} """, Principal),
        ("""  "Principal": {"AWS": "arn:aws:iam::123456789012:group/admins"} """, Principal),
        ("""  "Principal": {"AWS": "arn:aws:iam::123456789012:root/x"} """, Principal),
        ("""  "Principal": {"AWS": "arn:aws:iam::1234:user/alice"} """, Principal),
        ("""  "Principal": {"AWS": "arn:aws:iam:eu-west-1:123456789012:user/alice"} """, Principal),
        ("""  "Principal": {"AWS": "arn:aws-cn:iam::123456789012:user/alice"} """, Principal),
        ("""  "Principal": {"AWS": "arn:aws:s3:::photos"} """, Principal),
        ("""  "Principal": {"AWS": "arn:aws:sts::123456789012:assumed-role/ops"} """, Principal),
        ("""  "Principal": {"AWS": "arn:aws:iam::123456789012:user/al ice"} """, Principal),
        ("""  "Principal": {"CanonicalUser": "*"} """, Principal),
        ("""  "Principal": {"Users": "alice"} """, Principal),
        ("""  "Principal": "*", "NotPrincipal": "*" """, "Statement has both Principal and NotPrincipal"),

        ("""  "Action": [] """, "Missing required field Action"),
        ("""  "Action": "" """, "Missing required field Action"),
        ("""  "Action": 1 """, "Invalid policy syntax in field Action"),
        ("""  "Action": {"s3": "*"} """, "Invalid policy syntax in field Action"),
        ("""  "Action": "s3:GetObjects" """, Action),
        ("""  "Action": "s3:Gett*" """, Action),
        ("""  "Action": "GetObject" """, Action),
        ("""  "Action": "s3:" """, Action),
        ("""  "Action": "ec2:RunInstances" """, Action),
        ("""  "Action": "s3*" """, Action),
        ("""  "NotAction": "s3:GetObjekt" """, Action),
        ("""  "Action": "s3:GetObject", "NotAction": "s3:PutObject" """, "Statement has both Action and NotAction"),

        ("""  "Resource": [] """, "Missing required field Resource"),
        ("""  "Resource": "" """, "Missing required field Resource"),
        ("""  "Resource": true """, "Invalid policy syntax in field Resource"),
        ("""  "Resource": "*" """, Resource),
        ("""  "Resource": "photos/*" """, Resource),
        ("""  "Resource": "arn:aws:s3:::*" """, Resource),
        ("""  "Resource": "arn:aws:s3:::photo" """, Resource),
        ("""  "Resource": "arn:aws:s3:::photos2" """, Resource),
        ("""  "Resource": "arn:aws:s3:::photos*" """, Resource),
        ("""  "Resource": "arn:aws:s3:::photos?/x" """, Resource),
        ("""  "Resource": "arn:aws:s3:::other/*" """, Resource),
        ("""  "Resource": "arn:aws:s3:::Photos/*" """, Resource),
        ("""  "Resource": ["arn:aws:s3:::photos/*", "arn:aws:s3:::other/*"] """, Resource),
        ("""  "Resource": "arn:aws-cn:s3:::photos/*" """, Resource),
        ("""  "Resource": "arn:aws:s3:eu-west-1::photos/*" """, Resource),
        ("""  "Resource": "arn:aws:s3:*:*:photos/*" """, Resource),
        ("""  "Resource": "arn:aws:sqs:::photos/*" """, Resource),
        ("""  "Resource": "arn:aws:s3:::${aws:username}/*" """, Resource),
        ("""  "NotResource": "arn:aws:s3:::other/*" """, Resource),
        ("""  "Resource": "arn:aws:s3:::photos/${aws:username" """, "Policy has a variable that is not closed."),
        ("""  "Resource": "arn:aws:s3:::photos/${aws:nobody}" """, "Policy has an invalid variable: aws:nobody"),
        ("""  "Resource": "arn:aws:s3:::photos/${}" """, "Policy has an invalid variable: "),
        ("""  "Resource": "arn:aws:s3:::photos/${aws:username, guest}" """, "The default value of a policy variable must stand in single quotation marks."),
        ("""  "Resource": "arn:aws:s3:::photos", "NotResource": "arn:aws:s3:::photos" """, "Statement has both Resource and NotResource"),
        ("""  "Effect": "Allow", "Principal": "*", "Action": "s3:GetObject", "Resource": "arn:aws:s3:::photos" """, DoesNotApply),
        ("""  "Effect": "Allow", "Principal": "*", "Action": "s3:ListBucket", "Resource": "arn:aws:s3:::photos/*" """, DoesNotApply),
        ("""  "Effect": "Allow", "Principal": "*", "Action": ["s3:GetObject", "s3:ListBucket"], "Resource": "arn:aws:s3:::photos/*" """, DoesNotApply),
        ("""  "Effect": "Deny", "Principal": "*", "Action": "s3:ListAllMyBuckets", "Resource": ["arn:aws:s3:::photos", "arn:aws:s3:::photos/*"] """, DoesNotApply),

        ("""  "Condition": [] """, "Invalid policy syntax in field Condition"),
        ("""  "Condition": {"StringEquals": "x"} """, "Invalid policy syntax in field Condition"),
        ("""  "Condition": {"StringEquals": {"s3:prefix": []}} """, "Invalid policy syntax in field Condition"),
        ("""  "Condition": {"StringEquals": {"s3:prefix": null}} """, "Invalid policy syntax in field Condition"),
        ("""  "Condition": {"StringEquals": {"s3:prefix": {"a": "b"}}} """, "Invalid policy syntax in field Condition"),
        ("""  "Condition": {"StringIs": {"s3:prefix": "a"}} """, "Invalid Condition type : StringIs"),
        ("""  "Condition": {"stringequals": {"s3:prefix": "a"}} """, "Invalid Condition type : stringequals"),
        ("""  "Condition": {"ForSomeValues:StringEquals": {"s3:prefix": "a"}} """, "Invalid Condition type : ForSomeValues:StringEquals"),
        ("""  "Condition": {"NullIfExists": {"s3:prefix": "true"}} """, "Invalid Condition type : NullIfExists"),
        ("""  "Condition": {"ForAnyValue:Null": {"s3:prefix": "true"}} """, "Invalid Condition type : ForAnyValue:Null"),
        ("""  "Condition": {"": {"s3:prefix": "true"}} """, "Invalid Condition type : "),
        ("""  "Condition": {"StringEquals": {"s3:prefiks": "a"}} """, "Policy has an invalid condition key: s3:prefiks"),
        ("""  "Condition": {"StringEquals": {"aws:Nothing": "a"}} """, "Policy has an invalid condition key: aws:Nothing"),
        ("""  "Condition": {"StringEquals": {"ec2:Region": "a"}} """, "Policy has an invalid condition key: ec2:Region"),
        ("""  "Condition": {"StringEquals": {"aws:RequestTag/": "a"}} """, "Policy has an invalid condition key: aws:RequestTag/"),
        ("""  "Condition": {"StringEquals": {"s3:prefix/x": "a"}} """, "Policy has an invalid condition key: s3:prefix/x"),
        ("""  "Condition": {"StringEquals": {"s3:prefix": "a", "S3:Prefix": "b"}} """, "Duplicate field S3:Prefix"),
        ("""  "Condition": {"StringEquals": {"s3:prefix": "a"}, "StringEquals": {"s3:delimiter": "b"}} """, "Duplicate field StringEquals"),
        ("""  "Condition": {"NumericEquals": {"s3:max-keys": "ten"}} """, "Invalid value for NumericEquals: ten"),
        ("""  "Condition": {"NumericEquals": {"s3:max-keys": "1e99"}} """, "Invalid value for NumericEquals: 1e99"),
        ("""  "Condition": {"NumericEquals": {"s3:max-keys": "${aws:username}"}} """, "Invalid value for NumericEquals: ${aws:username}"),
        ("""  "Condition": {"DateEquals": {"aws:CurrentTime": "tomorrow"}} """, "Invalid value for DateEquals: tomorrow"),
        ("""  "Condition": {"DateEquals": {"aws:CurrentTime": 99999999999999}} """, "Invalid value for DateEquals: 99999999999999"),
        ("""  "Condition": {"Bool": {"aws:SecureTransport": "yes"}} """, "Invalid value for Bool: yes"),
        ("""  "Condition": {"Null": {"s3:prefix": "0"}} """, "Invalid value for Null: 0"),
        ("""  "Condition": {"BinaryEquals": {"s3:prefix": "a"}} """, "Invalid value for BinaryEquals: a"),
        ("""  "Condition": {"IpAddress": {"aws:SourceIp": "10.0.0.0/33"}} """, "Invalid value for IpAddress: 10.0.0.0/33"),
        ("""  "Condition": {"IpAddress": {"aws:SourceIp": "10.0.0/8"}} """, "Invalid value for IpAddress: 10.0.0/8"),
        ("""  "Condition": {"IpAddress": {"aws:SourceIp": "010.0.0.0/8"}} """, "Invalid value for IpAddress: 010.0.0.0/8"),
        ("""  "Condition": {"IpAddress": {"aws:SourceIp": "10.0.0.0/"}} """, "Invalid value for IpAddress: 10.0.0.0/"),
        ("""  "Condition": {"IpAddress": {"aws:SourceIp": "2001:db8::/129"}} """, "Invalid value for IpAddress: 2001:db8::/129"),
        ("""  "Condition": {"IpAddress": {"aws:SourceIp": "::ffff:10.0.0.0/8"}} """, "Invalid value for IpAddress: ::ffff:10.0.0.0/8"),
        ("""  "Condition": {"NotIpAddress": {"aws:SourceIp": "*"}} """, "Invalid value for NotIpAddress: *"),
        ("""  "Condition": {"ArnEquals": {"aws:SourceArn": "photos"}} """, "Invalid value for ArnEquals: photos"),
        ("""  "Condition": {"ArnLike": {"aws:SourceArn": "arn:aws:s3"}} """, "Invalid value for ArnLike: arn:aws:s3"),
    ];

    private static readonly (string Text, string Message)[] IdentityErrors =
    [
        ("""  "Effect": "Allow", "Principal": "*", "Action": "*", "Resource": "*" """, "Policy document should not specify a principal."),
        ("""  "Effect": "Allow", "NotPrincipal": "*", "Action": "*", "Resource": "*" """, "Policy document should not specify a principal."),
        ("""  "Effect": "Allow", "Action": "*" """, "Missing required field Resource"),
        ("""  "Sid": "no spaces", "Effect": "Allow" """, "Statement IDs (SID) must be alpha-numeric."),
        ("""  "Action": "everything" """, Action),
        ("""  "Action": ":GetObject" """, Action),
        ("""  "Action": "iam:" """, Action),
        ("""  "Action": "s3:Nothing" """, Action),
        ("""  "Action": "*:GetObject" """, Action),
        ("""  "Resource": "photos/*" """, Resource),
        ("""  "Resource": "arn:aws:s3" """, Resource),
        ("""  "Resource": "arn:aws-cn:s3:::photos" """, Resource),
        ("""  "Resource": "${aws:username}" """, Resource),
        ("""  "Condition": {"StringEquals": {"s3:nothing": "a"}} """, "Policy has an invalid condition key: s3:nothing"),
        ("""  "Condition": {"StringEquals": {"nothing": "a"}} """, "Policy has an invalid condition key: nothing"),
    ];

    public static TheoryData<string, string> OfBuckets => [.. BucketErrors];

    public static TheoryData<string, string> OfIdentities => [.. IdentityErrors];

    [Theory, MemberData(nameof(OfBuckets))]
    public void A_bucket_policy_is_refused_with_the_reason(string text, string message) =>
        Assert.Equal(message, Assert.Throws<PolicyFormatException>(() => BucketPolicy.Parse("photos", Whole(text))).Message);

    [Theory, MemberData(nameof(OfIdentities))]
    public void An_identity_policy_is_refused_with_the_reason(string text, string message) =>
        Assert.Equal(message, Assert.Throws<PolicyFormatException>(() => IdentityPolicy.Parse("x", Whole(text))).Message);

    [Fact]
    public void Half_a_character_is_no_text() =>
        Assert.Equal(NotJson, Assert.Throws<PolicyFormatException>(() => BucketPolicy.Parse("photos", "\ud800")).Message);

    [Fact]
    public void Two_statements_may_not_share_a_name()
    {
        const string Statement = """{"Sid": "A", "Effect": "Allow", "Principal": "*", "Action": "s3:GetObject", "Resource": "arn:aws:s3:::photos/*"}""";
        var error = Assert.Throws<PolicyFormatException>(() => BucketPolicy.Parse("photos", CaseFile.Document("2012-10-17", [Statement, Statement])));
        Assert.Equal("Statement IDs (SID) in a single policy must be unique: A", error.Message);
        BucketPolicy.Parse("photos", CaseFile.Document("2012-10-17", [Statement.Replace("\"A\"", "\"\""), Statement.Replace("\"A\"", "\"\""), Statement]));
    }

    [Fact]
    public void A_bucket_policy_has_at_most_20_KiB_of_utf8()
    {
        var document = CaseFile.Document("2012-10-17", ["""{"Sid": "é", "Effect": "Allow", "Principal": "*", "Action": "s3:GetObject", "Resource": "arn:aws:s3:::photos/*"}"""]);
        var room = BucketPolicy.BytesMax - System.Text.Encoding.UTF8.GetByteCount(document);
        BucketPolicy.Parse("photos", document + new string(' ', room));
        var error = Assert.Throws<PolicyFormatException>(() => BucketPolicy.Parse("photos", document + new string(' ', room + 1)));
        Assert.Equal("Policy exceeds the maximum allowed document size.", error.Message);
    }

    [Fact]
    public void White_space_of_an_identity_policy_counts_for_little()
    {
        const string Document = """{"Statement":{"Effect":"Allow","Action":"s3:GetObject","Resource":"arn:aws:s3:::@"}}""";
        var fits = Document.Replace("@", new string('x', IdentityPolicy.CharactersMax - Document.Length + 1));
        IdentityPolicy.Parse("x", fits);
        IdentityPolicy.Parse("x", fits + new string(' ', IdentityPolicy.DocumentCharactersMax - fits.Length));
        Assert.Throws<PolicyFormatException>(() => IdentityPolicy.Parse("x", fits.Replace("xxx", "xxxx")));
        Assert.Throws<PolicyFormatException>(() => IdentityPolicy.Parse("x", fits + new string(' ', IdentityPolicy.DocumentCharactersMax - fits.Length + 1)));
    }

    [Fact]
    public void A_policy_has_at_most_128_statements()
    {
        const string Statement = """{"Effect":"Allow","Action":"*","Resource":"*"}""";
        static string Of(int count) => $$"""{"Statement":[{{string.Join(',', Enumerable.Repeat(Statement, count))}}]}""";
        Assert.Equal(Policy.StatementsMax, IdentityPolicy.Parse("x", Of(Policy.StatementsMax)).Statements.Count);
        Assert.Equal("Policy has more than 128 statements", Assert.Throws<PolicyFormatException>(() => IdentityPolicy.Parse("x", Of(Policy.StatementsMax + 1))).Message);
    }

    [Fact]
    public void An_error_quotes_no_more_than_it_must()
    {
        var error = Assert.Throws<PolicyFormatException>(() => BucketPolicy.Parse("photos", $$"""{"{{new string('x', 5000)}}": 1}"""));
        Assert.True(error.Message.Length < 200);
    }

    [Fact]
    public void What_a_document_says_is_kept()
    {
        var policy = BucketPolicy.Parse("photos", """
              {"Id": "mine", "Statement": {"Sid": "One two", "Effect": "Deny", "Principal": {"AWS": "123456789012"}, "Action": "*", "Condition": {},
               "Resource": ["arn:aws:s3:::photos", "arn:aws:s3:::photos/*"]}}
            """);
        Assert.Equal(("2008-10-17", "mine"), (policy.Version, policy.Id));
        var statement = Assert.Single(policy.Statements);
        Assert.Equal(("One two", 1, PolicyEffect.Deny), (statement.Sid, statement.Number, statement.Effect));
    }

    [Fact]
    public void A_policy_knows_which_keys_it_asks_for()
    {
        var policy = IdentityPolicy.Parse("x", """
            {"Version": "2012-10-17", "Statement": [
              {"Effect": "Allow", "Action": "*", "Resource": "arn:aws:s3:::home/${aws:PrincipalTag/team}/*"},
              {"Effect": "Allow", "Action": "*", "Resource": "*", "Condition": {"StringLike": {"S3:existingobjecttag/env": "${aws:UserAgent}"}}}]}
            """);
        Assert.True(policy.Asks(ConditionKeys.ExistingObjectTag));
        Assert.True(policy.Asks("aws:PrincipalTag/"));
        Assert.True(policy.Asks("aws:UserAgent"));
        Assert.False(policy.Asks("aws:SourceIp"));
    }

    [Fact]
    public void Every_action_can_be_named_and_is_named_once()
    {
        var actions = S3Actions.All.ToList();
        Assert.Equal(actions.Count, actions.Distinct(StringComparer.OrdinalIgnoreCase).Count());
        foreach (var action in actions) IdentityPolicy.Parse("x", $$"""{"Statement": {"Effect": "Allow", "Action": "{{action}}", "Resource": "*"} }""");
    }

    private static string Whole(string text) => text.StartsWith("  ", StringComparison.Ordinal) ? $$"""{"Version": "2012-10-17", "Statement": [{ {{text}} }]}""" : text;
}
