namespace DarkStorage.Rules.Policies;

public enum PrincipalKind
{
    Anonymous,
    User,
    Root,
    AssumedRole,
}

/// <summary>Who makes a request, in the words of policies. Made once for an access key, not once for a request.</summary>
public sealed record PolicyPrincipal
{
    private PolicyPrincipal(PrincipalKind kind) => Kind = kind;

    /// <summary>A request without a signature.</summary>
    public static PolicyPrincipal Anonymous { get; } = new(PrincipalKind.Anonymous)
    {
        UserId = "anonymous",
        PrincipalAccount = "anonymous",
    };

    public PrincipalKind Kind { get; }

    /// <summary>Twelve digits, the same for all of a cluster; empty for an anonymous request.</summary>
    public string AccountId { get; private init; } = "";

    /// <summary><c>arn:aws:iam::ACCOUNT:user/NAME</c>, <c>arn:aws:iam::ACCOUNT:root</c> or <c>arn:aws:sts::ACCOUNT:assumed-role/ROLE/SESSION</c>; empty
    /// for an anonymous request.</summary>
    public string Arn { get; private init; } = "";

    /// <summary>Whom buckets, objects and grants name. Empty for an anonymous request.</summary>
    public string CanonicalId { get; private init; } = "";

    /// <summary>The name behind the ARN's last colon: <c>user/NAME</c>, <c>assumed-role/ROLE/SESSION</c>.</summary>
    internal string ArnResource { get; private init; } = "";

    internal string? UserName { get; private init; }

    internal string? Role { get; private init; }

    internal string UserId { get; private init; } = "";

    internal string PrincipalAccount { get; private init; } = "";

    /// <summary>What <c>aws:PrincipalArn</c> says: of a session the role it is of.</summary>
    internal string? PrincipalArn { get; private init; }

    internal string PrincipalType => Kind switch
    {
        PrincipalKind.Anonymous => "Anonymous",
        PrincipalKind.User => "User",
        PrincipalKind.Root => "Account",
        _ => "AssumedRole",
    };

    /// <param name="userId">What <c>aws:userid</c> says.</param>
    public static PolicyPrincipal User(string accountId, string name, string canonicalId, string userId)
    {
        var arn = $"arn:aws:iam::{accountId}:user/{name}";
        return new(PrincipalKind.User)
        {
            AccountId = accountId, Arn = arn, CanonicalId = canonicalId, ArnResource = $"user/{name}", UserName = name, UserId = userId,
            PrincipalAccount = accountId, PrincipalArn = arn,
        };
    }

    public static PolicyPrincipal Root(string accountId, string canonicalId)
    {
        var arn = $"arn:aws:iam::{accountId}:root";
        return new(PrincipalKind.Root)
        {
            AccountId = accountId, Arn = arn, CanonicalId = canonicalId, ArnResource = "root", UserId = accountId, PrincipalAccount = accountId, PrincipalArn = arn,
        };
    }

    /// <param name="roleId">The role's id: <c>aws:userid</c> is <c>ROLEID:SESSION</c>.</param>
    public static PolicyPrincipal AssumedRole(string accountId, string role, string session, string canonicalId, string roleId) => new(PrincipalKind.AssumedRole)
    {
        AccountId = accountId,
        Arn = $"arn:aws:sts::{accountId}:assumed-role/{role}/{session}",
        CanonicalId = canonicalId,
        ArnResource = $"assumed-role/{role}/{session}",
        Role = role,
        UserId = $"{roleId}:{session}",
        PrincipalAccount = accountId,
        PrincipalArn = $"arn:aws:iam::{accountId}:role/{role}",
    };

    public override string ToString() => Kind == PrincipalKind.Anonymous ? "anonymous" : Arn;
}
