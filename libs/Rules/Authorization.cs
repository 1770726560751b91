using DarkStorage.Rules.Acls;
using DarkStorage.Rules.Policies;

namespace DarkStorage.Rules;

/// <summary>The one place that decides who may do what.</summary>
/// <remarks>
/// In this order; the first that applies decides.
/// <list type="number">
/// <item>A statement that denies, in any policy. A bucket policy cannot keep root from reading, replacing and deleting it.</item>
/// <item>A session's policy that does not allow: denied.</item>
/// <item>Root: allowed.</item>
/// <item>A policy of the caller's, or the bucket's, that allows. A public bucket policy under RestrictPublicBuckets allows nothing to anonymous requests.</item>
/// <item>A grant in the bucket's or the object's access control list, where lists count. A grant to the owner is ownership and goes by that rule.</item>
/// <item>Ownership, for a user without policies: such a user is the master of the buckets and objects that are theirs. One who has policies may do what these
/// say.</item>
/// <item>Otherwise denied.</item>
/// </list>
/// docs/adr/0005-authorization.md says why.
/// </remarks>
public static class Authorization
{
    public static AuthorizationDecision Decide(AuthorizationRequest asked)
    {
        var request = asked.Request;
        var principal = request.Principal;
        var isAnonymous = principal.Kind == PrincipalKind.Anonymous;
        var bucket = asked.Bucket;

        var own = PolicyEvaluator.Evaluate(asked.IdentityPolicies, request);
        if (own.Outcome == PolicyOutcome.ExplicitDeny) return new(AuthorizationBasis.ExplicitDeny, own, null);
        var session = asked.SessionPolicy is null ? default : PolicyEvaluator.Evaluate(asked.SessionPolicy, request);
        if (session.Outcome == PolicyOutcome.ExplicitDeny) return new(AuthorizationBasis.ExplicitDeny, session, null);
        var theirs = bucket?.Policy is null ? default : PolicyEvaluator.Evaluate(bucket.Policy, request);
        if (theirs.Outcome == PolicyOutcome.ExplicitDeny && !(principal.Kind == PrincipalKind.Root && IsOnBucketPolicy(request.Action)))
            return new(AuthorizationBasis.ExplicitDeny, theirs, null);

        if (asked.SessionPolicy is not null && session.Outcome != PolicyOutcome.Allow) return new(AuthorizationBasis.OutsideSession, session, null);
        if (principal.Kind == PrincipalKind.Root) return new(AuthorizationBasis.Root, default, null);
        if (!isAnonymous && own.Outcome == PolicyOutcome.Allow) return new(AuthorizationBasis.IdentityPolicy, own, null);
        var isRestricted = isAnonymous && bucket is { PublicAccess.RestrictPublicBuckets: true, Policy.IsPublic: true };
        if (theirs.Outcome == PolicyOutcome.Allow && !isRestricted) return new(AuthorizationBasis.BucketPolicy, theirs, null);

        if (bucket is not null && bucket.Ownership != ObjectOwnership.BucketOwnerEnforced)
        {
            var publicGrants = !bucket.PublicAccess.IgnorePublicAcls;
            var neededOnBucket = AccessControlList.NeededOnBucket(request.Action);
            if (bucket.Acl?.Find(neededOnBucket, principal.CanonicalId, !isAnonymous, publicGrants, ownGrants: false) is { } onBucket)
                return new(AuthorizationBasis.BucketAcl, default, onBucket);
            var neededOnObject = AccessControlList.NeededOnObject(request.Action);
            if (asked.Object?.Acl?.Find(neededOnObject, principal.CanonicalId, !isAnonymous, publicGrants, ownGrants: false) is { } onObject)
                return new(AuthorizationBasis.ObjectAcl, default, onObject);
        }
        if (principal.Kind == PrincipalKind.User && asked.IdentityPolicies.Count == 0 && Owns(asked)) return new(AuthorizationBasis.Ownership, default, null);
        return new(theirs.Outcome == PolicyOutcome.Allow ? AuthorizationBasis.PublicAccessBlocked : AuthorizationBasis.Nothing, default, null);
    }

    /// <summary>The way back for an owner who locked the door from inside.</summary>
    private static bool IsOnBucketPolicy(string action) => action is "s3:GetBucketPolicy" or "s3:PutBucketPolicy" or "s3:DeleteBucketPolicy";

    private static bool Owns(AuthorizationRequest asked)
    {
        var (action, caller) = (asked.Request.Action, asked.Request.Principal.CanonicalId);
        if (asked.Bucket is null)
        {
            // Who is to own buckets must be able to make them, and to see which are theirs.
            return action is "s3:CreateBucket" or "s3:ListAllMyBuckets";
        }
        var ownsBucket = asked.Bucket.Owner == caller;
        if (asked.Object is null || asked.Bucket.Ownership == ObjectOwnership.BucketOwnerEnforced || !S3Actions.IsOnObject(action)) return ownsBucket;
        if (IsContentOrAcl(action)) return asked.Object.Owner == caller;
        // Room in a bucket is its owner's to give, so new content is for the bucket's owner alone; the rest is for either.
        return ownsBucket || (asked.Object.Owner == caller && action is not ("s3:PutObject" or "s3:BypassGovernanceRetention"));
    }

    /// <summary>What the owner of a bucket may not do to the objects of others: look inside, or change who may.</summary>
    private static bool IsContentOrAcl(string action) => action is
        "s3:GetObject" or "s3:GetObjectVersion" or "s3:GetObjectAttributes" or "s3:GetObjectVersionAttributes" or "s3:GetObjectTorrent" or "s3:GetObjectVersionTorrent"
        or "s3:GetObjectAcl" or "s3:GetObjectVersionAcl" or "s3:PutObjectAcl" or "s3:PutObjectVersionAcl";
}
