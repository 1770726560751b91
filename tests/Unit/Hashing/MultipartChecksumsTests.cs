using System.Security.Cryptography;
using DarkStorage.GrainInterfaces;
using DarkStorage.GrainInterfaces.Objects;
using DarkStorage.Storage;
using Xunit;

namespace DarkStorage.Unit.Hashing;

public sealed class MultipartChecksumsTests(ITestOutputHelper output)
{
    public static TheoryData<int> Seeds => [1, 2, Random.Shared.Next()];

    [Theory, MemberData(nameof(Seeds))]
    public void A_full_object_checksum_is_that_of_the_whole_content(int seed)
    {
        output.WriteLine($"seed {seed}");
        var random = new Random(seed);
        var content = new byte[random.Next(1, 200_000)];
        random.NextBytes(content);
        var parts = Cut(content, random);
        foreach (var algorithm in (ChecksumAlgorithm[])[ChecksumAlgorithm.Crc32, ChecksumAlgorithm.Crc32C, ChecksumAlgorithm.Crc64Nvme])
        {
            var combined = MultipartChecksums.Combine(algorithm, ChecksumType.FullObject, parts.Select(p => (Of(p, algorithm), (long)p.Length)));
            Assert.Equal(Of(content, algorithm), combined);
        }
    }

    [Theory]
    [InlineData(ChecksumAlgorithm.Crc32), InlineData(ChecksumAlgorithm.Crc32C), InlineData(ChecksumAlgorithm.Sha1), InlineData(ChecksumAlgorithm.Sha256)]
    public void A_composite_checksum_is_the_digest_of_the_parts_digests(ChecksumAlgorithm algorithm)
    {
        byte[][] parts = [[1, 2, 3], [4], []];
        var digests = parts.SelectMany(p => Of(p, algorithm).Value).ToArray();
        var combined = MultipartChecksums.Combine(algorithm, ChecksumType.Composite, parts.Select(p => (Of(p, algorithm), (long)p.Length)));
        Assert.Equal(Of(digests, algorithm).Value, combined.Value);
        Assert.EndsWith("-3", combined.ToString(), StringComparison.Ordinal);
    }

    [Fact]
    public void Pairs_that_S3_does_not_have_are_refused()
    {
        foreach (var algorithm in Enum.GetValues<ChecksumAlgorithm>())
            foreach (var type in Enum.GetValues<ChecksumType>())
            {
                if (MultipartChecksums.IsAllowed(algorithm, type)) continue;
                var error = Assert.Throws<StorageException>(() => MultipartChecksums.Combine(algorithm, type, []));
                Assert.Equal(StorageError.InvalidArgument, error.Error);
            }
        Assert.True(MultipartChecksums.IsAllowed(ChecksumAlgorithm.Sha256, MultipartChecksums.DefaultType(ChecksumAlgorithm.Sha256)));
        Assert.True(MultipartChecksums.IsAllowed(ChecksumAlgorithm.Crc64Nvme, MultipartChecksums.DefaultType(ChecksumAlgorithm.Crc64Nvme)));
        Assert.Equal(ChecksumType.Composite, MultipartChecksums.DefaultType(ChecksumAlgorithm.Crc32));
    }

    [Fact]
    public void A_part_of_another_algorithm_is_an_invalid_part()
    {
        var error = Assert.Throws<StorageException>(() =>
            MultipartChecksums.Combine(ChecksumAlgorithm.Crc32, ChecksumType.FullObject, [(Of([1], ChecksumAlgorithm.Crc32C), 1)]));
        Assert.Equal(StorageError.InvalidPart, error.Error);
    }

    [Fact]
    public void The_etag_is_the_md5_of_the_parts_md5s()
    {
        var a = MD5.HashData("a"u8);
        var b = MD5.HashData("b"u8);
        var expected = Convert.ToHexStringLower(MD5.HashData([.. a, .. b])) + "-2";
        Assert.Equal(expected, MultipartChecksums.ETag([a, b]));
    }

    private static Checksum Of(byte[] bytes, ChecksumAlgorithm algorithm)
    {
        using var hasher = new ContentHasher(algorithm.ToDigest());
        hasher.Append(bytes);
        return new(algorithm, ChecksumType.FullObject, [.. hasher.Finish().Of(algorithm)!]);
    }

    private static List<byte[]> Cut(byte[] content, Random random)
    {
        var parts = new List<byte[]>();
        for (var at = 0; at < content.Length;)
        {
            var length = Math.Min(content.Length - at, random.Next(0, 50_000));
            parts.Add(content[at..(at + length)]);
            at += length;
        }
        return parts;
    }
}
