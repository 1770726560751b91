using System.Text;
using DarkStorage.Connectors.Google;
using DarkStorage.Storage.Backends;

namespace DarkStorage.Connectors.Gcs;

/// <summary>Where in Cloud Storage.</summary>
/// <param name="Prefix">Of every object's name; empty for none.</param>
/// <param name="StorageClass">Of what is put there; null for the bucket's own.</param>
internal sealed record GcsPlace(string Bucket, string Prefix, string? StorageClass)
{
    /// <summary>Bytes of UTF-8.</summary>
    private const int NameBytesMax = 1024;

    /// <summary>Where authorities for certificates look, and so nothing can be put.</summary>
    private const string ForbiddenPrefix = ".well-known/acme-challenge/";

    /// <summary>Of Cloud Storage's JSON API.</summary>
    private const string ApiPath = "/storage/v1/b/";

    /// <summary>Blobs up to here go in one request, and longer ones in chunks of this. At a gigabit a second and 50 ms to the server, waiting for the answer to each costs a tenth.</summary>
    public long ChunkBytes { get; init; } = 64L << 20;

    /// <summary>Of one page of a list. Cloud Storage gives no more.</summary>
    public int PageObjectsMax { get; init; } = 1000;

    /// <summary>Of the bucket's objects, as is <see cref="UploadPath"/> of what is to be one.</summary>
    public string ObjectsPath => $"{ApiPath}{Bucket}/o";

    public string UploadPath => $"/upload{ObjectsPath}";

    /// <exception cref="BackendException"><see cref="BackendError.Refused"/>: there can't be one of that name.</exception>
    public string KeyOf(BlobName name)
    {
        var key = Prefix + name.Value;
        if (Encoding.UTF8.GetByteCount(key) > NameBytesMax) throw new BackendException(BackendError.Refused, $"{name} has, with what is in front of it there, more than {NameBytesMax} bytes.");
        if (key.StartsWith(ForbiddenPrefix, StringComparison.Ordinal)) throw new BackendException(BackendError.Refused, $"{name}: Cloud Storage takes nothing below {ForbiddenPrefix}.");
        return key;
    }

    public string PathOf(BlobName name) => $"{ObjectsPath}/{GoogleClient.Escape(KeyOf(name))}";

    /// <returns>Where one is copied to another.</returns>
    public string RewritePathOf(BlobName from, BlobName to) => $"{PathOf(from)}/rewriteTo/b/{PathOf(to)[ApiPath.Length..]}";
}
