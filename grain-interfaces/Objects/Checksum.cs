using System.Collections.Immutable;
using Orleans;

namespace DarkStorage.GrainInterfaces.Objects;

/// <summary>The checksums that S3 lets a client state and keeps with the object.</summary>
public enum ChecksumAlgorithm : byte
{
    None = 0,
    Crc32 = 1,
    Crc32C = 2,
    Crc64Nvme = 3,
    Sha1 = 4,
    Sha256 = 5,
}

/// <summary>What a checksum of a multipart object covers.</summary>
public enum ChecksumType : byte
{
    /// <summary>All bytes of the object.</summary>
    FullObject = 0,
    /// <summary>The checksums of the parts, one after another.</summary>
    Composite = 1,
}

/// <summary>A checksum as it is kept with a version or a part.</summary>
/// <param name="Value">The raw digest, big-endian for the CRCs: 4, 8, 20 or 32 bytes.</param>
/// <param name="Parts">For a composite one, of how many parts; otherwise 0.</param>
[GenerateSerializer, Immutable, Alias("checksum")]
public sealed record Checksum(ChecksumAlgorithm Algorithm, ChecksumType Type, ImmutableArray<byte> Value, int Parts = 0)
{
    /// <summary>Base64, and for a composite one the number of parts: <c>AAAA==-3</c>.</summary>
    public override string ToString()
    {
        var text = Convert.ToBase64String(Value.AsSpan());
        return Type == ChecksumType.Composite ? $"{text}-{Parts}" : text;
    }

    public bool Equals(Checksum? other) =>
        other is not null && Algorithm == other.Algorithm && Type == other.Type && Parts == other.Parts && Value.AsSpan().SequenceEqual(other.Value.AsSpan());

    public override int GetHashCode() => HashCode.Combine(Algorithm, Type, Parts, Value.Length == 0 ? 0 : Value[0]);
}
