using System.Collections.Immutable;
using System.Globalization;
using DarkStorage.GrainInterfaces.Objects;
using DarkStorage.GrainInterfaces.Uploads;
using DarkStorage.Storage;

namespace DarkStorage.ClientApi.S3;

/// <summary>The body of CompleteMultipartUpload.</summary>
internal static class CompleteMultipartUploadRequest
{
    /// <summary>10,000 parts with a SHA-256 each take less.</summary>
    public const int BytesMax = 4 << 20;

    /// <returns>At least one part, in the order of the request: whether that is ascending is the upload's to say.</returns>
    /// <exception cref="S3Exception"><c>MalformedXML</c>; <c>InvalidArgument</c>: a number that no part can have; <c>InvalidRequest</c>: a checksum that is none.</exception>
    public static ImmutableArray<CompletedPart> Parse(byte[] document)
    {
        using var xml = S3XmlReader.Open(document, "CompleteMultipartUpload");
        var parts = ImmutableArray.CreateBuilder<CompletedPart>();
        while (xml.TryEnterChild(out var name))
        {
            if (name != "Part" || parts.Count == MultipartChecksums.PartsMax) throw S3XmlReader.Malformed();
            parts.Add(ParsePart(xml));
        }
        xml.Finish();
        return parts.Count > 0 ? parts.ToImmutable() : throw S3XmlReader.Malformed();
    }

    private static CompletedPart ParsePart(S3XmlReader xml)
    {
        int? number = null;
        string? etag = null;
        Checksum? checksum = null;
        while (xml.TryEnterChild(out var name))
        {
            var text = xml.ReadText();
            if (name == "PartNumber" && number is null) number = ParseNumber(text);
            else if (name == "ETag" && etag is null) etag = EntityTag.Unquoted(text);
            else if (AlgorithmOf(name) is var algorithm and not ChecksumAlgorithm.None && checksum is null)
                checksum = new(algorithm, ChecksumType.FullObject, [.. ChecksumHeaders.Decode(algorithm, text.Trim())]);
            else throw S3XmlReader.Malformed();
        }
        return number is { } valid && !string.IsNullOrEmpty(etag) ? new(valid, etag, checksum) : throw S3XmlReader.Malformed();
    }

    private static int ParseNumber(string text)
    {
        if (!int.TryParse(text.AsSpan().Trim(), NumberStyles.AllowLeadingSign, CultureInfo.InvariantCulture, out var number)) throw S3XmlReader.Malformed();
        if (number is >= 1 and <= MultipartChecksums.PartsMax) return number;
        throw S3Exception.InvalidArgument("PartNumber must be >= 1 and <= 10000", "partNumber", text);
    }

    private static ChecksumAlgorithm AlgorithmOf(string element) =>
        element.StartsWith("Checksum", StringComparison.Ordinal) ? ChecksumHeaders.AlgorithmNamed(element["Checksum".Length..]) : ChecksumAlgorithm.None;
}
