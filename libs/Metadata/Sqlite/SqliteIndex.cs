using System.Collections.Concurrent;
using System.Globalization;
using Microsoft.Extensions.Logging;

namespace DarkStorage.Metadata.Sqlite;

/// <summary>The object index of one node in one SQLite database (WAL, <c>synchronous=FULL</c>).</summary>
/// <remarks>One writer thread commits in groups; readers have connections of their own and never wait for it. A read runs on its caller's
/// thread: it is a few pages of a B-tree, mostly in memory.</remarks>
public sealed partial class SqliteIndex : IMetadataIndex
{
    /// <summary>Readers at one time. Each holds a page cache; a read takes microseconds, so few are enough.</summary>
    private const int ReadersMax = 8;

    private readonly string _path;
    private readonly SqliteWriter _writer;
    private readonly ConcurrentBag<SqliteConnection> _readers = [];
    private readonly SemaphoreSlim _readerPlaces = new(ReadersMax, ReadersMax);
    private int _disposed;

    private SqliteIndex(string path, SqliteWriter writer, string description)
    {
        _path = path;
        _writer = writer;
        Description = description;
    }

    public string Description { get; }

    /// <summary>Opens the index, making or migrating it where needed.</summary>
    /// <param name="path">The database file; its folder must exist.</param>
    /// <exception cref="InvalidDataException">A newer program wrote it.</exception>
    public static SqliteIndex Open(string path, ILogger<SqliteIndex> log)
    {
        var version = SqliteLibrary.EnsureLoaded();
        var connection = new SqliteConnection(path, readOnly: false);
        try
        {
            // A page of 4 KiB holds an inline object in one overflow page. The WAL is folded back every 16 MiB: seldom enough to cost
            // little, often enough that a start after a crash reads little.
            connection.ExecuteScript("""
                PRAGMA page_size = 4096;
                PRAGMA journal_mode = WAL;
                PRAGMA synchronous = FULL;
                PRAGMA cache_size = -65536;
                PRAGMA wal_autocheckpoint = 4000;
                PRAGMA foreign_keys = OFF;
                """);
            Migrations.Apply(connection, Path.GetFileName(path));
            return new(path, new SqliteWriter(new WriteSession(connection), log), $"SQLite {version}");
        }
        catch
        {
            connection.Dispose();
            throw;
        }
    }

    public async ValueTask DisposeAsync()
    {
        if (Interlocked.Exchange(ref _disposed, 1) != 0) return;
        // Readers first, so that the writer's close finds no one else and folds the whole WAL back.
        for (var i = 0; i < ReadersMax; i++) await _readerPlaces.WaitAsync();
        foreach (var reader in _readers) reader.Dispose();
        await _writer.DisposeAsync();
        _readerPlaces.Dispose();
    }

    /// <summary>Runs a read on a connection of its own. What it reads is one consistent state if it is one statement.</summary>
    private async ValueTask<T> ReadAsync<T, TArgument>(TArgument argument, Func<SqliteConnection, TArgument, T> read, CancellationToken ct)
    {
        await _readerPlaces.WaitAsync(ct);
        try
        {
            if (!_readers.TryTake(out var connection)) connection = OpenReader();
            try
            {
                var result = read(connection, argument);
                _readers.Add(connection);
                return result;
            }
            catch (SqliteException e)
            {
                connection.Dispose();
                throw e.ToStorage();
            }
            catch
            {
                connection.Dispose();
                throw;
            }
        }
        finally
        {
            _readerPlaces.Release();
        }
    }

    private SqliteConnection OpenReader()
    {
        var connection = new SqliteConnection(_path, readOnly: true);
        connection.ExecuteScript("PRAGMA cache_size = -8192; PRAGMA query_only = ON;");
        return connection;
    }

    private static string Number(long value) => value.ToString(CultureInfo.InvariantCulture);
}
