using DarkStorage.Storage.Backends;

namespace DarkStorage.Connectors.GoogleDrive;

/// <summary>What this node itself has made and deleted lately. Lists lag behind, and several machines of Google's need not know the same; by its id a file is known at once.</summary>
/// <remarks>Bounded, and only an addition to the lists: another node, or this one when it was started again, sees what these show.</remarks>
internal sealed class OwnFiles
{
    /// <summary>Of files with their names, some 20 MB.</summary>
    public const int FilesMax = 20_000;

    private readonly Lock _lock = new();
    private readonly Dictionary<BlobName, DriveFile> _made = [];
    private readonly Queue<(BlobName Name, string Id)> _order = new();
    private readonly HashSet<string> _deleted = new(StringComparer.Ordinal);
    private readonly Queue<string> _deletedOrder = new();

    /// <returns>The last file of a name that was to be made here, whether it was or not; null for none.</returns>
    public DriveFile? Find(BlobName name)
    {
        lock (_lock) return _made.GetValueOrDefault(name);
    }

    public IReadOnlyList<(BlobName Name, DriveFile File)> Below(string prefix)
    {
        lock (_lock) return [.. _made.Where(m => m.Key.Value.StartsWith(prefix, StringComparison.Ordinal)).Select(m => (m.Key, m.Value))];
    }

    /// <summary>Before it is sent: whatever becomes of that, another attempt sends the same file, which is made once.</summary>
    public void Add(BlobName name, DriveFile file)
    {
        lock (_lock)
        {
            // One that is known now as it is there takes no second place.
            if (_made.GetValueOrDefault(name)?.Id != file.Id) _order.Enqueue((name, file.Id));
            _made[name] = file;
            while (_order.Count > FilesMax)
            {
                var oldest = _order.Dequeue();
                if (_made.GetValueOrDefault(oldest.Name)?.Id == oldest.Id) _made.Remove(oldest.Name);
            }
        }
    }

    public void Remove(BlobName name, string id)
    {
        lock (_lock)
        {
            if (_made.GetValueOrDefault(name)?.Id == id) _made.Remove(name);
        }
    }

    public bool IsDeleted(string id)
    {
        lock (_lock) return _deleted.Contains(id);
    }

    public void Deleted(string id)
    {
        lock (_lock)
        {
            if (!_deleted.Add(id)) return;
            _deletedOrder.Enqueue(id);
            if (_deletedOrder.Count > FilesMax) _deleted.Remove(_deletedOrder.Dequeue());
        }
    }
}
