using System.Collections.Immutable;
using Orleans;

namespace DarkStorage.GrainInterfaces.Objects;

/// <summary>What the client said about the content and wants back with it.</summary>
/// <param name="ContentType">As sent; <c>binary/octet-stream</c> where nothing was sent, as AWS has it.</param>
/// <param name="UserMetadata">The <c>x-amz-meta-*</c> headers without that prefix, names in lower case, in the order of their names.</param>
[GenerateSerializer, Immutable, Alias("object-metadata")]
public sealed record ObjectMetadata(
    string ContentType,
    string? CacheControl,
    string? ContentDisposition,
    string? ContentEncoding,
    string? ContentLanguage,
    string? Expires,
    string? WebsiteRedirectLocation,
    ImmutableArray<KeyValuePair<string, string>> UserMetadata)
{
    public static readonly ObjectMetadata Default = new("binary/octet-stream", null, null, null, null, null, null, []);
}

/// <summary>One version of an object as the index keeps it.</summary>
/// <param name="Revision">Grows with each change of the key; every commit names the one it was decided on.</param>
/// <param name="IsNull">Written while the bucket's versioning was off or suspended: S3 calls it "null".</param>
/// <param name="StorageClass">S3's name of it, <c>STANDARD</c> by default.</param>
/// <param name="Upload">The multipart upload that made it, so that a repeated Complete is recognised.</param>
[GenerateSerializer, Immutable, Alias("object-version")]
public sealed record ObjectVersion(
    Manifest Manifest,
    ObjectMetadata Metadata,
    DateTimeOffset Modified,
    long Revision,
    bool IsNull,
    string StorageClass,
    UploadId? Upload);
