namespace DarkStorage.Rules.Policies;

/// <summary>Decides who may assume a role. Pure.</summary>
/// <remarks>
/// As AWS does within one account. A statement that denies, in the trust policy or the caller's own policies, decides. Then the trust policy must allow it. A
/// statement that names the caller, their role or their identity provider suffices; one that names the account or everybody leaves the choice to the
/// caller's own policies, which must allow <c>sts:AssumeRole</c> on the role. A user without policies has nobody's leave: a role is not theirs.
/// Root assumes no role, as in AWS: it would only lose rights, and its key is not to be handed round as a session.
/// </remarks>
public static class RoleTrust
{
    /// <param name="request">The action is one of <see cref="StsActions"/>, the resource the role's ARN.</param>
    /// <param name="own">The caller's policies; none for the holder of a token.</param>
    /// <param name="session">Of a caller with temporary credentials: must allow it too.</param>
    public static bool Allows(TrustPolicy trust, IReadOnlyList<IdentityPolicy> own, IdentityPolicy? session, PolicyRequest request)
    {
        var principal = request.Principal;
        if (principal.Kind is PrincipalKind.Root or PrincipalKind.Anonymous) return false;
        var ownSays = PolicyEvaluator.Evaluate(own, request).Outcome;
        if (ownSays == PolicyOutcome.ExplicitDeny) return false;
        if (session is not null && PolicyEvaluator.Evaluate(session, request).Outcome != PolicyOutcome.Allow) return false;
        var (named, open) = (false, false);
        foreach (var statement in trust.Statements)
        {
            var match = statement.Match(request);
            if (statement.Effect == PolicyEffect.Deny)
            {
                if (match != Truth.No) return false;
            }
            else if (match == Truth.Yes)
            {
                open = true;
                named |= statement.Principals!.Names(principal);
            }
        }
        return named || (open && ownSays == PolicyOutcome.Allow);
    }
}
