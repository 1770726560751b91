using System.Globalization;
using DarkStorage.Sqlite;
using Microsoft.Extensions.Logging;

namespace DarkStorage.Metadata.Sqlite;

/// <summary>The object index of one node in one SQLite database (WAL, <c>synchronous=FULL</c>).</summary>
/// <remarks>One writer thread commits in groups; readers have connections of their own and never wait for it. A read runs on its caller's
/// thread: it is a few pages of a B-tree, mostly in memory.</remarks>
public sealed partial class SqliteIndex : IMetadataIndex
{
    private readonly SqliteWriter _writer;
    private readonly SqliteReaders _readers;
    private readonly ObjectCache _cache;
    private readonly IndexReserve _reserve;
    private int _disposed;

    private SqliteIndex(string path, SqliteWriter writer, ObjectCache cache, IndexReserve reserve, string description)
    {
        _cache = cache;
        _reserve = reserve;
        _writer = writer;
        _readers = new(path);
        Description = description;
    }

    public string Description { get; }

    /// <summary>It is on this machine, and has no clock of its own.</summary>
    public ValueTask<string?> CheckClockAsync(DateTimeOffset now, CancellationToken ct) => new((string?)null);

    /// <summary>Opens the index, making or migrating it where needed.</summary>
    /// <param name="path">The database file; its folder must exist.</param>
    /// <exception cref="InvalidDataException">A newer program wrote it, or something else did.</exception>
    /// <exception cref="IOException">The drive or its room does not allow it.</exception>
    public static SqliteIndex Open(string path, ILogger<SqliteIndex> log, IndexOptions? options = null)
    {
        var reserve = new IndexReserve(path, (options ?? new()).ReserveBytes, log);
        while (true)
        {
            try
            {
                var index = Open(path, log, reserve);
                reserve.TryMake();
                return index;
            }
            // Even to open it takes room: the file that its connections share. A second time there is no reserve left.
            catch (SqliteException e)
            {
                if (!(e.IsFull || reserve.DriveIsFull()) || !reserve.TryRelease()) throw e.ToStartup(path);
            }
        }
    }

    /// <summary>Makes the reserve again where it was given up and there is room. To be called now and then.</summary>
    public void KeepReserve() => _reserve.TryMake();

    private static SqliteIndex Open(string path, ILogger<SqliteIndex> log, IndexReserve reserve)
    {
        var version = SqliteLibrary.EnsureLoaded();
        SqliteConnection? connection = null;
        try
        {
            connection = new SqliteConnection(path, readOnly: false);
            // A page of 4 KiB holds an inline object in one overflow page. The WAL is folded back every 16 MiB: seldom enough to cost
            // little, often enough that a start after a crash reads little.
            connection.ExecuteScript("""
                PRAGMA page_size = 4096;
                PRAGMA journal_mode = WAL;
                PRAGMA synchronous = FULL;
                PRAGMA cache_size = -32768;
                PRAGMA wal_autocheckpoint = 4000;
                PRAGMA foreign_keys = OFF;
                """);
            Migrations.Apply(connection, Path.GetFileName(path));
            var cache = new ObjectCache();
            return new(path, new SqliteWriter(new WriteSession(connection, cache), reserve, log), cache, reserve, $"SQLite {version}");
        }
        catch
        {
            connection?.Dispose();
            throw;
        }
    }

    public async ValueTask DisposeAsync()
    {
        if (Interlocked.Exchange(ref _disposed, 1) != 0) return;
        // Readers first, so that the writer's close finds no one else and folds the whole WAL back.
        _readers.Dispose();
        await _writer.DisposeAsync();
    }

    /// <summary>Runs a read on a connection of its own. What it reads is one consistent state if it is one statement.</summary>
    private ValueTask<T> ReadAsync<T, TArgument>(TArgument argument, Func<SqliteConnection, TArgument, T> read, CancellationToken ct)
    {
        ct.ThrowIfCancellationRequested();
        return new(_readers.Read(argument, read));
    }

    private static string Number(long value) => value.ToString(CultureInfo.InvariantCulture);
}
