using DarkStorage.GrainInterfaces;
using DarkStorage.GrainInterfaces.Buckets;
using DarkStorage.GrainInterfaces.Objects;
using DarkStorage.Rules;
using DarkStorage.Rules.Acls;
using DarkStorage.Rules.Buckets;
using DarkStorage.Rules.Lifecycle;
using DarkStorage.Rules.Policies;

namespace DarkStorage.ClientApi.S3;

// Who may do what: facts are gathered here, and DarkStorage.Rules.Authorization decides.
internal sealed partial class S3Request
{
    private const string Arn = "arn:aws:s3:::";

    /// <summary>The version that the request names, or null where it names none.</summary>
    /// <exception cref="S3Exception"><c>InvalidArgument</c>.</exception>
    public VersionName? Version => ParseVersion(Query);

    /// <summary>What concerns no bucket that is there.</summary>
    /// <exception cref="S3Exception"><c>AccessDenied</c>.</exception>
    public void AuthorizeService(string action, string bucketName = "*")
    {
        if (!Decide(action, null, Arn + bucketName, null, null)) throw new S3Exception(S3Error.AccessDenied);
    }

    /// <summary>The request's bucket, if the caller may do this in it. The action is on the request's key where it has one.</summary>
    /// <param name="action">One of <see cref="S3Action"/>.</param>
    /// <exception cref="S3Exception"><c>NoSuchBucket</c>, <c>AccessDenied</c>.</exception>
    public ValueTask<BucketRecord> AuthorizeAsync(string action, CancellationToken ct) => AuthorizeAsync(action, BucketName, target.Key, target.Key is null ? null : Version, ct);

    /// <summary>As the other, for another bucket and key than the request's: what is copied from, what is deleted with many.</summary>
    /// <param name="named">The version that is named, which is the request's own only where the key is.</param>
    public async ValueTask<BucketRecord> AuthorizeAsync(string action, string bucketName, string? key, VersionName? named, CancellationToken ct)
    {
        var bucket = await FindBucketAsync(bucketName, ct);
        Require(action, bucket, key, named, null);
        return bucket;
    }

    /// <summary>The object that the request is about, if the caller may do this with it.</summary>
    /// <exception cref="S3Exception"><c>NoSuchBucket</c>, <c>AccessDenied</c>, <c>NoSuchKey</c>, <c>NoSuchVersion</c>, <c>MethodNotAllowed</c>: a delete marker is named.</exception>
    public ValueTask<(BucketRecord Bucket, ObjectVersion Version)> AuthorizeObjectAsync(string action, CancellationToken ct) =>
        AuthorizeObjectAsync(action, BucketName, Key, Version, ct);

    public async ValueTask<(BucketRecord Bucket, ObjectVersion Version)> AuthorizeObjectAsync(string action, string bucketName, string key, VersionName? name, CancellationToken ct)
    {
        var bucket = await FindBucketAsync(bucketName, ct);
        var version = name is { } named ? await services.Index.FindVersionAsync(bucket.Id, key, named, ct) : await services.Index.FindObjectAsync(bucket.Id, key, ct);
        if (version is null)
        {
            // Whether something is there is told only to those who may list the bucket, or could have had it.
            if (!Decide(S3Action.ListBucket, bucket, Arn + bucketName, null, null)) throw new S3Exception(S3Error.AccessDenied);
            CountIn(bucket);
            throw name is { } missing
                ? new S3Exception(S3Error.NoSuchVersion).With("Key", key).With("VersionId", missing.ToString())
                : await MissingAsync(bucket, key, ct);
        }
        Require(action, bucket, key, name, version);
        if (version.IsDeleteMarker) throw Marked(version);
        return (bucket, version);
    }

    /// <summary>Whether the caller may do this with a version that was found; for what is one right among several.</summary>
    /// <param name="named">The version that the client named, or null where it named none.</param>
    public bool IsAllowed(string action, BucketRecord bucket, string? key, VersionName? named, ObjectVersion? version) =>
        Decide(action, bucket, key is null ? Arn + bucket.Name : $"{Arn}{bucket.Name}/{key}", named, version);

    /// <summary>The access log of the bucket that is copied from is told too.</summary>
    /// <param name="operation">As access logs name it.</param>
    public ValueTask LogSourceAsync(string operation, string bucketName, string key, VersionName? named) =>
        RequestLog.AddSourceAsync(http, services, caller, operation, bucketName, key, named?.ToString());

    /// <summary>Names the version in the answer, in a bucket that has or had versioning.</summary>
    public void WriteVersionId(BucketRecord bucket, VersionName version)
    {
        if (bucket.Versioning != BucketVersioning.Off) Response.Headers["x-amz-version-id"] = version.ToString();
    }

    /// <summary>Tells when the bucket's lifecycle will delete the object, where it will.</summary>
    public void WriteExpiration(BucketRecord bucket, ObjectVersion version)
    {
        if (Version is not null || BucketRules.Of(bucket).Lifecycle is not { } lifecycle) return;
        if (lifecycle.NextExpiration(Key, version.Manifest.Length, version.Modified, version.Attributes.Tags, TimeSpan.FromDays(1)) is not var (due, rule)) return;
        Response.Headers["x-amz-expiration"] = $"expiry-date=\"{due.ToString("r", System.Globalization.CultureInfo.InvariantCulture)}\", rule-id=\"{Uri.EscapeDataString(rule.Id)}\"";
    }

    /// <exception cref="S3Exception"><c>InvalidArgument</c>.</exception>
    public static VersionName? ParseVersion(in S3Query query)
    {
        if (!query.TryGet("versionId", out var text)) return null;
        if (text.Length == 0) throw S3Exception.InvalidArgument("Version id cannot be the empty string", "versionId", "");
        return VersionName.TryParse(text, out var name) ? name : throw S3Exception.InvalidArgument("Invalid version id specified", "versionId", text.Length <= 128 ? text : text[..128]);
    }

    private void Require(string action, BucketRecord bucket, string? key, VersionName? named, ObjectVersion? version)
    {
        if (!IsAllowed(action, bucket, key, named, version)) throw new S3Exception(S3Error.AccessDenied);
        RequirePayer(bucket);
        CountIn(bucket);
        if (version is not null && bucket.Name == BucketName && key == target.Key) CountAs(version.StorageClass);
    }

    /// <summary>A copy is counted where it goes, and not where it comes from.</summary>
    private void CountIn(BucketRecord bucket)
    {
        if (bucket.Name == BucketName) RequestTraffic.Of(http).Concerns(bucket.Id);
    }

    private bool Decide(string action, BucketRecord? bucket, string resource, VersionName? named, ObjectVersion? version)
    {
        var decision = Authorization.Decide(Question(action, bucket, resource, named, version));
        if (decision.Basis is AuthorizationBasis.BucketAcl or AuthorizationBasis.ObjectAcl && Log is { } log) log.AclRequired = true;
        return decision.IsAllowed;
    }

    private AuthorizationRequest Question(string action, BucketRecord? bucket, string resource, VersionName? named, ObjectVersion? version) => new()
    {
        Request = new(caller.Principal, action, resource, new PolicyContext(this, bucket, named, version)),
        IdentityPolicies = caller.Policies,
        SessionPolicy = caller.SessionPolicy,
        Bucket = bucket is null ? null : BucketRules.Of(bucket).Access,
        Object = version is null ? null : new ObjectAccess(version.Owner, version.Attributes.Acl is { } acl ? SettingJson.Read<AccessControlList>(acl) : null),
    };

    /// <summary>In a bucket whose requesters pay, those who do not own it say that they know.</summary>
    private void RequirePayer(BucketRecord bucket)
    {
        if (BucketRules.Of(bucket).Payer != Payer.Requester || caller.IsRoot || caller.Account == bucket.Owner) return;
        if (caller.IsAnonymous || ((string?)Headers["x-amz-request-payer"] ?? Query.Find("x-amz-request-payer")) != "requester") throw new S3Exception(S3Error.AccessDenied);
        Response.Headers["x-amz-request-charged"] = "requester";
    }

    /// <summary>The request's bucket, where each key in the request is authorized by itself.</summary>
    /// <exception cref="S3Exception"><c>NoSuchBucket</c>; <c>AccessDenied</c>: it is not of the owner that the request expects.</exception>
    public ValueTask<BucketRecord> FindBucketAsync(CancellationToken ct) => FindBucketAsync(BucketName, ct);

    private async ValueTask<BucketRecord> FindBucketAsync(string name, CancellationToken ct)
    {
        var bucket = await services.Index.FindBucketAsync(name, ct) ?? throw new S3Exception(S3Error.NoSuchBucket).With("BucketName", name);
        if (Headers.TryGetValue("x-amz-expected-bucket-owner", out var expected) && expected != bucket.Owner) throw new S3Exception(S3Error.AccessDenied);
        return bucket;
    }

    /// <summary>Nothing is there, or a delete marker is, and the answer says which.</summary>
    private async ValueTask<S3Exception> MissingAsync(BucketRecord bucket, string key, CancellationToken ct)
    {
        if (bucket.Versioning != BucketVersioning.Off && await services.Index.FindLatestAsync(bucket.Id, key, ct) is { IsDeleteMarker: true } marker) MarkAnswer(marker);
        return new S3Exception(S3Error.NoSuchKey).With("Key", key);
    }

    private S3Exception Marked(ObjectVersion marker)
    {
        MarkAnswer(marker);
        Response.Headers.Allow = "DELETE";
        Response.Headers.LastModified = marker.Modified.ToString("r", System.Globalization.CultureInfo.InvariantCulture);
        return new S3Exception(S3Error.MethodNotAllowed).With("Method", http.Request.Method).With("ResourceType", "DeleteMarker");
    }

    private void MarkAnswer(ObjectVersion marker)
    {
        Response.Headers["x-amz-delete-marker"] = "true";
        Response.Headers["x-amz-version-id"] = marker.Name.ToString();
    }
}
