using DarkStorage.Storage;
using Xunit;

namespace DarkStorage.Unit.Hashing;

public sealed class CrcTests(ITestOutputHelper output)
{
    public static TheoryData<int> Seeds => [1, 2, 3, Random.Shared.Next()];

    [Fact]
    public void The_checksums_have_their_published_check_values()
    {
        Assert.Equal(0xCBF43926u, Crc32.Append(0, "123456789"u8));
        Assert.Equal(0xE3069283u, Crc32C.Append(0, "123456789"u8));
        Assert.Equal(0xAE8B14860A799888ul, Crc64Nvme.Append(0, "123456789"u8));
    }

    [Theory, MemberData(nameof(Seeds))]
    public void Every_way_of_computing_agrees_with_one_bit_at_a_time(int seed)
    {
        output.WriteLine($"seed {seed}");
        var random = new Random(seed);
        var content = new byte[5000];
        random.NextBytes(content);
        for (var i = 0; i < 400; i++)
        {
            var length = i < 300 ? i : random.Next(300, 4900);
            var bytes = content.AsSpan(random.Next(0, 64), length);
            var (start32, start64) = ((uint)random.NextInt64(), (ulong)random.NextInt64());

            Assert.Equal((uint)BitByBit(start32, bytes, 0xEDB88320, 32), Crc32.Append(start32, bytes));
            Assert.Equal((uint)BitByBit(start32, bytes, 0x82F63B78, 32), Crc32C.Append(start32, bytes));
            Assert.Equal(BitByBit(start64, bytes, 0x9A6C9329AC4BC9B5, 64), Crc64Nvme.Append(start64, bytes));
            foreach (var polynomial in (CrcPolynomial[])[Crc32.Polynomial, Crc32C.Polynomial, Crc64Nvme.Polynomial])
            {
                if (length < 64 || !System.Runtime.Intrinsics.X86.Pclmulqdq.IsSupported) continue;
                Assert.Equal(polynomial.UpdateByTable(start32, bytes), polynomial.UpdateFolding(start32, bytes));
            }
        }
    }

    [Theory, MemberData(nameof(Seeds))]
    public void Two_checksums_combine_to_that_of_the_bytes_in_a_row(int seed)
    {
        output.WriteLine($"seed {seed}");
        var random = new Random(seed);
        var content = new byte[100_000];
        random.NextBytes(content);
        for (var i = 0; i < 200; i++)
        {
            var whole = content.AsSpan(0, random.Next(content.Length));
            var cut = i == 0 ? 0 : i == 1 ? whole.Length : random.Next(whole.Length + 1);
            var a = whole[..cut];
            var b = whole[cut..];
            Assert.Equal(Crc32.Append(0, whole), Crc32.Combine(Crc32.Append(0, a), Crc32.Append(0, b), b.Length));
            Assert.Equal(Crc32C.Append(0, whole), Crc32C.Combine(Crc32C.Append(0, a), Crc32C.Append(0, b), b.Length));
            Assert.Equal(Crc64Nvme.Append(0, whole), Crc64Nvme.Combine(Crc64Nvme.Append(0, a), Crc64Nvme.Append(0, b), b.Length));
        }
    }

    [Fact]
    public void Combining_is_right_past_4_GiB()
    {
        // CRC(A ++ 5 GiB of zeros), once at a stroke and once doubling 5 bytes thirty times.
        var zeros = Crc64Nvme.Append(0, new byte[5]);
        var length = 5L;
        for (var i = 0; i < 30; i++)
        {
            zeros = Crc64Nvme.Combine(zeros, zeros, length);
            length *= 2;
        }
        var halves = Crc64Nvme.Append(0, "abc"u8);
        var half = Crc64Nvme.Append(0, new byte[5]);
        var halfLength = 5L;
        for (var i = 0; i < 29; i++)
        {
            half = Crc64Nvme.Combine(half, half, halfLength);
            halfLength *= 2;
        }
        halves = Crc64Nvme.Combine(Crc64Nvme.Combine(halves, half, halfLength), half, halfLength);
        Assert.Equal(halves, Crc64Nvme.Combine(Crc64Nvme.Append(0, "abc"u8), zeros, length));
    }

    private static ulong BitByBit(ulong checksum, ReadOnlySpan<byte> bytes, ulong polynomial, int width)
    {
        var ones = ulong.MaxValue >> (64 - width);
        var crc = checksum ^ ones;
        foreach (var b in bytes)
        {
            crc ^= b;
            for (var bit = 0; bit < 8; bit++) crc = (crc & 1) != 0 ? crc >> 1 ^ polynomial : crc >> 1;
        }
        return crc ^ ones;
    }
}
