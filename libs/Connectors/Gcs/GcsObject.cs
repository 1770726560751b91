using System.Text.Json.Serialization;
using DarkStorage.Connectors.Google;
using DarkStorage.Storage.Backends;

namespace DarkStorage.Connectors.Gcs;

/// <summary>An object as Cloud Storage tells of it. Numbers of 64 bits come as texts.</summary>
/// <param name="Generation">Of its content: each that is put under a name has another, and later ones have higher ones.</param>
/// <param name="Created">When this content got there.</param>
internal sealed record GcsObject(
    string? Name, long? Size, long? Generation, [property: JsonPropertyName("crc32c")] string? Crc32C, string? Md5Hash, string? StorageClass, [property: JsonPropertyName("timeCreated")] DateTimeOffset? Created)
{
    /// <summary>What is asked for of each object.</summary>
    public const string Fields = "name,size,generation,crc32c,md5Hash,storageClass,timeCreated";

    /// <exception cref="BackendException"><see cref="BackendError.Unavailable"/>: what the server said makes no sense.</exception>
    public BackendBlob ToBlob(BlobName name) => Size is >= 0 and var size && Generation is > 0
        ? new(name, size, Created ?? DateTimeOffset.UnixEpoch)
        : throw new BackendException(BackendError.Unavailable, $"{name}: the server tells of an object without a length or a generation.");
}

/// <summary>What an object gets beside its content.</summary>
/// <param name="Crc32C">Of the content: another one is not taken. Null where it is not known yet.</param>
internal sealed record GcsMetadata(
    string Name, string? StorageClass, [property: JsonPropertyName("crc32c")] string? Crc32C = null, string? Md5Hash = null)
{
    public string ContentType { get; } = GoogleClient.ContentType;

    /// <summary>In a bucket that everybody may read, Google would answer from its caches for an hour, whatever was put or deleted meanwhile.</summary>
    public string CacheControl { get; } = "no-store, no-transform";
}
