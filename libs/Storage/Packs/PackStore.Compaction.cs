using System.ComponentModel.DataAnnotations;
using DarkStorage.GrainInterfaces;
using DarkStorage.Storage.Chunks;

namespace DarkStorage.Storage.Packs;

/// <summary>What a compaction did.</summary>
/// <param name="Packs">Packs that are gone.</param>
/// <param name="CopiedBytes">Live bytes that were copied out of them.</param>
/// <param name="Left">Packs that had to stay for a chunk in them is damaged or was being written about.</param>
public sealed record CompactionReport(int Packs, long CopiedBytes, int Left);

/// <remarks>Compaction. Invariants: a pack is unlinked only when the table points to nothing in it, and the table points to a copy only once that is durable.
/// So a crash leaves each chunk in the old pack, the new one, or both; a start takes the younger, and they are equal. What does not match its checksum
/// is not copied and keeps its pack.</remarks>
public sealed partial class PackStore
{
    /// <summary>Bytes copied before one sync.</summary>
    private const int CopyBatchBytes = 8 << 20;

    /// <summary>Copies together what is live in mostly dead, failed, and many small packs, and removes those. Reads and writes go on meanwhile.</summary>
    /// <exception cref="StorageException"><see cref="StorageError.InsufficientStorage"/>, <see cref="StorageError.Unavailable"/>: what was done until then stays done.</exception>
    public async Task<CompactionReport> CompactAsync(CompactionOptions options, CancellationToken ct)
    {
        Validator.ValidateObject(options, new ValidationContext(options), validateAllProperties: true);
        var pace = new Pace((long)options.ReadMiBPerSecondMax << 20, _clock);
        var report = new CompactionReport(0, 0, 0);
        foreach (var candidate in CompactionCandidates(options))
        {
            if (!candidate.TryAcquire()) continue;
            try
            {
                var copied = await EvacuateAsync(candidate, pace, ct);
                report = report with { CopiedBytes = report.CopiedBytes + copied };
                if (RetireIfDead(candidate)) report = report with { Packs = report.Packs + 1 };
                else if (candidate.State != PackState.Retired)
                {
                    PunchDead(candidate);
                    report = report with { Left = report.Left + 1 };
                }
            }
            finally
            {
                candidate.Release();
            }
        }
        LogCompacted(_log, report.Packs, report.CopiedBytes, report.Left);
        return report;
    }

    private List<Pack> CompactionCandidates(CompactionOptions options)
    {
        var sealedPacks = _packs.Values.Where(static pack => pack.State == PackState.Sealed && !pack.Doubtful).OrderBy(static pack => pack.Number).ToList();
        var chosen = sealedPacks.Where(pack => pack.Failed || pack.LiveBytes * 100 <= (pack.Position - PackFormat.HeaderBytes) * options.LivePercentMax).ToList();
        var small = sealedPacks.Except(chosen).Where(pack => pack.LiveBytes < _options.PackBytes / 8).ToList();
        if (small.Count > options.SmallPacksMax) chosen.AddRange(small);
        return chosen;
    }

    /// <summary>The pack stays for what could not be copied; what was copied leaves it all the same. Who still reads there looks again and finds the copy; what was deleted under a reader has none,
    /// and leaves when he does.</summary>
    private void PunchDead(Pack pack)
    {
        try
        {
            foreach (var entry in ListEntries(pack))
            {
                if (!_table.IsUsed(entry.Blob, entry.Index, entry.Location)) Punch(pack, entry.Location);
            }
        }
        catch (IOException e)
        {
            LogPunchFailed(_log, pack.Number, e);
        }
    }

    private async Task<long> EvacuateAsync(Pack pack, Pace pace, CancellationToken ct)
    {
        var copied = 0L;
        var batch = new List<(PackEntry Entry, Append Copy)>();
        var batchBytes = 0L;
        using var reader = new FrameReader(pack, fromMedium: false);
        _memory.BeginWrite();
        try
        {
            foreach (var entry in ListEntries(pack))
            {
                ct.ThrowIfCancellationRequested();
                if (!IsAt(entry)) continue;
                var chunk = new ChunkBuffer(_memory, entry.Location.Length, entry.Location.Length, whole: true);
                var problem = reader.Read(entry, block => chunk.Append(block, entry.Location.Length - chunk.Filled));
                if (problem is not null)
                {
                    chunk.Dispose();
                    if (IsAt(entry)) ReportDamage(new(entry.Blob, entry.Index, pack.Number, entry.Location.Offset, problem));
                    continue;
                }
                chunk.Finish(last: false);
                var copy = new Append(entry.Blob, entry.Index, chunk, sync: true) { Entered = false };
                try
                {
                    (entry.Location.Length > SmallBytes ? NextLargeLane() : _lanes[0]).Submit(copy, inline: false);
                }
                catch
                {
                    chunk.Dispose();
                    throw;
                }
                batch.Add((entry, copy));
                batchBytes += entry.Location.FrameBytes;
                if (batchBytes < CopyBatchBytes) continue;
                copied += await SwitchAsync(pack, batch);
                await pace.SpendAsync(batchBytes, ct);
                batchBytes = 0;
            }
            copied += await SwitchAsync(pack, batch);
        }
        finally
        {
            foreach (var (_, copy) in batch)
            {
                await copy.Done.ConfigureAwait(ConfigureAwaitOptions.SuppressThrowing);
                copy.Chunk.Dispose();
            }
            _memory.EndWrite();
        }
        return copied;
    }

    /// <summary>Waits until the copies are durable and points the table to them.</summary>
    private async Task<long> SwitchAsync(Pack pack, List<(PackEntry Entry, Append Copy)> batch)
    {
        var bytes = 0L;
        StorageException? failure = null;
        foreach (var (entry, copy) in batch)
        {
            try
            {
                await copy.Done;
                if (_table.TryMove(entry.Blob, entry.Index, entry.Location, copy.Location))
                {
                    pack.AddLive(-entry.Location.FrameBytes);
                    bytes += entry.Location.FrameBytes;
                }
                else
                {
                    Free(copy.Location);        // deleted while it was copied
                }
            }
            catch (StorageException e)
            {
                failure = e;
                if (copy.Written) Free(copy.Location);     // not known to be durable; should a start find it whole, it is as good as the first
            }
            copy.Chunk.Dispose();
        }
        batch.Clear();
        _compactedCounter.Add(bytes);
        return failure is null ? bytes : throw failure;
    }
}
