using DarkStorage.GrainInterfaces.Buckets;
using DarkStorage.GrainInterfaces.Roles;
using DarkStorage.GrainInterfaces.Users;
using DarkStorage.Rules;
using DarkStorage.Rules.Acls;
using DarkStorage.Rules.Buckets;
using Microsoft.AspNetCore.Http;
using Orleans;

namespace DarkStorage.ClientApi.S3.Settings;

/// <summary>Access control lists as requests bring them: by name, by headers, as a document.</summary>
internal static class Acls
{
    public const string CannedHeader = "x-amz-acl";
    private const int DocumentBytesMax = 256 << 10;

    private static readonly (string Header, AclPermission Permission)[] GrantHeaders =
    [
        ("x-amz-grant-read", AclPermission.Read),
        ("x-amz-grant-write", AclPermission.Write),
        ("x-amz-grant-read-acp", AclPermission.ReadAcp),
        ("x-amz-grant-write-acp", AclPermission.WriteAcp),
        ("x-amz-grant-full-control", AclPermission.FullControl),
    ];

    public static bool AreInHeaders(IHeaderDictionary headers) => headers.ContainsKey(CannedHeader) || GrantHeaders.Any(g => headers.ContainsKey(g.Header));

    /// <summary>The list that the headers ask for.</summary>
    /// <param name="owner">Of the bucket or object.</param>
    /// <param name="bucketOwner">Of an object's bucket; null for a bucket's own list.</param>
    /// <returns>Null where they ask for none.</returns>
    /// <exception cref="S3Exception"><c>InvalidArgument</c>, <c>InvalidRequest</c>: by name and by grants at once; <c>UnresolvableGrantByEmailAddress</c>.</exception>
    public static async ValueTask<AccessControlList?> ReadHeadersAsync(S3Request s3, string owner, string? bucketOwner, CancellationToken ct)
    {
        var canned = (string?)s3.Headers[CannedHeader];
        var grants = new List<Grant>();
        foreach (var (header, permission) in GrantHeaders)
        {
            if ((string?)s3.Headers[header] is not { } text) continue;
            foreach (var grantee in text.Split(',', StringSplitOptions.TrimEntries | StringSplitOptions.RemoveEmptyEntries)) grants.Add(new(await ReadGranteeAsync(s3, header, grantee, ct), permission));
        }
        if (canned is not null && grants.Count > 0) throw new S3Exception(S3Error.InvalidRequest, "Specifying both Canned ACLs and Header Grants is not allowed");
        if (canned is not null) return AccessControlList.Canned(canned, owner, bucketOwner) ?? throw S3Exception.InvalidArgument("", CannedHeader, canned);
        return grants.Count == 0 ? null : Checked(owner, grants);
    }

    /// <summary>The list that a request to put one brings: in its headers, or as its document.</summary>
    public static async Task<AccessControlList> ReadAsync(S3Request s3, string owner, string? bucketOwner, CancellationToken ct)
    {
        var document = await s3.ReadDocumentAsync(DocumentBytesMax, ct);
        if (await ReadHeadersAsync(s3, owner, bucketOwner, ct) is { } named)
            return document.Length == 0 ? named : throw new S3Exception(S3Error.UnexpectedContent);
        if (document.Length == 0) throw new S3Exception(S3Error.MissingSecurityHeader).With("MissingHeaderName", CannedHeader);
        try
        {
            return await ReadDocumentAsync(s3, owner, document, ct);
        }
        catch (S3Exception e) when (e.Error == S3Error.MalformedXml)
        {
            throw new S3Exception(S3Error.MalformedAcl, null, e);
        }
    }

    public static Task WriteAsync(S3Request s3, AccessControlList acl, CancellationToken ct) => s3.WriteXmlAsync(StatusCodes.Status200OK, xml =>
    {
        xml.StartDocument("AccessControlPolicy"u8);
        xml.Account("Owner"u8, acl.Owner);
        xml.Start("AccessControlList"u8);
        foreach (var grant in acl.Grants) Write(xml, grant);
        xml.End("AccessControlList"u8);
        xml.End("AccessControlPolicy"u8);
    }, ct);

    public static void Write(S3XmlWriter xml, Grant grant)
    {
        xml.Start("Grant"u8);
        if (grant.Grantee.Uri is { } uri)
        {
            xml.Start("Grantee"u8, "xmlns:xsi=\"http://www.w3.org/2001/XMLSchema-instance\" xsi:type=\"Group\""u8);
            xml.Element("URI"u8, uri);
        }
        else
        {
            xml.Start("Grantee"u8, "xmlns:xsi=\"http://www.w3.org/2001/XMLSchema-instance\" xsi:type=\"CanonicalUser\""u8);
            xml.Element("ID"u8, grant.Grantee.CanonicalId);
            xml.Element("DisplayName"u8, grant.Grantee.CanonicalId);
        }
        xml.End("Grantee"u8);
        xml.Element("Permission"u8, S3Words.Of(grant.Permission));
        xml.End("Grant"u8);
    }

    /// <summary>Whether a list may be put in this bucket, or on what is in it.</summary>
    /// <exception cref="S3Exception"><c>AccessControlListNotSupported</c>; <c>AccessDenied</c>: it is public, and the bucket blocks such lists.</exception>
    public static void RequireAllowed(BucketRecord bucket, AccessControlList acl)
    {
        var access = BucketRules.Of(bucket).Access;
        if (access.Ownership == ObjectOwnership.BucketOwnerEnforced && !acl.Grants.All(g => g.Grantee == Grantee.User(bucket.Owner)))
            throw new S3Exception(S3Error.AccessControlListNotSupported);
        if (access.PublicAccess.Refuses(acl)) throw new S3Exception(S3Error.AccessDenied);
    }

    private static async Task<AccessControlList> ReadDocumentAsync(S3Request s3, string owner, byte[] body, CancellationToken ct)
    {
        var document = S3Element.Parse(body, "AccessControlPolicy").Allow("Owner", "AccessControlList");
        if (document.Find("Owner")?.Allow("ID", "DisplayName").TextOf("ID") is { } stated && stated != owner) throw new S3Exception(S3Error.AccessDenied);
        var grants = new List<Grant>();
        foreach (var grant in document.Require("AccessControlList").Allow("Grant").Children)
        {
            grant.Allow("Grantee", "Permission");
            var permission = grant.EnumOf<AclPermission>("Permission") ?? throw S3Element.Malformed();
            var grantee = ReadGrantee(grant.Require("Grantee"));
            await RequireThereAsync(s3, "CanonicalUser/ID", grantee, ct);
            grants.Add(new(grantee, permission));
        }
        return Checked(owner, grants);
    }

    /// <summary>To whom a grant in a document is; whether there is such a user is not asked.</summary>
    public static Grantee ReadGrantee(S3Element element)
    {
        element.Allow("ID", "DisplayName", "URI", "EmailAddress");
        switch (element.Type)
        {
            case "Group" or null when element.Find("URI") is not null:
                return Grantee.FromUri(element.RequireText("URI")) ?? throw S3Exception.InvalidArgument("Invalid group uri", "CanonicalUser/ID", "");
            case "AmazonCustomerByEmail": throw new S3Exception(S3Error.UnresolvableGrant);
            case "CanonicalUser" or null: return Grantee.User(element.RequireText("ID"));
            default: throw S3Element.Malformed();
        }
    }

    /// <summary><c>id="NAME"</c>, <c>uri="GROUP"</c>.</summary>
    private static async Task<Grantee> ReadGranteeAsync(S3Request s3, string header, string text, CancellationToken ct)
    {
        var equals = text.IndexOf('=', StringComparison.Ordinal);
        var value = equals < 0 ? "" : text[(equals + 1)..].Trim().Trim('"');
        return (equals < 0 ? "" : text[..equals].Trim()) switch
        {
            "id" => await RequireThereAsync(s3, header, Grantee.User(value), ct),
            "uri" => Grantee.FromUri(value) ?? throw S3Exception.InvalidArgument("Invalid group uri", header, value),
            "emailAddress" => throw new S3Exception(S3Error.UnresolvableGrant),
            _ => throw S3Exception.InvalidArgument("Argument format not recognized", header, text),
        };
    }

    /// <summary>A grant to nobody would be a mistake that shows much later.</summary>
    /// <exception cref="S3Exception"><c>InvalidArgument</c>.</exception>
    public static async Task<Grantee> RequireThereAsync(S3Request s3, string argument, Grantee grantee, CancellationToken ct)
    {
        var id = grantee.CanonicalId;
        if (grantee.Kind == GranteeKind.User && id != Caller.RootAccount && id != s3.Caller.Account && (id.Length is 0 or > 128 || !await IsThereAsync(s3, id, ct)))
            throw S3Exception.InvalidArgument("Invalid id", argument, id.Length <= 128 ? id : id[..128]);
        return grantee;
    }

    private static async Task<bool> IsThereAsync(S3Request s3, string id, CancellationToken ct) => Roles.NameOf(id) is { } role
        ? await s3.Grains.GetGrain<IRoleGrain>(role).FindAsync(ct) is not null
        : await s3.Grains.GetGrain<IUserGrain>(id).FindAsync(ct) is not null;

    private static AccessControlList Checked(string owner, List<Grant> grants)
    {
        try
        {
            return new(owner, grants);
        }
        catch (AclFormatException e)
        {
            throw new S3Exception(S3Error.MalformedAcl, null, e);
        }
    }
}
