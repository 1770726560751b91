using System.Collections.Frozen;

namespace DarkStorage.Rules.Policies;

/// <summary>A condition key that a policy asks for.</summary>
/// <param name="Name">In AWS's spelling, whatever the policy's: names are compared without regard to case. A key that carries a tag's key ends in a
/// slash: <c>s3:ExistingObjectTag/</c>.</param>
/// <param name="Tag">The tag's key, as written in the policy; empty for the other names.</param>
public readonly record struct ConditionKey(string Name, string Tag)
{
    public override string ToString() => Name + Tag;
}

/// <summary>The values a request has for a condition key. None at all is the same as a key that is absent.</summary>
public readonly record struct ConditionValues
{
    private readonly string? _one;
    private readonly IReadOnlyList<string>? _many;

    /// <param name="value">Null where the request has no such key. An empty string is a value.</param>
    public ConditionValues(string? value) => _one = value;

    public ConditionValues(IReadOnlyList<string> values) => _many = values;

    public int Count => _many?.Count ?? (_one is null ? 0 : 1);

    public string this[int index] => _many is null ? _one! : _many[index];
}

/// <summary>Where a request's condition keys come from. Asked only for keys that a policy names, so costly ones are worth nothing until then.</summary>
/// <remarks>What is known of the principal (<c>aws:username</c>, <c>aws:userid</c>, <c>aws:PrincipalArn</c>, <c>aws:PrincipalAccount</c>,
/// <c>aws:PrincipalType</c>) is answered by <see cref="PolicyPrincipal"/> and never asked here.</remarks>
public interface IConditionContext
{
    /// <returns>Default where the request has no such key.</returns>
    ConditionValues Find(ConditionKey key);
}

/// <summary>The condition keys there are.</summary>
public static class ConditionKeys
{
    private const int TagLengthMax = 128;

    /// <summary>Of the stored object. Whoever evaluates a policy that names it (<see cref="Policy.Asks"/>) reads the tags first.</summary>
    public const string ExistingObjectTag = "s3:ExistingObjectTag/";

    internal const string SourceIp = "aws:SourceIp";
    internal const string UserId = "aws:userid";
    internal const string UserName = "aws:username";
    internal const string PrincipalArn = "aws:PrincipalArn";
    internal const string PrincipalAccount = "aws:PrincipalAccount";
    internal const string PrincipalType = "aws:PrincipalType";

    // A key that AWS has and this cluster never fills in is known too: it is absent from each request, as it often is in AWS.
    private static readonly FrozenSet<string> Known = new[]
    {
        SourceIp, UserId, UserName, PrincipalArn, PrincipalAccount, PrincipalType,
        "aws:CalledVia", "aws:CalledViaFirst", "aws:CalledViaLast", "aws:CurrentTime", "aws:EpochTime", "aws:FederatedProvider", "aws:MultiFactorAuthAge",
        "aws:MultiFactorAuthPresent", "aws:PrincipalIsAWSService", "aws:PrincipalOrgID", "aws:PrincipalOrgPaths", "aws:PrincipalServiceName",
        "aws:PrincipalServiceNamesList", "aws:PrincipalTag/", "aws:Referer", "aws:RequestTag/", "aws:RequestedRegion", "aws:ResourceAccount", "aws:ResourceOrgID",
        "aws:ResourceOrgPaths", "aws:ResourceTag/", "aws:SecureTransport", "aws:SourceAccount", "aws:SourceArn", "aws:SourceIdentity", "aws:SourceOrgID",
        "aws:SourceOrgPaths", "aws:SourceOwner", "aws:SourceVpc", "aws:SourceVpcArn", "aws:SourceVpce", "aws:TagKeys", "aws:TokenIssueTime",
        "aws:UserAgent", "aws:ViaAWSService", "aws:VpceAccount", "aws:VpceOrgID", "aws:VpceOrgPaths", "aws:VpcSourceIp",
        ExistingObjectTag,
        "s3:AccessGrantsInstanceArn", "s3:AccessPointNetworkOrigin", "s3:BucketTag/", "s3:DataAccessPointAccount", "s3:DataAccessPointArn", "s3:ExistingJobOperation",
        "s3:ExistingJobPriority", "s3:InventoryAccessibleOptionalFields", "s3:JobSuspendedCause", "s3:LocationConstraint", "s3:RequestJobOperation",
        "s3:RequestJobPriority", "s3:RequestObjectTag/", "s3:RequestObjectTagKeys", "s3:ResourceAccount", "s3:TlsVersion", "s3:VersionId", "s3:authType",
        "s3:delimiter", "s3:destinationRegion", "s3:if-match", "s3:if-none-match", "s3:isReplicationPauseRequest", "s3:max-keys",
        "s3:object-lock-legal-hold", "s3:object-lock-mode", "s3:object-lock-remaining-retention-days", "s3:object-lock-retain-until-date", "s3:ObjectCreationOperation",
        "s3:prefix", "s3:signatureAge", "s3:signatureversion", "s3:x-amz-acl", "s3:x-amz-content-sha256", "s3:x-amz-copy-source",
        "s3:x-amz-grant-full-control", "s3:x-amz-grant-read", "s3:x-amz-grant-read-acp", "s3:x-amz-grant-write", "s3:x-amz-grant-write-acp",
        "s3:x-amz-metadata-directive", "s3:x-amz-object-ownership", "s3:x-amz-server-side-encryption", "s3:x-amz-server-side-encryption-aws-kms-key-id",
        "s3:x-amz-server-side-encryption-customer-algorithm", "s3:x-amz-storage-class", "s3:x-amz-website-redirect-location",
    }.ToFrozenSet(StringComparer.OrdinalIgnoreCase);

    private static readonly FrozenSet<string>.AlternateLookup<ReadOnlySpan<char>> KnownSpans = Known.GetAlternateLookup<ReadOnlySpan<char>>();

    /// <summary>Whether it is one of those here, and not another service's.</summary>
    internal static bool IsKnown(ConditionKey key) => Known.Contains(key.Name);

    /// <summary>Keys of AWS as a whole and of S3 are looked up, so that a misspelt one is refused instead of never being there. Those of other
    /// services are taken as they are, where <paramref name="otherServices"/> allows it.</summary>
    internal static bool TryParse(ReadOnlySpan<char> text, bool otherServices, out ConditionKey key)
    {
        key = default;
        var slash = text.IndexOf('/');
        if (slash >= 0)
        {
            var tag = text[(slash + 1)..];
            if (tag.IsEmpty || tag.Length > TagLengthMax) return false;
            if (KnownSpans.TryGetValue(text[..(slash + 1)], out var prefix))
            {
                key = new(prefix, tag.ToString());
                return true;
            }
        }
        else if (KnownSpans.TryGetValue(text, out var name))
        {
            key = new(name, "");
            return true;
        }
        var colon = text.IndexOf(':');
        if (!otherServices || colon <= 0 || colon == text.Length - 1) return false;
        var service = text[..colon];
        if (service.Equals("aws", StringComparison.OrdinalIgnoreCase) || service.Equals("s3", StringComparison.OrdinalIgnoreCase)) return false;
        key = new(text.ToString(), "");
        return true;
    }
}
