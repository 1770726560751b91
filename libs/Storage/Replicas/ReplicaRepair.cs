using DarkStorage.GrainInterfaces;
using DarkStorage.GrainInterfaces.Objects;
using DarkStorage.Storage.Chunks;
using DarkStorage.Storage.ErasureCoding;
using DarkStorage.Storage.Packs;

namespace DarkStorage.Storage.Replicas;

/// <summary>How a repair ended.</summary>
public enum RepairOutcome
{
    /// <summary>The store has all that the other replicas have, whole: the entry may go.</summary>
    Done = 1,

    /// <summary>Something is left to do, or could not be ruled out because a replica could not be asked: the entry stays, what was copied stays too.</summary>
    Incomplete = 2,

    /// <summary>By the layout nothing of the blob belongs to the store: the entry may go.</summary>
    Outdated = 3,

    /// <summary>All who may have something of the blob were asked, and together they do not have enough to make it whole: it was deleted, or never acknowledged, or more was lost than it
    /// can lose.</summary>
    Hopeless = 4,
}

/// <summary>What a repair did.</summary>
/// <param name="Chunks">Chunks that were copied.</param>
/// <param name="Bytes">Their bytes.</param>
/// <param name="Why">What is left, of one that is <see cref="RepairOutcome.Incomplete"/> or <see cref="RepairOutcome.Hopeless"/>.</param>
public sealed record RepairReport(RepairOutcome Outcome, int Chunks, long Bytes, string? Why);

/// <summary>Puts replicas right: copies to a store the chunks of a blob that it lacks, or has damaged, from those that have them; or makes its shards of them again out of
/// others.</summary>
/// <remarks>Invariants: what is copied or computed with was verified against its checksums on the way out of its store and on the way into the next, and is durable there before it
/// replaces anything. A chunk that is there and whole is not copied, so a repair that was cut short goes on where it was. A blob that was deleted meanwhile is at
/// worst brought back where its deletion is found again by the search for what the index does not know.</remarks>
/// <param name="drive">This node's own drive, whose memory is used; null for a node without.</param>
public sealed class ReplicaRepair(IChunkPlacement placement, PackStore? drive, BlobStoreOptions options) : IDisposable
{
    private readonly ChunkMemory _memory = drive?.Memory ?? new(options.WriteMemoryBytesMax, options.ChunkBytesMax / PackFormat.Block * PackFormat.Block);

    /// <summary>Puts one replica right. Run where the store is where that can be chosen: what it has is read there when it is to be verified.</summary>
    /// <param name="spent">Told the bytes of each chunk that was copied or verified: the caller's pace.</param>
    /// <param name="also">A store that has something of the blob, though by the layout nothing of it belongs there: the whole, or the shard that <paramref name="entry"/>'s store is to have.</param>
    public async Task<RepairReport> RepairAsync(RepairEntry entry, Func<long, CancellationToken, ValueTask>? spent, CancellationToken ct, ChunkStore? also = null)
    {
        var places = placement.ForRead(entry.Blob);
        var target = places.FirstOrDefault(place => place.Store.Id == entry.Store && place.ShouldHold);
        if (target.Store is null) return new(RepairOutcome.Outdated, 0, 0, null);
        var sources = places.Where(place => place.Store != target.Store || place.Shard != target.Shard).Select(SourceOf).ToList();
        if (also is not null) sources.Insert(0, SourceOf(target with { Store = also }));
        var job = new Job(SourceOf(target), [.. sources], entry, spent);
        _memory.BeginWrite();
        try
        {
            await RunAsync(job, ct);
        }
        catch (StorageException e)
        {
            job.Why = e.Message;        // the store itself can't be asked, or takes nothing
            job.AllAnswered = false;
        }
        finally
        {
            foreach (var reader in job.Readers.Values) await reader.DisposeAsync();
            if (job.Write is not null) await job.Write.DisposeAsync();
            _memory.EndWrite();
        }
        var outcome = job.Why is null ? RepairOutcome.Done : job.AllAnswered ? RepairOutcome.Hopeless : RepairOutcome.Incomplete;
        return new(outcome, job.Chunks, job.Bytes, job.Why);

        Source SourceOf(ReadPlace place) => new(place.Store, entry.Blob.OfShard(place.Shard));
    }

    /// <summary>Whether those that a blob, or a shard of one, belongs to have all of it that a store has: then it may be freed there. Who has less is to be mended.</summary>
    /// <param name="lacking">Told each store that has less.</param>
    /// <exception cref="StorageException"><see cref="StorageError.Unavailable"/>: one of them could not be asked.</exception>
    public async Task<bool> IsElsewhereAsync(ChunkStore store, BlobId stored, Func<ChunkStore, Task> lacking, CancellationToken ct)
    {
        var places = placement.ForRead(stored).Where(place => place.ShouldHold && place.Shard == stored.Shard).ToList();
        if (places.Count == 0 || places.Any(place => place.Store == store)) return false;
        var all = true;
        foreach (var place in places)
        {
            for (var from = 0; from >= 0;)
            {
                var mine = await store.ListChunksAsync(stored, from, ChunkStore.ListMax, ct);
                if (mine.Count == 0) break;
                var theirs = (await place.Store.ListChunksAsync(stored, from, ChunkStore.ListMax, ct)).ToHashSet();
                if (!mine.All(chunk => theirs.Contains(chunk) || (theirs.Count == ChunkStore.ListMax && chunk.Index > theirs.Max(static c => c.Index))))
                {
                    all = false;
                    await lacking(place.Store);
                    break;
                }
                from = mine.Count < ChunkStore.ListMax ? -1 : Math.Min(mine[^1].Index, theirs.Max(static c => c.Index)) + 1;
            }
        }
        return all;
    }

    public void Dispose()
    {
        if (drive is null) _memory.Dispose();
    }

    /// <summary>What is stored under one id at one store: a whole blob, or a shard of one.</summary>
    private sealed record Source(ChunkStore Store, BlobId Id);

    private sealed class Job(Source target, Source[] sources, RepairEntry entry, Func<long, CancellationToken, ValueTask>? spent)
    {
        public readonly Source Target = target;
        public readonly Source[] Sources = sources;
        public readonly RepairEntry Entry = entry;
        public readonly Func<long, CancellationToken, ValueTask>? Spent = spent;
        public readonly Dictionary<Source, ChunkReader> Readers = [];
        public ChunkWrite? Write;
        public int Chunks;
        public long Bytes;
        public string? Why;
        public bool AllAnswered = true;

        /// <summary>What kept the chunk at hand from being read somewhere, which matters only if nobody else gives it.</summary>
        public StorageException? Problem;
    }

    private async Task RunAsync(Job job, CancellationToken ct)
    {
        var isThere = false;
        for (var from = 0; from >= 0;)
        {
            var page = await ListAsync(job, from, ct);
            isThere |= page.Chunks.Count > 0;
            foreach (var (index, (length, holders)) in page.Chunks)
            {
                ct.ThrowIfCancellationRequested();
                var isHere = page.Have.TryGetValue(index, out var has) && has == length;
                if (isHere && (job.Entry.Reason != RepairReason.Damaged || await IsWholeAsync(job, index, length, ct))) continue;
                await BringAsync(job, index, length, holders, ct);
            }
            from = page.Next;
        }
        if (!isThere) job.Why ??= $"Nothing of blob {job.Entry.Blob} is anywhere.";
    }

    /// <summary>Which chunks there are, from an index on, as far as all pages reach. Of a striped blob all shards of a chunk have one length.</summary>
    private static async Task<(SortedDictionary<int, (int Length, List<Source> Holders)> Chunks, Dictionary<int, int> Have, int Next)> ListAsync(Job job, int from, CancellationToken ct)
    {
        var last = int.MaxValue;
        var pages = new List<(Source Source, IReadOnlyList<StoredChunk> Chunks)>();
        foreach (var source in (Source[])[job.Target, .. job.Sources])
        {
            try
            {
                var chunks = await source.Store.ListChunksAsync(source.Id, from, ChunkStore.ListMax, ct);
                if (chunks.Count == ChunkStore.ListMax) last = Math.Min(last, chunks[^1].Index);
                pages.Add((source, chunks));
            }
            catch (StorageException e) when (source != job.Target)
            {
                (job.Why, job.AllAnswered) = (e.Message, false);    // it may have what no other has
            }
        }
        var all = new SortedDictionary<int, (int Length, List<Source> Holders)>();
        var have = new Dictionary<int, int>();
        foreach (var (source, chunks) in pages)
        {
            foreach (var (index, length) in chunks)
            {
                if (index > last) break;
                if (source == job.Target) have[index] = length;
                if (!all.TryGetValue(index, out var known)) all[index] = known = (length, []);
                if (known.Length == length) known.Holders.Add(source);
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

    private async Task BringAsync(Job job, int index, int length, List<Source> holders, CancellationToken ct)
    {
        job.Problem = null;
        var chunk = await CopyAsync(job, index, length, holders, ct) ?? (job.Target.Id.IsStriped ? await RebuildAsync(job, index, length, holders, ct) : null);
        if (chunk is null)
        {
            job.Why = $"Chunk {index} of blob {job.Entry.Blob} can't be made whole out of what could be read. {job.Problem?.Message}";
            if (job.Problem is { Error: not (StorageError.DataDamaged or StorageError.ChecksumMismatch or StorageError.NoSuchKey) }) job.AllAnswered = false;
            return;
        }
        try
        {
            chunk.Finish(last: false);
            job.Write ??= job.Target.Store.BeginWrite(job.Target.Id);
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
    }

    /// <returns>What the target lacks, as another has it; null where none has it whole.</returns>
    private async Task<ChunkBuffer?> CopyAsync(Job job, int index, int length, List<Source> holders, CancellationToken ct)
    {
        foreach (var source in holders.Where(holder => holder != job.Target && holder.Id == job.Target.Id))
        {
            var chunk = new ChunkBuffer(_memory, length, length, whole: true);
            try
            {
                await ReadAsync(job, source, index, length, bytes => chunk.Append(bytes, length - chunk.Filled), ct);
                return chunk;
            }
            catch (Exception e)
            {
                chunk.Dispose();
                if (!IsNoted(job, e)) throw;
            }
        }
        return null;
    }

    /// <returns>The target's shard, computed from as many others as it takes; null where there are not as many.</returns>
    private async Task<ChunkBuffer?> RebuildAsync(Job job, int index, int length, List<Source> holders, CancellationToken ct)
    {
        var code = ErasureCode.Create(job.Target.Id.Redundancy.Data, job.Target.Id.Redundancy.Parity);
        var (memory, present) = (new Memory<byte>[code.Shards], ShardSet.None);
        var rented = new List<byte[]>();
        var wanted = job.Target.Id.Shard - 1;
        try
        {
            foreach (var source in holders.Where(holder => holder.Id != job.Target.Id))
            {
                var number = source.Id.Shard - 1;
                if (present.Count == code.Data || present.Contains(number)) continue;
                var bytes = System.Buffers.ArrayPool<byte>.Shared.Rent(length);
                rented.Add(bytes);
                var filled = 0;
                try
                {
                    await ReadAsync(job, source, index, length, stretch =>
                    {
                        stretch.CopyTo(bytes.AsSpan(filled));
                        filled += stretch.Length;
                    }, ct);
                }
                catch (Exception e) when (IsNoted(job, e))
                {
                    continue;
                }
                (memory[number], present) = (bytes.AsMemory(0, length), present.With(number));
            }
            if (present.Count < code.Data) return null;
            var made = System.Buffers.ArrayPool<byte>.Shared.Rent(length);
            rented.Add(made);
            memory[wanted] = made.AsMemory(0, length);
            code.Reconstruct(memory, present, ShardSet.Of(wanted));
            var chunk = new ChunkBuffer(_memory, length, length, whole: true);
            chunk.Append(made.AsSpan(0, length), length);
            return chunk;
        }
        finally
        {
            foreach (var bytes in rented) System.Buffers.ArrayPool<byte>.Shared.Return(bytes);
        }
    }

    /// <summary>What is wrong with one source is no reason not to ask the next. Of several problems the one is kept that may pass.</summary>
    private static bool IsNoted(Job job, Exception e)
    {
        if (e is not StorageException problem) return false;
        if (job.Problem is null or { Error: StorageError.DataDamaged or StorageError.ChecksumMismatch or StorageError.NoSuchKey }) job.Problem = problem;
        return true;
    }

    /// <summary>Reads a whole chunk, verified, stretch by stretch.</summary>
    private static async Task ReadAsync(Job job, Source source, int index, int length, ReadOnlySpanAction taken, CancellationToken ct)
    {
        if (!job.Readers.TryGetValue(source, out var reader)) job.Readers[source] = reader = ReplicaStore.BeginRead(source.Store, source.Id);
        var stretch = System.Buffers.ArrayPool<byte>.Shared.Rent(256 << 10);
        try
        {
            reader.Open(source.Id, index, length, length);
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
            job.Readers.Remove(source);
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
