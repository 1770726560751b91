using System.Collections.Concurrent;
using System.Runtime.InteropServices;

namespace DarkStorage.Storage.Packs;

/// <remarks>Start. Invariants: a frame that was acknowledged is found, whatever torn frames lie before it: the scan goes on page by page
/// where it finds no header. A frame that was not known to be durable is taken only if all its blocks match; one that was is taken on its header,
/// for a mismatch there is damage to be reported, not a torn write to be forgotten. What an earlier process wrote gets sealed.</remarks>
public sealed partial class PackStore
{
    /// <summary>Bytes read at a time while looking for headers.</summary>
    private const int ScanBytes = 64 << 10;

    private readonly ConcurrentQueue<PackEntry> _foundTwice = new();

    private void Recover()
    {
        var names = _disk.List();
        foreach (var name in names)
        {
            if (name.EndsWith(".tmp", StringComparison.Ordinal)) TryDelete(name);
        }
        var numbers = new List<uint>();
        foreach (var name in names)
        {
            if (Pack.TryParseName(name, out var number)) numbers.Add(number);
        }
        _lastPack = numbers.Count == 0 ? 0 : numbers.Max();
        var known = numbers.ToHashSet();
        foreach (var name in names)
        {
            if (name.EndsWith(".idx", StringComparison.Ordinal) && Pack.TryParseName(name[..^4] + ".pack", out var number) && !known.Contains(number)) TryDelete(name);
        }
        var failures = new ConcurrentQueue<Exception>();
        Parallel.ForEach(numbers, new ParallelOptions { MaxDegreeOfParallelism = Environment.ProcessorCount }, number =>
        {
            try
            {
                Recover(number);
            }
            catch (Exception e)
            {
                failures.Enqueue(e);
            }
        });
        if (failures.TryDequeue(out var failure))
        {
            foreach (var pack in _packs.Values) pack.Release();
            _packs.Clear();
            System.Runtime.ExceptionServices.ExceptionDispatchInfo.Throw(failure);
        }
        while (_foundTwice.TryDequeue(out var entry)) PreferWhole(entry);
        foreach (var pack in _packs.Values) RetireIfDead(pack);
        LogOpened(_log, _packs.Count, _table.Chunks);
    }

    private void Recover(uint number)
    {
        var file = _disk.Open(Pack.NameOf(number));
        try
        {
            if (!TryReadHeader(file, number, out var header))
            {
                if (file.NextData(0) < 0)
                {
                    file.Dispose();         // made but not written to when the power went
                    TryDelete(Pack.NameOf(number));
                    return;
                }
                Interlocked.Increment(ref _damagedPacks);
                LogPackUnreadable(_log, number);
                file.Dispose();             // left as it is: somebody may want to look at it
                return;
            }
            var pack = new Pack(number, header.Salt, file, file.Length) { Position = file.Length, DurableThrough = file.Length };
            var indexed = _disk.PunchesHoles && _disk.ReadWhole(pack.IndexName) is { } bytes ? PackIndex.Read(bytes, number, header.Salt, file.Length) : null;
            var entries = indexed is not null ? WithoutHoles(file, indexed) : Rescan(pack);
            _packs[number] = pack;
            foreach (var entry in entries)
            {
                pack.AddLive(entry.Location.FrameBytes);
                var lost = _table.Add(entry.Blob, entry.Index, entry.Location);
                if (lost.Length == 0) continue;
                _foundTwice.Enqueue(entry with { Location = lost });
                if (lost == entry.Location) pack.AddLive(-lost.FrameBytes);
                else if (_packs.TryGetValue(lost.Pack, out var other)) other.AddLive(-lost.FrameBytes);
            }
            pack.State = PackState.Sealed;
        }
        catch
        {
            file.Dispose();
            throw;
        }
    }

    /// <summary>Of two copies the younger was taken. A repair may have put its copy into the older pack, and a loss of power may have brought back the damaged frame that it
    /// had freed: then the other one is the right one.</summary>
    private void PreferWhole(PackEntry other)
    {
        if (!_table.TryGet(other.Blob, other.Index, out var taken) || taken == other.Location || IsWhole(other with { Location = taken }) || !IsWhole(other)) return;
        if (!_table.TryMove(other.Blob, other.Index, taken, other.Location)) return;
        _packs[taken.Pack].AddLive(-taken.FrameBytes);
        _packs[other.Location.Pack].AddLive(other.Location.FrameBytes);
    }

    private bool IsWhole(in PackEntry entry)
    {
        if (!_packs.TryGetValue(entry.Location.Pack, out var pack)) return false;
        using var reader = new FrameReader(pack, fromMedium: false);
        return reader.Read(entry, null) is null;
    }

    private bool TryReadHeader(IPackFile file, uint number, out PackHeader header)
    {
        var pages = new byte[PackFormat.HeaderBytes];
        var read = 0;
        try
        {
            read = file.Read(0, pages, default, mayBlock: true);
        }
        catch (IOException)
        {
            header = default;
            return false;
        }
        for (var page = 0; page < read / PackFormat.Page; page++)
        {
            if (!PackFormat.TryReadPackHeader(pages.AsSpan(page * PackFormat.Page), out header)) continue;
            if (header.Version > PackFormat.Version)
                throw new StorageStartupException($"Pack {number:x} has format {header.Version}, but this program knows formats up to {PackFormat.Version}; run a newer version of it.");
            if (header.Store == _id && header.Number == number) return true;
        }
        header = default;
        return false;
    }

    /// <summary>Leaves out the frames whose first page was punched since the index was written.</summary>
    private static List<PackEntry> WithoutHoles(IPackFile file, List<PackEntry> entries)
    {
        entries.Sort(static (a, b) => a.Location.Offset.CompareTo(b.Location.Offset));
        var kept = 0;
        var data = 0L;
        var hole = 0L;      // [data, hole) is known to be no hole
        var end = file.Length;
        var span = CollectionsMarshal.AsSpan(entries);
        foreach (var entry in span)
        {
            var offset = entry.Location.Offset;
            while (offset >= hole && data >= 0)
            {
                data = file.NextData(offset);
                hole = data < 0 ? end : file.NextHole(data);
                if (data >= 0 && hole <= data) hole = end;
                if (data > offset) break;
            }
            if (data >= 0 && offset >= data && offset < hole) span[kept++] = entry;
        }
        entries.RemoveRange(kept, entries.Count - kept);
        return entries;
    }

    /// <summary>Finds the frames of a pack that has no usable index, cuts its tail and writes the index.</summary>
    private List<PackEntry> Rescan(Pack pack)
    {
        var entries = ScanFrames(pack);
        var end = entries.Count == 0 ? PackFormat.HeaderBytes : entries[^1].Location.Offset + entries[^1].Location.FrameBytes;
        LogRescanned(_log, pack.Number, entries.Count, end);
        try
        {
            if (pack.Doubtful) return entries;      // what can't be read now may be readable tomorrow: cut nothing
            if (end < pack.Position) pack.File.Truncate(end);
            pack.File.Sync();       // what a killed process left in the cache is durable before anybody relies on it
            pack.Position = end;
            pack.DurableThrough = end;
            WriteIndex(pack, entries);
        }
        catch (IOException e)
        {
            LogSealFailed(_log, pack.Number, e);
        }
        return entries;
    }

    private static unsafe List<PackEntry> ScanFrames(Pack pack)
    {
        var frames = new List<FrameHeader>();
        var durable = 0L;
        var end = pack.Position;
        var window = new byte[ScanBytes + PackFormat.HeaderBytes];
        var held = (From: 0L, Bytes: 0);
        for (long at = PackFormat.HeaderBytes; at < end;)
        {
            var need = (int)Math.Min(PackFormat.HeaderBytes, end - at);
            if (at < held.From || at + need > held.From + held.Bytes)
            {
                var data = pack.File.NextData(at);
                if (data < 0) break;
                at = Math.Max(at, data / PackFormat.Page * PackFormat.Page);
                held = (at, ReadOrZero(pack, at, window.AsSpan(0, (int)Math.Min(window.Length, end - at))));
                need = (int)Math.Min(PackFormat.HeaderBytes, end - at);
            }
            var header = window.AsSpan((int)(at - held.From), Math.Min(need, held.Bytes - (int)(at - held.From)));
            if (PackFormat.TryReadFrameHeader(header, pack.Salt, at, out var frame) && at + frame.FrameBytes <= end && frame.Index <= LocationTable.IndexMax)
            {
                frames.Add(frame);
                durable = Math.Max(durable, frame.DurableThrough);
                at += frame.FrameBytes;
            }
            else
            {
                at += PackFormat.Page;
            }
        }
        var entries = new List<PackEntry>(frames.Count);
        byte[]? buffer = null;
        foreach (var frame in frames)
        {
            if (frame.Offset >= durable && !IsWhole(pack, frame, buffer ??= new byte[1 << 20])) continue;
            entries.Add(new(frame.Blob, frame.Index, new(pack.Number, frame.Offset, frame.PayloadOffset, frame.Length)));
        }
        return entries;
    }

    /// <summary>An unreadable sector reads as zeros here: the scan must find what lies behind it.</summary>
    private static int ReadOrZero(Pack pack, long offset, Span<byte> destination)
    {
        var file = pack.File;
        try
        {
            return file.Read(offset, destination, default, mayBlock: true);
        }
        catch (IOException)
        {
            pack.Doubtful = true;
            for (var done = 0; done < destination.Length; done += PackFormat.Page)
            {
                var page = destination.Slice(done, Math.Min(PackFormat.Page, destination.Length - done));
                try
                {
                    file.Read(offset + done, page, default, mayBlock: true);
                }
                catch (IOException)
                {
                    page.Clear();
                }
            }
            return destination.Length;
        }
    }

    private static bool IsWhole(Pack pack, in FrameHeader frame, byte[] buffer)
    {
        var header = new byte[frame.PayloadOffset];
        try
        {
            if (pack.File.Read(frame.Offset, header, default, mayBlock: true) < header.Length) return false;
            for (var done = 0; done < frame.Length;)
            {
                var stretch = buffer.AsSpan(0, Math.Min(buffer.Length, frame.Length - done));
                if (pack.File.Read(frame.Offset + frame.PayloadOffset + done, stretch, default, mayBlock: true) < stretch.Length) return false;
                if (!PackFormat.BlocksMatch(header, done / PackFormat.Block, stretch)) return false;
                done += stretch.Length;
            }
            return true;
        }
        catch (IOException)
        {
            pack.Doubtful = true;
            return false;
        }
    }
}
