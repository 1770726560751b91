using DarkStorage.GrainInterfaces;

namespace DarkStorage.Metadata.Sqlite;

/// <summary>The connections that read. One is taken for the time of one read and put back; taking and putting back cost no lock.</summary>
/// <remarks>A read is synchronous and takes microseconds, so whoever finds all connections taken spins for one instead of queueing.</remarks>
internal sealed class SqliteReaders(string path) : IDisposable
{
    /// <summary>Reads at one time. More than processors, since a reader may be preempted, or wait for the disk, with its connection in hand.</summary>
    private static readonly int ReadersMax = Math.Clamp(4 * Environment.ProcessorCount, 16, 64);

    /// <summary>KiB of pages that a connection keeps: the upper levels of the trees. The rest is in the system's cache.</summary>
    private const int CacheKiB = 1024;

    private readonly SqliteConnection?[] _idle = new SqliteConnection?[ReadersMax];
    private int _opened;
    private volatile bool _closing;

    /// <exception cref="StorageException"><see cref="StorageError.Unavailable"/>: the database failed, or is being closed.</exception>
    public T Read<T, TArgument>(TArgument argument, Func<SqliteConnection, TArgument, T> read)
    {
        var connection = Take();
        try
        {
            var result = read(connection, argument);
            Put(connection);
            return result;
        }
        catch (Exception e)
        {
            // Its statements may be in any state: the next reader gets a new one.
            connection.Dispose();
            Interlocked.Decrement(ref _opened);
            throw e is SqliteException failure ? failure.ToStorage() : e;
        }
    }

    /// <summary>Waits for the reads under way and closes all connections.</summary>
    public void Dispose()
    {
        _closing = true;
        var spin = new SpinWait();
        while (Volatile.Read(ref _opened) > 0)
        {
            if (TryTakeIdle() is { } connection)
            {
                connection.Dispose();
                Interlocked.Decrement(ref _opened);
            }
            else spin.SpinOnce();
        }
    }

    private SqliteConnection Take()
    {
        var spin = new SpinWait();
        while (true)
        {
            if (_closing) throw new StorageException(StorageError.Unavailable, "The node is shutting down.");
            if (TryTakeIdle() is { } connection) return connection;
            if (Interlocked.Increment(ref _opened) <= ReadersMax) return Open();
            Interlocked.Decrement(ref _opened);
            spin.SpinOnce();
        }
    }

    private SqliteConnection? TryTakeIdle()
    {
        // Starting at the processor's own place keeps its page cache warm and neighbours apart.
        var start = Thread.GetCurrentProcessorId();
        for (var i = 0; i < _idle.Length; i++)
        {
            ref var place = ref _idle[(uint)(start + i) % _idle.Length];
            if (place is not null && Interlocked.Exchange(ref place, null) is { } connection) return connection;
        }
        return null;
    }

    private void Put(SqliteConnection connection)
    {
        var start = Thread.GetCurrentProcessorId();
        // There are as many places as connections, so one is free; another reader may take it first.
        for (var i = 0; ; i++)
        {
            if (Interlocked.CompareExchange(ref _idle[(uint)(start + i) % _idle.Length], connection, null) is null) return;
        }
    }

    private SqliteConnection Open()
    {
        try
        {
            var connection = new SqliteConnection(path, readOnly: true);
            connection.ExecuteScript($"PRAGMA cache_size = -{CacheKiB}; PRAGMA query_only = ON;");
            return connection;
        }
        catch (Exception e)
        {
            Interlocked.Decrement(ref _opened);
            throw e is SqliteException failure ? failure.ToStorage() : e;
        }
    }
}
