using DarkStorage.GrainInterfaces;
using DarkStorage.GrainInterfaces.Objects;

namespace DarkStorage.ClientApi.S3.Operations;

internal static class ListObjectVersions
{
    public static async Task HandleAsync(S3Request s3, CancellationToken ct)
    {
        var bucket = await s3.AuthorizeAsync(S3Action.ListBucketVersions, ct);
        var query = ListingQuery.Read(s3);
        var (keyMarker, versionMarker) = (s3.Query.Find("key-marker") ?? "", s3.Query.Find("version-id-marker") ?? "");
        using var page = new ListingPage(query);
        var end = await s3.Index.ListVersionsAsync(new(bucket.Id, query.Prefix, query.Delimiter, Place(keyMarker, versionMarker), query.Max), page, ct);
        await page.ReadRestoresAsync(s3.Index, bucket.Id, ct);
        await s3.WriteXmlAsync(200, xml =>
        {
            xml.StartDocument("ListVersionsResult"u8);
            xml.Element("Name"u8, bucket.Name);
            xml.Key("Prefix"u8, query.Prefix, query.UrlEncoded);
            xml.Key("KeyMarker"u8, keyMarker, query.UrlEncoded);
            xml.Element("VersionIdMarker"u8, versionMarker);
            if (end.Next is { } next)
            {
                xml.Key("NextKeyMarker"u8, next.Key, query.UrlEncoded);
                if (next.Version is not null) xml.Element("NextVersionIdMarker"u8, VersionMarker.Write(next));
            }
            xml.Element("MaxKeys"u8, query.Max);
            if (query.Delimiter is not null) xml.Key("Delimiter"u8, query.Delimiter, query.UrlEncoded);
            if (query.UrlEncoded) xml.Element("EncodingType"u8, "url");
            xml.Element("IsTruncated"u8, end.Next is not null);
            page.WriteTo(xml, s3.Clock.GetUtcNow());
            xml.End("ListVersionsResult"u8);
        }, ct);
    }

    private static VersionPlace Place(string keyMarker, string versionMarker)
    {
        if (versionMarker.Length == 0) return new(keyMarker, null, 0);
        if (keyMarker.Length == 0) throw S3Exception.InvalidArgument("A version-id marker cannot be specified without a key marker.", "version-id-marker", Shortened(versionMarker));
        return VersionMarker.TryRead(keyMarker, versionMarker, out var place) ? place : throw S3Exception.InvalidArgument("Invalid version id specified", "version-id-marker", Shortened(versionMarker));
    }

    private static string Shortened(string text) => text.Length <= 128 ? text : text[..128];
}

/// <summary>Where a listing of versions goes on within a key: the version's name, and a dot and its revision in hexadecimal, which hold the place should that version
/// be deleted between two pages, as who empties a bucket does. The name alone is taken too.</summary>
internal static class VersionMarker
{
    public static string Write(VersionPlace place) => $"{place.Version}.{place.Revision:x}";

    public static bool TryRead(string key, string text, out VersionPlace place)
    {
        place = default;
        var dot = text.IndexOf('.', StringComparison.Ordinal);
        var revision = 0L;
        if (dot >= 0 && !long.TryParse(text.AsSpan(dot + 1), System.Globalization.NumberStyles.AllowHexSpecifier, System.Globalization.CultureInfo.InvariantCulture, out revision)) return false;
        if (!VersionName.TryParse(dot < 0 ? text : text[..dot], out var version)) return false;
        place = new(key, version, revision);
        return true;
    }
}
