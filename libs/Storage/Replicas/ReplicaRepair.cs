using DarkStorage.GrainInterfaces;
using DarkStorage.GrainInterfaces.Objects;
using DarkStorage.Storage.Chunks;
using DarkStorage.Storage.Packs;

namespace DarkStorage.Storage.Replicas;

/// <summary>How a repair ended.</summary>
public enum RepairOutcome
{
    /// <summary>The store has all that the other replicas have, whole: the entry may go.</summary>
    Done = 1,

    /// <summary>Something is left to do, or could not be ruled out because a replica could not be asked: the entry stays, what was copied stays too.</summary>
    Incomplete = 2,

    /// <summary>The layout says no more that the store keeps the blob's partition: the entry may go.</summary>
    Outdated = 3,
}

/// <summary>What a repair did.</summary>
/// <param name="Chunks">Chunks that were copied.</param>
/// <param name="Bytes">Their bytes.</param>
/// <param name="Why">What is left, of an <see cref="RepairOutcome.Incomplete"/> one.</param>
public sealed record RepairReport(RepairOutcome Outcome, int Chunks, long Bytes, string? Why);

/// <summary>Puts replicas right: copies to a store the chunks of a blob that it lacks, or has damaged, from those that have them.</summary>
/// <remarks>Invariants: what is copied was verified against its checksums on the way out of its store and on the way into the next, and is durable there before it
/// replaces anything. A chunk that is there and whole is not copied, so a repair that was cut short goes on where it was. A blob that was deleted meanwhile is at
/// worst brought back where its deletion is found again by the search for what the index does not know.</remarks>
/// <param name="drive">This node's own drive, whose memory is used; null for a node without.</param>
public sealed class ReplicaRepair(IChunkPlacement placement, PackStore? drive, BlobStoreOptions options) : IDisposable
{
    private readonly ChunkMemory _memory = drive?.Memory ?? new(options.WriteMemoryBytesMax, options.ChunkBytesMax / PackFormat.Block * PackFormat.Block);

    /// <summary>Puts one replica right. Run where the store is where that can be chosen: what it has is read there when it is to be verified.</summary>
    /// <param name="spent">Told the bytes of each chunk that was copied or verified: the caller's pace.</param>
    public async Task<RepairReport> RepairAsync(RepairEntry entry, Func<long, CancellationToken, ValueTask>? spent, CancellationToken ct)
    {
        var places = placement.ForRead(entry.Blob.Place);
        var target = places.Where(place => place.Store.Id == entry.Store && place.ShouldHold).Select(static place => place.Store).FirstOrDefault();
        if (target is null) return new(RepairOutcome.Outdated, 0, 0, null);
        var job = new Job(target, [.. places.Where(place => place.Store != target).Select(static place => place.Store)], entry, spent);
        _memory.BeginWrite();
        try
        {
            await RunAsync(job, ct);
        }
        catch (StorageException e)
        {
            job.Why = e.Message;        // the store itself can't be asked, or takes nothing
        }
        finally
        {
            foreach (var reader in job.Readers.Values) await reader.DisposeAsync();
            if (job.Write is not null) await job.Write.DisposeAsync();
            _memory.EndWrite();
        }
        return new(job.Why is null ? RepairOutcome.Done : RepairOutcome.Incomplete, job.Chunks, job.Bytes, job.Why);
    }

    public void Dispose()
    {
        if (drive is null) _memory.Dispose();
    }

    private sealed class Job(ChunkStore target, ChunkStore[] sources, RepairEntry entry, Func<long, CancellationToken, ValueTask>? spent)
    {
        public readonly ChunkStore Target = target;
        public readonly ChunkStore[] Sources = sources;
        public readonly RepairEntry Entry = entry;
        public readonly Func<long, CancellationToken, ValueTask>? Spent = spent;
        public readonly Dictionary<ChunkStore, ChunkReader> Readers = [];
        public ChunkWrite? Write;
        public int Chunks;
        public long Bytes;
        public string? Why;
    }

    private async Task RunAsync(Job job, CancellationToken ct)
    {
        for (var from = 0; from >= 0;)
        {
            var page = await ListAsync(job, from, ct);
            foreach (var (index, (length, holders)) in page.Chunks)
            {
                ct.ThrowIfCancellationRequested();
                var isThere = page.Have.TryGetValue(index, out var has) && has == length;
                if (isThere && (job.Entry.Reason != RepairReason.Damaged || await IsWholeAsync(job, index, length, ct))) continue;
                await BringAsync(job, index, length, holders, ct);
            }
            from = page.Next;
        }
    }

    /// <summary>Which chunks there are, from an index on, as far as all pages reach.</summary>
    private static async Task<(SortedDictionary<int, (int Length, List<ChunkStore> Holders)> Chunks, Dictionary<int, int> Have, int Next)> ListAsync(Job job, int from, CancellationToken ct)
    {
        var last = int.MaxValue;
        var pages = new List<(ChunkStore Store, IReadOnlyList<StoredChunk> Chunks)>();
        foreach (var store in (ChunkStore[])[job.Target, .. job.Sources])
        {
            try
            {
                var chunks = await store.ListChunksAsync(job.Entry.Blob, from, ChunkStore.ListMax, ct);
                if (chunks.Count == ChunkStore.ListMax) last = Math.Min(last, chunks[^1].Index);
                pages.Add((store, chunks));
            }
            catch (StorageException e) when (store != job.Target)
            {
                job.Why = e.Message;    // it may have what no other has
            }
        }
        var all = new SortedDictionary<int, (int Length, List<ChunkStore> Holders)>();
        var have = new Dictionary<int, int>();
        foreach (var (store, chunks) in pages)
        {
            foreach (var (index, length) in chunks)
            {
                if (index > last) break;
                if (store == job.Target) have[index] = length;
                if (!all.TryGetValue(index, out var known)) all[index] = known = (length, []);
                if (known.Length == length) known.Holders.Add(store);
            }
        }
        return (all, have, last == int.MaxValue ? -1 : last + 1);
    }

    private static async Task<bool> IsWholeAsync(Job job, int index, int length, CancellationToken ct)
    {
        try
        {
            await ReadAsync(job, job.Target, index, length, static _ => { }, ct);
            if (job.Spent is not null) await job.Spent(length, ct);
            return true;
        }
        catch (StorageException e) when (e.Error is StorageError.DataDamaged or StorageError.NoSuchKey)
        {
            return false;
        }
    }

    private async Task BringAsync(Job job, int index, int length, List<ChunkStore> holders, CancellationToken ct)
    {
        string? why = null;
        foreach (var source in holders)
        {
            if (source == job.Target) continue;
            var chunk = new ChunkBuffer(_memory, length, length, whole: true);
            try
            {
                await ReadAsync(job, source, index, length, bytes => chunk.Append(bytes, length - chunk.Filled), ct);
            }
            catch (Exception e)
            {
                chunk.Dispose();
                if (e is not StorageException) throw;
                why = e.Message;
                continue;
            }
            try
            {
                chunk.Finish(last: false);
                job.Write ??= job.Target.BeginWrite(job.Entry.Blob);
                await job.Write.Submit(chunk, index, sync: true, isLarge: true);
                await job.Write.CompleteAsync();
            }
            finally
            {
                chunk.Dispose();
            }
            job.Chunks++;
            job.Bytes += length;
            if (job.Spent is not null) await job.Spent(length, ct);
            return;
        }
        job.Why = why ?? $"Chunk {index} of blob {job.Entry.Blob} is whole on no replica that could be asked.";
    }

    /// <summary>Reads a whole chunk, verified, stretch by stretch.</summary>
    private static async Task ReadAsync(Job job, ChunkStore store, int index, int length, ReadOnlySpanAction taken, CancellationToken ct)
    {
        if (!job.Readers.TryGetValue(store, out var reader))
        {
            var plain = store.BeginRead(job.Entry.Blob);
            job.Readers[store] = reader = plain is PackStore.PackReader pack ? new LocalReader(pack) : plain;
        }
        var stretch = System.Buffers.ArrayPool<byte>.Shared.Rent(256 << 10);
        try
        {
            reader.Open(job.Entry.Blob, index, length, length);
            for (var at = 0; at < length;)
            {
                // Only what was fetched is taken, for only that says what is wrong with a chunk.
                _ = reader.Read(at / PackFormat.Block, default, mayBlock: false, verify: true);
                await reader.FetchAsync(ct);
                var read = reader.Read(at / PackFormat.Block, stretch.AsSpan(0, Math.Min(256 << 10, length - at)), mayBlock: false, verify: true);
                taken(stretch.AsSpan(0, read));
                at += read;
            }
            reader.Close();
        }
        catch
        {
            job.Readers.Remove(store);
            await reader.DisposeAsync();
            throw;
        }
        finally
        {
            System.Buffers.ArrayPool<byte>.Shared.Return(stretch);
        }
    }

    private delegate void ReadOnlySpanAction(ReadOnlySpan<byte> bytes);
}
