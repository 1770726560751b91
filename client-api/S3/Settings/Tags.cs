using System.Collections.Immutable;
using System.Text;

namespace DarkStorage.ClientApi.S3.Settings;

/// <summary>Tags of buckets and objects: as XML, and as the header <c>x-amz-tagging</c>.</summary>
internal static class Tags
{
    public const int OfObjectMax = 10;
    public const int OfBucketMax = 50;

    /// <summary>Characters, as S3 counts them.</summary>
    private const int KeyLengthMax = 128;
    private const int ValueLengthMax = 256;

    /// <summary>A document of fifty tags of the longest keys and values, every character escaped, takes less.</summary>
    public const int BytesMax = 256 << 10;

    /// <param name="tagging">The element that holds <c>TagSet</c>.</param>
    /// <exception cref="S3Exception"><c>MalformedXML</c>, <c>InvalidTag</c>, <c>BadRequest</c>: too many.</exception>
    public static ImmutableArray<KeyValuePair<string, string>> Read(S3Element tagging, int max)
    {
        var tags = ImmutableArray.CreateBuilder<KeyValuePair<string, string>>();
        foreach (var tag in tagging.Allow("TagSet").Require("TagSet").Allow("Tag").Children)
        {
            tag.Allow("Key", "Value");
            tags.Add(new(tag.RawTextOf("Key") ?? throw S3Element.Malformed(), tag.RawTextOf("Value") ?? throw S3Element.Malformed()));
        }
        return Check(tags.ToImmutable(), max);
    }

    /// <summary><c>key1=value1&amp;key2=value2</c>, percent-encoded.</summary>
    /// <exception cref="S3Exception"><c>InvalidArgument</c>: it can't be read; <c>InvalidTag</c>, <c>BadRequest</c>.</exception>
    public static ImmutableArray<KeyValuePair<string, string>> ReadHeader(string? header, int max)
    {
        if (string.IsNullOrEmpty(header)) return [];
        try
        {
            return Check([.. S3Query.Parse(header).Parameters], max);
        }
        catch (S3Exception e) when (e.Error == S3Error.InvalidUri)
        {
            throw S3Exception.InvalidArgument("The header 'x-amz-tagging' shall be encoded as UTF-8 then URLEncoded URL query parameters without tag name duplicates.", "x-amz-tagging", header.Length <= 256 ? header : header[..256]);
        }
    }

    /// <summary>The element <c>TagSet</c>.</summary>
    public static void Write(S3XmlWriter xml, ImmutableArray<KeyValuePair<string, string>> tags)
    {
        xml.Start("TagSet"u8);
        foreach (var (key, value) in tags)
        {
            xml.Start("Tag"u8);
            xml.Element("Key"u8, key);
            xml.Element("Value"u8, value);
            xml.End("Tag"u8);
        }
        xml.End("TagSet"u8);
    }

    private static ImmutableArray<KeyValuePair<string, string>> Check(ImmutableArray<KeyValuePair<string, string>> tags, int max)
    {
        if (tags.Length > max)
            throw new S3Exception(S3Error.BadRequest, max == OfObjectMax ? $"Object tags cannot be greater than {max}" : $"Bucket tag count cannot be greater than {max}");
        var keys = new HashSet<string>(StringComparer.Ordinal);
        foreach (var (key, value) in tags)
        {
            if (key.Length == 0 || Characters(key) > KeyLengthMax) throw new S3Exception(S3Error.InvalidTag, "The TagKey you have provided is invalid").With("TagKey", key.Length <= 256 ? key : key[..256]);
            if (Characters(value) > ValueLengthMax) throw new S3Exception(S3Error.InvalidTag, "The TagValue you have provided is invalid").With("TagKey", key);
            if (key.StartsWith("aws:", StringComparison.OrdinalIgnoreCase)) throw new S3Exception(S3Error.InvalidTag, "System tags cannot be added/updated by requester").With("TagKey", key);
            if (!keys.Add(key)) throw new S3Exception(S3Error.InvalidTag, "Cannot provide multiple Tags with the same key").With("TagKey", key);
        }
        return tags;
    }

    private static int Characters(string text) => text.EnumerateRunes().Count();
}
