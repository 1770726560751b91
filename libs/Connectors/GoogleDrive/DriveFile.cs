using System.Buffers.Binary;
using System.Buffers.Text;
using System.Security.Cryptography;
using System.Text;
using DarkStorage.Connectors.Google;
using DarkStorage.Storage.Backends;

namespace DarkStorage.Connectors.GoogleDrive;

/// <summary>One content that a blob has or had, as the properties of its file say it. Of a name's files the last version is the blob.</summary>
/// <param name="Id">Drive's.</param>
/// <param name="Key">SHA-256 of the blob's name, in Base64 for URLs: what its files are found by. Queries for names ignore case, and find some names not at all.</param>
/// <param name="Version">See <see cref="RecordVersion"/>.</param>
/// <param name="Length">Of the content; of one that is to be made, as it is to be.</param>
/// <param name="Hashes">As they were before it was sent.</param>
internal sealed record DriveFile(string Id, string Key, string Version, long Length, ContentHashes Hashes)
{
    private const string KeyProperty = "darkstorage-blob";
    private const string VersionProperty = "darkstorage-version";
    private const string Sha256Property = "darkstorage-sha256";
    private const string Md5Property = "darkstorage-md5";

    /// <summary>The file's name, where it is one of this blob's: null where somebody has renamed it.</summary>
    public BlobName? Name { get; init; }

    public DateTimeOffset Created { get; init; }

    /// <summary>Drive says that it has what was to be sent.</summary>
    public bool IsVerified { get; init; }

    /// <summary>Drive says that it has something else: a put that went wrong, or somebody who has changed it. It is no blob.</summary>
    public bool IsWrong { get; init; }

    /// <returns>Null where it is no file of the place: others' have not these properties.</returns>
    public static DriveFile? Find(DrivePlace place, DriveResource? resource)
    {
        if (resource is not { Properties: { } said, Size: >= 0 and var size } || !DriveResource.IsId(resource.Id) || resource.Trashed == true || resource.MimeType == DriveResource.FolderType) return null;
        if (said.GetValueOrDefault(DrivePlace.PlaceProperty) != place.Folder || said.GetValueOrDefault(KeyProperty) is not { } key) return null;
        if (said.GetValueOrDefault(VersionProperty) is not { } version || RecordVersion.NumberOf(version) is null) return null;
        if (said.GetValueOrDefault(Sha256Property) is not { Length: 64 } sha256 || !sha256.All(char.IsAsciiHexDigitLower) || said.GetValueOrDefault(Md5Property) is not { } md5) return null;
        var isKnown = resource.Sha256Checksum is not null || resource.Md5Checksum is not null;
        var isOther = (resource.Sha256Checksum ?? sha256) != sha256 || (resource.Md5Checksum ?? md5) != md5;
        return new(resource.Id!, key, version, size, new(sha256, md5))
        {
            Name = BlobName.Find(resource.Name ?? "") is { } name && KeyOf(name) == key ? name : null,
            Created = resource.CreatedTime ?? DateTimeOffset.UnixEpoch,
            IsVerified = isKnown && !isOther,
            IsWrong = isOther,
        };
    }

    public static string KeyOf(BlobName name) => Base64Url.EncodeToString(SHA256.HashData(Encoding.UTF8.GetBytes(name.Value)));

    /// <summary>Finds the files of a name.</summary>
    public static string QueryFor(string key) => DriveApi.Has(KeyProperty, key);

    /// <summary>What is remembered of the key where there are very many: half of a hash of whatever somebody has written there, which is enough to tell names apart.</summary>
    public UInt128 ShortKey => BinaryPrimitives.ReadUInt128LittleEndian(SHA256.HashData(Encoding.UTF8.GetBytes(Key)));

    /// <summary>As <see cref="Version"/>, in a fifth of the memory.</summary>
    public UInt128 VersionNumber => RecordVersion.NumberOf(Version)!.Value;

    /// <param name="other">Null for none.</param>
    public static bool IsLater(DriveFile one, DriveFile? other) => string.CompareOrdinal(one.Version, other?.Version) is var order && (order > 0 || (order == 0 && string.CompareOrdinal(one.Id, other?.Id) > 0));

    /// <returns>The blob; null where there is none.</returns>
    public static DriveFile? LastOf(IEnumerable<DriveFile> files) => files.Where(f => !f.IsWrong).Aggregate((DriveFile?)null, (last, file) => IsLater(file, last) ? file : last);

    public bool HasSame(long length, ContentHashes hashes) => Length == length && Hashes == hashes;

    public DriveMetadata ToMetadata(DrivePlace place, BlobName name, string folder) => new(Id, name.Value, GoogleClient.ContentType, [folder], new Dictionary<string, string>
    {
        [DrivePlace.PlaceProperty] = place.Folder, [KeyProperty] = Key, [VersionProperty] = Version, [Sha256Property] = Hashes.Sha256, [Md5Property] = Hashes.Md5,
    });

    public BackendBlob ToBlob(BlobName name) => new(name, Length, Created);
}

/// <summary>In hexadecimal digits, as Drive says them.</summary>
internal sealed record ContentHashes(string Sha256, string Md5);
