using System.Globalization;
using DarkStorage.ClientApi.S3.Settings;
using DarkStorage.GrainInterfaces.Buckets;
using DarkStorage.GrainInterfaces.Objects;
using DarkStorage.Rules.Buckets;

namespace DarkStorage.ClientApi.S3.Operations;

/// <summary>What the headers of a write say of the new version besides its content: whose it is, who may use it, its tags, and what object lock is to do with it.</summary>
internal static class RequestAttributes
{
    private const string ModeHeader = "x-amz-object-lock-mode";
    private const string UntilHeader = "x-amz-object-lock-retain-until-date";
    private const string HoldHeader = "x-amz-object-lock-legal-hold";

    /// <exception cref="S3Exception"><c>InvalidTag</c>, <c>InvalidArgument</c>, <c>AccessControlListNotSupported</c>, <c>InvalidRequest</c>: object lock in a bucket that has none; <c>AccessDenied</c>: the caller
    /// may write the object, but not these.</exception>
    public static async ValueTask<(ObjectAttributes Attributes, string Owner)> ReadAsync(S3Request s3, BucketRecord bucket, CancellationToken ct)
    {
        var (owner, acl) = await NewObjectAccess.ReadAsync(s3, bucket, ct);
        var tags = Tags.ReadHeader(s3.Headers["x-amz-tagging"], Tags.OfObjectMax);
        if (tags.Length > 0) await s3.AuthorizeAsync(S3Action.PutObjectTagging, ct);
        var (retention, hold) = (Retention(s3), LegalHold(s3));
        if (retention is not null || hold is not null)
        {
            if (BucketRules.Of(bucket).ObjectLock is null) throw new S3Exception(S3Error.InvalidRequest, "Bucket is missing Object Lock Configuration");
            if (retention is not null) await s3.AuthorizeAsync(S3Action.PutObjectRetention, ct);
            if (hold is not null) await s3.AuthorizeAsync(S3Action.PutObjectLegalHold, ct);
        }
        return (tags.Length == 0 && acl is null && retention is null && hold is not true ? ObjectAttributes.None : new(0, tags, acl, retention, hold is true), owner);
    }

    private static ObjectRetention? Retention(S3Request s3)
    {
        var (mode, until) = ((string?)s3.Headers[ModeHeader], (string?)s3.Headers[UntilHeader]);
        if (mode is null && until is null) return null;
        if (mode is null || until is null) throw S3Exception.InvalidArgument($"{ModeHeader} and {UntilHeader} must both be supplied", mode is null ? ModeHeader : UntilHeader, "");
        return new(ParseMode(mode), ParseUntil(s3, until));
    }

    private static RetentionMode ParseMode(string mode) =>
        Enum.GetValues<RetentionMode>().FirstOrDefault(m => S3Words.Of(m) == mode) is var parsed and not 0 ? parsed : throw S3Exception.InvalidArgument("Unknown wormMode directive.", ModeHeader, mode);

    private static DateTimeOffset ParseUntil(S3Request s3, string until)
    {
        if (!DateTimeOffset.TryParse(until, CultureInfo.InvariantCulture, DateTimeStyles.AssumeUniversal | DateTimeStyles.AdjustToUniversal, out var time))
            throw S3Exception.InvalidArgument("The retain until date must be provided in ISO 8601 format", UntilHeader, until);
        return time > s3.Clock.GetUtcNow() ? time : throw S3Exception.InvalidArgument("The retain until date must be in the future!", UntilHeader, until);
    }

    private static bool? LegalHold(S3Request s3) => (string?)s3.Headers[HoldHeader] switch
    {
        null => null,
        "ON" => true,
        "OFF" => false,
        var other => throw S3Exception.InvalidArgument("Legal Hold must be either of 'ON' or 'OFF'", HoldHeader, other),
    };
}
