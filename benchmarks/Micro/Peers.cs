using System.Collections.Immutable;
using System.Diagnostics;
using System.Globalization;
using System.IO.Pipelines;
using System.Net;
using System.Security.Cryptography;
using DarkStorage.GrainInterfaces.Objects;
using DarkStorage.Storage;
using DarkStorage.Storage.Chunks;
using DarkStorage.Storage.Packs;
using DarkStorage.Storage.Peers;
using DarkStorage.Storage.Replicas;
using Microsoft.Extensions.Logging.Abstractions;

namespace DarkStorage.Micro;

/// <summary>Blobs on this node's own drive against the same on a peer's over loopback, and against three replicas of which two are peers'. What is wanted is a ratio, so
/// the rounds are taken in turn. All nodes, their disk and both ends of each connection are this one machine's. Writes are durable; reads come from the page cache and go nowhere.</summary>
internal static class Peers
{
    private static readonly (string Name, int Size, int Together)[] Plans = [("16 KiB", 16 << 10, 32), ("1 MiB", 1 << 20, 8), ("256 MiB", 256 << 20, 1)];

    public static async Task RunAsync(int rounds, TimeSpan time)
    {
        var folder = Directory.CreateTempSubdirectory("darkstorage-micro-").FullName;
        using var identity = ClusterIdentity.FromSecret(Convert.ToHexString(RandomNumberGenerator.GetBytes(32)));
        var cluster = Guid.NewGuid();
        var drives = Enumerable.Range(0, 3).Select(i => PackStore.Open(Path.Combine(folder, i.ToString(CultureInfo.InvariantCulture)), new(), TimeProvider.System, NullLogger.Instance)).ToList();
        var servers = drives.Select(drive => PeerServer.Start(new(IPAddress.Loopback, 0), drive, cluster, identity, new(), TimeProvider.System, NullLogger.Instance)).ToList();
        var peers = drives.Select((drive, i) => new PeerStore(drive.Id, servers[i].EndPoint, cluster, identity, new(), TimeProvider.System)).ToList();
        var repairs = new CountedRepairs();
        BlobStore Over(PackStore? drive, int quorum, params ChunkStore[] stores) =>
            BlobStore.OverReplicas(drive, new Places([.. stores], quorum), repairs, new(), new(), TimeProvider.System, NullLogger<BlobStore>.Instance);
        var kinds = new (string Name, BlobStore Store)[]
        {
            ("own drive", Over(drives[0], 1, drives[0])),
            ("one peer", Over(null, 1, peers[1])),
            ("three replicas", Over(drives[0], 2, drives[0], peers[1], peers[2])),
        };
        try
        {
            foreach (var (name, size, together) in Plans)
            {
                var content = RandomNumberGenerator.GetBytes(size);
                var figures = kinds.Select(_ => (Write: new List<double>(), Read: new List<double>())).ToList();
                for (var round = 0; round <= rounds; round++)
                {
                    for (var kind = 0; kind < kinds.Length; kind++)
                    {
                        var store = kinds[kind].Store;
                        var write = await MeasureAsync(size, together, time, () => WriteAsync(store, content, keep: false));
                        var manifest = await WriteAsync(store, content, keep: true);
                        var read = await MeasureAsync(size, together, time, () => ReadAsync(store, manifest));
                        await store.DeleteAsync(manifest.Parts[0].Blob, default);
                        if (round == 0) continue;       // connections are made, code is compiled
                        figures[kind].Write.Add(write);
                        figures[kind].Read.Add(read);
                    }
                }
                for (var kind = 0; kind < kinds.Length; kind++)
                {
                    Console.WriteLine(string.Create(CultureInfo.InvariantCulture,
                        $"{name,-8} {kinds[kind].Name,-15} write {Median(figures[kind].Write),7:n0} MB/s {Ratio(figures[kind].Write, figures[0].Write),5:p0}   read {Median(figures[kind].Read),7:n0} MB/s {Ratio(figures[kind].Read, figures[0].Read),5:p0}"));
                }
            }
            Console.WriteLine($"Replicas that writes went on without: {repairs.Count}");
        }
        finally
        {
            foreach (var (_, store) in kinds) await store.DisposeAsync();
            foreach (var peer in peers) await peer.DisposeAsync();
            foreach (var server in servers) await server.DisposeAsync();
            foreach (var drive in drives) await drive.DisposeAsync();
            Directory.Delete(folder, recursive: true);
        }
    }

    /// <returns>Megabytes a second.</returns>
    private static async Task<double> MeasureAsync(int size, int together, TimeSpan time, Func<Task> work)
    {
        var began = Stopwatch.GetTimestamp();
        var done = 0L;
        await Task.WhenAll(Enumerable.Range(0, together).Select(_ => Task.Run(async () =>
        {
            do
            {
                await work();
                Interlocked.Increment(ref done);
            }
            while (Stopwatch.GetElapsedTime(began) < time);
        })));
        return done * (double)size / 1e6 / Stopwatch.GetElapsedTime(began).TotalSeconds;
    }

    private static async Task<Manifest> WriteAsync(BlobStore store, byte[] content, bool keep)
    {
        await using var write = store.BeginWrite(new() { ExpectedLength = content.Length });
        var stored = await write.CopyFromAsync(PipeReader.Create(new MemoryStream(content), new(bufferSize: 128 << 10)), default);
        if (keep) write.Keep();
        return new(VersionId.Of(stored.Blob), content.Length, "", null, [new(1, stored.Blob, content.Length, "", null, stored.Chunks)], []);
    }

    private static async Task ReadAsync(BlobStore store, Manifest manifest)
    {
        await using var read = await store.OpenAsync(manifest, ByteRange.All(manifest.Length), null, default);
        await read.CopyToAsync(PipeWriter.Create(Stream.Null, new(minimumBufferSize: 256 << 10)), default);
    }

    private static double Median(IEnumerable<double> values)
    {
        var sorted = values.Order().ToList();
        return sorted[sorted.Count / 2];
    }

    private static double Ratio(List<double> these, List<double> those) => Median(these.Zip(those, static (a, b) => a / b));

    private sealed class Places(ImmutableArray<ChunkStore> stores, int quorum) : IChunkPlacement
    {
        public ushort PlaceOf(DarkStorage.GrainInterfaces.BucketId bucket, string key) => 0;

        public WritePlaces ForWrite(BlobId blob) => new([.. stores.Select(static store => new WritePlace(store, 0))], quorum);

        public WriteLease BeginWrite(BlobId blob) => new(ForWrite(blob));

        public ImmutableArray<ReadPlace> ForRead(BlobId blob) => [.. stores.Select(static store => new ReadPlace(store, 0, ShouldHold: true))];
    }

    private sealed class CountedRepairs : IRepairQueue
    {
        private int _count;

        public int Count => _count;

        public ValueTask EnqueueAsync(RepairEntry entry, CancellationToken ct)
        {
            Interlocked.Increment(ref _count);
            return ValueTask.CompletedTask;
        }
    }
}
