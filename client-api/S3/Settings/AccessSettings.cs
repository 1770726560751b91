using System.Text;
using DarkStorage.GrainInterfaces.Buckets;
using DarkStorage.Rules;
using DarkStorage.Rules.Acls;
using DarkStorage.Rules.Buckets;
using DarkStorage.Rules.Policies;
using Microsoft.AspNetCore.Http;

namespace DarkStorage.ClientApi.S3.Settings;

/// <summary>GetBucketOwnershipControls, PutBucketOwnershipControls, DeleteBucketOwnershipControls.</summary>
internal static class OwnershipSetting
{
    public static readonly BucketSetting<OwnershipControls> Setting = new()
    {
        Kind = BucketSettings.OwnershipControls,
        Root = "OwnershipControls",
        Missing = S3Error.OwnershipControlsNotFound,
        GetAction = S3Action.GetBucketOwnershipControls,
        PutAction = S3Action.PutBucketOwnershipControls,
        Read = document => new(document.Allow("Rule").Require("Rule").Allow("ObjectOwnership").EnumOf<ObjectOwnership>("ObjectOwnership") ?? throw S3Element.Malformed()),
        Write = (xml, setting) =>
        {
            xml.Start("Rule"u8);
            xml.Element("ObjectOwnership"u8, S3Words.Of(setting.Ownership));
            xml.End("Rule"u8);
        },
        Check = (_, bucket, setting, _) =>
        {
            // Grants that no longer count would mislead whoever reads the list.
            if (setting.Ownership == ObjectOwnership.BucketOwnerEnforced
                && BucketRules.Of(bucket).Access.Acl is { } acl && !acl.Grants.All(g => g.Grantee == Grantee.User(bucket.Owner)))
                throw new S3Exception(S3Error.InvalidBucketAclWithObjectOwnership);
            return ValueTask.CompletedTask;
        },
    };
}

/// <summary>GetPublicAccessBlock, PutPublicAccessBlock, DeletePublicAccessBlock.</summary>
internal static class PublicAccessBlockSetting
{
    public static readonly BucketSetting<PublicAccessBlock> Setting = new()
    {
        Kind = BucketSettings.PublicAccessBlock,
        Root = "PublicAccessBlockConfiguration",
        Missing = S3Error.NoSuchPublicAccessBlock,
        GetAction = S3Action.GetBucketPublicAccessBlock,
        PutAction = S3Action.PutBucketPublicAccessBlock,
        Read = document =>
        {
            document.Allow("BlockPublicAcls", "IgnorePublicAcls", "BlockPublicPolicy", "RestrictPublicBuckets");
            return new(document.BooleanOf("BlockPublicAcls") == true, document.BooleanOf("IgnorePublicAcls") == true,
                document.BooleanOf("BlockPublicPolicy") == true, document.BooleanOf("RestrictPublicBuckets") == true);
        },
        Write = (xml, setting) =>
        {
            xml.Element("BlockPublicAcls"u8, setting.BlockPublicAcls);
            xml.Element("IgnorePublicAcls"u8, setting.IgnorePublicAcls);
            xml.Element("BlockPublicPolicy"u8, setting.BlockPublicPolicy);
            xml.Element("RestrictPublicBuckets"u8, setting.RestrictPublicBuckets);
        },
    };
}

/// <summary>GetBucketPolicy, PutBucketPolicy, DeleteBucketPolicy, GetBucketPolicyStatus: the one setting that is JSON, kept as it was sent.</summary>
internal static class PolicySetting
{
    public static async Task GetAsync(S3Request s3, CancellationToken ct)
    {
        var bucket = await s3.AuthorizeAsync(S3Action.GetBucketPolicy, ct);
        var document = Encoding.UTF8.GetBytes(Require(bucket));
        s3.Response.ContentType = "application/json";
        s3.Response.ContentLength = document.Length;
        await s3.Response.BodyWriter.WriteAsync(document, ct);
    }

    public static async Task PutAsync(S3Request s3, CancellationToken ct)
    {
        var bucket = await s3.AuthorizeAsync(S3Action.PutBucketPolicy, ct);
        var document = Encoding.UTF8.GetString(await s3.ReadDocumentAsync(BucketPolicy.BytesMax, ct));
        try
        {
            if (BucketRules.Of(bucket).Access.PublicAccess.Refuses(BucketPolicy.Parse(bucket.Name, document))) throw new S3Exception(S3Error.AccessDenied);
        }
        catch (PolicyFormatException e)
        {
            throw new S3Exception(S3Error.MalformedPolicy, e.Message, e);
        }
        await s3.BucketGrain.SetAsync(bucket.Id, new(BucketSettings.Policy, "", document), ct);
        s3.Response.StatusCode = StatusCodes.Status204NoContent;
    }

    public static async Task DeleteAsync(S3Request s3, CancellationToken ct)
    {
        var bucket = await s3.AuthorizeAsync(S3Action.DeleteBucketPolicy, ct);
        await s3.BucketGrain.SetAsync(bucket.Id, new(BucketSettings.Policy, "", null), ct);
        s3.Response.StatusCode = StatusCodes.Status204NoContent;
    }

    public static async Task GetStatusAsync(S3Request s3, CancellationToken ct)
    {
        var bucket = await s3.AuthorizeAsync(S3Action.GetBucketPolicyStatus, ct);
        Require(bucket);
        var access = BucketRules.Of(bucket).Access;
        await s3.WriteXmlAsync(StatusCodes.Status200OK, xml =>
        {
            xml.StartDocument("PolicyStatus"u8);
            xml.Element("IsPublic"u8, access.Policy!.IsPublic && !access.PublicAccess.RestrictPublicBuckets);
            xml.End("PolicyStatus"u8);
        }, ct);
    }

    private static string Require(BucketRecord bucket) => bucket.Find(BucketSettings.Policy) ?? throw new S3Exception(S3Error.NoSuchBucketPolicy).With("BucketName", bucket.Name);
}
