using System.Collections.Immutable;
using System.Globalization;

namespace DarkStorage.ClientApi.S3;

/// <summary>The body of DeleteObjects.</summary>
/// <param name="Quiet">Answer only what failed.</param>
internal sealed record DeleteObjectsRequest(bool Quiet, ImmutableArray<DeleteObjectsRequest.Entry> Objects)
{
    public const int ObjectsMax = 1000;

    /// <summary>1,000 keys of 1,024 bytes, written as references, take less.</summary>
    public const int BytesMax = 8 << 20;

    /// <param name="Key">May be longer than a key can be: then it alone fails.</param>
    /// <param name="VersionId">As sent, or null.</param>
    /// <param name="ETag">Without quotes: delete only that content; or null.</param>
    /// <param name="Modified">Delete only a version of that time, to the second; or null.</param>
    /// <param name="Size">Delete only a version of that length; or null.</param>
    internal readonly record struct Entry(string Key, string? VersionId, string? ETag, DateTimeOffset? Modified, long? Size);

    /// <exception cref="S3Exception"><c>MalformedXML</c>, also for more than <see cref="ObjectsMax"/> objects.</exception>
    public static DeleteObjectsRequest Parse(byte[] document)
    {
        using var xml = S3XmlReader.Open(document, "Delete");
        var quiet = false;
        var objects = ImmutableArray.CreateBuilder<Entry>();
        while (xml.TryEnterChild(out var name))
        {
            if (name == "Quiet") quiet = ParseBoolean(xml.ReadText());
            else if (name == "Object" && objects.Count < ObjectsMax) objects.Add(ParseEntry(xml));
            else throw S3XmlReader.Malformed();
        }
        xml.Finish();
        return objects.Count > 0 ? new(quiet, objects.ToImmutable()) : throw S3XmlReader.Malformed();
    }

    private static Entry ParseEntry(S3XmlReader xml)
    {
        string? key = null, versionId = null, etag = null;
        DateTimeOffset? modified = null;
        long? size = null;
        while (xml.TryEnterChild(out var name))
        {
            var text = xml.ReadText();
            switch (name)
            {
                case "Key" when key is null: key = text; break;
                case "VersionId" when versionId is null: versionId = text; break;
                case "ETag" when etag is null: etag = EntityTag.Unquoted(text); break;
                case "LastModifiedTime" when modified is null: modified = ParseTime(text); break;
                case "Size" when size is null: size = ParseSize(text); break;
                default: throw S3XmlReader.Malformed();
            }
        }
        return string.IsNullOrEmpty(key) ? throw S3XmlReader.Malformed() : new(key, string.IsNullOrEmpty(versionId) ? null : versionId, etag, modified, size);
    }

    /// <summary>ISO 8601, or HTTP's date, which some SDKs send.</summary>
    private static DateTimeOffset ParseTime(string text) =>
        DateTimeOffset.TryParse(text, CultureInfo.InvariantCulture, DateTimeStyles.AssumeUniversal, out var time) ? time : throw S3XmlReader.Malformed();

    private static long ParseSize(string text) => long.TryParse(text, NumberStyles.None, CultureInfo.InvariantCulture, out var size) ? size : throw S3XmlReader.Malformed();

    private static bool ParseBoolean(string text) => text.Trim().ToLowerInvariant() switch
    {
        "true" or "1" => true,
        "false" or "0" or "" => false,
        _ => throw S3XmlReader.Malformed(),
    };
}
