namespace DarkStorage.Rules.Policies;

/// <summary>One thing that somebody wants to do.</summary>
/// <param name="Action">As S3 spells it: <c>s3:GetObject</c>.</param>
/// <param name="Resource"><c>arn:aws:s3:::BUCKET</c> or <c>arn:aws:s3:::BUCKET/KEY</c>; <c>arn:aws:s3:::*</c> for what concerns no bucket.</param>
public sealed record PolicyRequest(PolicyPrincipal Principal, string Action, string Resource, IConditionContext Context)
{
    internal ConditionValues Find(ConditionKey key) => key.Name switch
    {
        ConditionKeys.UserName => new(Principal.UserName),
        ConditionKeys.UserId => new(Principal.UserId),
        ConditionKeys.PrincipalArn => new(Principal.PrincipalArn),
        ConditionKeys.PrincipalAccount => new(Principal.PrincipalAccount),
        ConditionKeys.PrincipalType => new(Principal.PrincipalType),
        _ => Principal.FindOfSession(key) is { Count: > 0 } known ? known : Context.Find(key),
    };
}
