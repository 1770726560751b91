namespace DarkStorage.Rules.Policies;

/// <summary>AWS's meaning of "public" for a bucket policy: it allows something to somebody whom it does not fix by name, place or key.</summary>
/// <remarks>
/// A statement that allows is not public if it names its principals, or demands, without IfExists and not of all values of a set (both hold of a key
/// that is absent), that <c>aws:SourceIp</c> lies in networks no wider than /8 (IPv4) or /32 (IPv6) or private ones, or that one of <see cref="FixingKeys"/>
/// has fixed values: no wildcard, no variable. What statements deny is not counted: AWS doesn't either.
/// </remarks>
public static class PublicPolicies
{
    private const int V4PrefixMin = 8;
    private const int V6PrefixMin = 32;

    private static readonly string[] FixingKeys =
    [
        "aws:SourceArn", "aws:SourceVpc", "aws:SourceVpce", "aws:SourceOwner", "aws:SourceAccount", "aws:PrincipalOrgID", ConditionKeys.UserId,
        "s3:x-amz-server-side-encryption-aws-kms-key-id", "s3:DataAccessPointArn", "s3:DataAccessPointAccount",
    ];

    internal static bool IsPublic(IReadOnlyList<PolicyStatement> statements) =>
        statements.Any(s => s.Effect == PolicyEffect.Allow && s.Principals!.IsOpen && !Array.Exists(s.Conditions, Fixes));

    private static bool Fixes(Condition condition)
    {
        var @operator = condition.Operator;
        if (@operator.Negated || @operator.IfExists || @operator.Quantifier == Quantifier.ForAllValues) return false;
        return @operator.Kind switch
        {
            ComparisonKind.Address => condition.Key.Name == ConditionKeys.SourceIp && Array.TrueForAll(condition.Comparands, c => IsNarrow(((AddressComparand)c).Range)),
            ComparisonKind.Text or ComparisonKind.TextIgnoreCase or ComparisonKind.TextLike or ComparisonKind.Arn =>
                Array.IndexOf(FixingKeys, condition.Key.Name) >= 0 && Array.TrueForAll(condition.Comparands, c => c.IsFixed),
            _ => false,
        };
    }

    private static bool IsNarrow(AddressRange range) => range.Prefix >= (range.IsV4 ? V4PrefixMin : V6PrefixMin) || range.IsPrivate;
}
