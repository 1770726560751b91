using DarkStorage.Storage.Secrets;

namespace DarkStorage.Storage.Encryption;

/// <summary>The ring in a file that only its owner may read. Held by this process while it is open: two that change it would lose each other's keys.</summary>
public sealed class KeyRingFile : IKeyRingStorage, IDisposable
{
    private readonly string _path;
    private readonly FileStream _lock;
    private readonly Action<PrivateFile.Step> _reached;
    private long _revision;

    private KeyRingFile(string path, FileStream held, Action<PrivateFile.Step> reached) => (_path, _lock, _reached) = (path, held, reached);

    /// <param name="path">The file; <c>.lock</c> is put beside it. The folder is there.</param>
    /// <exception cref="StorageStartupException">Another process has it open.</exception>
    public static KeyRingFile Open(string path) => Open(path, static _ => { });

    /// <param name="reached">Told about each step of a change, for tests that end the world there.</param>
    internal static KeyRingFile Open(string path, Action<PrivateFile.Step> reached)
    {
        var options = new FileStreamOptions { Mode = FileMode.OpenOrCreate, Access = FileAccess.ReadWrite, Share = FileShare.None };
        if (!OperatingSystem.IsWindows()) options.UnixCreateMode = UnixFileMode.UserRead | UnixFileMode.UserWrite;
        try
        {
            return new(path, new(path + ".lock", options), reached);
        }
        catch (IOException e)
        {
            throw new StorageStartupException($"The key ring {path} is in use by another process, or can't be opened: {e.Message}", e);
        }
    }

    public bool IsShared => false;

    public async ValueTask<StoredKeyRing?> ReadAsync(CancellationToken ct)
    {
        if (!File.Exists(_path)) return null;
        // Nobody else changes it, so this process may count.
        if (_revision == 0) _revision = 1;
        return new(await File.ReadAllBytesAsync(_path, ct), _revision);
    }

    public ValueTask<bool> TryReplaceAsync(ReadOnlyMemory<byte> sealedRing, long revision, CancellationToken ct)
    {
        if (revision != _revision) return new(false);
        PrivateFile.Replace(_path, sealedRing.Span, _reached);
        _revision++;
        return new(true);
    }

    public void Dispose() => _lock.Dispose();
}
