using Microsoft.AspNetCore.Http;

namespace DarkStorage.ClientApi.S3;

/// <summary>What a presigned query says in place of headers: SDKs put the <c>x-amz-</c> headers of what they presign there, so that whoever has the link need not send them.
/// They are covered by its signature as headers are.</summary>
internal static class PresignedHeaders
{
    private const string Prefix = "x-amz-";

    /// <summary>Parameters that are the signature's own. And checksums: an SDK that presigns an upload has seen no content, and some put there that of none.</summary>
    private static readonly string[] NotHeaders = ["algorithm", "credential", "date", "expires", "signedheaders", "signature", "security-token", "content-sha256", "checksum-", "sdk-checksum-algorithm"];

    /// <returns>The request's own headers and, where they do not have them, those of the query; null where it has none.</returns>
    public static IHeaderDictionary? Of(IHeaderDictionary headers, in S3Query query)
    {
        HeaderDictionary? all = null;
        foreach (var (name, value) in query.Parameters)
        {
            if (!name.StartsWith(Prefix, StringComparison.OrdinalIgnoreCase) || IsNoHeader(name.AsSpan(Prefix.Length)) || headers.ContainsKey(name)) continue;
            if (all is null)
            {
                all = new(headers.Count + 1);
                foreach (var header in headers) all.Add(header);
            }
            all.TryAdd(name, value);
        }
        return all;
    }

    private static bool IsNoHeader(ReadOnlySpan<char> name)
    {
        foreach (var other in NotHeaders)
        {
            if (other.EndsWith('-') ? name.StartsWith(other, StringComparison.OrdinalIgnoreCase) : name.Equals(other, StringComparison.OrdinalIgnoreCase)) return true;
        }
        return false;
    }
}
