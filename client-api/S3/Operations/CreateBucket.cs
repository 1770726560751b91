using DarkStorage.ClientApi.S3.Settings;
using DarkStorage.GrainInterfaces;
using DarkStorage.GrainInterfaces.Buckets;
using DarkStorage.Rules;
using DarkStorage.Rules.Acls;
using DarkStorage.Rules.Buckets;
using DarkStorage.Rules.ObjectLock;

namespace DarkStorage.ClientApi.S3.Operations;

internal static class CreateBucket
{
    public static async Task HandleAsync(S3Request s3, CancellationToken ct)
    {
        s3.AuthorizeService(S3Action.CreateBucket, s3.BucketName);
        var region = CreateBucketRequest.ParseLocationConstraint(await s3.ReadDocumentAsync(CreateBucketRequest.BytesMax, ct)) ?? s3.Options.Region;
        if (region == "EU") region = "eu-west-1"; // S3's oldest name of it
        if (region != s3.Options.Region) throw new S3Exception(S3Error.InvalidLocationConstraint).With("LocationConstraint", region);
        var settings = await ReadAccessAsync(s3, ct);
        await RequirePlaceAsync(s3, ct);
        try
        {
            // Object lock brings versioning with it: it protects versions.
            var locked = string.Equals(s3.Headers["x-amz-bucket-object-lock-enabled"], "true", StringComparison.OrdinalIgnoreCase);
            if (locked) settings.Add(new(BucketSettings.ObjectLock, "", SettingJson.Write(new ObjectLockConfiguration(null))));
            await s3.BucketGrain.CreateAsync(new(s3.Caller.Account, region, locked ? BucketVersioning.Enabled : BucketVersioning.Off, [.. settings]), ct);
        }
        catch (StorageException e) when (e.Error is StorageError.BucketAlreadyOwnedByYou && region == GetBucketLocation.UnnamedRegion)
        {
            // In that one region S3 answers that all is well, and tools that make a bucket just in case rely on it.
        }
        s3.Response.Headers.Location = "/" + s3.BucketName;
    }

    /// <summary>Whose objects will be, and who else may use the bucket.</summary>
    private static async Task<List<BucketSetting>> ReadAccessAsync(S3Request s3, CancellationToken ct)
    {
        const string header = "x-amz-object-ownership";
        var settings = new List<BucketSetting>();
        ObjectOwnership? ownership = null;
        if ((string?)s3.Headers[header] is { } text)
        {
            ownership = Enum.GetNames<ObjectOwnership>().Contains(text) ? Enum.Parse<ObjectOwnership>(text) : throw S3Exception.InvalidArgument($"Invalid {header} header", header, text);
            settings.Add(new(BucketSettings.OwnershipControls, "", SettingJson.Write(new OwnershipControls(ownership.Value))));
        }
        if (await Acls.ReadHeadersAsync(s3, s3.Caller.Account, null, ct) is not { } acl) return settings;
        var grantsOthers = !acl.Grants.All(g => g.Grantee == Grantee.User(s3.Caller.Account));
        if (ownership == ObjectOwnership.BucketOwnerEnforced && grantsOthers) throw new S3Exception(S3Error.InvalidBucketAclWithObjectOwnership);
        if (grantsOthers) settings.Add(new(BucketSettings.Acl, "", SettingJson.Write(acl)));
        return settings;
    }

    private static async Task RequirePlaceAsync(S3Request s3, CancellationToken ct)
    {
        var owned = await s3.Index.ListBucketsAsync(s3.Caller.Account, "", "", s3.Options.BucketsMax, ct);
        if (owned.Count >= s3.Options.BucketsMax && !owned.Any(b => b.Name == s3.BucketName)) throw new S3Exception(S3Error.TooManyBuckets);
    }
}
