using System.Globalization;
using DarkStorage.ClientApi.S3.Settings;
using DarkStorage.GrainInterfaces.Buckets;
using DarkStorage.GrainInterfaces.Objects;
using DarkStorage.Rules.Buckets;
using DarkStorage.Rules.Policies;

namespace DarkStorage.ClientApi.S3;

/// <summary>What policies may ask of a request: looked up when asked, which is seldom.</summary>
/// <param name="bucket">Null where the request concerns none.</param>
/// <param name="named">The version that the client named, in whatever way this operation has for it.</param>
/// <param name="version">The stored version that is asked about, or null.</param>
internal sealed class PolicyContext(S3Request s3, BucketRecord? bucket, VersionName? named, ObjectVersion? version) : IConditionContext
{
    public ConditionValues Find(ConditionKey key) => key.Name switch
    {
        "aws:SourceIp" => new(s3.ClientAddress),
        "aws:SecureTransport" => new(s3.Http.Request.IsHttps ? "true" : "false"),
        "aws:UserAgent" => Header("User-Agent"),
        "aws:Referer" => Header("Referer"),
        "aws:CurrentTime" => new(s3.Clock.GetUtcNow().UtcDateTime.ToString("yyyy-MM-dd'T'HH:mm:ss'Z'", CultureInfo.InvariantCulture)),
        "aws:EpochTime" => new(s3.Clock.GetUtcNow().ToUnixTimeSeconds().ToString(CultureInfo.InvariantCulture)),
        "aws:RequestedRegion" => new(s3.Options.Region),
        "aws:ResourceAccount" or "s3:ResourceAccount" => new(bucket is null ? null : s3.Options.AccountId),
        "aws:ResourceTag/" or "s3:BucketTag/" => Tag(bucket is null ? [] : BucketRules.Of(bucket).Tags, key.Tag),
        "s3:ExistingObjectTag/" => Tag(version?.Attributes.Tags ?? [], key.Tag),
        "s3:RequestObjectTag/" or "aws:RequestTag/" => Tag(RequestTags, key.Tag),
        "s3:RequestObjectTagKeys" or "aws:TagKeys" => new([.. RequestTags.Select(t => t.Key)]),
        "s3:prefix" => Query("prefix"),
        "s3:delimiter" => Query("delimiter"),
        "s3:max-keys" => Query("max-keys"),
        "s3:VersionId" => new(named?.ToString()),
        "s3:LocationConstraint" => new(s3.Options.Region),
        "s3:authType" => new(s3.Caller.IsAnonymous ? null : s3.IsForm ? "POST" : s3.Query.Has("X-Amz-Signature") ? "REST-QUERY-STRING" : "REST-HEADER"),
        "s3:signatureversion" => new(s3.Caller.IsAnonymous ? null : s3.Signing.IsVersion2 ? SignatureVerifier.Version2 : "AWS4-HMAC-SHA256"),
        "s3:signatureAge" => SignatureAge(),
        "s3:if-match" => Header("If-Match"),
        "s3:if-none-match" => Header("If-None-Match"),
        "s3:object-lock-mode" => Header("x-amz-object-lock-mode"),
        "s3:object-lock-retain-until-date" => Header("x-amz-object-lock-retain-until-date"),
        "s3:object-lock-legal-hold" => Header("x-amz-object-lock-legal-hold"),
        "s3:object-lock-remaining-retention-days" => RemainingDays(),
        _ when key.Name.StartsWith("s3:x-amz-", StringComparison.Ordinal) => Header(key.Name["s3:".Length..]),
        _ => default,
    };

    private IReadOnlyList<KeyValuePair<string, string>> RequestTags => Tags.ReadHeader(s3.Headers["x-amz-tagging"], Tags.OfObjectMax);

    private ConditionValues Header(string name) => new((string?)s3.Headers[name]);

    private ConditionValues Query(string name) => new(s3.Query.Find(name));

    private static ConditionValues Tag(IReadOnlyList<KeyValuePair<string, string>> tags, string name)
    {
        foreach (var (key, value) in tags)
        {
            if (key == name) return new(value);
        }
        return default;
    }

    /// <summary>Milliseconds since a presigned URL or a form was signed. The query of a form is nobody's: whoever has the form writes what they like there.</summary>
    private ConditionValues SignatureAge() => (s3.IsForm ? s3.Signing.Timestamp : s3.Query.Find("X-Amz-Date")) is { } date && SignatureTime.TryParse(date, out var time)
        ? new(((long)(s3.Clock.GetUtcNow() - time).TotalMilliseconds).ToString(CultureInfo.InvariantCulture))
        : default;

    private ConditionValues RemainingDays() =>
        DateTimeOffset.TryParse(s3.Headers["x-amz-object-lock-retain-until-date"], CultureInfo.InvariantCulture, DateTimeStyles.AssumeUniversal, out var until)
            ? new(((int)Math.Ceiling((until - s3.Clock.GetUtcNow()).TotalDays)).ToString(CultureInfo.InvariantCulture))
            : default;
}
