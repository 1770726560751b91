using System.Collections.Immutable;
using DarkStorage.GrainInterfaces;
using DarkStorage.GrainInterfaces.Objects;
using DarkStorage.GrainInterfaces.Uploads;
using DarkStorage.Storage;

namespace DarkStorage.Grains.Uploads;

/// <summary>Puts the parts that a client names together to one manifest, or says what is wrong with them. Pure.</summary>
internal static class MultipartAssembly
{
    /// <summary>S3's least size of every part but the last.</summary>
    public const long PartBytesMin = 5L << 20;

    /// <summary>S3's largest object.</summary>
    public const long ObjectBytesMax = 5L << 40;

    /// <param name="stored">Every part the upload has.</param>
    /// <exception cref="StorageException"><see cref="StorageError.InvalidPart"/>, <see cref="StorageError.InvalidPartOrder"/>, <see cref="StorageError.EntityTooSmall"/>,
    /// <see cref="StorageError.EntityTooLarge"/>, <see cref="StorageError.InvalidArgument"/>, <see cref="StorageError.ChecksumMismatch"/>.</exception>
    public static Manifest Assemble(UploadRecord upload, IReadOnlyDictionary<int, ManifestPart> stored, UploadCompletion wanted)
    {
        if (wanted.Parts.IsEmpty) throw new StorageException(StorageError.InvalidArgument, "An upload is completed with at least one part.");
        var parts = ImmutableArray.CreateBuilder<ManifestPart>(wanted.Parts.Length);
        foreach (var named in wanted.Parts)
        {
            if (parts.Count > 0 && named.Number <= parts[^1].Number)
                throw new StorageException(StorageError.InvalidPartOrder, $"Part {named.Number} follows part {parts[^1].Number}.");
            parts.Add(Match(stored, named));
        }
        foreach (var part in parts.Take(parts.Count - 1))
        {
            if (part.Length < PartBytesMin)
                throw new StorageException(StorageError.EntityTooSmall, $"Part {part.Number} has {part.Length} bytes; every part but the last has at least {PartBytesMin}.");
        }
        var length = parts.Sum(p => p.Length);
        if (length > ObjectBytesMax) throw new StorageException(StorageError.EntityTooLarge, $"The parts have {length} bytes together; an object has at most {ObjectBytesMax}.");
        if (wanted.ObjectSize is { } size && size != length)
            throw new StorageException(StorageError.InvalidArgument, $"The request says {size} bytes; the parts have {length}.");
        var checksum = Checksum(upload, parts, wanted.Checksum);
        // The version is the upload's own id, so that a repeated Complete makes the same version.
        return new(new(upload.Id.High, upload.Id.Low), length, MultipartChecksums.ETag(parts.Select(p => (ReadOnlyMemory<byte>)Convert.FromHexString(p.ETag))), checksum, parts.MoveToImmutable(), []);
    }

    private static ManifestPart Match(IReadOnlyDictionary<int, ManifestPart> stored, CompletedPart named)
    {
        if (!stored.TryGetValue(named.Number, out var part)) throw new StorageException(StorageError.InvalidPart, $"There is no part {named.Number}.");
        if (part.ETag != named.ETag) throw new StorageException(StorageError.InvalidPart, $"Part {named.Number} has the ETag {part.ETag}, not {named.ETag}.");
        if (named.Checksum is { } checksum && part.Checksum is { } kept && checksum.Algorithm == kept.Algorithm && checksum != kept)
            throw new StorageException(StorageError.InvalidPart, $"Part {named.Number} has the checksum {kept}, not {checksum}.");
        return part;
    }

    private static Checksum? Checksum(UploadRecord upload, ImmutableArray<ManifestPart>.Builder parts, Checksum? stated)
    {
        if (parts.Any(p => p.Checksum?.Algorithm != upload.ObjectChecksum)) return null;
        var made = MultipartChecksums.Combine(upload.ObjectChecksum, upload.ChecksumType, parts.Select(p => (p.Checksum!, p.Length)));
        if (stated is not null && stated.Algorithm == made.Algorithm && !stated.Value.AsSpan().SequenceEqual(made.Value.AsSpan()))
            throw new StorageException(StorageError.ChecksumMismatch, $"The object has the {made.Algorithm} {made}, not {stated}.");
        return made;
    }
}
