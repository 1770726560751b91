using Microsoft.Extensions.Logging;

namespace DarkStorage.Metadata.Sqlite;

/// <summary>A file beside the database whose only use is its room: given up when the drive is full, so that deletes and starts still work.</summary>
/// <remarks>Invariants: a file of this name is whole or empty, since it is allocated under another name and moved. Empty says that its room was given up, after
/// a restart too: until it is whole again nothing but what frees room may use the index; else small writes would eat what was given up, and the next
/// delete would find nothing. It is made only where twice its size is free, so that making it does not fill the drive. Where there never was so much,
/// there is no file, and writes go on until the drive is full.</remarks>
internal sealed partial class IndexReserve
{
    private static long _releases;

    // Asked for, not told: the index is opened, and its reserve needed, before anyone listens to the meter.
    static IndexReserve() => MetadataMeter.Instance.CreateObservableCounter(
        "darkstorage.index.reserve.releases", () => Interlocked.Read(ref _releases), "{release}", "How often the reserve file was given up because the drive was full.");

    private readonly Lock _lock = new();
    private readonly string _path;
    private readonly string _partial;
    private readonly long _bytes;
    private readonly ILogger _log;
    private volatile bool _held;
    private volatile bool _givenUp;

    public IndexReserve(string database, long bytes, ILogger log)
    {
        (_path, _partial, _bytes, _log) = (Path.ChangeExtension(Path.GetFullPath(database), ".reserve"), Path.ChangeExtension(Path.GetFullPath(database), ".reserve.new"), bytes, log);
        var file = new FileInfo(_path);
        if (bytes > 0 && file.Exists) (_held, _givenUp) = (file.Length > 0, file.Length == 0);
    }

    /// <summary>Whether the index may grow. Where the reserve was given up, this makes it again if there is room.</summary>
    public bool AllowsGrowth => !_givenUp || TryMake();

    /// <summary>Makes the file where it is missing and there is room.</summary>
    /// <returns>Whether it is there now.</returns>
    public bool TryMake()
    {
        if (_bytes == 0) return false;
        lock (_lock)
        {
            if (_held) return true;
            try
            {
                if (FreeBytes() < 2 * _bytes) return false;
                File.Delete(_partial);
                using (var file = File.OpenHandle(_partial, FileMode.CreateNew, FileAccess.Write, preallocationSize: _bytes))
                {
                    // Preallocating takes the room; the length is for whoever looks at the folder.
                    RandomAccess.SetLength(file, _bytes);
                }
                File.Move(_partial, _path, overwrite: true);
            }
            catch (Exception e) when (e is IOException or UnauthorizedAccessException)
            {
                // Somebody else took the room meanwhile, or the drive takes nothing: it is asked again.
                LogNotMade(_log, e);
                return false;
            }
            (_held, _givenUp) = (true, false);
            LogMade(_log, _bytes);
            return true;
        }
    }

    /// <summary>Gives the room up.</summary>
    /// <returns>False where there was nothing to give up.</returns>
    public bool TryRelease()
    {
        lock (_lock)
        {
            if (!_held) return false;
            try
            {
                using var file = File.OpenHandle(_path, FileMode.Open, FileAccess.Write);
                RandomAccess.SetLength(file, 0);
            }
            catch (Exception e) when (e is IOException or UnauthorizedAccessException)
            {
                LogNotReleased(_log, e);
                return false;
            }
            (_held, _givenUp) = (false, true);
            Interlocked.Increment(ref _releases);
            LogReleased(_log, _bytes);
            return true;
        }
    }

    /// <summary>What is free on the drive. Less than a page is nothing.</summary>
    public bool DriveIsFull() => FreeBytes() < 64 << 10;

    private long FreeBytes() => new DriveInfo(Path.GetDirectoryName(_path)!).AvailableFreeSpace;

    [LoggerMessage(LogLevel.Warning, "The drive of the index is full: its reserve of {Bytes} bytes was given up so that deletes work. Until there is room for it again writes are refused")]
    private static partial void LogReleased(ILogger log, long bytes);

    [LoggerMessage(LogLevel.Information, "The index has a reserve of {Bytes} bytes on its drive")]
    private static partial void LogMade(ILogger log, long bytes);

    [LoggerMessage(LogLevel.Warning, "The reserve of the index could not be made")]
    private static partial void LogNotMade(ILogger log, Exception exception);

    [LoggerMessage(LogLevel.Warning, "The reserve of the index could not be given up")]
    private static partial void LogNotReleased(ILogger log, Exception exception);
}
