using DarkStorage.ClientApi.S3.Settings;
using DarkStorage.GrainInterfaces.Buckets;
using DarkStorage.GrainInterfaces.Objects;
using DarkStorage.Rules;
using DarkStorage.Rules.Acls;
using DarkStorage.Rules.Buckets;

namespace DarkStorage.ClientApi.S3.Operations;

internal static class GetBucketAcl
{
    public static async Task HandleAsync(S3Request s3, CancellationToken ct)
    {
        var bucket = await s3.AuthorizeAsync(S3Action.GetBucketAcl, ct);
        await Acls.WriteAsync(s3, BucketRules.Of(bucket).Access.Acl ?? AccessControlList.Canned("private", bucket.Owner, null)!, ct);
    }
}

internal static class PutBucketAcl
{
    public static async Task HandleAsync(S3Request s3, CancellationToken ct)
    {
        var bucket = await s3.AuthorizeAsync(S3Action.PutBucketAcl, ct);
        var acl = await Acls.ReadAsync(s3, bucket.Owner, null, ct);
        Acls.RequireAllowed(bucket, acl);
        await s3.BucketGrain.SetAsync(bucket.Id, new(BucketSettings.Acl, "", SettingJson.Write(acl)), ct);
    }
}

internal static class GetObjectAcl
{
    public static async Task HandleAsync(S3Request s3, CancellationToken ct)
    {
        var (bucket, version) = await s3.AuthorizeObjectAsync(s3.Query.Has("versionId") ? S3Action.GetObjectVersionAcl : S3Action.GetObjectAcl, ct);
        s3.WriteVersionId(bucket, version.Name);
        // Where lists do not count, the one there is says what is so.
        var enforced = BucketRules.Of(bucket).Access.Ownership == ObjectOwnership.BucketOwnerEnforced;
        var owner = enforced ? bucket.Owner : version.Owner;
        var acl = !enforced && version.Attributes.Acl is { } stored ? SettingJson.Read<AccessControlList>(stored) : AccessControlList.Canned("private", owner, bucket.Owner)!;
        await Acls.WriteAsync(s3, acl, ct);
    }
}

internal static class PutObjectAcl
{
    public static async Task HandleAsync(S3Request s3, CancellationToken ct)
    {
        var (bucket, version) = await s3.AuthorizeObjectAsync(s3.Query.Has("versionId") ? S3Action.PutObjectVersionAcl : S3Action.PutObjectAcl, ct);
        var acl = await Acls.ReadAsync(s3, version.Owner, bucket.Owner, ct);
        Acls.RequireAllowed(bucket, acl);
        await s3.ObjectGrain.UpdateAsync(new(bucket.Id, version.Name, new(version.Revision), s3.OriginOf(ChangeMeans.Request), Acl: SettingJson.Write(acl)), ct);
        s3.WriteVersionId(bucket, version.Name);
    }
}

/// <summary>Whose a new object is, and who else may use it.</summary>
internal static class NewObjectAccess
{
    /// <param name="Acl">JSON; null where nobody but the owner is granted anything.</param>
    internal readonly record struct Access(string Owner, string? Acl);

    /// <exception cref="S3Exception"><c>AccessDenied</c>, <c>AccessControlListNotSupported</c>, <c>InvalidArgument</c>.</exception>
    public static async ValueTask<Access> ReadAsync(S3Request s3, BucketRecord bucket, CancellationToken ct)
    {
        var ownership = BucketRules.Of(bucket).Access.Ownership;
        // Nobody can own what an anonymous request writes, so it is the bucket's owner's.
        var writer = s3.Caller.IsAnonymous || ownership == ObjectOwnership.BucketOwnerEnforced ? bucket.Owner : s3.Caller.Account;
        if (!Acls.AreInHeaders(s3.Headers)) return new(writer, null);
        var canned = (string?)s3.Headers[Acls.CannedHeader];
        if (ownership == ObjectOwnership.BucketOwnerPreferred && canned == "bucket-owner-full-control") writer = bucket.Owner;
        var acl = await Acls.ReadHeadersAsync(s3, writer, bucket.Owner, ct);
        if (acl is null) return new(writer, null);
        if (canned != "private") await s3.AuthorizeAsync(S3Action.PutObjectAcl, ct);
        Acls.RequireAllowed(bucket, acl);
        return new(writer, acl.Grants.All(g => g.Grantee == Grantee.User(writer)) ? null : SettingJson.Write(acl));
    }
}
