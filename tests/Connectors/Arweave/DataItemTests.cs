using System.Buffers.Binary;
using System.Text;
using DarkStorage.Storage.Backends;

namespace DarkStorage.Connectors.Arweave;

/// <summary>Items byte for byte. What is expected was worked out by a program in another language, which verified two items of a published bundle.</summary>
public sealed class DataItemTests
{
    [Fact]
    public void A_deep_hash_is_that_of_the_documents()
    {
        var item = new DeepHash(8).Add("dataitem"u8).Add("1"u8).Add("1"u8).Add(Enumerable.Repeat((byte)7, 512).ToArray()).Add([]).Add([]).Add("\u0002\u0008name\u000avalue\0"u8).Add("Hello, weave."u8);
        Assert.Equal("3DB6E2C25B752E21F330357A113A9C381A859AD2CF52F8DFEC253E5B4929B9BD5BEEE9BFA5A6A4EBF5658349544D7E1A", Convert.ToHexString(item.End()));
        Assert.Equal("BBFE64A232D9384C245859BF2160598F71F84A2CBB51B7BF207436E310ADA5092C8A5EED8258785BC0481C4DDA08438A", Convert.ToHexString(new DeepHash(1).Add([]).End()));
    }

    [Fact]
    public void A_head_is_what_the_standard_says()
    {
        using var wallet = ArweaveWallet.Parse("wallet", Wallets.First);
        var item = DataItem.Sign(wallet, [("name", "value"), ("long", new string('x', 100))], 13, new byte[48]);
        var head = item.Head.ToArray();
        Assert.Equal(head.Length + 13, item.Length);
        Assert.Equal([1, 0], head[..2]);
        Assert.Equal(wallet.Owner.ToArray(), head[514..1026]);
        Assert.Equal([0, 0], head[1026..1028]);
        Assert.Equal((2L, head.Length - 1044L), (BinaryPrimitives.ReadInt64LittleEndian(head.AsSpan(1028)), BinaryPrimitives.ReadInt64LittleEndian(head.AsSpan(1036))));
        // Avro: two records, each length doubled, 200 in two bytes of seven bits, and no more records.
        Assert.Equal([4, 8, .. "name"u8, 10, .. "value"u8, 8, .. "long"u8, 0xC8, 1, .. Encoding.ASCII.GetBytes(new string('x', 100)), 0], head[1044..]);
        Assert.True(DataItem.IsId(item.Id));
    }

    [Fact]
    public void Each_signature_is_another_and_each_seal_the_same()
    {
        using var wallet = ArweaveWallet.Parse("wallet", Wallets.First);
        using var again = ArweaveWallet.Parse("wallet", Wallets.First);
        using var other = ArweaveWallet.Parse("wallet", Wallets.Second);
        Assert.NotEqual(wallet.Sign([1]), wallet.Sign([1]));
        Assert.Equal(wallet.Seal([1]), again.Seal([1]));
        Assert.NotEqual(wallet.Seal([1]), other.Seal([1]));
        Assert.Equal((wallet.Address, 43), (again.Address, wallet.Address.Length));
    }

    [Fact]
    public void The_longest_name_has_room_in_the_tags_whatever_its_letters()
    {
        using var wallet = ArweaveWallet.Parse("wallet", Wallets.First);
        var place = new ArweavePlace(new string('p', 64));
        var name = BlobName.Parse(string.Join('/', Enumerable.Repeat("é", 8)) + "/" + new string('é', 500));
        Assert.Equal(1024, Encoding.UTF8.GetByteCount(name.Value));
        var record = new BlobRecord(place.KeyOf(name), name, RecordKind.Put, RecordVersion.Next(DateTimeOffset.UtcNow, null), long.MaxValue, new string('s', 43), new string('i', 43));
        var tags = record.ToTags(wallet, place);
        Assert.InRange(DataItem.Sign(wallet, tags, 1, new byte[48]).Head.Length, 4_000, DataItem.HeadBytesMax);
        Assert.All(tags, t => Assert.InRange(t.Value.Length, 1, 3072));
        Assert.Equal(record with { Id = "id" }, BlobRecord.Find("id", tags.ToDictionary(t => t.Name, t => t.Value), wallet, place));
    }

    [Fact]
    public void A_version_is_later_than_the_last_whatever_the_clock_says()
    {
        var now = new DateTimeOffset(2026, 11, 22, 14, 30, 37, 123, TimeSpan.Zero).AddTicks(77);
        var version = RecordVersion.Next(now, null);
        Assert.StartsWith("20261122T143037123Z-", version, StringComparison.Ordinal);
        foreach (var later in new[] { now, now.AddMilliseconds(-1), now.AddYears(-10) }) Assert.StartsWith("20261122T143037124Z-", RecordVersion.Next(later, version), StringComparison.Ordinal);
        Assert.StartsWith("20261122T143037200Z-", RecordVersion.Next(now.AddMilliseconds(77), version), StringComparison.Ordinal);
    }
}
