using System.Collections.Concurrent;
using DarkStorage.GrainInterfaces;
using DarkStorage.GrainInterfaces.Objects;

namespace DarkStorage.Metadata.Sqlite;

/// <summary>Current versions that were read lately. Exact: it never answers what a read of the database would not.</summary>
/// <remarks>
/// Invariants. From the moment a change of a key is begun until its transaction has ended, the key is not in here: the change takes it out, and
/// nothing is put in while a change of its stripe is under way. What a reader found is put in only if no change of the stripe began or ended since
/// before it read. This process is the only writer of the database, so nobody else can change a key unseen.
/// </remarks>
internal sealed class ObjectCache
{
    /// <summary>Bytes at the most: 10,000 objects of 4 KiB, or 70,000 that have no content in the index. The heap needs more, since what was pushed
    /// out lies there until the next full collection.</summary>
    private const long BytesMax = 48 << 20;

    /// <summary>What an entry costs besides its content: the record, its strings, the tables' nodes.</summary>
    private const int EntryBytes = 700;

    /// <summary>Versions of more parts are not kept: their manifests are long and their reads are long anyway.</summary>
    private const int PartsMax = 4;

    /// <summary>Of what is read while the cache is full, one in so many takes an older one's place. Where more is read than fits, changing places costs
    /// more than it wins; what is hot is read again soon enough.</summary>
    private const int AdmittedOneIn = 8;

    /// <summary>A power of two. Changes of keys of one stripe keep each other out of the cache for the time of a commit.</summary>
    private const int Stripes = 4096;

    private const int QueueMax = (int)(BytesMax / EntryBytes);

    private readonly ConcurrentDictionary<(BucketId Bucket, string Key), ObjectVersion> _versions = new();
    private readonly ConcurrentQueue<(BucketId Bucket, string Key)> _oldest = new();
    private readonly Stripe[] _stripes = [.. Enumerable.Range(0, Stripes).Select(_ => new Stripe())];
    private long _bytes;
    private int _turnedAway;

    private sealed class Stripe
    {
        /// <summary>Counts begins and ends of changes.</summary>
        public long Epoch;

        /// <summary>Changes under way.</summary>
        public int Changing;
    }

    public bool TryGet(BucketId bucket, string key, out ObjectVersion? version) => _versions.TryGetValue((bucket, key), out version);

    /// <summary>To be asked before the database is read.</summary>
    public long EpochOf(BucketId bucket, string key) => Volatile.Read(ref StripeOf(bucket, key).Epoch);

    /// <summary>Keeps what was read, unless the key may have changed since.</summary>
    /// <param name="epoch">What <see cref="EpochOf"/> said before the read.</param>
    public void Keep(BucketId bucket, string key, ObjectVersion version, long epoch)
    {
        if (version.Manifest.Parts.Length > PartsMax) return;
        if (IsFullWith(SizeOf(version), 1) && (Interlocked.Increment(ref _turnedAway) & (AdmittedOneIn - 1)) != 0) return;
        var stripe = StripeOf(bucket, key);
        lock (stripe)
        {
            if (stripe.Changing > 0 || stripe.Epoch != epoch || !_versions.TryAdd((bucket, key), version)) return;
            Interlocked.Add(ref _bytes, SizeOf(version));
        }
        _oldest.Enqueue((bucket, key));
        while (IsFullWith(0, 0) && _oldest.TryDequeue(out var old)) Remove(old);
    }

    /// <summary>A change of the key begins: to be called before it is written, and to be followed by <see cref="EndChange"/>.</summary>
    /// <returns>What to end it with.</returns>
    public int BeginChange(BucketId bucket, string key)
    {
        var index = IndexOf(bucket, key);
        var stripe = _stripes[index];
        lock (stripe)
        {
            stripe.Changing++;
            stripe.Epoch++;
            Remove((bucket, key));
        }
        return index;
    }

    /// <summary>The transaction of a change has ended, well or not; nobody has been told yet.</summary>
    public void EndChange(int index)
    {
        var stripe = _stripes[index];
        lock (stripe)
        {
            stripe.Changing--;
            stripe.Epoch++;
        }
    }

    private bool IsFullWith(long bytes, int entries) => Interlocked.Read(ref _bytes) + bytes > BytesMax || _oldest.Count + entries > QueueMax;

    private void Remove((BucketId, string) key)
    {
        if (_versions.TryRemove(key, out var version)) Interlocked.Add(ref _bytes, -SizeOf(version));
    }

    private static long SizeOf(ObjectVersion version) => EntryBytes + version.Manifest.Inline.Length;

    private Stripe StripeOf(BucketId bucket, string key) => _stripes[IndexOf(bucket, key)];

    private static int IndexOf(BucketId bucket, string key) => (int)((uint)HashCode.Combine(bucket.Value, key) % Stripes);
}
