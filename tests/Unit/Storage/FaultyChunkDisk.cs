using DarkStorage.Storage.Packs;
using Xunit;

namespace DarkStorage.Unit.Storage;

/// <summary>A disk in memory that keeps apart what was written and what would survive a power loss, and does wrong on demand.</summary>
/// <remarks>Its rules are Linux's: a write is durable after a sync of its file that succeeded; a name after a sync of the directory; punches
/// become durable in their order; a page that a failed sync could not write is taken for clean afterwards, so a second sync answers that all is well.</remarks>
internal sealed class FaultyChunkDisk(Random random, long capacity = long.MaxValue) : IChunkDisk
{
    private const int Page = 4096;
    private const int Sector = 512;

    private readonly Lock _lock = new();
    private readonly Dictionary<string, MemoryFile> _files = [];
    private HashSet<string> _durableNames = [];
    private readonly Dictionary<string, MemoryFile> _unlinked = [];     // deleted, but not durably
    private int _operations;

    /// <summary>After so many changes the power goes: the last one may be torn, and all that follow fail.</summary>
    public int? CrashAfter { get; set; }

    public bool Crashed { get; private set; }

    /// <summary>Syncs of packs that fail from now on.</summary>
    public int FailSyncs { get; set; }

    /// <summary>Chance that a sync of a pack fails.</summary>
    public double FailSyncChance { get; set; }

    /// <summary>Writes to packs that fail from now on, having written a part.</summary>
    public int FailWrites { get; set; }

    /// <summary>The next writes go one page further than they should, and answer that all is well.</summary>
    public int MisdirectWrites { get; set; }

    /// <summary>The next writes are dropped, and answer that all is well.</summary>
    public int LoseWrites { get; set; }

    /// <summary>Pages of this file whose reading fails.</summary>
    public HashSet<(string Name, long Page)> Unreadable { get; } = [];

    /// <summary>Called before each sync of a pack: a test can hold it there.</summary>
    public Action? BeforeSync { get; set; }

    public long Capacity { get; set; } = capacity;

    public bool PunchesHoles { get; init; } = true;

    public int Operations
    {
        get
        {
            lock (_lock) return _operations;
        }
    }

    public long FreeBytes
    {
        get
        {
            lock (_lock) return Capacity == long.MaxValue ? long.MaxValue / 2 : Capacity - _files.Values.Sum(static file => file.Allocated);
        }
    }

    public IReadOnlyList<string> List()
    {
        lock (_lock) return [.. _files.Keys.Order(StringComparer.Ordinal)];
    }

    public IPackFile Create(string name, long bytes)
    {
        lock (_lock)
        {
            Count();
            if (bytes > FreeBytes) throw new DiskFullException();
            var file = new MemoryFile(this, name) { Length = bytes, Allocated = bytes };
            _files.Add(name, file);
            return new Handle(file);
        }
    }

    public IPackFile Open(string name)
    {
        lock (_lock) return new Handle(_files[name]);
    }

    public void Delete(string name)
    {
        lock (_lock)
        {
            Count();
            if (!_files.Remove(name, out var file)) return;
            if (_durableNames.Contains(name)) _unlinked[name] = file;
        }
    }

    public void SyncDirectory()
    {
        lock (_lock)
        {
            Count();
            SyncNames();
        }
    }

    public void WriteWhole(string name, ReadOnlySpan<byte> content)
    {
        lock (_lock)
        {
            Count();
            var file = new MemoryFile(this, name) { Length = content.Length, Allocated = content.Length, Whole = content.ToArray() };
            _files[name] = file;
            SyncNames();
        }
    }

    public byte[]? ReadWhole(string name)
    {
        lock (_lock) return _files.TryGetValue(name, out var file) ? file.Whole : null;
    }

    public void Dispose() { }

    /// <summary>What a machine finds that starts again after the power went now.</summary>
    public FaultyChunkDisk PowerLoss()
    {
        lock (_lock)
        {
            var after = new FaultyChunkDisk(random, Capacity) { PunchesHoles = PunchesHoles };
            foreach (var (name, file) in _files)
            {
                if (_durableNames.Contains(name) || random.Next(2) == 0) after._files[name] = file.AfterPowerLoss(after, random);
            }
            foreach (var (name, file) in _unlinked)
            {
                if (random.Next(2) == 0) after._files.TryAdd(name, file.AfterPowerLoss(after, random));
            }
            after._durableNames = [.. after._files.Keys];
            return after;
        }
    }

    /// <summary>What a process finds that starts again after the one before was killed: all that was written is there.</summary>
    public FaultyChunkDisk Kill()
    {
        lock (_lock)
        {
            CrashAfter = 0;
            Crashed = true;
            var after = new FaultyChunkDisk(random, Capacity) { PunchesHoles = PunchesHoles };
            foreach (var (name, file) in _files) after._files[name] = file.Copy(after);
            after._durableNames = [.. after._files.Keys];
            return after;
        }
    }

    /// <summary>Flips one bit, in the cache and on the medium.</summary>
    public void FlipBit(string name, long offset)
    {
        lock (_lock) _files[name].FlipBit(offset);
    }

    /// <summary>Names of the pack files.</summary>
    public IReadOnlyList<string> Packs => [.. List().Where(static name => name.EndsWith(".pack", StringComparison.Ordinal))];

    private void SyncNames()
    {
        _durableNames = [.. _files.Keys];
        _unlinked.Clear();
    }

    /// <returns>Whether this very change is the one during which the power goes.</returns>
    private bool Count()
    {
        if (Crashed) throw new IOException("The power is gone.");
        _operations++;
        if (_operations <= CrashAfter || CrashAfter is null) return false;
        Crashed = true;
        return true;
    }

    private void CountOrCrash()
    {
        if (Count()) throw new IOException("The power went.");
    }

    private sealed class MemoryFile(FaultyChunkDisk disk, string name)
    {
        private Dictionary<long, byte[]> _pages = [];
        private Dictionary<long, byte[]> _durable = [];
        private readonly HashSet<long> _dirty = [];
        private readonly List<(long From, long To)> _punches = [];

        public FaultyChunkDisk Disk => disk;
        public string Name => name;
        public long Length { get; set; }
        public long Allocated { get; set; }
        public byte[]? Whole { get; init; }

        public void WritePage(long page, ReadOnlySpan<byte> bytes)
        {
            _pages[page] = bytes.ToArray();
            _dirty.Add(page);
        }

        /// <summary>What the portable disk does instead of punching: it overwrites the first bytes, which lie in one sector.</summary>
        public void ClearHeader(long page)
        {
            var bytes = (byte[])(PageOrNull(page) ?? new byte[Page]).Clone();
            bytes.AsSpan(0, PackFormat.FrameFixedBytes).Clear();
            WritePage(page, bytes);
        }

        public byte[]? PageOrNull(long page) => _pages.GetValueOrDefault(page);

        public long? NextPage(long from) => _pages.Keys.Where(page => page >= from).Cast<long?>().Min();

        public bool HasPage(long page) => _pages.ContainsKey(page);

        public void Sync()
        {
            foreach (var page in _dirty) _durable[page] = _pages[page];
            _dirty.Clear();
            foreach (var (from, to) in _punches) Remove(_durable, from, to);
            _punches.Clear();
        }

        public void LoseDirty() => _dirty.Clear();

        public void Punch(long from, long to)
        {
            Allocated -= Remove(_pages, from, to) * Page;
            _dirty.RemoveWhere(page => page >= from && page < to);
            _punches.Add((from, to));
        }

        public void Truncate(long length)
        {
            Remove(_pages, length / Page, long.MaxValue);
            Remove(_durable, length / Page, long.MaxValue);
            _dirty.RemoveWhere(page => page >= length / Page);
            Length = length;
            Allocated = _pages.Count * (long)Page;
        }

        public void FlipBit(long offset)
        {
            foreach (var pages in new[] { _pages, _durable })
            {
                if (!pages.TryGetValue(offset / Page, out var page)) continue;
                page = [.. page];
                page[offset % Page] ^= 1;
                pages[offset / Page] = page;
            }
        }

        public MemoryFile AfterPowerLoss(FaultyChunkDisk after, Random random)
        {
            var file = new MemoryFile(after, name) { Length = Length, Whole = Whole };
            foreach (var (number, page) in _durable) file._pages[number] = page;
            foreach (var number in _dirty)
            {
                switch (random.Next(3))
                {
                    case 0:
                        file._pages[number] = _pages[number];
                        break;
                    case 1:     // some of its sectors
                        var torn = (byte[])(file._pages.GetValueOrDefault(number) ?? new byte[Page]).Clone();
                        for (var sector = 0; sector < Page; sector += Sector)
                        {
                            if (random.Next(2) == 0) _pages[number].AsSpan(sector, Sector).CopyTo(torn.AsSpan(sector));
                        }
                        file._pages[number] = torn;
                        break;
                }
            }
            foreach (var (from, to) in _punches.Take(random.Next(_punches.Count + 1))) Remove(file._pages, from, to);
            file._durable = new(file._pages);
            file.Allocated = file._pages.Count * (long)Page;
            return file;
        }

        public MemoryFile Copy(FaultyChunkDisk after)
        {
            var file = new MemoryFile(after, name) { Length = Length, Allocated = Allocated, Whole = Whole, _pages = new(_pages), _durable = new(_durable) };
            file._dirty.UnionWith(_dirty);
            file._punches.AddRange(_punches);
            return file;
        }

        private static int Remove(Dictionary<long, byte[]> pages, long from, long to)
        {
            if (to - from < pages.Count)
            {
                var count = 0;
                for (var page = from; page < to; page++) count += pages.Remove(page) ? 1 : 0;
                return count;
            }
            var removed = pages.Keys.Where(page => page >= from && page < to).ToList();
            foreach (var page in removed) pages.Remove(page);
            return removed.Count;
        }
    }

    private sealed class Handle(MemoryFile file) : IPackFile
    {
        private readonly FaultyChunkDisk _disk = file.Disk;

        public long Length
        {
            get
            {
                lock (_disk._lock) return file.Length;
            }
        }

        public unsafe void Write(long offset, ReadOnlySpan<IoVector> vectors)
        {
            Assert.Equal(0, offset % Page);
            lock (_disk._lock)
            {
                var last = _disk.Count();
                var fails = !last && _disk.FailWrites > 0;
                var at = offset / Page;
                if (fails) _disk.FailWrites--;
                if (_disk.LoseWrites > 0)
                {
                    _disk.LoseWrites--;
                    return;
                }
                if (_disk.MisdirectWrites > 0)
                {
                    _disk.MisdirectWrites--;
                    at++;
                }
                foreach (var vector in vectors)
                {
                    Assert.Equal(0u, (nuint)vector.Address % Page);
                    Assert.Equal(0u, vector.Length % Page);
                    for (nuint done = 0; done < vector.Length; done += Page)
                    {
                        if (!fails && !last || _disk.NextInt(2) == 0) file.WritePage(at, new(vector.Address + done, Page));
                        at++;
                    }
                }
                Assert.True(at * Page <= file.Length + Page);
                if (last) throw new IOException("The power went.");
                if (fails) throw new IOException("The write failed.");
            }
        }

        public int Read(long offset, Span<byte> first, Span<byte> second, bool mayBlock)
        {
            lock (_disk._lock)
            {
                if (!mayBlock && _disk.NextInt(4) == 0) return -1;
                var read = Read(offset, first);
                return read < first.Length ? read : read + Read(offset + read, second);
            }
        }

        public unsafe int ReadMedium(long offset, Span<byte> destination)
        {
            Assert.Equal(0, offset % Page);
            fixed (byte* address = destination) Assert.Equal(0u, (nuint)address % Page);
            lock (_disk._lock) return Read(offset, destination);
        }

        public void WillNeed(long offset, long bytes) { }

        public void Sync()
        {
            _disk.BeforeSync?.Invoke();
            lock (_disk._lock)
            {
                _disk.CountOrCrash();
                if (_disk.FailSyncs > 0 || _disk.FailSyncChance > 0 && _disk.NextDouble() < _disk.FailSyncChance)
                {
                    if (_disk.FailSyncs > 0) _disk.FailSyncs--;
                    file.LoseDirty();
                    throw new IOException("The sync failed.");
                }
                file.Sync();
            }
        }

        public void Punch(long offset, long bytes)
        {
            Assert.Equal(0, offset % Page);
            Assert.Equal(0, bytes % Page);
            lock (_disk._lock)
            {
                _disk.CountOrCrash();
                if (_disk.PunchesHoles) file.Punch(offset / Page, (offset + bytes) / Page);
                else file.ClearHeader(offset / Page);
            }
        }

        public void Truncate(long bytes)
        {
            lock (_disk._lock)
            {
                _disk.CountOrCrash();
                file.Truncate(bytes);
                file.Sync();
            }
        }

        public long NextData(long offset)
        {
            lock (_disk._lock)
            {
                if (!_disk.PunchesHoles) return offset < file.Length ? offset : -1;
                return file.HasPage(offset / Page) ? offset : file.NextPage(offset / Page) is { } page ? page * Page : -1;
            }
        }

        public long NextHole(long offset)
        {
            lock (_disk._lock)
            {
                var page = offset / Page;
                if (!_disk.PunchesHoles) return file.Length;
                while (page * Page < file.Length && file.HasPage(page)) page++;
                return Math.Min(page * Page, file.Length);
            }
        }

        public void EndWriting() { }

        public void Dispose() { }

        private int Read(long offset, Span<byte> destination)
        {
            var length = (int)Math.Clamp(file.Length - offset, 0, destination.Length);
            for (var done = 0; done < length;)
            {
                var at = offset + done;
                var count = Math.Min(length - done, (int)(Page - at % Page));
                if (_disk.Unreadable.Contains((file.Name, at / Page))) throw new IOException("The sector can't be read.");
                if (file.PageOrNull(at / Page) is { } page) page.AsSpan((int)(at % Page), count).CopyTo(destination[done..]);
                else destination.Slice(done, count).Clear();
                done += count;
            }
            return length;
        }
    }

    private int NextInt(int below) => random.Next(below);

    private double NextDouble() => random.NextDouble();
}
