using System.Collections.Concurrent;
using System.Diagnostics.CodeAnalysis;
using DarkStorage.GrainInterfaces;
using DarkStorage.GrainInterfaces.Buckets;

namespace DarkStorage.Metadata;

/// <summary>Buckets that were asked for lately, since every request asks. As true as it is told of changes: exact where this process alone writes the database.</summary>
internal sealed class BucketCache
{
    /// <summary>Bytes at the most. Past that all is forgotten, and what is wanted comes back.</summary>
    private const long BytesMax = 64 << 20;

    private const int BucketBytes = 1 << 10;

    /// <summary>Of a setting's document: two for the text, the rest for what is made of it once (<c>DarkStorage.Rules.Buckets.BucketRules</c>).</summary>
    private const int BytesPerCharacter = 10;

    private readonly ConcurrentDictionary<string, BucketRecord> _records = new(StringComparer.Ordinal);
    private long _bytes;
    private long _changes;

    /// <summary>To be asked before the database is read.</summary>
    public long Changes => Interlocked.Read(ref _changes);

    public bool TryGet(string name, [NotNullWhen(true)] out BucketRecord? record) => _records.TryGetValue(name, out record);

    /// <param name="changes">What <see cref="Changes"/> said before the read.</param>
    public void Keep(BucketRecord record, long changes)
    {
        if (Interlocked.Add(ref _bytes, SizeOf(record)) > BytesMax)
        {
            _records.Clear();
            Interlocked.Exchange(ref _bytes, 0);
            return;
        }
        if (!_records.TryAdd(record.Name, record)) Interlocked.Add(ref _bytes, -SizeOf(record));
        // One that was changed between the read and the line above must not stay.
        if (Changes != changes) Remove(record.Name);
    }

    public void Forget(string name)
    {
        Interlocked.Increment(ref _changes);
        Remove(name);
    }

    /// <summary>As <see cref="Forget(string)"/>, where only the id is known. Rare: it looks through all.</summary>
    public void Forget(BucketId bucket)
    {
        Interlocked.Increment(ref _changes);
        foreach (var record in _records.Values)
        {
            if (record.Id == bucket) Remove(record.Name);
        }
    }

    /// <summary>Changes may have gone unseen: what was read until now is kept no longer.</summary>
    public void ForgetAll()
    {
        Interlocked.Increment(ref _changes);
        foreach (var name in _records.Keys) Remove(name);
    }

    private void Remove(string name)
    {
        if (_records.TryRemove(name, out var removed)) Interlocked.Add(ref _bytes, -SizeOf(removed));
    }

    private static long SizeOf(BucketRecord record)
    {
        var characters = 0L;
        foreach (var setting in record.Settings) characters += setting.Document.Length;
        return BucketBytes + (BytesPerCharacter * characters);
    }
}
