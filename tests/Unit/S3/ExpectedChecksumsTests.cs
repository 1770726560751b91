using DarkStorage.ClientApi.S3;
using DarkStorage.GrainInterfaces.Objects;
using DarkStorage.Storage;
using Microsoft.AspNetCore.Http;
using Xunit;

namespace DarkStorage.Unit.S3;

public sealed class ExpectedChecksumsTests
{
    private static readonly PayloadHash Trailing = PayloadHash.Parse("STREAMING-UNSIGNED-PAYLOAD-TRAILER");

    public static TheoryData<ChecksumAlgorithm> Algorithms =>
        [ChecksumAlgorithm.Crc32, ChecksumAlgorithm.Crc32C, ChecksumAlgorithm.Crc64Nvme, ChecksumAlgorithm.Sha1, ChecksumAlgorithm.Sha256];

    [Theory, MemberData(nameof(Algorithms))]
    public void A_checksum_in_a_header_or_a_trailer_is_verified_and_kept(ChecksumAlgorithm algorithm)
    {
        var right = Convert.ToBase64String(Digests(algorithm.ToDigest(), "hello"u8).Of(algorithm)!);
        var wrong = Convert.ToBase64String(Digests(algorithm.ToDigest(), "other"u8).Of(algorithm)!);
        var header = ChecksumHeaders.HeaderOf(algorithm);
        foreach (var value in (string[])[right, wrong])
            foreach (var inTrailer in (bool[])[false, true])
            {
                var headers = new HeaderDictionary { [inTrailer ? "x-amz-trailer" : header] = inTrailer ? header : value, ["x-amz-sdk-checksum-algorithm"] = ChecksumHeaders.NameOf(algorithm) };
                var expected = ExpectedChecksums.Parse(headers, Trailing);
                Assert.Equal(algorithm.ToDigest(), expected.Digests);
                KeyValuePair<string, string>[] trailers = inTrailer ? [new(header, value)] : [];
                if (value == right)
                {
                    var kept = expected.Verify(Digests(expected.Digests, "hello"u8), trailers)!;
                    Assert.Equal((algorithm, ChecksumType.FullObject, right), (kept.Algorithm, kept.Type, kept.ToString()));
                    var response = new HeaderDictionary();
                    ChecksumHeaders.Write(response, kept);
                    Assert.Equal((right, "FULL_OBJECT"), ((string?)response[header], (string?)response["x-amz-checksum-type"]));
                }
                else
                {
                    var error = Assert.Throws<S3Exception>(() => expected.Verify(Digests(expected.Digests, "hello"u8), trailers));
                    Assert.Equal(("BadDigest", $"The {ChecksumHeaders.NameOf(algorithm)} you specified did not match the calculated checksum."), (error.Error.Code, error.Message));
                }
            }
    }

    [Fact]
    public void A_client_that_states_nothing_gets_a_CRC64()
    {
        var expected = ExpectedChecksums.Parse(new HeaderDictionary(), PayloadHash.Unsigned);
        Assert.Equal(DigestSet.Crc64Nvme, expected.Digests);
        Assert.Equal(ChecksumAlgorithm.Crc64Nvme, expected.Verify(Digests(expected.Digests, "hello"u8), [])!.Algorithm);
        var part = ExpectedChecksums.Parse(new HeaderDictionary(), PayloadHash.Unsigned, ChecksumAlgorithm.Sha1);
        Assert.Equal(ChecksumAlgorithm.Sha1, part.Verify(Digests(part.Digests, "hello"u8), [])!.Algorithm);
    }

    [Fact]
    public void The_signed_sha256_and_the_md5_are_verified_too()
    {
        var sha = Convert.ToHexStringLower(System.Security.Cryptography.SHA256.HashData("hello"u8));
        var md5 = Convert.ToBase64String(System.Security.Cryptography.MD5.HashData("hello"u8));
        var expected = ExpectedChecksums.Parse(new HeaderDictionary { ["Content-MD5"] = md5 }, PayloadHash.Parse(sha));
        Assert.Equal(DigestSet.Crc64Nvme | DigestSet.Sha256, expected.Digests);
        Assert.NotNull(expected.Verify(Digests(expected.Digests, "hello"u8), []));
        Assert.Equal("XAmzContentSHA256Mismatch", Assert.Throws<S3Exception>(() => expected.Verify(Digests(expected.Digests, "hullo"u8), [])).Error.Code);
        var byMd5 = ExpectedChecksums.Parse(new HeaderDictionary { ["Content-MD5"] = md5 }, PayloadHash.Unsigned);
        Assert.Equal("BadDigest", Assert.Throws<S3Exception>(() => byMd5.Verify(Digests(byMd5.Digests, "hullo"u8), [])).Error.Code);
    }

    [Theory]
    [InlineData("Content-MD5", "x", "InvalidDigest")]
    [InlineData("Content-MD5", "AAAA", "InvalidDigest")]
    [InlineData("Content-MD5", "", "InvalidDigest")]
    [InlineData("x-amz-checksum-crc32", "AAAA", "InvalidRequest")]
    [InlineData("x-amz-checksum-crc32", "AAAAAAA=", "InvalidRequest")]
    [InlineData("x-amz-checksum-crc32", "????????", "InvalidRequest")]
    [InlineData("x-amz-checksum-crc7", "AAAA", "InvalidRequest")]
    [InlineData("x-amz-sdk-checksum-algorithm", "CRC7", "InvalidRequest")]
    [InlineData("x-amz-sdk-checksum-algorithm", "CRC32", "InvalidRequest")]
    [InlineData("x-amz-trailer", "x-other", "InvalidRequest")]
    [InlineData("x-amz-trailer", "x-amz-checksum-crc32,x-amz-checksum-sha1", "InvalidRequest")]
    public void A_header_that_is_no_checksum_is_refused(string header, string value, string code) =>
        Assert.Equal(code, Assert.Throws<S3Exception>(() => ExpectedChecksums.Parse(new HeaderDictionary { [header] = value }, Trailing)).Error.Code);

    [Fact]
    public void Two_checksums_are_one_too_many()
    {
        var error = Assert.Throws<S3Exception>(() => ExpectedChecksums.Parse(
            new HeaderDictionary { ["x-amz-checksum-crc32"] = "AAAAAA==", ["x-amz-checksum-crc32c"] = "AAAAAA==" }, PayloadHash.Unsigned));
        Assert.Equal(("InvalidRequest", "Expecting a single x-amz-checksum- header. Multiple checksum Types are not allowed."), (error.Error.Code, error.Message));
        Assert.Equal("BadDigest", Assert.Throws<S3Exception>(() => ExpectedChecksums.Parse(
            new HeaderDictionary { ["x-amz-checksum-crc32"] = "AAAAAA==", ["x-amz-sdk-checksum-algorithm"] = "SHA1" }, PayloadHash.Unsigned)).Error.Code);
    }

    [Theory]
    [InlineData(null, null, ChecksumAlgorithm.None, ChecksumType.FullObject)]
    [InlineData("CRC32", null, ChecksumAlgorithm.Crc32, ChecksumType.Composite)]
    [InlineData("crc32c", "FULL_OBJECT", ChecksumAlgorithm.Crc32C, ChecksumType.FullObject)]
    [InlineData("SHA256", "COMPOSITE", ChecksumAlgorithm.Sha256, ChecksumType.Composite)]
    [InlineData("CRC64NVME", null, ChecksumAlgorithm.Crc64Nvme, ChecksumType.FullObject)]
    public void A_new_upload_chooses_its_checksum(string? algorithm, string? type, ChecksumAlgorithm chosen, ChecksumType ofType)
    {
        var headers = new HeaderDictionary { ["x-amz-checksum-algorithm"] = algorithm, ["x-amz-checksum-type"] = type };
        Assert.Equal((chosen, ofType), UploadChecksums.OfNewUpload(headers));
    }

    [Theory]
    [InlineData("SHA1", "FULL_OBJECT"), InlineData("CRC64NVME", "COMPOSITE"), InlineData("MD5", null), InlineData(null, "COMPOSITE"), InlineData("CRC32", "HALF")]
    public void A_new_upload_can_not_choose_what_S3_does_not_have(string? algorithm, string? type)
    {
        var headers = new HeaderDictionary { ["x-amz-checksum-algorithm"] = algorithm, ["x-amz-checksum-type"] = type };
        Assert.Equal("InvalidRequest", Assert.Throws<S3Exception>(() => UploadChecksums.OfNewUpload(headers)).Error.Code);
    }

    [Fact]
    public void A_completion_may_state_the_checksum_of_the_object()
    {
        Assert.Null(UploadChecksums.OfCompletion(new HeaderDictionary()));
        Assert.Equal(new Checksum(ChecksumAlgorithm.Crc32, ChecksumType.FullObject, [0, 0, 0, 0]), UploadChecksums.OfCompletion(new HeaderDictionary { ["x-amz-checksum-crc32"] = "AAAAAA==" }));
        Assert.Equal(new Checksum(ChecksumAlgorithm.Crc32, ChecksumType.Composite, [0, 0, 0, 0], 3), UploadChecksums.OfCompletion(new HeaderDictionary { ["x-amz-checksum-crc32"] = "AAAAAA==-3" }));
        foreach (var bad in (string[])["AAAAAA==-0", "AAAAAA==-x", "AAAAAA==-", "AAAA"])
            Assert.Equal("InvalidRequest", Assert.Throws<S3Exception>(() => UploadChecksums.OfCompletion(new HeaderDictionary { ["x-amz-checksum-crc32"] = bad })).Error.Code);
    }

    private static ContentDigests Digests(DigestSet wanted, ReadOnlySpan<byte> content)
    {
        using var hasher = new ContentHasher(wanted);
        hasher.Append(content);
        return hasher.Finish();
    }
}
