using System.Collections.Immutable;
using DarkStorage.GrainInterfaces.Cluster;
using DarkStorage.GrainInterfaces.Objects;
using DarkStorage.Grains.Cluster;
using DarkStorage.Rules.Cluster;
using DarkStorage.Storage;
using DarkStorage.Storage.Packs;
using Microsoft.Extensions.Logging.Abstractions;

namespace DarkStorage.Cluster;

/// <summary>Clusters that grow and shrink while clients work: no request fails, and in the end every replica is where the layout says.</summary>
public sealed class GrowthTests
{
    /// <summary>With one copy, where each step moves what there is only once; by <c>DARKSTORAGE_TEST_ROUNDS</c>, which is for those who have the time, with three as well.</summary>
    public static TheoryData<int> Copies() => Environment.GetEnvironmentVariable("DARKSTORAGE_TEST_ROUNDS") is null ? [1] : [1, 3];

    [Theory, MemberData(nameof(Copies))]
    public async Task A_cluster_grows_to_three_and_five_nodes_and_back_to_three_without_a_failed_request(int copies)
    {
        await using var cluster = await TestCluster.StartAsync(copies, new() { Copies = copies });
        await using var load = await Load.StartAsync(cluster.Nodes, clients: 4);
        await load.ProgressAsync(200);
        foreach (var size in (int[])[3, 5])
        {
            while (cluster.Nodes.Count < size) await cluster.AddAsync();
            foreach (var node in cluster.Nodes) await cluster.ReadyAsync(node);
            await cluster.HasLayoutOfAsync(size);
            load.Use(cluster.Nodes);
            await cluster.SettledAsync();
            await load.ProgressAsync(200);
        }
        // The first two go, which held everything once.
        var drained = cluster.Nodes[..2];
        foreach (var node in drained) Assert.Null((await cluster.SendAsync(cluster.Nodes[4], HttpMethod.Post, $"/nodes/{TestCluster.NameOf(node)}/drain"))["error"]);
        await cluster.SettledAsync();
        await load.ProgressAsync(200);
        foreach (var node in drained) await TestCluster.UntilAsync(async () => await TestCluster.LiveBytesAsync(node) == 0, () => node.Output);
        await load.StopAsync();
        await cluster.SettledAsync();

        await load.VerifyAsync(cluster.Nodes, () => "");
        Assert.True(load.Failures.IsEmpty, $"{load}\n{string.Join('\n', load.Failures.Take(20))}");
        foreach (var node in cluster.Nodes) Assert.Equal(0, await node.TerminateAsync());
        var placed = await AssertPlacedAsync(cluster, copies, drained);
        TestContext.Current.TestOutputHelper?.WriteLine($"{copies} copies: {load}; {placed} replicas are in their places.");
    }

    /// <summary>Holds what is on the drives against the layout. The nodes have stopped.</summary>
    /// <returns>How many replicas there are.</returns>
    private static async Task<int> AssertPlacedAsync(TestCluster cluster, int copies, IReadOnlyList<NodeProcess> drained)
    {
        var (layout, needed) = await ReadIndexAsync(cluster.Index);
        var drives = new Dictionary<NodeId, HashSet<BlobId>>();
        foreach (var node in cluster.Nodes)
        {
            await using var drive = PackStore.Open(Path.Combine(node.DataDirectory, "blobs"), new BlobStoreOptions(), TimeProvider.System, NullLogger.Instance);
            var blobs = new HashSet<BlobId>();
            for (var after = default(BlobId); ;)
            {
                var page = await drive.ListBlobsAsync(after, DateTimeOffset.MaxValue, 10_000, CancellationToken.None);
                if (page.Count == 0) break;
                blobs.UnionWith(page);
                after = page[^1];
            }
            if (drained.Contains(node)) Assert.Empty(blobs);
            else drives.Add(NodeIds.Of(drive.Id), blobs);
        }
        Assert.NotEmpty(needed);
        Assert.All(layout.Partitions, p => Assert.True(p.IsSettled));
        var shift = 16 - int.Log2(layout.Partitions.Length);
        foreach (var blob in needed)
        {
            var wanted = layout.ReplicasOf(blob.Place >> shift).Select(n => n.Id).ToHashSet();
            Assert.Equal(copies, wanted.Count);
            Assert.True(wanted.SetEquals(drives.Where(d => d.Value.Contains(blob)).Select(d => d.Key)), $"{blob} is not where the layout says.");
        }
        return needed.Count * copies;
    }

    private static async Task<(Layout Layout, List<BlobId> Needed)> ReadIndexAsync(string index)
    {
        var server = await SharedPostgres.ServerAsync();
        await using var connection = await server.OpenAsync(index[(index.LastIndexOf('/') + 1)..]);
        var needed = new List<BlobId>();
        await using (var blobs = connection.CreateCommand())
        {
            blobs.CommandText = "SELECT blob FROM darkstorage.blobs WHERE freed IS NULL";
            await using var rows = await blobs.ExecuteReaderAsync();
            while (await rows.ReadAsync()) needed.Add(BlobId.Read(rows.GetGuid(0).ToByteArray(bigEndian: true)));
        }
        await using var document = connection.CreateCommand();
        document.CommandText = "SELECT content FROM darkstorage.documents WHERE name = 'layout'";
        return (LayoutCodec.Decode((byte[])(await document.ExecuteScalarAsync())!), needed);
    }
}
