using DarkStorage.GrainInterfaces.Objects;

namespace DarkStorage.Metadata;

/// <summary>The "flags" and "storage_class" columns of a version's row: what listings need to know without its detail.</summary>
internal static class VersionFlags
{
    public const long Null = 1;
    public const long DeleteMarker = 2;

    /// <summary>Its bytes are outside, in the one blob that its row names.</summary>
    public const long Outside = 4;

    public const string StandardClass = "STANDARD";

    private const int ChecksumAlgorithmShift = 8;
    private const int ChecksumTypeShift = 16;

    public static long Of(ObjectVersion version) =>
        (version.IsNull ? Null : 0)
        | (version.IsDeleteMarker ? DeleteMarker : 0)
        | (version.Manifest.Place is not null ? Outside : 0)
        | (long)(version.Manifest.Checksum?.Algorithm ?? ChecksumAlgorithm.None) << ChecksumAlgorithmShift
        | (long)(version.Manifest.Checksum?.Type ?? ChecksumType.FullObject) << ChecksumTypeShift;

    public static ChecksumAlgorithm AlgorithmOf(long flags) => (ChecksumAlgorithm)(byte)(flags >> ChecksumAlgorithmShift);

    public static ChecksumType TypeOf(long flags) => (ChecksumType)(byte)(flags >> ChecksumTypeShift);

    /// <summary>Null stands for the usual class.</summary>
    public static string? StoredClass(string storageClass) => storageClass == StandardClass ? null : storageClass;
}
