using DarkStorage.Rules.Acls;
using DarkStorage.Rules.Policies;

namespace DarkStorage.Rules;

/// <summary>Who owns what others put into a bucket, and whether access control lists count there.</summary>
public enum ObjectOwnership
{
    /// <summary>The bucket's owner owns all of it, and no access control list is looked at.</summary>
    BucketOwnerEnforced,

    /// <summary>The writer's, unless the writer gives it to the bucket's owner with <c>bucket-owner-full-control</c>.</summary>
    BucketOwnerPreferred,
    ObjectWriter,
}

/// <summary>Four guards against letting in the public by mistake.</summary>
/// <param name="BlockPublicAcls">Refuses to store a public access control list.</param>
/// <param name="IgnorePublicAcls">Grants to groups that anybody can be in do not count.</param>
/// <param name="BlockPublicPolicy">Refuses to store a public bucket policy.</param>
/// <param name="RestrictPublicBuckets">A public bucket policy lets no anonymous request in.</param>
public sealed record PublicAccessBlock(bool BlockPublicAcls, bool IgnorePublicAcls, bool BlockPublicPolicy, bool RestrictPublicBuckets)
{
    public static PublicAccessBlock None { get; } = new(false, false, false, false);

    public static PublicAccessBlock All { get; } = new(true, true, true, true);

    /// <summary>Whether the list may not be put.</summary>
    public bool Refuses(AccessControlList acl) => BlockPublicAcls && acl.IsPublic;

    /// <summary>Whether the policy may not be put.</summary>
    public bool Refuses(BucketPolicy policy) => BlockPublicPolicy && policy.IsPublic;
}

/// <summary>The bucket that is asked about.</summary>
/// <param name="Owner">Canonical id.</param>
/// <param name="Policy">Null where it has none; <see cref="BucketPolicy.Unreadable"/> where the stored one cannot be parsed.</param>
/// <param name="Acl">Null where it has none, which grants nothing.</param>
public sealed record BucketAccess(string Owner, BucketPolicy? Policy, AccessControlList? Acl, ObjectOwnership Ownership, PublicAccessBlock PublicAccess);

/// <summary>The stored object that is asked about.</summary>
/// <param name="Owner">Canonical id.</param>
/// <param name="Acl">Null where it has none, which grants nothing.</param>
public sealed record ObjectAccess(string Owner, AccessControlList? Acl);

/// <summary>All that a decision depends on.</summary>
public sealed record AuthorizationRequest
{
    public required PolicyRequest Request { get; init; }

    /// <summary>The caller's own, his groups' or his role's. Of those that cannot be parsed <see cref="IdentityPolicy.Unreadable"/> takes the place.</summary>
    public IReadOnlyList<IdentityPolicy> IdentityPolicies { get; init; } = [];

    /// <summary>Of a session with temporary credentials: narrows whatever else allows.</summary>
    public IdentityPolicy? SessionPolicy { get; init; }

    /// <summary>Null where the request concerns no bucket that is there.</summary>
    public BucketAccess? Bucket { get; init; }

    /// <summary>Null where the request concerns no object that is there.</summary>
    public ObjectAccess? Object { get; init; }
}

/// <summary>What decided.</summary>
public enum AuthorizationBasis
{
    /// <summary>Denied: nothing allows it.</summary>
    Nothing,

    /// <summary>Denied by a statement.</summary>
    ExplicitDeny,

    /// <summary>Denied: the session's policy does not allow it.</summary>
    OutsideSession,

    /// <summary>Denied: only a public bucket policy allows it, and the bucket's public access block takes that away from anonymous requests.</summary>
    PublicAccessBlocked,
    Root,
    IdentityPolicy,
    BucketPolicy,
    BucketAcl,
    ObjectAcl,
    Ownership,
}

/// <param name="Policy">What the deciding policies said; default where no policy decided.</param>
/// <param name="Grant">The grant that decided, where an access control list did.</param>
public readonly record struct AuthorizationDecision(AuthorizationBasis Basis, PolicyDecision Policy, Grant? Grant)
{
    public bool IsAllowed => Basis >= AuthorizationBasis.Root;

    /// <summary>A sentence for people. Made anew each time: only who asks why pays for it.</summary>
    public string Explain() => Basis switch
    {
        AuthorizationBasis.Nothing => "Denied: no policy, no access control list and no ownership allows it.",
        AuthorizationBasis.OutsideSession => "Denied: the session's policy does not allow it.",
        AuthorizationBasis.PublicAccessBlocked =>
            "Denied: the bucket policy is public, and the bucket's public access block (RestrictPublicBuckets) keeps anonymous requests out.",
        AuthorizationBasis.Root => "Allowed: root may do what nothing denies.",
        AuthorizationBasis.BucketAcl => $"Allowed by the bucket's access control list: {Grant!.Value.Permission} for {Name(Grant.Value.Grantee)}.",
        AuthorizationBasis.ObjectAcl => $"Allowed by the object's access control list: {Grant!.Value.Permission} for {Name(Grant.Value.Grantee)}.",
        AuthorizationBasis.Ownership => "Allowed: the caller owns it and has no policies that would say otherwise.",
        _ => Policy.Explain(),
    };

    private static string Name(Grantee grantee) => grantee.Kind == GranteeKind.User ? $"user {grantee.CanonicalId}" : grantee.Kind.ToString();
}
