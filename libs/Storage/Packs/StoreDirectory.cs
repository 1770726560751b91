using System.Globalization;

namespace DarkStorage.Storage.Packs;

/// <summary>The data directory: held by one process at a time, and of a format that this program knows.</summary>
/// <remarks><c>lock</c> is locked while the store is open; the system lets it go when the process ends, however it ends.
/// <c>format</c> holds one line: <c>darkstorage-packs 1 STORE-ID</c>.</remarks>
internal sealed class StoreDirectory : IDisposable
{
    private const string FormatName = "format";
    private const string LockName = "lock";
    private const string Word = "darkstorage-packs";
    private const int AgainOnBsd = 35;

    private readonly FileStream _lock;

    private StoreDirectory(FileStream held, Guid store) => (_lock, Store) = (held, store);

    public Guid Store { get; }

    /// <exception cref="StorageStartupException">It is in use, can't be opened, or is of an unknown format.</exception>
    public static StoreDirectory Open(string directory)
    {
        FileStream held;
        try
        {
            Directory.CreateDirectory(directory);
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            throw new StorageStartupException($"The data directory {directory} can't be made: {e.Message}", e);
        }
        try
        {
            held = new(Path.Combine(directory, LockName), FileMode.OpenOrCreate, FileAccess.ReadWrite, FileShare.None);
        }
        catch (IOException e) when (IsHeldByAnother(e))
        {
            throw new StorageStartupException($"The data directory {directory} is in use by another process.", e);
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            throw new StorageStartupException($"The data directory {directory} can't be opened: {e.Message}", e);
        }
        try
        {
            return new(held, ReadOrWriteFormat(directory));
        }
        catch
        {
            held.Dispose();
            throw;
        }
    }

    public void Dispose() => _lock.Dispose();

    /// <summary>Tells a lock that another process holds from a drive that is read-only or full: .NET keeps the system's own number.</summary>
    private static bool IsHeldByAnother(IOException e) => OperatingSystem.IsWindows()
        ? e.HResult is unchecked((int)0x80070020)       // ERROR_SHARING_VIOLATION
        : e.HResult is Posix.Again or AgainOnBsd;

    private static Guid ReadOrWriteFormat(string directory)
    {
        var path = Path.Combine(directory, FormatName);
        try
        {
            if (!File.Exists(path))
            {
                // Packs without their format file are somebody's data: never declare them new.
                var packs = Path.Combine(directory, PackStore.PacksFolder);
                if (Directory.Exists(packs) && Directory.EnumerateFiles(packs, "*.pack").Any())
                    throw new StorageStartupException($"The data directory {directory} has packs but no file '{FormatName}'; restore that file from a backup.");
                var store = Guid.NewGuid();
                FileChunkDisk.WriteWhole(directory, FormatName, System.Text.Encoding.UTF8.GetBytes($"{Word} {PackFormat.Version} {store:D}\n"));
                return store;
            }
            var words = File.ReadAllText(path).Trim().Split(' ');
            if (words.Length >= 2 && words[0] == Word && int.TryParse(words[1], NumberStyles.None, CultureInfo.InvariantCulture, out var version))
            {
                if (version > PackFormat.Version)
                    throw new StorageStartupException(
                        $"The data directory {directory} has format {version}, but this program knows formats up to {PackFormat.Version}; run a newer version of it.");
                if (version == PackFormat.Version && words.Length == 3 && Guid.TryParseExact(words[2], "D", out var id)) return id;
            }
            throw new StorageStartupException($"The file '{FormatName}' in the data directory {directory} is damaged; restore it from a backup.");
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            throw new StorageStartupException($"The data directory {directory} can't be read: {e.Message}", e);
        }
    }
}
