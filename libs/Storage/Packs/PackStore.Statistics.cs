using System.Collections.Concurrent;
using System.Collections.Immutable;
using System.Diagnostics.Metrics;
using DarkStorage.GrainInterfaces.Objects;
using DarkStorage.Storage.Chunks;

namespace DarkStorage.Storage.Packs;

/// <summary>A chunk that is not what was written.</summary>
/// <param name="Problem">What is wrong with it: "does not match its checksum", "is missing", "can't be read (…)".</param>
public sealed record DamagedChunk(BlobId Blob, int Index, uint Pack, long Offset, string Problem);

/// <summary>The store at one moment.</summary>
/// <param name="LiveBytes">Bytes on the drive of the frames that can be read, headers and padding included.</param>
/// <param name="DeadBytes">Bytes of sealed packs that are no longer used; most of them returned to the file system already as holes.</param>
/// <param name="FreeBytes">Bytes that may still be written before writes are refused.</param>
/// <param name="WriteMemoryBytes">Memory that writes hold now.</param>
/// <param name="WriteMemoryPeakBytes">The most that they ever held.</param>
/// <param name="DamagedChunks">Found since the start, by reads or by scrub.</param>
/// <param name="DamagedPacks">Packs whose header can't be read: nothing in them can be found.</param>
public sealed record BlobStoreStatistics(
    int Packs,
    long Blobs,
    long Chunks,
    long LiveBytes,
    long DeadBytes,
    long FreeBytes,
    long WrittenBytes,
    long ReadBytes,
    long Syncs,
    long PackFailures,
    long WriteMemoryBytes,
    long WriteMemoryPeakBytes,
    int DamagedChunks,
    int DamagedPacks);

/// <remarks>What the store tells about itself. Instruments belong to the meter <c>DarkStorage.Storage</c>.</remarks>
public sealed partial class PackStore
{
    /// <summary>Name of the meter.</summary>
    public const string MeterName = "DarkStorage.Storage";

    /// <summary>Damaged chunks remembered by name; past that they are only counted.</summary>
    private const int DamagedListMax = 10_000;

    private readonly Meter _meter;

    /// <summary>Told of each chunk that is found damaged or missing, once: what heals from replicas listens here.</summary>
    internal Action<DamagedChunk>? DamageFound { get; set; }
    private readonly ConcurrentDictionary<(BlobId, int), DamagedChunk> _damaged = new();
    private Counter<long> _writtenCounter = null!;
    private Counter<long> _readCounter = null!;
    private Counter<long> _damageCounter = null!;
    private Counter<long> _packFailureCounter = null!;
    private Counter<long> _scrubbedCounter = null!;
    private Counter<long> _compactedCounter = null!;
    private Histogram<double> _syncSeconds = null!;
    private Histogram<int> _batchAppends = null!;
    private long _written;
    private long _read;
    private long _syncs;
    private long _packFailures;
    private int _damagedPacks;

    /// <summary>Chunks found damaged since the start and still there, 10,000 at most.</summary>
    public ImmutableArray<DamagedChunk> Damaged => [.. _damaged.Values.Where(Exists)];

    /// <summary>Counts everything. Cheap enough to ask every few seconds.</summary>
    public BlobStoreStatistics GetStatistics()
    {
        var live = 0L;
        var dead = 0L;
        foreach (var pack in _packs.Values)
        {
            live += pack.LiveBytes;
            dead += pack.Position - PackFormat.HeaderBytes - pack.LiveBytes;
        }
        return new(
            _packs.Count, _table.Blobs, _table.Chunks, live, dead, FreeBytes,
            Interlocked.Read(ref _written), Interlocked.Read(ref _read), Interlocked.Read(ref _syncs), Interlocked.Read(ref _packFailures),
            _memory.Used, _memory.Peak, _damaged.Count, Volatile.Read(ref _damagedPacks));
    }

    internal void CountWritten(long bytes)
    {
        Interlocked.Add(ref _written, bytes);
        _writtenCounter.Add(bytes);
    }

    internal void CountSync(TimeSpan took)
    {
        Interlocked.Increment(ref _syncs);
        _syncSeconds.Record(took.TotalSeconds);
    }

    internal void CountBatch(int appends) => _batchAppends.Record(appends);

    internal void CountPackFailure(Pack pack, Exception e)
    {
        Interlocked.Increment(ref _packFailures);
        _packFailureCounter.Add(1);
        LogPackFailed(_log, pack.Number, e);
    }

    internal void LogLaneFailed(Exception e) => LogLaneFailed(_log, e);

    private long FreeBytes
    {
        get
        {
            try
            {
                return Math.Max(0, _disk.FreeBytes - _options.ReservedBytes);
            }
            catch (IOException)
            {
                return 0;
            }
        }
    }

    private void CountRead(int bytes)
    {
        Interlocked.Add(ref _read, bytes);
        _readCounter.Add(bytes);
    }

    private void ReportDamage(DamagedChunk chunk)
    {
        if (_damaged.Count >= DamagedListMax || !_damaged.TryAdd((chunk.Blob, chunk.Index), chunk)) return;
        _damageCounter.Add(1);
        LogDamaged(_log, chunk.Index, chunk.Blob, chunk.Pack, chunk.Offset, chunk.Problem);
        DamageFound?.Invoke(chunk);
    }

    /// <summary>The chunk was put right.</summary>
    private void Mended(BlobId blob, int index) => _damaged.TryRemove((blob, index), out _);

    private bool Exists(DamagedChunk chunk) => chunk.Pack == 0 || _table.TryGet(chunk.Blob, chunk.Index, out _);

    private Meter CreateMeter()
    {
        var meter = new Meter(MeterName);
        _writtenCounter = meter.CreateCounter<long>("darkstorage.storage.written", "By", "Bytes appended to packs");
        _readCounter = meter.CreateCounter<long>("darkstorage.storage.read", "By", "Bytes read from packs and verified");
        _damageCounter = meter.CreateCounter<long>("darkstorage.storage.damaged", "{chunk}", "Chunks found damaged or missing");
        _packFailureCounter = meter.CreateCounter<long>("darkstorage.storage.pack_failures", "{failure}", "Writes and syncs that failed; each ends a pack");
        _scrubbedCounter = meter.CreateCounter<long>("darkstorage.storage.scrubbed", "By", "Bytes re-read and verified by scrub");
        _compactedCounter = meter.CreateCounter<long>("darkstorage.storage.compacted", "By", "Live bytes copied by compaction");
        _syncSeconds = meter.CreateHistogram<double>("darkstorage.storage.sync.duration", "s", "Time of one sync of a pack");
        _batchAppends = meter.CreateHistogram<int>("darkstorage.storage.sync.appends", "{append}", "Appends that waited for one sync");
        meter.CreateObservableGauge("darkstorage.storage.packs", () => _packs.Count, "{pack}", "Pack files");
        meter.CreateObservableGauge("darkstorage.storage.blobs", () => _table.Blobs, "{blob}", "Blobs that have chunks here");
        meter.CreateObservableGauge("darkstorage.storage.chunks", () => _table.Chunks, "{chunk}", "Chunks that can be read");
        meter.CreateObservableGauge("darkstorage.storage.live", () => _packs.Values.Sum(static pack => pack.LiveBytes), "By", "Bytes of live frames");
        meter.CreateObservableGauge("darkstorage.storage.dead", () => GetStatistics().DeadBytes, "By", "Bytes of packs that nothing uses any more: mostly returned as holes, the rest by compaction");
        meter.CreateObservableGauge("darkstorage.storage.free", () => FreeBytes, "By", "Bytes that may be written before writes are refused");
        meter.CreateObservableGauge("darkstorage.storage.write_memory", () => _memory.Used, "By", "Memory held by writes under way");
        meter.CreateObservableGauge("darkstorage.storage.unmended", () => Damaged.Length, "{chunk}", "Chunks found damaged or missing since the start, and still so");
        meter.CreateObservableGauge("darkstorage.storage.damaged_packs", () => Volatile.Read(ref _damagedPacks), "{pack}", "Packs whose header can't be read");
        return meter;
    }
}
