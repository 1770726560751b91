using DarkStorage.GrainInterfaces.Objects;
using Microsoft.AspNetCore.Http;

namespace DarkStorage.ClientApi.S3.Operations;

/// <summary>The conditions of a write, from its headers.</summary>
internal static class WriteConditionHeaders
{
    /// <exception cref="S3Exception"><c>NotImplemented</c>: a list of tags, or an If-None-Match other than <c>*</c>, which S3 does not take on writes either.</exception>
    public static WriteCondition Read(IHeaderDictionary headers)
    {
        var (match, noneMatch) = (headers.IfMatch, headers.IfNoneMatch);
        if (match.Count == 0 && noneMatch.Count == 0) return WriteCondition.None;
        if (match.Count > 1 || match.ToString().Contains(',', StringComparison.Ordinal)) throw new S3Exception(S3Error.NotImplemented).With("Header", "If-Match");
        if (noneMatch.Count > 0 && noneMatch.ToString() != WriteCondition.Any) throw new S3Exception(S3Error.NotImplemented).With("Header", "If-None-Match");
        return new(match.Count == 0 ? null : match.ToString().Trim().Trim('"'), noneMatch.Count == 0 ? null : WriteCondition.Any);
    }
}
