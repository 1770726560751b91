using System.Security.Cryptography;
using System.Text;

namespace DarkStorage.Connectors.Ipfs;

/// <summary>CIDs as others have published them, and as a node makes them.</summary>
public sealed class FileTreeTests(IpfsServer ipfs, ITestOutputHelper output) : IClassFixture<IpfsServer>
{
    /// <summary>multiblock.txt of the fixtures of gateways (https://github.com/ipfs/gateway-conformance): five blocks of 1,026 bytes.</summary>
    private const string MultiBlock = "bafybeigcisqd7m5nf3qmuvjdbakl5bdnh4ocrmacaqkpuh77qjvggmt2sa";

    private static readonly string[] MultiBlockLeaves =
    [
        "bafkreie5noke3mb7hqxukzcy73nl23k6lxszxi5w3dtmuwz62wnvkpsscm", "bafkreih4ephajybraj6wnxsbwjwa77fukurtpl7oj7t7pfq545duhot7cq", "bafkreigu7buvm3cfunb35766dn7tmqyh2um62zcio63en2btvxuybgcpue",
        "bafkreicll3huefkc3qnrzeony7zcfo7cr3nbx64hnxrqzsixpceg332fhe", "bafkreifst3pqztuvj57lycamoi7z34b4emf7gawxs74nwrc2c7jncmpaqm",
    ];

    private static CancellationToken Ct => TestContext.Current.CancellationToken;

    /// <summary>The last is of https://discuss.ipfs.tech/t/member-data-of-root-node/15252, the others are on many pages.</summary>
    [Theory]
    [InlineData("", 1 << 20, "bafkreihdwdcefgh4dqkjv67uzcmw7ojee6xedzdetojuzjevtenxquvyku")]
    [InlineData("hello world", 1 << 20, "bafkreifzjut3te2nhyekklss27nh3k72ysco7y32koao5eei66wof36n5e")]
    [InlineData("Hello World\n", 4, "bafybeiag43jli67lcov4ytqhpfxbodmhp6hjvjh73jrjid7zf73p7a6nqa")]
    public void Content_that_is_known_has_its_known_cid(string text, int chunkBytes, string expected) => Assert.Equal(expected, CidOf(Encoding.UTF8.GetBytes(text), chunkBytes).ToString());

    [Fact]
    public void A_node_of_known_blocks_has_its_known_cid()
    {
        var links = MultiBlockLeaves.Select((leaf, i) => Link(leaf, i < 4 ? 256 : 2)).ToList();
        var node = FileNode.Encode(links);
        Assert.Equal(MultiBlock, Cid.OfNode(node).ToString());
        // Its size as a link to it has it (https://specs.ipfs.tech/unixfs/): the node and its leaves.
        Assert.Equal(1271, node.Length + 1026);
        Assert.Equal(links.Select(l => l with { TreeBytes = 0 }), FileNode.Decode(node)!.Value);

        static FileLink Link(string cid, long length) => new(Cid.Find(cid)!.Value, length, length);
    }

    /// <summary>Up to and past the places where a chunk, a node, and a node of nodes are full.</summary>
    [Fact]
    public async Task A_node_gives_content_of_any_length_the_same_cid()
    {
        var seed = Random.Shared.Next();
        output.WriteLine($"seed {seed}");
        var random = new Random(seed);
        const int Chunk = 64, Node = Chunk * FileTree.LinksMax, Nodes = Node * FileTree.LinksMax;
        var lengths = new List<int> { 0, 1, Chunk - 1, Chunk, Chunk + 1, 2 * Chunk, Node - 1, Node, Node + 1, Node + Chunk, Node + Chunk + 1, 2 * Node, 2 * Node + 1, Nodes, Nodes + 1 };
        for (var i = 0; i < 10; i++) lengths.Add(random.Next(3 * Node));
        foreach (var length in lengths) await AssertSameAsync(length, Chunk);
        foreach (var length in new[] { (1 << 20) - 1, 1 << 20, (1 << 20) + 1, random.Next(5 << 20) }) await AssertSameAsync(length, 1 << 20);

        async Task AssertSameAsync(int length, int chunkBytes)
        {
            var content = new byte[length];
            random.NextBytes(content);
            Assert.True(await ipfs.AddAsync(content, $"size-{chunkBytes}&only-hash=true", isPinned: false, Ct) == CidOf(content, chunkBytes, random).ToString(), $"{length} bytes in chunks of {chunkBytes}");
        }
    }

    [Fact]
    public void A_cid_is_read_as_it_is_written_and_in_no_other_way()
    {
        foreach (var text in MultiBlockLeaves.Append(MultiBlock))
        {
            var cid = Cid.Find(text)!.Value;
            Assert.Equal(text, cid.ToString());
            Assert.Equal(text.StartsWith("bafk", StringComparison.Ordinal), cid.IsRaw);
            var bytes = new byte[Cid.BytesLength];
            cid.Write(bytes);
            Assert.Equal(cid, Cid.Find(bytes));
        }
        // In upper case, cut off, too long, with a bit too many, of version 0, in base58, of another codec, and of another hash.
        foreach (var text in new[]
        {
            MultiBlock.ToUpperInvariant(), MultiBlock[..^1], MultiBlock + "a", MultiBlock[..^1] + "b", "b" + MultiBlock[2..] + "1", "QmT5NvUtoM5nWFfrQdVrFtvGfKFmG7AHE8P34isapyhCxX", "zb2rhZfjRh2FHHB2RkHVEvL2vJnCTcu7kwRqgVsf9gpkLgteo",
            "bafyreiaocls5bt2ha5vszv5pwz34zzcdf3axk3uqa56bgsgvlkbezw67hq", "bafk2bzaceaklb7ukqcy6kb4zkwiwcz2yiafx6eqk2kinjzcbvzgtfb7fgzuk4", "",
        }) Assert.Null(Cid.Find(text));
    }

    /// <summary>Whatever a node says: an answer that is no file's node is none, and never more.</summary>
    [Fact]
    public void Bytes_that_are_no_node_are_no_node()
    {
        var seed = Random.Shared.Next();
        output.WriteLine($"seed {seed}");
        var random = new Random(seed);
        var node = FileNode.Encode([.. MultiBlockLeaves.Select((leaf, i) => new FileLink(Cid.Find(leaf)!.Value, i + 1, i + 1))]);
        for (var length = 0; length < node.Length; length++) Assert.Null(FileNode.Decode(node.AsSpan(0, length)));
        for (var i = 0; i < 20_000; i++)
        {
            var changed = node.ToArray();
            for (var flips = random.Next(1, 4); flips > 0; flips--) changed[random.Next(changed.Length)] = (byte)random.Next(256);
            if (FileNode.Decode(changed) is not { } links) continue;
            Assert.All(links, l => Assert.InRange(l.Length, 1, long.MaxValue));
            Assert.Equal(5, links.Length);
        }
        // A folder; and a file that has its bytes in the node, as is made without raw leaves.
        Assert.Null(FileNode.Decode([0x0A, 0x02, 0x08, 0x01]));
        Assert.Null(FileNode.Decode([0x0A, 0x07, 0x08, 0x02, 0x12, 0x01, 0x41, 0x18, 0x01]));
    }

    private static Cid CidOf(byte[] content, int chunkBytes, Random? random = null)
    {
        using var tree = new FileTree(chunkBytes);
        for (var at = 0; at < content.Length;)
        {
            var length = Math.Min(content.Length - at, random?.Next(1, 3 * chunkBytes) ?? content.Length);
            tree.Append(content.AsSpan(at, length));
            at += length;
        }
        return tree.End();
    }
}
