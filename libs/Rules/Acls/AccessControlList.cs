using System.Text.Json.Serialization;

namespace DarkStorage.Rules.Acls;

/// <summary>What a grant permits. A permission means other actions on a bucket than on an object: see <see cref="AccessControlList"/>.</summary>
public enum AclPermission
{
    Read,
    Write,
    ReadAcp,
    WriteAcp,
    FullControl,
}

public enum GranteeKind
{
    /// <summary>One user, by canonical id.</summary>
    User,
    AllUsers,
    AuthenticatedUsers,

    /// <summary>Who delivers access logs: no caller of the S3 API.</summary>
    LogDelivery,
}

/// <summary>To whom a grant is.</summary>
/// <param name="CanonicalId">Empty for a group.</param>
public readonly record struct Grantee(GranteeKind Kind, string CanonicalId)
{
    private const string AllUsersUri = "http://acs.amazonaws.com/groups/global/AllUsers";
    private const string AuthenticatedUsersUri = "http://acs.amazonaws.com/groups/global/AuthenticatedUsers";
    private const string LogDeliveryUri = "http://acs.amazonaws.com/groups/s3/LogDelivery";

    public static Grantee AllUsers { get; } = new(GranteeKind.AllUsers, "");
    public static Grantee AuthenticatedUsers { get; } = new(GranteeKind.AuthenticatedUsers, "");
    public static Grantee LogDelivery { get; } = new(GranteeKind.LogDelivery, "");

    public static Grantee User(string canonicalId) => new(GranteeKind.User, canonicalId);

    /// <returns>Null where S3 has no such group.</returns>
    public static Grantee? FromUri(string uri) => uri switch
    {
        AllUsersUri => AllUsers,
        AuthenticatedUsersUri => AuthenticatedUsers,
        LogDeliveryUri => LogDelivery,
        _ => null,
    };

    /// <summary>A group's name in S3's XML; null for a user.</summary>
    [JsonIgnore]
    public string? Uri => Kind switch
    {
        GranteeKind.AllUsers => AllUsersUri,
        GranteeKind.AuthenticatedUsers => AuthenticatedUsersUri,
        GranteeKind.LogDelivery => LogDeliveryUri,
        _ => null,
    };

    /// <summary>A group that anybody can be in: AWS counts everybody with an account of theirs.</summary>
    [JsonIgnore]
    public bool IsPublic => Kind is GranteeKind.AllUsers or GranteeKind.AuthenticatedUsers;

    internal bool Includes(string canonicalId, bool isAuthenticated) => Kind switch
    {
        GranteeKind.User => isAuthenticated && CanonicalId == canonicalId,
        GranteeKind.AllUsers => true,
        GranteeKind.AuthenticatedUsers => isAuthenticated,
        _ => false,
    };
}

public readonly record struct Grant(Grantee Grantee, AclPermission Permission);

/// <summary>The list has more grants than a list may have. S3's answer is <c>MalformedACLError</c>.</summary>
public sealed class AclFormatException(string message) : Exception(message);

/// <summary>Who was granted what on one bucket or object, and whose it is. Immutable.</summary>
/// <remarks>
/// AWS's table of what a permission is good for (user guide, "Mapping of ACL permissions and access policy permissions"):
/// <code>
/// permission    on a bucket                                           on an object
/// READ          ListBucket, ListBucketVersions,                       GetObject, GetObjectVersion
///               ListBucketMultipartUploads
/// WRITE         PutObject, DeleteObject, AbortMultipartUpload,        nothing
///               ListMultipartUploadParts
/// READ_ACP      GetBucketAcl                                          GetObjectAcl, GetObjectVersionAcl
/// WRITE_ACP     PutBucketAcl                                          PutObjectAcl, PutObjectVersionAcl
/// FULL_CONTROL  all of the above                                      all of the above
/// </code>
/// The two actions on multipart uploads are what who may upload needs to finish or give up; AWS gives them to whoever began the upload.
/// </remarks>
public sealed class AccessControlList
{
    /// <summary>AWS's limit.</summary>
    public const int GrantsMax = 100;

    /// <exception cref="AclFormatException">More than <see cref="GrantsMax"/> grants.</exception>
    public AccessControlList(string owner, IReadOnlyList<Grant> grants)
    {
        if (grants.Count > GrantsMax) throw new AclFormatException($"An access control list has at most {GrantsMax} grants; this one has {grants.Count}.");
        (Owner, Grants) = (owner, [.. grants]);
    }

    /// <summary>Canonical id.</summary>
    public string Owner { get; }

    public IReadOnlyList<Grant> Grants { get; }

    /// <summary>Whether it grants anything to all users, or to all authenticated ones.</summary>
    [JsonIgnore]
    public bool IsPublic => Grants.Any(g => g.Grantee.IsPublic);

    /// <summary>The list that a name such as <c>public-read</c> stands for.</summary>
    /// <param name="owner">Canonical id of the bucket's or object's owner.</param>
    /// <param name="bucketOwner">Of an object's bucket; null for the list of a bucket, where the names that are about it add nothing.</param>
    /// <returns>Null where there is no such name.</returns>
    public static AccessControlList? Canned(string name, string owner, string? bucketOwner)
    {
        var grants = new List<Grant> { new(Grantee.User(owner), AclPermission.FullControl) };
        switch (name)
        {
            // Whose EC2 could read an image bundle here? The name is AWS's; it means what private means.
            case "private" or "aws-exec-read":
                break;
            case "public-read":
                grants.Add(new(Grantee.AllUsers, AclPermission.Read));
                break;
            case "public-read-write":
                grants.Add(new(Grantee.AllUsers, AclPermission.Read));
                grants.Add(new(Grantee.AllUsers, AclPermission.Write));
                break;
            case "authenticated-read":
                grants.Add(new(Grantee.AuthenticatedUsers, AclPermission.Read));
                break;
            case "bucket-owner-read" or "bucket-owner-full-control":
                if (bucketOwner is not null && bucketOwner != owner)
                    grants.Add(new(Grantee.User(bucketOwner), name == "bucket-owner-read" ? AclPermission.Read : AclPermission.FullControl));
                break;
            case "log-delivery-write":
                grants.Add(new(Grantee.LogDelivery, AclPermission.Write));
                grants.Add(new(Grantee.LogDelivery, AclPermission.ReadAcp));
                break;
            default:
                return null;
        }
        return new(owner, grants);
    }

    /// <summary>Whether the list, being a bucket's, permits an action on the bucket or on what is in it.</summary>
    /// <param name="action">As S3 spells it: <c>s3:ListBucket</c>.</param>
    public bool PermitsOnBucket(string action, string canonicalId, bool isAuthenticated) =>
        Find(NeededOnBucket(action), canonicalId, isAuthenticated, publicGrants: true, ownGrants: true) is not null;

    /// <summary>Whether the list, being an object's, permits an action on it.</summary>
    public bool PermitsOnObject(string action, string canonicalId, bool isAuthenticated) =>
        Find(NeededOnObject(action), canonicalId, isAuthenticated, publicGrants: true, ownGrants: true) is not null;

    /// <summary>Null where no permission is enough.</summary>
    internal static AclPermission? NeededOnBucket(string action) => action switch
    {
        "s3:ListBucket" or "s3:ListBucketVersions" or "s3:ListBucketMultipartUploads" => AclPermission.Read,
        "s3:PutObject" or "s3:DeleteObject" or "s3:AbortMultipartUpload" or "s3:ListMultipartUploadParts" => AclPermission.Write,
        "s3:GetBucketAcl" => AclPermission.ReadAcp,
        "s3:PutBucketAcl" => AclPermission.WriteAcp,
        _ => null,
    };

    internal static AclPermission? NeededOnObject(string action) => action switch
    {
        "s3:GetObject" or "s3:GetObjectVersion" => AclPermission.Read,
        "s3:GetObjectAcl" or "s3:GetObjectVersionAcl" => AclPermission.ReadAcp,
        "s3:PutObjectAcl" or "s3:PutObjectVersionAcl" => AclPermission.WriteAcp,
        _ => null,
    };

    /// <param name="publicGrants">Whether grants to groups that anybody can be in count.</param>
    /// <param name="ownGrants">Whether grants to the owner count.</param>
    internal Grant? Find(AclPermission? needed, string canonicalId, bool isAuthenticated, bool publicGrants, bool ownGrants)
    {
        if (needed is null) return null;
        foreach (var grant in Grants)
        {
            if (grant.Permission != needed && grant.Permission != AclPermission.FullControl) continue;
            if (!publicGrants && grant.Grantee.IsPublic) continue;
            if (!ownGrants && grant.Grantee == Grantee.User(Owner)) continue;
            if (grant.Grantee.Includes(canonicalId, isAuthenticated)) return grant;
        }
        return null;
    }
}
