using System.Globalization;
using DarkStorage.GrainInterfaces.Objects;
using DarkStorage.Storage;
using Microsoft.AspNetCore.Http;

namespace DarkStorage.ClientApi.S3.Operations;

/// <summary>What of an object a GET or HEAD is answered with: its conditions, its range, its headers.</summary>
internal static class ObjectSelection
{
    /// <summary>Sets the status and all headers.</summary>
    /// <returns>The bytes of the body; null where the answer is 304.</returns>
    /// <exception cref="S3Exception"><c>PreconditionFailed</c>, <c>InvalidRange</c>, <c>InvalidPartNumber</c>, <c>InvalidRequest</c>.</exception>
    public static ByteRange? Answer(S3Request s3, ObjectVersion version)
    {
        var manifest = version.Manifest;
        s3.Log?.ObjectSize = manifest.Length;
        switch (RequestConditions.OfRead(s3.Headers).Evaluate(manifest.ETag, version.Modified))
        {
            case ConditionOutcome.PreconditionFailed:
                throw new S3Exception(S3Error.PreconditionFailed);
            case ConditionOutcome.NotModified:
                ObjectHeaders.WriteValidators(s3.Response.Headers, version);
                s3.Response.StatusCode = StatusCodes.Status304NotModified;
                return null;
        }

        var range = s3.Query.Has("partNumber") ? OfPart(s3, manifest) : RangeHeader.Parse(s3.Headers.Range, manifest.Length);
        ObjectHeaders.Write(s3, version);
        // A checksum is of the whole: with a range it would be of something the client does not get.
        if (range is null && ChecksumHeaders.IsWanted(s3.Headers)) ChecksumHeaders.Write(s3.Response.Headers, manifest.Checksum);
        var sent = range ?? ByteRange.All(manifest.Length);
        s3.Response.ContentLength = sent.Length;
        if (range is not null)
        {
            s3.Response.StatusCode = StatusCodes.Status206PartialContent;
            if (sent.Length > 0) s3.Response.Headers.ContentRange = string.Create(CultureInfo.InvariantCulture, $"bytes {sent.First}-{sent.Last}/{manifest.Length}");
        }
        return sent;
    }

    private static ByteRange? OfPart(S3Request s3, Manifest manifest)
    {
        if (s3.Headers.Range.Count > 0) throw new S3Exception(S3Error.InvalidRequest, "Cannot specify both Range header and partNumber query parameter.");
        var number = s3.QueryInt32("partNumber", 0, 1, MultipartChecksums.PartsMax);
        if (!manifest.IsMultipart)
        {
            if (number == 1) return ByteRange.All(manifest.Length);
            throw NotThere(number, 1);
        }
        if (number > manifest.Parts.Length) throw NotThere(number, manifest.Parts.Length);
        s3.Response.Headers["x-amz-mp-parts-count"] = manifest.Parts.Length.ToString(CultureInfo.InvariantCulture);
        // S3 counts the parts that the object is made of, whatever numbers they were uploaded under.
        var first = manifest.Parts.AsSpan()[..(number - 1)].Sum();
        return new(first, first + manifest.Parts[number - 1].Length - 1);
    }

    private static long Sum(this ReadOnlySpan<ManifestPart> parts)
    {
        var sum = 0L;
        foreach (var part in parts) sum += part.Length;
        return sum;
    }

    private static S3Exception NotThere(int number, int count) => new S3Exception(S3Error.InvalidPartNumber)
        .With("ActualPartCount", count.ToString(CultureInfo.InvariantCulture))
        .With("PartNumberRequested", number.ToString(CultureInfo.InvariantCulture));
}
