using System.Buffers.Binary;
using DarkStorage.GrainInterfaces;
using DarkStorage.GrainInterfaces.Objects;
using DarkStorage.GrainInterfaces.Uploads;
using DarkStorage.Metadata;
using Xunit;

namespace DarkStorage.Unit.Metadata;

/// <summary>How the encryption of a version and of an upload is kept, and that rows of before are still read.</summary>
public sealed class DetailCodecTests
{
    private static readonly DateTimeOffset Now = new(2026, 1, 2, 3, 4, 5, TimeSpan.Zero);

    public static TheoryData<string> Encryptions => [.. Made.Keys];

    private static readonly Dictionary<string, ContentEncryption> Made = new()
    {
        ["SSE-S3"] = new(EncryptionMode.SseS3, null, null, [1, 2, 3], [], false),
        ["SSE-KMS"] = new(EncryptionMode.SseKms, "arn:aws:kms:eu:1:key/schlüssel", """{"a":"ü"}""", [.. new byte[300]], [], true),
        ["SSE-C"] = new(EncryptionMode.SseC, null, null, [9], [.. new byte[64]], false),
    };

    [Theory, MemberData(nameof(Encryptions))]
    public void The_encryption_of_a_version_and_of_an_upload_reads_back(string name)
    {
        var encryption = Made[name];
        var version = Version() with { Encryption = encryption };
        var detail = DetailCodec.Encode(version);
        Assert.Equal(encryption, DetailCodec.Decode(detail, Columns(version)).Encryption);
        Assert.Equal(3, DetailCodec.DecodeHeld(detail).Change);
        Assert.Equal(encryption, DetailCodec.DecodeUpload(DetailCodec.Encode(Upload() with { Encryption = encryption }), new(7, 8), new(5), "key").Encryption);
    }

    [Fact]
    public void A_version_of_format_2_has_all_it_had_and_no_encryption()
    {
        var version = Version();
        var read = DetailCodec.Decode(AsFormat2(DetailCodec.Encode(version), behind: sizeof(uint)), Columns(version));
        Assert.Null(read.Encryption);
        Assert.Equal((version.Owner, version.Attributes.LegalHold, version.Attributes.Change), (read.Owner, read.Attributes.LegalHold, read.Attributes.Change));
    }

    [Fact]
    public void An_upload_of_format_2_has_all_it_had_and_no_encryption()
    {
        var read = DetailCodec.DecodeUpload(AsFormat2(DetailCodec.Encode(Upload()), behind: 0), new(7, 8), new(5), "key");
        Assert.Equal((null, "owner", "initiator"), (read.Encryption, read.Owner, read.Initiator));
    }

    [Fact]
    public void An_encryption_with_a_flipped_bit_is_answered_as_damaged()
    {
        var version = Version() with { Encryption = Made["SSE-KMS"] };
        var detail = DetailCodec.Encode(version);
        detail[^50] ^= 1; // in the wrapped key
        Assert.Equal(StorageError.DataDamaged, Assert.Throws<StorageException>(() => DetailCodec.Decode(detail, Columns(version))).Error);
    }

    [Fact]
    public void Where_the_bytes_are_outside_and_what_they_were_sealed_as_read_back()
    {
        ManifestPart[] parts = [new(1, new(1, 1), 5, "e", null, [new(1, 5)], SealedAs: new(7, 7)), new(2, new(2, 2), 0, "f", null, []), new(3, new(3, 3), 9, "g", null, [new(1, 9)])];
        var version = Version() with { Manifest = Version().Manifest with { Inline = [], Parts = [.. parts], Place = new("näs", new(8, 9)) } };
        var detail = DetailCodec.Encode(version);

        var read = DetailCodec.Decode(detail, Columns(version)).Manifest;
        var (change, blobs) = DetailCodec.DecodeHeld(detail);

        Assert.Equal(version.Manifest.Place, read.Place);
        Assert.Equal(parts.Select(p => (p.Blob, p.SealedAs, p.SealId)), read.Parts.Select(p => (p.Blob, p.SealedAs, p.SealId)));
        Assert.Equal(3, change);
        Assert.Equal<BlobId>([new(8, 9)], blobs);
        Assert.Equal<BlobId>([new(1, 1), new(2, 2), new(3, 3)], DetailCodec.DecodeHeld(DetailCodec.Encode(version with { Manifest = version.Manifest with { Place = null } })).Blobs);
    }

    [Fact]
    public void A_version_whose_bytes_never_were_outside_is_written_as_programs_from_before_read_it() =>
        Assert.Equal(3, DetailCodec.Encode(Version() with { Manifest = Version().Manifest with { Parts = [new(1, new(1, 1), 3, "e", null, [new(1, 3)])] } })[0]);

    [Theory, InlineData(false), InlineData(true)]
    public void What_was_asked_for_of_an_archived_version_reads_back(bool isOutside)
    {
        foreach (var restore in (ArchiveRestore[])[new(3, WarmUpSpeed.Bulk), new(36_500, WarmUpSpeed.Expedited, Now)])
        {
            var version = Version() with { StorageClass = "GLACIER", Restore = restore };
            if (isOutside) version = version with { Manifest = version.Manifest with { Inline = [], Parts = [new(1, new(1, 1), 3, "e", null, [new(1, 3)])], Place = new("nas", new(8, 9)) } };
            var detail = DetailCodec.Encode(version);
            var read = DetailCodec.Decode(detail, Columns(version));
            Assert.Equal((restore, version.Manifest.Place), (read.Restore, read.Manifest.Place));
            Assert.Equal(version.Manifest.Blobs, DetailCodec.DecodeHeld(detail).Blobs);
            Assert.Null(DetailCodec.Decode(DetailCodec.Encode(version with { Restore = null }), Columns(version)).Restore);
        }
    }

    [Fact]
    public void A_place_with_a_flipped_bit_is_answered_as_damaged()
    {
        var version = Version() with { Manifest = Version().Manifest with { Place = new("nas", new(8, 9)) } };
        var detail = DetailCodec.Encode(version);
        detail[^12] ^= 1; // in the blob's id
        Assert.Equal(StorageError.DataDamaged, Assert.Throws<StorageException>(() => DetailCodec.DecodeHeld(detail)).Error);
    }

    /// <summary>Format 2 differs in the byte that says "no encryption", which it does not have.</summary>
    /// <param name="behind">Bytes between that byte and the checksum of the detail.</param>
    private static byte[] AsFormat2(byte[] detail, int behind)
    {
        var at = detail.Length - sizeof(uint) - behind - 1;
        Assert.Equal((3, 0), (detail[0], detail[at]));
        byte[] older = [2, .. detail[1..at], .. detail[(at + 1)..]];
        BinaryPrimitives.WriteUInt32BigEndian(older.AsSpan(older.Length - sizeof(uint)), ~DetailCodec.Crc(uint.MaxValue, older.AsSpan(0, older.Length - sizeof(uint))));
        return older;
    }

    private static ObjectVersion Version() => new(
        new(new(1, 2), 3, "0123456789abcdef0123456789abcdef", null, [], [1, 2, 3]), ObjectMetadata.Default, Now, 42, true, "STANDARD", null, "owner",
        new(3, [], null, null, LegalHold: true));

    private static VersionColumns Columns(ObjectVersion version) => new(
        version.Manifest.Version, version.Manifest.Length, version.Manifest.ETag, version.Modified, version.Revision, version.IsNull, version.IsDeleteMarker,
        version.StorageClass, version.Owner, version.Manifest.Inline);

    private static UploadRecord Upload() => new(
        new(7, 8), new(5), "bucket", "key", "initiator", "owner", Now, ObjectMetadata.Default, "STANDARD", ChecksumAlgorithm.None, ChecksumType.FullObject, ObjectAttributes.None);
}
