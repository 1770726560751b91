using System.ComponentModel.DataAnnotations;
using System.Runtime.InteropServices;

namespace DarkStorage.Storage.Packs;

/// <summary>Where a scrub is: packs by number, frames by place. The default is the beginning.</summary>
public readonly record struct ScrubCursor(uint Pack, long Offset);

/// <summary>How far a scrub came.</summary>
/// <param name="Next">Where to go on; the default once all is done.</param>
/// <param name="Bytes">Read since it began.</param>
/// <param name="Damaged">Chunks found damaged since it began; <see cref="PackStore.Damaged"/> names them.</param>
public sealed record ScrubProgress(ScrubCursor Next, long Chunks, long Bytes, int Damaged, bool Finished);

/// <remarks>Scrub. Reads past the page cache what the table points to, so that rot is found while it is still one fault. It changes nothing
/// itself: with a single copy there is nothing to mend from, and where there are replicas <see cref="DamageFound"/> has it mended from one.</remarks>
public sealed partial class PackStore
{
    /// <summary>Re-reads every chunk from a place on. Packs that are appended to meanwhile are read as far as they were durable when their turn came.</summary>
    /// <param name="from">What an earlier scrub answered or reported as <see cref="ScrubProgress.Next"/>.</param>
    /// <param name="progress">Told about every pack, and every few seconds within one.</param>
    public async Task<ScrubProgress> ScrubAsync(ScrubCursor from, ScrubOptions options, IProgress<ScrubProgress>? progress, CancellationToken ct)
    {
        Validator.ValidateObject(options, new ValidationContext(options), validateAllProperties: true);
        var pace = new Pace((long)options.ReadMiBPerSecondMax << 20, _clock);
        var done = new ScrubProgress(from, 0, 0, 0, false);
        foreach (var number in _packs.Keys.Where(number => number >= from.Pack).Order())
        {
            if (!TryAcquire(number, out var pack)) continue;
            try
            {
                using var reader = new FrameReader(pack, fromMedium: true);
                var reported = _clock.GetTimestamp();
                var seen = 0L;
                foreach (var entry in ListEntries(pack))
                {
                    ct.ThrowIfCancellationRequested();
                    if (number == from.Pack && entry.Location.Offset < from.Offset || !IsAt(entry)) continue;
                    var problem = reader.Read(entry, null);
                    if (problem is not null && IsAt(entry))     // not deleted or moved meanwhile
                    {
                        ReportDamage(new(entry.Blob, entry.Index, number, entry.Location.Offset, problem));
                        done = done with { Damaged = done.Damaged + 1 };
                    }
                    var read = reader.BytesRead - seen;
                    seen = reader.BytesRead;
                    _scrubbedCounter.Add(read);
                    done = done with { Next = new(number, entry.Location.Offset + entry.Location.FrameBytes), Chunks = done.Chunks + 1, Bytes = done.Bytes + read };
                    if (progress is not null && _clock.GetElapsedTime(reported) > TimeSpan.FromSeconds(5))
                    {
                        progress.Report(done);
                        reported = _clock.GetTimestamp();
                    }
                    await pace.SpendAsync(read, ct);
                }
            }
            finally
            {
                pack.Release();
            }
            done = done with { Next = new(number + 1, 0) };
            progress?.Report(done);
        }
        foreach (var (key, chunk) in _damaged)
        {
            if (!Exists(chunk)) _damaged.TryRemove(key, out _);
        }
        done = done with { Next = default, Finished = true };
        progress?.Report(done);
        return done;
    }

    private bool IsAt(in PackEntry entry) => _table.TryGet(entry.Blob, entry.Index, out var now) && now == entry.Location;

    /// <summary>The frames of a pack in the order of their places. Some may be dead: ask the table.</summary>
    private List<PackEntry> ListEntries(Pack pack)
    {
        List<PackEntry>? entries = null;
        if (pack.Entries is { } appended)
        {
            lock (appended) entries = [.. appended];
            var durable = pack.DurableThrough;
            entries.RemoveAll(entry => entry.Location.Offset + entry.Location.FrameBytes > durable);
        }
        else if (_disk.ReadWhole(pack.IndexName) is { } bytes)
        {
            entries = PackIndex.Read(bytes, pack.Number, pack.Salt, pack.Position);
        }
        // Without an index the table says it: every frame it points to, even one whose header can't be read any more.
        entries ??= _table.ListIn(pack.Number);
        CollectionsMarshal.AsSpan(entries).Sort(static (a, b) => a.Location.Offset.CompareTo(b.Location.Offset));
        return entries;
    }
}
