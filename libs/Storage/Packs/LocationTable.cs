using System.Diagnostics.CodeAnalysis;
using System.Runtime.InteropServices;
using DarkStorage.GrainInterfaces.Objects;
using DarkStorage.Storage.Chunks;

namespace DarkStorage.Storage.Packs;

/// <summary>Where each chunk is: a cache of what the frames say, in memory, about 60 bytes for a blob of one chunk and 12 for each further chunk.</summary>
/// <remarks>Invariants: a blob that is taken out while it is read is here for its readers alone, until the last of them leaves: nobody else is told that it is here, so what is entered of it
/// anew is a copy of its own, and stays.
/// A chunk has one place; a second one found or made (by a compaction that was cut short) loses, and its finder counts it as dead.</remarks>
internal sealed class LocationTable
{
    private const int ShardCount = 64;

    /// <summary>A chunk index past this comes from no write of ours: 2^27 chunks of the smallest size are 8 TiB.</summary>
    public const int IndexMax = 1 << 27;

    /// <summary>Ids that one pass over the table collects for the pages that follow: 1 MiB.</summary>
    private const int ListAhead = 1 << 16;

    /// <summary>Such passes that are kept, for rounds that go on side by side.</summary>
    private const int CollectedMax = 4;

    private readonly Shard[] _shards = new Shard[ShardCount];
    private readonly Lock _listing = new();
    private readonly List<Collected> _collected = [];      // the newest last

    public LocationTable()
    {
        for (var i = 0; i < ShardCount; i++) _shards[i] = new();
    }

    public long Blobs => Sum(static shard => shard.Blobs.Count);

    public long Chunks => Sum(static shard => shard.Chunks);

    /// <summary>Enters a chunk.</summary>
    /// <returns>The place that lost where the chunk had one already: of two equal copies the one in the younger pack stays.</returns>
    public Location Add(BlobId blob, int index, Location location)
    {
        ArgumentOutOfRangeException.ThrowIfGreaterThan(index, IndexMax);
        var shard = Of(blob);
        lock (shard)
        {
            ref var entry = ref CollectionsMarshal.GetValueRefOrAddDefault(shard.Blobs, blob, out _);
            var old = entry.Get(index);
            if (old.Length > 0 && (old.Pack, old.Offset).CompareTo((location.Pack, location.Offset)) >= 0) return location;
            entry.Set(index, location);
            if (old.Length == 0) shard.Chunks++;
            return old;
        }
    }

    public bool TryGet(BlobId blob, int index, out Location location)
    {
        var shard = Of(blob);
        lock (shard)
        {
            location = shard.Blobs.TryGetValue(blob, out var entry) ? entry.Get(index) : default;
            return location.Length > 0;
        }
    }

    /// <summary>The same for who has pinned the blob: he finds it after it was taken out too.</summary>
    public bool TryGetPinned(BlobId blob, int index, out Location location)
    {
        var shard = Of(blob);
        lock (shard)
        {
            location = shard.Blobs.TryGetValue(blob, out var entry) ? entry.Get(index) : default;
            if (location.Length > 0 || !shard.Pins.TryGetValue(blob, out var pins)) return location.Length > 0;
            foreach (var doomed in pins.Doomed ?? [])
            {
                location = doomed.Get(index);
                if (location.Length > 0) return true;
            }
            return false;
        }
    }

    /// <summary>Whether a chunk is at a place, if only for who reads it still.</summary>
    public bool IsUsed(BlobId blob, int index, Location location)
    {
        var shard = Of(blob);
        lock (shard)
        {
            return (shard.Blobs.TryGetValue(blob, out var entry) && entry.Get(index) == location)
                || (shard.Pins.TryGetValue(blob, out var pins) && pins.Doomed is { } doomed && doomed.Exists(d => d.Get(index) == location));
        }
    }

    /// <summary>Moves a chunk, unless it is no longer where it was.</summary>
    public bool TryMove(BlobId blob, int index, Location from, Location to)
    {
        var shard = Of(blob);
        lock (shard)
        {
            ref var entry = ref CollectionsMarshal.GetValueRefOrNullRef(shard.Blobs, blob);
            if (System.Runtime.CompilerServices.Unsafe.IsNullRef(ref entry) || entry.Get(index) != from) return false;
            entry.Set(index, to);
            return true;
        }
    }

    /// <summary>The chunks of a blob, from an index on.</summary>
    public IReadOnlyList<StoredChunk> ListChunks(BlobId blob, int from, int max)
    {
        var shard = Of(blob);
        lock (shard) return shard.Blobs.TryGetValue(blob, out var entry) ? entry.List(from, max) : [];
    }

    /// <summary>Takes a blob out.</summary>
    /// <returns>Where its chunks were, in the order of their indices; empty while somebody reads it: then the last <see cref="Unpin"/> answers them.</returns>
    public List<Location> Remove(BlobId blob)
    {
        var shard = Of(blob);
        lock (shard)
        {
            ref var pins = ref CollectionsMarshal.GetValueRefOrNullRef(shard.Pins, blob);
            if (System.Runtime.CompilerServices.Unsafe.IsNullRef(ref pins)) return shard.Remove(blob).All();
            var removed = shard.Remove(blob);
            if (!removed.IsEmpty) (pins.Doomed ??= []).Add(removed);
            return [];
        }
    }

    /// <summary>Somebody begins to read a blob.</summary>
    public void Pin(BlobId blob)
    {
        var shard = Of(blob);
        lock (shard) CollectionsMarshal.GetValueRefOrAddDefault(shard.Pins, blob, out _).Count++;
    }

    /// <returns>Where the chunks were that were taken out while they were read, if this was the last reader.</returns>
    public List<Location> Unpin(BlobId blob)
    {
        var shard = Of(blob);
        lock (shard)
        {
            ref var pins = ref CollectionsMarshal.GetValueRefOrNullRef(shard.Pins, blob);
            if (--pins.Count > 0) return [];
            var doomed = pins.Doomed;
            shard.Pins.Remove(blob);
            return doomed is null ? [] : [.. doomed.SelectMany(static entry => entry.All())];
        }
    }

    /// <summary>Blobs in the order of their ids. One pass over the table serves many pages: ids that are entered while a round goes on may be left out, and come with the next round. What was
    /// entered before a round began, with <paramref name="after"/> the default, is in it.</summary>
    public IReadOnlyList<BlobId> List(BlobId after, DateTimeOffset mintedBefore, int max)
    {
        lock (_listing)
        {
            // What was collected for other rounds, or for one that was given up, is older than this round. The others are as well served by what is collected now.
            if (after == default) _collected.RemoveAll(collected => collected.MintedBefore == mintedBefore);
            var page = new List<BlobId>(Math.Min(max, 1024));
            while (page.Count < max)
            {
                var from = _collected.Find(collected => collected.MintedBefore == mintedBefore && collected.Covers(after)) ?? Collect(after, mintedBefore);
                var at = Array.BinarySearch(from.Blobs, after);
                for (at = at < 0 ? ~at : at + 1; at < from.Blobs.Length && page.Count < max; at++)
                {
                    after = from.Blobs[at];
                    if (Contains(after)) page.Add(after);
                }
                if (from.IsToEnd && at >= from.Blobs.Length)
                {
                    _collected.Remove(from);     // a round ended: hold nothing for the next one
                    break;
                }
            }
            return page;
        }
    }

    /// <summary>All chunks in one pack, by a walk over the whole table.</summary>
    public List<PackEntry> ListIn(uint pack)
    {
        var found = new List<PackEntry>();
        foreach (var shard in _shards)
        {
            lock (shard)
            {
                foreach (var (blob, entry) in shard.Blobs) entry.AddIn(pack, blob, found);
            }
        }
        return found;
    }

    private Collected Collect(BlobId after, DateTimeOffset mintedBefore)
    {
        var largest = new PriorityQueue<BlobId, BlobId>(Comparer<BlobId>.Create(static (a, b) => b.CompareTo(a)));
        foreach (var shard in _shards)
        {
            lock (shard)
            {
                foreach (var blob in shard.Blobs.Keys)
                {
                    if (blob <= after || blob.Minted >= mintedBefore) continue;
                    if (largest.Count < ListAhead) largest.Enqueue(blob, blob);
                    else if (blob < largest.Peek()) largest.EnqueueDequeue(blob, blob);
                }
            }
        }
        BlobId[] blobs = [.. largest.UnorderedItems.Select(static item => item.Element)];
        Array.Sort(blobs);
        var collected = new Collected(blobs, after, mintedBefore, IsToEnd: blobs.Length < ListAhead);
        if (_collected.Count == CollectedMax) _collected.RemoveAt(0);
        _collected.Add(collected);
        return collected;
    }

    private bool Contains(BlobId blob)
    {
        var shard = Of(blob);
        lock (shard) return shard.Blobs.ContainsKey(blob);
    }

    private long Sum(Func<Shard, long> of)
    {
        var sum = 0L;
        foreach (var shard in _shards)
        {
            lock (shard) sum += of(shard);
        }
        return sum;
    }

    private Shard Of(BlobId blob) => _shards[(blob.Low >> 6) % ShardCount];     // random bits

    /// <summary>Ids in their order, as a pass over the table found them.</summary>
    /// <param name="After">All of them are greater.</param>
    /// <param name="IsToEnd">There were no more.</param>
    private sealed record Collected(BlobId[] Blobs, BlobId After, DateTimeOffset MintedBefore, bool IsToEnd)
    {
        /// <summary>It has what comes after an id, or there is nothing.</summary>
        public bool Covers(BlobId after) => after >= After && (IsToEnd || after < Blobs[^1]);
    }

    private sealed class Shard
    {
        public readonly Dictionary<BlobId, Entry> Blobs = [];
        public readonly Dictionary<BlobId, Pins> Pins = [];
        public long Chunks;

        public Entry Remove(BlobId blob)
        {
            if (Blobs.Remove(blob, out var entry)) Chunks -= entry.All().Count;
            return entry;
        }
    }

    [SuppressMessage("Performance", "CA1815", Justification = "Never compared.")]
    private struct Pins
    {
        public int Count;
        public List<Entry>? Doomed;     // what was taken out under the readers; more than once where it was entered anew meanwhile
    }

    private struct Entry
    {
        private Location _first;        // of chunk 0, the only one most blobs have
        private Location[]? _more;      // of chunks 1, 2, …; a length of 0 is a chunk that is not here

        public readonly bool IsEmpty => _first.Length == 0 && _more is null;

        public readonly Location Get(int index) =>
            index == 0 ? _first : _more is not null && (uint)(index - 1) < (uint)_more.Length ? _more[index - 1] : default;

        public void Set(int index, Location location)
        {
            if (index == 0)
            {
                _first = location;
                return;
            }
            if (_more is null || _more.Length < index) Array.Resize(ref _more, Math.Max(index, _more is null ? 1 : _more.Length + _more.Length / 2));
            _more[index - 1] = location;
        }

        public readonly void AddIn(uint pack, BlobId blob, List<PackEntry> found)
        {
            if (_first.Length > 0 && _first.Pack == pack) found.Add(new(blob, 0, _first));
            for (var i = 0; i < (_more?.Length ?? 0); i++)
            {
                if (_more![i].Length > 0 && _more[i].Pack == pack) found.Add(new(blob, i + 1, _more[i]));
            }
        }

        public readonly List<StoredChunk> List(int from, int max)
        {
            var found = new List<StoredChunk>();
            for (var i = Math.Max(0, from); i <= (_more?.Length ?? 0) && found.Count < max; i++)
            {
                if (Get(i) is { Length: > 0 } location) found.Add(new(i, location.Length));
            }
            return found;
        }

        public readonly List<Location> All()
        {
            var all = new List<Location>(1 + (_more?.Length ?? 0));
            if (_first.Length > 0) all.Add(_first);
            foreach (var location in _more ?? [])
            {
                if (location.Length > 0) all.Add(location);
            }
            return all;
        }
    }
}
