using System.Collections.Concurrent;
using System.Collections.Immutable;
using System.ComponentModel.DataAnnotations;
using System.Diagnostics.Metrics;
using System.Threading.Channels;
using DarkStorage.GrainInterfaces;
using DarkStorage.GrainInterfaces.Cluster;
using DarkStorage.GrainInterfaces.Objects;
using DarkStorage.Storage.Chunks;
using DarkStorage.Storage.Packs;
using DarkStorage.Storage.Peers;
using Microsoft.Extensions.Logging;

namespace DarkStorage.Storage.Replicas;

/// <summary>Chunks on the replicas that the placement names: where the blob store of a cluster's node writes to and reads from.</summary>
/// <remarks>Invariants: a blob is acknowledged when as many replicas as the quorum asks for have every chunk of it durably, the same replicas all of them.
/// Whoever lacks something that was acknowledged is entered in the repair queue: before the acknowledgement where it is known by then, else as soon as it is.
/// Memory that is held for slow replicas is bounded. No byte is handed out that did not match its checksum.</remarks>
internal sealed partial class ReplicaStore : IChunkRoutes, IAsyncDisposable
{
    /// <summary>Entries for the repair queue that wait in memory; what is found past that is found again by the next read or scrub.</summary>
    private const int NotesMax = 10_000;

    private static readonly TimeSpan NoteAgainAfter = TimeSpan.FromSeconds(1);

    private readonly PackStore? _local;
    private readonly IChunkPlacement _placement;
    private readonly IRepairQueue _repairs;
    private readonly ChunkMemory _memory;       // the shards' that chunks are cut into
    private readonly ReplicaOptions _options;
    private readonly TimeProvider _clock;
    private readonly ILogger _log;
    private readonly ByteBudget _lag;
    private readonly ConcurrentDictionary<Guid, AnswerTimes> _times = new();
    private readonly ConcurrentDictionary<Task, bool> _background = new();
    private readonly Channel<RepairEntry> _notes = Channel.CreateBounded<RepairEntry>(new BoundedChannelOptions(NotesMax) { SingleReader = true });
    private readonly Meter _meter = new(PackStore.MeterName);
    private readonly Counter<long> _hedges;
    private readonly Counter<long> _elsewhere;
    private readonly Counter<long> _missed;
    private readonly Task _noting;
    private readonly CancellationTokenSource _closing = new();
    private int _unnoted;

    public ReplicaStore(PackStore? local, IChunkPlacement placement, IRepairQueue repairs, ChunkMemory memory, ReplicaOptions options, TimeProvider clock, ILogger log)
    {
        Validator.ValidateObject(options, new ValidationContext(options), validateAllProperties: true);
        (_local, _placement, _repairs, _memory, _options, _clock, _log) = (local, placement, repairs, memory, options, clock, log);
        _lag = new(options.LagBytesMax);
        _hedges = _meter.CreateCounter<long>("darkstorage.replicas.hedged", "{read}", "Reads that asked a second replica because the first was slow");
        _elsewhere = _meter.CreateCounter<long>("darkstorage.replicas.read_elsewhere", "{chunk}", "Chunks read from another replica because one was damaged, missing or not to be reached");
        _missed = _meter.CreateCounter<long>("darkstorage.replicas.missed", "{blob}", "Replicas that an acknowledged write went on without");
        _meter.CreateObservableGauge("darkstorage.replicas.lag", () => _lag.Used, "By", "Memory held for replicas that are slower than the quorum");
        if (local is not null) local.DamageFound = chunk => Note(chunk.Blob, local, RepairReason.Damaged);
        _noting = Task.Run(NoteAsync);
    }

    public BlobId NewId(BlobOwner? owner, Redundancy wanted, long? length)
    {
        if (owner is not var (bucket, key)) return BlobId.New(_clock);
        return BlobId.New(_clock, _placement.PlaceOf(bucket, key), length < _options.StripedBytesMin ? wanted.ForShort : wanted);
    }

    public ChunkWrite BeginWrite(BlobId blob) => new ReplicaWrite(this, blob);

    public ChunkReader BeginRead(ImmutableArray<ManifestPart> parts, int first, int end)
    {
        for (var part = first; part < end; part++)
        {
            if (parts[part].Blob.IsStriped) return new PartsReader(this, parts, first, end);
        }
        return new ReplicaReader(this, parts, first, end);
    }

    /// <summary>Frees a blob wherever it may be. A replica that can't be reached, or was not a moment ago, keeps it until it looks for what the index does not know, as every node with a drive does.</summary>
    public async ValueTask DeleteAsync(BlobId blob, CancellationToken ct)
    {
        var stores = _placement.ForRead(blob).Select(static place => place.Store).Distinct().Where(static store => !store.IsSuspect);
        await Task.WhenAll(stores.Select(async store =>
        {
            try
            {
                await store.DeleteAsync(blob, ct);
            }
            catch (StorageException e)
            {
                LogNotFreed(_log, blob, store.Id, e.Message);
            }
        }));
    }

    public IReadOnlyList<BlobId> ListBlobs(BlobId after, DateTimeOffset mintedBefore, int max) => _local?.ListBlobs(after, mintedBefore, max) ?? [];

    /// <summary>The index of a cluster lies elsewhere.</summary>
    public void RequireRoom() { }

    /// <summary>Returns when nothing is under way for writes that were disposed, and everything noted is in the repair queue.</summary>
    public async Task SettledAsync()
    {
        while (!_background.IsEmpty) await Task.WhenAll(_background.Keys);
        while (Volatile.Read(ref _unnoted) > 0) await Task.Yield();
    }

    public async ValueTask DisposeAsync()
    {
        while (!_background.IsEmpty) await Task.WhenAll(_background.Keys);
        if (_local is not null) _local.DamageFound = null;
        _notes.Writer.TryComplete();
        await _closing.CancelAsync();
        await _noting;
        _closing.Dispose();
        _meter.Dispose();
    }

    /// <summary>Enters a replica in the repair queue, without waiting for it.</summary>
    private void Note(BlobId blob, ChunkStore store, RepairReason reason)
    {
        var entry = new RepairEntry(blob.Whole, store.Id, reason);
        Interlocked.Increment(ref _unnoted);
        if (!_notes.Writer.TryWrite(entry)) Interlocked.Decrement(ref _unnoted);
    }

    private async Task NoteAsync()
    {
        await foreach (var entry in _notes.Reader.ReadAllAsync())
        {
            for (var isTold = false; ; isTold = true)
            {
                try
                {
                    await _repairs.EnqueueAsync(entry, CancellationToken.None);
                    break;
                }
                catch (Exception e)     // whatever the queue's index has: nobody waits here who could be told, and it comes back
                {
                    if (!isTold) LogNotQueued(_log, entry.Blob, entry.Store, e);
                    if (_closing.IsCancellationRequested) break;
                    await Task.Delay(NoteAgainAfter, _clock, _closing.Token).ConfigureAwait(ConfigureAwaitOptions.SuppressThrowing);
                }
            }
            Interlocked.Decrement(ref _unnoted);
        }
    }

    /// <summary>Lets something be finished that nobody waits for.</summary>
    private void InBackground(Task task)
    {
        if (task.IsCompleted) return;
        _background[task] = true;
        _ = task.ContinueWith(static (done, state) => ((ConcurrentDictionary<Task, bool>)state!).TryRemove(done, out _),
            _background, CancellationToken.None, TaskContinuationOptions.ExecuteSynchronously, TaskScheduler.Default);
    }

    private AnswerTimes TimesOf(ChunkStore store) => _times.GetOrAdd(store.Id, static _ => new());

    private TimeSpan HedgeAfter(ChunkStore store)
    {
        var usual = TimesOf(store).Percentile;
        return usual > _options.HedgeFloor ? usual : _options.HedgeFloor;
    }

    [LoggerMessage(LogLevel.Debug, "Blob {Blob} was not freed on store {Store}, which will find it itself: {Why}")]
    private static partial void LogNotFreed(ILogger log, BlobId blob, Guid store, string why);

    [LoggerMessage(LogLevel.Warning, "Blob {Blob} lacks something on store {Store}, and the repair queue does not take it: it is tried again")]
    private static partial void LogNotQueued(ILogger log, BlobId blob, Guid store, Exception e);

    [LoggerMessage(LogLevel.Debug, "Blob {Blob} was written without store {Store}: {Why}")]
    private static partial void LogMissed(ILogger log, BlobId blob, Guid store, string why);

    [LoggerMessage(LogLevel.Debug, "Chunk {Index} of blob {Blob} is not read from store {Store}: {Why}")]
    private static partial void LogElsewhere(ILogger log, int index, BlobId blob, Guid store, string why);
}
