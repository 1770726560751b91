using DarkStorage.GrainInterfaces;
using DarkStorage.GrainInterfaces.Objects;

namespace DarkStorage.Micro;

/// <summary>Versions as clients make them.</summary>
internal static class Samples
{
    public static readonly DateTimeOffset Now = new(2026, 1, 2, 3, 4, 5, TimeSpan.Zero);

    private const int PartLength = 8 << 20;
    private static readonly string ETag = new('0', 32);

    /// <summary>An object whose bytes lie in packs.</summary>
    public static ObjectVersion Stored(long revision, int parts) => new(
        new(new((ulong)revision, 7), (long)parts * PartLength, ETag, new(ChecksumAlgorithm.Crc64Nvme, ChecksumType.FullObject, [1, 2, 3, 4, 5, 6, 7, 8]),
            [.. Enumerable.Range(1, parts).Select(n => new ManifestPart(n, BlobId.New(TimeProvider.System), PartLength, ETag, null, [new(2, PartLength / 2)]))], []),
        ObjectMetadata.Default, Now, revision, IsNull: true, "STANDARD", null, "owner", ObjectAttributes.None);

    /// <summary>An object that lies in the index's row.</summary>
    public static ObjectVersion Inline(long revision, byte[] content) => new(
        new(new((ulong)revision, 8), content.Length, ETag, null, [], [.. content]), ObjectMetadata.Default, Now, revision, IsNull: true, "STANDARD", null, "owner", ObjectAttributes.None);
}
