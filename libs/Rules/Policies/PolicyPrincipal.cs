namespace DarkStorage.Rules.Policies;

public enum PrincipalKind
{
    Anonymous,
    User,
    Root,
    AssumedRole,

    /// <summary>Whoever holds a token of an identity provider: may assume a role, and nothing else.</summary>
    WebIdentity,
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

    /// <summary>What <c>aws:userid</c> says.</summary>
    public string UserId { get; private init; } = "";

    internal string PrincipalAccount { get; private init; } = "";

    /// <summary>What <c>aws:PrincipalArn</c> says: of a session the role it is of.</summary>
    internal string? PrincipalArn { get; private init; }

    /// <summary>The identity provider that a token is of, without its scheme.</summary>
    internal string? Provider { get; private init; }

    private SessionFacts? Session { get; init; }

    /// <summary>What only a session knows: <c>aws:TokenIssueTime</c>, <c>aws:FederatedProvider</c> and the claims of the token it began with.</summary>
    internal ConditionValues FindOfSession(ConditionKey key) => Session?.Find(key) ?? default;

    internal string PrincipalType => Kind switch
    {
        PrincipalKind.Anonymous => "Anonymous",
        PrincipalKind.User => "User",
        PrincipalKind.Root => "Account",
        PrincipalKind.WebIdentity => "FederatedUser",
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

    /// <param name="facts">The token's claims, which the policy's conditions ask for.</param>
    public static PolicyPrincipal WebIdentity(string accountId, SessionFacts facts) =>
        new(PrincipalKind.WebIdentity) { AccountId = accountId, Provider = facts.Provider, UserId = $"{facts.Provider}:{facts.Subject}", Session = facts };

    /// <summary>The same caller with temporary credentials.</summary>
    public PolicyPrincipal With(SessionFacts facts) => this with { Session = facts };

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

    public override string ToString() => Kind switch
    {
        PrincipalKind.Anonymous => "anonymous",
        PrincipalKind.WebIdentity => UserId,
        _ => Arn,
    };
}
