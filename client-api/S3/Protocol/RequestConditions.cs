using System.Globalization;
using DarkStorage.GrainInterfaces.Objects;
using Microsoft.AspNetCore.Http;

namespace DarkStorage.ClientApi.S3;

/// <summary>What a condition comes to.</summary>
internal enum ConditionOutcome : byte
{
    Ok,
    /// <summary>304: the client has it already.</summary>
    NotModified,
    /// <summary>412.</summary>
    PreconditionFailed,
}

/// <summary>The conditions of a request about an object that exists (RFC 9110, section 13.2.2, with S3's reading of it).</summary>
/// <remarks>If-Match outranks If-Unmodified-Since, If-None-Match outranks If-Modified-Since; a date that can't be read is no condition.</remarks>
internal readonly record struct RequestConditions(string? IfMatch, string? IfNoneMatch, DateTimeOffset? IfModifiedSince, DateTimeOffset? IfUnmodifiedSince)
{
    private const string CopyPrefix = "x-amz-copy-source-";

    /// <summary>Of a GET or HEAD.</summary>
    public static RequestConditions OfRead(IHeaderDictionary headers) =>
        new(headers.IfMatch, headers.IfNoneMatch, DateOf(headers.IfModifiedSince), DateOf(headers.IfUnmodifiedSince));

    /// <summary>Of a copy, about its source: <c>x-amz-copy-source-if-*</c>.</summary>
    public static RequestConditions OfCopySource(IHeaderDictionary headers) =>
        new(headers[CopyPrefix + "if-match"], headers[CopyPrefix + "if-none-match"], DateOf(headers[CopyPrefix + "if-modified-since"]), DateOf(headers[CopyPrefix + "if-unmodified-since"]));

    /// <summary>Of a write, about the version it would replace. The object's grain decides it.</summary>
    /// <exception cref="S3Exception"><c>NotImplemented</c>: If-None-Match with anything but <c>*</c>, which S3 does not do for writes.</exception>
    public static WriteCondition OfWrite(IHeaderDictionary headers)
    {
        var ifMatch = (string?)headers.IfMatch;
        var ifNoneMatch = (string?)headers.IfNoneMatch;
        if (ifNoneMatch is not null && ifNoneMatch.Trim() != WriteCondition.Any)
            throw new S3Exception(S3Error.NotImplemented).With("Header", "If-None-Match");
        if (ifMatch is null && ifNoneMatch is null) return WriteCondition.None;
        return new(ifMatch is null ? null : EntityTag.Unquoted(ifMatch), ifNoneMatch is null ? null : WriteCondition.Any);
    }

    /// <summary>For a GET or HEAD: 304 or 412.</summary>
    /// <param name="etag">Without quotes.</param>
    public ConditionOutcome Evaluate(string etag, DateTimeOffset modified)
    {
        modified = ToSeconds(modified);     // which is all that the headers can say
        if (IfMatch is not null)
        {
            if (!EntityTag.Matches(IfMatch, etag, weakly: false)) return ConditionOutcome.PreconditionFailed;
        }
        else if (IfUnmodifiedSince is { } unmodified && modified > unmodified) return ConditionOutcome.PreconditionFailed;

        if (IfNoneMatch is not null) return EntityTag.Matches(IfNoneMatch, etag, weakly: true) ? ConditionOutcome.NotModified : ConditionOutcome.Ok;
        return IfModifiedSince is { } since && modified <= since ? ConditionOutcome.NotModified : ConditionOutcome.Ok;
    }

    /// <summary>For a copy's source: where a GET would say 304, a copy says 412.</summary>
    public ConditionOutcome EvaluateForCopy(string etag, DateTimeOffset modified) =>
        Evaluate(etag, modified) == ConditionOutcome.Ok ? ConditionOutcome.Ok : ConditionOutcome.PreconditionFailed;

    private static DateTimeOffset? DateOf(string? header) =>
        DateTimeOffset.TryParseExact(header, DateForms, CultureInfo.InvariantCulture, DateTimeStyles.AssumeUniversal | DateTimeStyles.AllowInnerWhite, out var date) ? date : null;

    /// <summary>RFC 9110's three, and ISO 8601, which S3 reads too.</summary>
    private static readonly string[] DateForms =
        ["r", "dddd, dd-MMM-yy HH:mm:ss 'GMT'", "ddd MMM d HH:mm:ss yyyy", "yyyy-MM-dd'T'HH:mm:ss'Z'", "yyyy-MM-dd'T'HH:mm:ss.fff'Z'"];

    private static DateTimeOffset ToSeconds(DateTimeOffset time) => new(time.UtcTicks - time.UtcTicks % TimeSpan.TicksPerSecond, TimeSpan.Zero);
}
