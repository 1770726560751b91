using BenchmarkDotNet.Attributes;
using DarkStorage.Rules;
using DarkStorage.Rules.Acls;
using DarkStorage.Rules.Policies;

namespace DarkStorage.Micro;

/// <summary>What it costs to decide whether a request may be: a bucket policy of 20 statements, half with conditions, and an identity policy of one.</summary>
[MemoryDiagnoser]
public class Policies
{
    private const int Statements = 20;

    private static readonly string Document =
        $$"""{"Version": "2012-10-17", "Statement": [{{string.Join(", ", Enumerable.Range(0, Statements).Select(Statement))}}]}""";

    private readonly IConditionContext _context = new Context();
    private readonly PolicyPrincipal _alice = PolicyPrincipal.User("123456789012", "alice", "id-alice", "AIDAALICE");
    private readonly IdentityPolicy[] _identity =
        [IdentityPolicy.Parse("mine", """{"Statement": {"Effect": "Allow", "Action": "s3:ListAllMyBuckets", "Resource": "*"}}""")];
    private readonly BucketAccess _bucket = new("id-bob", BucketPolicy.Parse("photos", Document),
        AccessControlList.Canned("private", "id-bob", null), ObjectOwnership.BucketOwnerEnforced, PublicAccessBlock.All);

    private sealed class Context : IConditionContext
    {
        public ConditionValues Find(ConditionKey key) => key.Name switch
        {
            "aws:SourceIp" => new("203.0.113.7"),
            "aws:SecureTransport" => new("true"),
            "aws:CurrentTime" => new("2026-11-21T05:00:00Z"),
            "aws:UserAgent" => new("aws-cli/2.31.0"),
            _ => default,
        };
    }

    // Only the last allows the request, so each is looked at; those with conditions are about its action and resource, so these are too.
    private static string Statement(int number) => (number % 4) switch
    {
        _ when number == Statements - 1 => """
            {"Effect": "Allow", "Principal": "*", "Action": "s3:GetObject", "Resource": "arn:aws:s3:::photos/*",
             "Condition": {"StringLike": {"aws:UserAgent": "aws-*"}}}
            """,
        0 => """
            {"Effect": "Deny", "Principal": "*", "Action": "s3:*", "Resource": ["arn:aws:s3:::photos", "arn:aws:s3:::photos/*"],
             "Condition": {"Bool": {"aws:SecureTransport": "false"}}}
            """,
        1 => """
            {"Effect": "Deny", "Principal": "*", "Action": "s3:Get*", "Resource": "arn:aws:s3:::photos/*",
             "Condition": {"NotIpAddress": {"aws:SourceIp": ["10.0.0.0/8", "203.0.113.0/24"]}, "DateLessThan": {"aws:CurrentTime": "2026-01-01T00:00:00Z"}}}
            """,
        2 => """
            {"Effect": "Allow", "Principal": {"AWS": "123456789012"}, "Action": ["s3:GetObject", "s3:PutObject"],
             "Resource": "arn:aws:s3:::photos/home/${aws:username}/*"}
            """,
        _ => $$"""
            {"Effect": "Allow", "Principal": {"AWS": ["arn:aws:iam:::user/bob", "arn:aws:iam:::user/user{{number}}"]}, "Action": "s3:*",
             "Resource": "arn:aws:s3:::photos/*/raw/*.jpg"}
            """,
    };

    [GlobalSetup]
    public void Check()
    {
        if (!Authorize()) throw new InvalidOperationException("The last statement should have allowed it.");
    }

    [Benchmark]
    public bool Authorize() => Authorization.Decide(new()
    {
        Request = new(_alice, "s3:GetObject", "arn:aws:s3:::photos/2026/01/picture-000001.jpg", _context),
        IdentityPolicies = _identity,
        Bucket = _bucket,
    }).IsAllowed;

    [Benchmark]
    public bool ParseBucketPolicy() => BucketPolicy.Parse("photos", Document).IsPublic;
}
