using DarkStorage.Storage.Backends;

namespace DarkStorage.Connectors.Arweave;

/// <summary>What this node itself has written lately. An index may forget for hours what is in no block yet, and several machines that answer for one need not know the same: what was once seen there is not missing because it is not shown now.</summary>
/// <remarks>Bounded, and only an addition to the index: another node, or this one when it was started again, sees what the index says.</remarks>
internal sealed class OwnRecords
{
    /// <summary>Of records with their names, some 20 MB.</summary>
    private const int SeenMax = 20_000;

    /// <summary>Of items with their heads of up to 5 KiB.</summary>
    private const int UnseenMax = 1_000;

    private readonly Lock _lock = new();
    private readonly Dictionary<string, BlobRecord> _seen = new(StringComparer.Ordinal);
    private readonly Queue<BlobRecord> _order = new();
    private readonly Dictionary<string, UnseenItem> _unseen = new(StringComparer.Ordinal);

    /// <returns>The last of a name that was seen in the index; null where there is none.</returns>
    public BlobRecord? FindSeen(string key)
    {
        lock (_lock) return _seen.GetValueOrDefault(key);
    }

    /// <returns>All that were seen and are blobs now.</returns>
    public IReadOnlyList<BlobRecord> BlobsBelow(string prefix)
    {
        lock (_lock) return [.. _seen.Values.Where(r => r is { Kind: RecordKind.Put, Name: { } name } && name.Value.StartsWith(prefix, StringComparison.Ordinal))];
    }

    /// <returns>What was to be written under a name and was not seen in the index yet; null where there is nothing.</returns>
    public UnseenItem? FindUnseen(string key)
    {
        lock (_lock) return _unseen.GetValueOrDefault(key);
    }

    /// <summary>Before it is sent: whatever becomes of that, another attempt sends the same item, which the bundler knows by its id and takes once.</summary>
    public void AddUnseen(UnseenItem item)
    {
        lock (_lock)
        {
            // Whichever it is: it would be signed again, and may then be there twice.
            if (_unseen.Count >= UnseenMax && !_unseen.ContainsKey(item.Record.Key)) _unseen.Remove(_unseen.Keys.First());
            _unseen[item.Record.Key] = item;
        }
    }

    public void Seen(BlobRecord record)
    {
        lock (_lock)
        {
            if (_unseen.TryGetValue(record.Key, out var unseen) && unseen.Record.Id == record.Id) _unseen.Remove(record.Key);
            if (!BlobRecord.IsLater(record, _seen.GetValueOrDefault(record.Key))) return;
            _seen[record.Key] = record;
            _order.Enqueue(record);
            while (_order.Count > SeenMax)
            {
                var oldest = _order.Dequeue();
                if (_seen.GetValueOrDefault(oldest.Key) == oldest) _seen.Remove(oldest.Key);
            }
        }
    }
}

/// <summary>A signed item that was not seen in the index yet.</summary>
internal sealed class UnseenItem(BlobRecord record, DataItem item)
{
    public BlobRecord Record => record;

    public DataItem Item => item;

    /// <summary>There is a receipt for it: it need not be sent again.</summary>
    public bool IsTaken { get; set; }
}
