using System.Globalization;
using DarkStorage.Storage.ErasureCoding;
using Xunit;

namespace DarkStorage.Unit.ErasureCoding;

public sealed class ErasureCodeTests(ITestOutputHelper output)
{
    public static TheoryData<int> Seeds => [1, 2, 3, Random.Shared.Next()];

    public static TheoryData<string> Kernels => [.. ErasureKernel.All.SkipLast(1).Where(kernel => kernel.IsSupported).Select(kernel => kernel.Name)];

    [Fact]
    public void A_stripe_of_5_and_5_has_the_published_parity()
    {
        // The vector of Backblaze's JavaReedSolomon (ReedSolomonTest) and of klauspost/reedsolomon (TestOneEncode).
        foreach (var kernel in ErasureKernel.All.Where(kernel => kernel.IsSupported))
        {
            var shards = Stripe.Of([[0, 1], [4, 5], [2, 3], [6, 7], [8, 9]], parity: 5);
            ErasureCode.Create(5, 5, kernel).Encode(shards);
            Assert.Equal([[12, 13], [10, 11], [14, 15], [90, 91], [94, 95]], shards.Parity);
        }
    }

    /// <summary>xxHash64 over each shard's number and bytes, of the bytes 0 to 255 in as few bytes a shard as hold them: figures of the self-test that MinIO's server makes
    /// at its start, with klauspost/reedsolomon.</summary>
    [Theory]
    [InlineData(2, 2, 0x23FB21BE2496F5D3)]
    [InlineData(2, 3, 0xA5CD5600BA0D8E7C)]
    [InlineData(3, 1, 0x60AB052148B010B4)]
    [InlineData(3, 2, 0xE64927DAEF76435A)]
    [InlineData(3, 4, 0x571E41BA23A6DC6)]
    [InlineData(4, 1, 0x524EAA814D5D86E2)]
    [InlineData(4, 2, 0x62B9552945504FEF)]
    [InlineData(4, 5, 0xBF2D27B55370113F)]
    [InlineData(5, 3, 0x7AD9161ACBB4C325)]
    [InlineData(5, 6, 0x7B5598A85045BFB8)]
    [InlineData(6, 3, 0x39EF92D0A74CC3C0)]
    [InlineData(6, 7, 0xB1A0E2427AC2DC1A)]
    [InlineData(7, 2, 0x5FD13A734D27D37A)]
    [InlineData(14, 1, 0x78A28BBAEC57996E)]
    public void A_stripe_has_the_bytes_that_another_implementation_makes(int data, int parity, ulong hash)
    {
        const int Content = 256;
        var length = (Content + data - 1) / data;
        var content = new byte[length * data];
        for (var i = 0; i < Content; i++) content[i] = (byte)i;
        foreach (var kernel in ErasureKernel.All.Where(kernel => kernel.IsSupported))
        {
            var shards = Stripe.Of([.. content.Chunk(length)], parity);
            ErasureCode.Create(data, parity, kernel).Encode(shards);
            Assert.Equal(hash, XxHash64.Of([.. shards.All.SelectMany((shard, i) => shard.Prepend((byte)i))]));
        }
    }

    [Fact]
    public void Every_loss_of_as_many_shards_as_there_are_parities_is_made_good_in_all_shapes_of_up_to_12_shards()
    {
        var patterns = 0;
        for (var data = 1; data <= 11; data++)
        {
            for (var parity = 1; data + parity <= 12; parity++)
            {
                var code = ErasureCode.Create(data, parity);
                var whole = Stripe.Random(new Random(data * 100 + parity), data, parity, length: 3);
                code.Encode(whole);
                // Losing fewer is losing as many and being asked for fewer, which the test by seed does.
                for (var lost = 0u; lost < 1u << code.Shards; lost++)
                {
                    if (uint.PopCount(lost) != parity) continue;
                    AssertRebuilds(code, whole, Of(lost), Of(lost));
                    patterns++;
                }
            }
        }
        output.WriteLine(string.Create(CultureInfo.InvariantCulture, $"{patterns} patterns"));
        Assert.Equal(8166, patterns);   // the sum of all binomials of 2 to 12, without the first and the last of each
    }

    [Theory, MemberData(nameof(Seeds))]
    public void Any_loss_in_any_shape_is_made_good_and_only_what_is_asked_for_is_written(int seed)
    {
        output.WriteLine($"seed {seed}");
        var random = new Random(seed);
        for (var i = 0; i < 300; i++)
        {
            var code = ErasureCode.Create(random.Next(1, ErasureCode.DataMax + 1), random.Next(1, ErasureCode.ParityMax + 1));
            var whole = Stripe.Random(random, code.Data, code.Parity, random.Next(0, 200));
            code.Encode(whole);
            var shuffled = Enumerable.Range(0, code.Shards).ToArray();
            random.Shuffle(shuffled);
            var lost = shuffled[..random.Next(1, code.Parity + 1)];
            AssertRebuilds(code, whole, ShardSet.Of(lost), ShardSet.Of(lost.AsSpan(0, random.Next(0, lost.Length + 1))));
        }
    }

    [Theory, MemberData(nameof(Kernels))]
    public void A_kernel_makes_the_bytes_that_the_scalar_one_makes(string name)
    {
        var seed = Random.Shared.Next();
        output.WriteLine($"seed {seed}");
        var random = new Random(seed);
        var kernel = ErasureKernel.All.Single(kernel => kernel.Name == name);
        for (var i = 0; i < 400; i++)
        {
            var (data, parity) = (random.Next(1, ErasureCode.DataMax + 1), random.Next(1, ErasureCode.ParityMax + 1));
            var code = ErasureCode.Create(data, parity, kernel);
            var scalar = ErasureCode.Create(data, parity, ErasureKernel.All[^1]);
            // Every length up to two of the widest vectors, and such that are parted into blocks.
            var length = i < 130 ? i : i % 20 == 0 ? random.Next(8_000, 300_000) : random.Next(130, 3_000);
            var made = Stripe.Random(random, data, parity, length, misaligned: true);
            var expected = made.Copy();
            code.Encode(made);
            scalar.Encode(expected);
            AssertSame(expected, made);

            var lost = ShardSet.None;
            while (lost.Count < parity) lost = lost.With(random.Next(code.Shards));
            var rebuilt = made.Copy();
            rebuilt.Spoil(lost);
            code.Reconstruct(rebuilt.Memory, ShardSet.First(code.Shards).Except(lost), lost);
            AssertSame(expected, rebuilt);
            made.ThrowIfSurroundingsChanged();
            rebuilt.ThrowIfSurroundingsChanged();
        }
    }

    [Fact]
    public void The_best_kernel_is_the_first_that_the_processor_has()
    {
        output.WriteLine($"{ErasureKernel.Best} of {string.Join(", ", ErasureKernel.All.Where(kernel => kernel.IsSupported))}");
        Assert.True(ErasureKernel.Best.IsSupported);
        Assert.Equal("scalar", ErasureKernel.All[^1].Name);
        Assert.True(ErasureKernel.All[^1].IsSupported);
        foreach (var kernel in ErasureKernel.All.Where(kernel => !kernel.IsSupported))
            Assert.Throws<PlatformNotSupportedException>(() => ErasureCode.Create(4, 2, kernel));
    }

    [Theory, MemberData(nameof(Seeds))]
    public void A_stripe_is_verified_only_as_long_as_no_bit_is_changed(int seed)
    {
        output.WriteLine($"seed {seed}");
        var random = new Random(seed);
        for (var i = 0; i < 50; i++)
        {
            var code = ErasureCode.Create(random.Next(1, 12), random.Next(1, 6));
            var stripe = Stripe.Random(random, code.Data, code.Parity, random.Next(1, 50_000));
            code.Encode(stripe);
            Assert.True(code.Verify(stripe.ReadOnly));
            var shard = stripe.Memory[random.Next(code.Shards)].Span;
            shard[random.Next(shard.Length)] ^= (byte)(1 << random.Next(8));
            Assert.False(code.Verify(stripe.ReadOnly));
        }
    }

    [Fact]
    public void Parity_of_one_stripe_is_that_of_its_pieces()
    {
        var code = ErasureCode.Create(10, 4);
        var whole = Stripe.Random(new Random(7), 10, 4, 10_000);
        code.Encode(whole);
        var piece = Stripe.Of([.. whole.All.Take(10).Select(shard => shard[4_321..8_765])], parity: 4);
        code.Encode(piece);
        Assert.Equal(whole.Parity.Select(shard => shard[4_321..8_765]), piece.Parity);
    }

    [Fact]
    public void More_patterns_of_loss_than_are_remembered_are_still_made_good()
    {
        var code = ErasureCode.Create(6, 4);
        var whole = Stripe.Random(new Random(3), 6, 4, 100);
        code.Encode(whole);
        for (var round = 0; round < 3; round++)
        {
            for (var lost = 0u; lost < 1u << code.Shards; lost++)
            {
                if (uint.PopCount(lost) == 4) AssertRebuilds(code, whole, Of(lost), Of(lost));
            }
        }
    }

    [Fact]
    public void A_call_allocates_nothing_once_its_pattern_of_loss_is_known()
    {
        var code = ErasureCode.Create(4, 2);
        var stripe = Stripe.Random(new Random(5), 4, 2, 100_000);
        var (data, parity, all) = (stripe.ReadOnly[..4], stripe.Memory[4..], stripe.Memory);
        var (present, wanted) = (ShardSet.First(6).Without(0).Without(4), ShardSet.Of(0, 4));
        Call();
        Call();   // the first time that the pattern is found
        var before = GC.GetAllocatedBytesForCurrentThread();
        for (var i = 0; i < 10; i++) Call();
        Assert.Equal(before, GC.GetAllocatedBytesForCurrentThread());

        void Call()
        {
            code.Encode(data, parity);
            code.Reconstruct(all, present, wanted);
        }
    }

    [Theory]
    [InlineData(0, 2)]
    [InlineData(33, 2)]
    [InlineData(4, 0)]
    [InlineData(4, 17)]
    [InlineData(-1, -1)]
    public void Shapes_outside_the_limits_are_refused(int data, int parity)
    {
        var refusal = Assert.Throws<ArgumentException>(() => ErasureCode.Create(data, parity));
        Assert.Contains("A stripe has 1 to", refusal.Message, StringComparison.Ordinal);
    }

    [Fact]
    public void Wrong_shards_are_refused_before_anything_is_written()
    {
        var code = ErasureCode.Create(4, 2);
        var stripe = Stripe.Random(new Random(9), 4, 2, 64);
        var all = stripe.Memory;
        var before = stripe.Copy();

        Refuses("takes 4 data shards, not 3", () => code.Encode(stripe.ReadOnly.AsSpan(0, 3), all.AsSpan(4)));
        Refuses("takes 2 parity shards, not 1", () => code.Encode(stripe.ReadOnly.AsSpan(0, 4), all.AsSpan(5)));
        Refuses("of one length", () => code.Encode(stripe.ReadOnly.AsSpan(0, 4), new[] { all[4], all[5][1..] }));
        Refuses("of one length", () => code.Encode(new ReadOnlyMemory<byte>[] { all[0], all[1][1..], all[2], all[3] }, all.AsSpan(4)));
        Refuses("overlaps", () => code.Encode(stripe.ReadOnly.AsSpan(0, 4), new[] { all[4], all[4] }));
        Refuses("overlaps", () => code.Encode(stripe.ReadOnly.AsSpan(0, 4), new[] { all[4], all[0] }));
        Refuses("needs 4 shards, and 3 are present", () => code.Reconstruct(all, ShardSet.First(3), ShardSet.Of(4)));
        Refuses("{3} are present", () => code.Reconstruct(all, ShardSet.First(4), ShardSet.Of(3, 4)));
        Refuses("has the shards 0 to 5", () => code.Reconstruct(all, ShardSet.First(4), ShardSet.Of(6)));
        Refuses("has 6 shards, not 5", () => code.Reconstruct(all.AsSpan(0, 5), ShardSet.First(4), ShardSet.Of(4)));
        Refuses("has 6 shards, not 4", () => code.Verify(stripe.ReadOnly.AsSpan(0, 4)));
        Refuses("of one length", () => code.Reconstruct(new[] { default, all[1], all[2], all[3], all[4], all[5] }, ShardSet.First(6).Without(0), ShardSet.Of(0)));
        Assert.Equal(before.All, stripe.All);

        static void Refuses(string reason, Action call) => Assert.Contains(reason, Assert.Throws<ArgumentException>(call).Message, StringComparison.Ordinal);
    }

    private static void AssertSame(Stripe expected, Stripe actual)
    {
        var (a, b) = (expected.All, actual.All);
        for (var i = 0; i < a.Length; i++) Assert.True(a[i].AsSpan().SequenceEqual(b[i]), $"shard {i} of {a.Length}, {a[i].Length} bytes");
    }

    private static ShardSet Of(uint bits)
    {
        var set = ShardSet.None;
        for (; bits != 0; bits &= bits - 1) set = set.With(int.CreateChecked(uint.TrailingZeroCount(bits)));
        return set;
    }

    private static void AssertRebuilds(ErasureCode code, Stripe whole, ShardSet lost, ShardSet wanted)
    {
        var stripe = whole.Copy();
        stripe.Spoil(lost);
        var spoilt = stripe.Copy();
        code.Reconstruct(stripe.Memory, ShardSet.First(code.Shards).Except(lost), wanted);
        for (var i = 0; i < code.Shards; i++)
        {
            var expected = wanted.Contains(i) ? whole : spoilt;
            Assert.True(expected.All[i].AsSpan().SequenceEqual(stripe.All[i]), $"{code}, lost {lost}, wanted {wanted}: shard {i} differs.");
        }
    }
}
