using System.Net;
using DarkStorage.GrainInterfaces.Objects;
using DarkStorage.Storage;
using DarkStorage.Storage.Chunks;
using DarkStorage.Storage.Packs;
using DarkStorage.Storage.Peers;
using Microsoft.Extensions.Logging.Abstractions;

namespace DarkStorage.Unit.Storage.Peers;

/// <summary>One node of a cluster in this process: a drive in memory, and its port for peers on loopback, with real sockets and TLS.</summary>
internal sealed class PeerNode : IAsyncDisposable
{
    public const string Secret = "a secret of the tests, long enough to be one";

    public static readonly Guid Cluster = Guid.Parse("11111111-2222-3333-4444-555555555555");

    public static readonly BlobStoreOptions Options = new() { ChunkBytesMax = 128 << 10, PackBytes = 8 << 20, ReservedBytes = 0, WriteMemoryBytesMax = 8 << 20 };

    /// <summary>Long: a busy machine is no fault of a peer's.</summary>
    public static readonly PeerOptions Limits = new() { StepTimeout = TimeSpan.FromSeconds(30), ConnectTimeout = TimeSpan.FromSeconds(30) };

    private readonly Guid _store = Guid.NewGuid();
    private readonly BlobStoreOptions _options;
    private readonly PeerOptions _limits;

    public PeerNode(ClusterIdentity identity, FaultyChunkDisk? disk = null, BlobStoreOptions? options = null, PeerOptions? limits = null)
    {
        (Identity, Disk, _options, _limits) = (identity, disk ?? new(new Random(1)), options ?? Options, limits ?? Limits);
        Packs = PackStore.Open(Disk, _store, _options, TimeProvider.System, NullLogger.Instance);
        Start();
    }

    public ClusterIdentity Identity { get; }
    public FaultyChunkDisk Disk { get; private set; }
    public PackStore Packs { get; private set; }
    public Guid Id => _store;

    /// <summary>The port: another one each time it is started.</summary>
    public IPEndPoint EndPoint { get; private set; } = new(IPAddress.Loopback, 0);

    /// <summary>Null while it is stopped.</summary>
    public PeerServer? Server { get; private set; }

    public bool IsUp => Server is not null;

    public void Start()
    {
        Server = PeerServer.Start(new(IPAddress.Loopback, 0), Packs, Cluster, Identity, _limits, TimeProvider.System, NullLogger.Instance);
        EndPoint = (IPEndPoint)Server.EndPoint;
    }

    /// <summary>Closes the port and every connection, as the end of a process does.</summary>
    public async Task StopAsync()
    {
        if (Server is not null) await Server.DisposeAsync();
        Server = null;
    }

    /// <summary>The power goes, and comes back: what was not durable is gone.</summary>
    public async Task LosePowerAsync()
    {
        await StopAsync();
        var after = Disk.PowerLoss();
        Disk.CrashAfter = 0;
        await Packs.DisposeAsync();
        Disk = after;
        Packs = PackStore.Open(Disk, _store, _options, TimeProvider.System, NullLogger.Instance);
    }

    public PeerStore Client(EndPoint? at = null, PeerOptions? limits = null) => new(Id, at ?? EndPoint, Cluster, Identity, limits ?? Limits, TimeProvider.System);

    public async ValueTask DisposeAsync()
    {
        await StopAsync();
        await Packs.DisposeAsync();
    }
}

/// <summary>What the tests of chunk stores do over and over.</summary>
internal static class ChunkSteps
{
    /// <summary>Asks for as little as can be asked for.</summary>
    public static async Task PingAsync(this ChunkStore store, CancellationToken ct) => await store.ListBlobsAsync(default, DateTimeOffset.UnixEpoch, 1, ct);

    public static async Task AppendAsync(this ChunkStore store, BlobId blob, int index, byte[] content)
    {
        using var memory = new ChunkMemory(8 << 20, 4 << 20);
        var write = store.BeginWrite(blob);
        try
        {
            var chunk = Chunk(memory, content);
            try
            {
                await write.Submit(chunk, index, sync: true, isLarge: false);
                await write.CompleteAsync();
            }
            finally
            {
                chunk.Dispose();
            }
        }
        finally
        {
            await write.DisposeAsync();
        }
    }

    public static ChunkBuffer Chunk(ChunkMemory memory, byte[] content)
    {
        var chunk = new ChunkBuffer(memory, content.Length, content.Length, whole: true);
        for (var done = 0; done < content.Length;) done += chunk.Append(content.AsSpan(done), content.Length - done);
        chunk.Finish(last: true);
        return chunk;
    }

    public static async Task<byte[]> ReadChunkAsync(this ChunkStore store, BlobId blob, int index, int length, int from = 0, int? end = null)
    {
        var to = end ?? length;
        var content = new byte[to - from];
        await using var reader = store.BeginRead(blob);
        reader.Open(blob, index, length, to);
        for (var done = 0; done < content.Length;)
        {
            var read = reader.Read((from + done) / PackFormat.Block, content.AsSpan(done), mayBlock: true, verify: true);
            if (read == -1) await reader.FetchAsync(CancellationToken.None);
            else done += read;
        }
        reader.Close();
        return content;
    }
}
