namespace DarkStorage.Rules.Policies;

/// <summary>The actions that a trust policy may name.</summary>
public static class StsActions
{
    public const string AssumeRole = "sts:AssumeRole";
    public const string AssumeRoleWithWebIdentity = "sts:AssumeRoleWithWebIdentity";

    // The last is AWS's for session tags. There are none here, and policies written for AWS name it.
    private static readonly string[] All = [AssumeRole, AssumeRoleWithWebIdentity, "sts:TagSession"];

    internal static bool MatchesAny(Pattern pattern) => Array.Exists(All, a => pattern.Matches(a));
}
