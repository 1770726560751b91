using System.Collections.Immutable;
using System.IO.Pipelines;
using System.Net;
using System.Security.Cryptography;
using BenchmarkDotNet.Attributes;
using DarkStorage.GrainInterfaces.Objects;
using DarkStorage.Storage;
using DarkStorage.Storage.Chunks;
using DarkStorage.Storage.Packs;
using DarkStorage.Storage.Peers;
using DarkStorage.Storage.Replicas;
using Microsoft.Extensions.Logging.Abstractions;

namespace DarkStorage.Micro;

/// <summary>One replica, on this node's own drive or on a peer's over loopback: both sides of the connection, and the disk, are this machine's. Writes are durable;
/// reads come from the page cache and go nowhere.</summary>
[MemoryDiagnoser]
public class Peers
{
    private readonly string _folder = Directory.CreateTempSubdirectory("darkstorage-micro-").FullName;
    private readonly ClusterIdentity _identity = ClusterIdentity.FromSecret(Convert.ToHexString(RandomNumberGenerator.GetBytes(32)));
    private PackStore _drive = null!;
    private PeerServer _server = null!;
    private PeerStore _peer = null!;
    private BlobStore _store = null!;
    private byte[] _content = [];
    private Manifest _manifest = null!;

    [Params(16 << 10, 64 << 20)]
    public int Size { get; set; }

    [Params(false, true)]
    public bool IsPeer { get; set; }

    [GlobalSetup]
    public void Prepare()
    {
        var cluster = Guid.NewGuid();
        _drive = PackStore.Open(Path.Combine(_folder, Guid.NewGuid().ToString("N")), new(), TimeProvider.System, NullLogger.Instance);
        _server = PeerServer.Start(new(IPAddress.Loopback, 0), _drive, cluster, _identity, new(), TimeProvider.System, NullLogger.Instance);
        _peer = new(_drive.Id, _server.EndPoint, cluster, _identity, new(), TimeProvider.System);
        _store = BlobStore.OverReplicas(
            IsPeer ? null : _drive, new OnePlace(IsPeer ? _peer : _drive), new NoRepairs(), new(), new(), TimeProvider.System, NullLogger<BlobStore>.Instance);
        _content = RandomNumberGenerator.GetBytes(Size);
        _manifest = WriteAsync(keep: true).GetAwaiter().GetResult();
    }

    [GlobalCleanup]
    public async Task Clean()
    {
        await _store.DisposeAsync();
        await _peer.DisposeAsync();
        await _server.DisposeAsync();
        await _drive.DisposeAsync();
        _identity.Dispose();
        Directory.Delete(_folder, recursive: true);
    }

    [Benchmark]
    public Task Write() => WriteAsync(keep: false);

    [Benchmark]
    public async Task Read()
    {
        await using var read = await _store.OpenAsync(_manifest, ByteRange.All(Size), null, default);
        await read.CopyToAsync(PipeWriter.Create(Stream.Null, new(minimumBufferSize: 256 << 10)), default);
    }

    private async Task<Manifest> WriteAsync(bool keep)
    {
        await using var write = _store.BeginWrite(new() { ExpectedLength = Size });
        var stored = await write.CopyFromAsync(PipeReader.Create(new MemoryStream(_content), new(bufferSize: 128 << 10)), default);
        if (keep) write.Keep();
        return new(VersionId.Of(stored.Blob), Size, "", null, [new(1, stored.Blob, Size, "", null, stored.Chunks)], []);
    }

    private sealed class OnePlace(ChunkStore store) : IChunkPlacement
    {
        public WritePlaces ForWrite(int partition, int? replicas) => new([store], 1);

        public ImmutableArray<ReadPlace> ForRead(int partition) => [new(store, ShouldHold: true)];
    }

    private sealed class NoRepairs : IRepairQueue
    {
        public ValueTask EnqueueAsync(RepairEntry entry, CancellationToken ct) => ValueTask.CompletedTask;
    }
}
