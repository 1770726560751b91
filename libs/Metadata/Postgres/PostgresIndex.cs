using System.Globalization;
using DarkStorage.GrainInterfaces;
using DarkStorage.GrainInterfaces.Objects;
using Microsoft.Extensions.Logging;
using Npgsql;

namespace DarkStorage.Metadata.Postgres;

/// <summary>The object index in PostgreSQL, which many nodes share.</summary>
/// <remarks>
/// A change is one call of a function in the database, which locks, checks and writes; changes that wait share a transaction (<see cref="PostgresWriter"/>). Reads ask the database each time, so
/// every answer includes what any node committed before. Only records of buckets are remembered, and forgotten as other nodes say that they changed them
/// (<see cref="ChangeWatch"/>); what is committed on one that was not forgotten in time is refused.
/// </remarks>
public sealed partial class PostgresIndex : IMetadataIndex, IClusterIndex
{
    /// <summary>Reads that may wait for a connection. Past that they are refused.</summary>
    private const int WaitingReadsMax = 4_096;

    private static readonly Version OldestServer = new(13, 0);

    private readonly Database _database;
    private readonly PostgresWriter _writer;
    private readonly BucketCache _buckets = new();
    private readonly ChangeWatch _watch;
    private readonly SemaphoreSlim _reads;
    private int _waitingReads;
    private int _disposed;

    private PostgresIndex(Database database, Guid clusterId, string description, ILogger log)
    {
        (_database, ClusterId, Description) = (database, clusterId, description);
        _reads = new(database.Options.ReadConnectionsMax);
        _writer = new(database, log);
        _watch = new(database, _buckets, log);
    }

    public string Description { get; }

    /// <summary>The cluster whose index this is: made with the index, and kept by every node that joined it.</summary>
    public Guid ClusterId { get; }

    /// <summary>Opens the index, making or migrating it where needed. Many nodes may do so at once.</summary>
    /// <exception cref="InvalidDataException">A newer program wrote it, something else did, or the database can't hold it.</exception>
    /// <exception cref="IOException">It is not to be reached.</exception>
    public static async Task<PostgresIndex> OpenAsync(PostgresUrl url, PostgresOptions options, TimeProvider clock, ILogger<PostgresIndex> log, CancellationToken ct)
    {
        var database = new Database(url, options, clock, log);
        try
        {
            await using (var connection = await database.OpenAsync(ct))
            {
                await CheckServerAsync(connection, url, options, clock, log, ct);
                await Migrations.ApplyAsync(connection, ct);
            }
            database.CloseIdle();
            await using var asking = await database.OpenAsync(ct);
            await using var cluster = new NpgsqlCommand("SELECT id FROM cluster", asking);
            var id = (Guid)(await cluster.ExecuteScalarAsync(ct))!;
            return new(database, id, $"PostgreSQL {asking.PostgreSqlVersion} at {url.Settings.Host}/{url.Settings.Database}", log);
        }
        catch (Exception e)
        {
            await database.DisposeAsync();
            var cause = e is StorageException { InnerException: { } inner } ? inner : e;
            if (cause is PostgresException refused) throw new IOException($"{url} can't be opened: {refused.MessageText}.", refused);
            if (cause is NpgsqlException or TimeoutException or System.Net.Sockets.SocketException) throw new IOException($"{url} can't be opened: {cause.Message}", cause);
            throw;
        }
    }

    /// <summary>It does not answer: everything is refused until it does.</summary>
    public bool IsAway => _database.IsAway;

    /// <summary>Looks whether the database that answers now is still the one that was opened, in a format that this program knows.</summary>
    /// <exception cref="InvalidDataException">It is not.</exception>
    /// <exception cref="StorageException"><see cref="StorageError.IndexAway"/>, <see cref="StorageError.Unavailable"/>.</exception>
    public async Task EnsureSameAsync(CancellationToken ct)
    {
        try
        {
            await using var connection = await _database.OpenAsync(ct);
            await Migrations.EnsureKnownAsync(connection, ct);
            await using var cluster = new NpgsqlCommand("SELECT id FROM cluster", connection);
            if (await cluster.ExecuteScalarAsync(ct) is Guid id && id == ClusterId) return;
        }
        catch (PostgresException e) when (e.SqlState is PostgresErrorCodes.UndefinedTable or PostgresErrorCodes.InvalidSchemaName)
        {
            // As for another cluster's.
        }
        catch (Exception e) when (e is not (OperationCanceledException or StorageException or InvalidDataException))
        {
            throw _database.Report(e);
        }
        throw new InvalidDataException($"The database at {Description} is not the index of the cluster {ClusterId} any more.");
    }

    public async ValueTask<string?> CheckClockAsync(DateTimeOffset now, CancellationToken ct)
    {
        var theirs = (await ReadRowsAsync("SELECT clock_timestamp()", static _ => { }, static row => new DateTimeOffset(row.GetDateTime(0)), ct))[0];
        return FaultOf(now, theirs, _database.Clock.GetUtcNow(), _database.Options, Description);
    }

    public async ValueTask DisposeAsync()
    {
        if (Interlocked.Exchange(ref _disposed, 1) != 0) return;
        await _watch.DisposeAsync();
        await _writer.DisposeAsync();
        await _database.DisposeAsync();
        _reads.Dispose();
    }

    /// <summary>Runs one statement, so what it reads is one state of the database. Where a connection turns out to be dead, another one is tried once.</summary>
    private async ValueTask<T> ReadAsync<T>(string sql, Action<NpgsqlParameterCollection> bind, Func<NpgsqlDataReader, CancellationToken, Task<T>> read, CancellationToken ct)
    {
        await EnterReadAsync(ct);
        try
        {
            for (var attempt = 1; ; attempt++)
            {
                try
                {
                    await using var connection = await _database.OpenAsync(ct);
                    await using var command = new NpgsqlCommand(sql, connection);
                    bind(command.Parameters);
                    await using var rows = await command.ExecuteReaderAsync(ct);
                    return await read(rows, ct);
                }
                catch (NpgsqlException e) when (attempt == 1 && e is not PostgresException && e.InnerException is not TimeoutException)
                {
                    // It idled in the pool while its server went. The next one tells whether there is a server.
                }
                catch (Exception e) when (e is not (OperationCanceledException or StorageException))
                {
                    throw _database.Report(e);
                }
            }
        }
        finally
        {
            _reads.Release();
        }
    }

    private async ValueTask EnterReadAsync(CancellationToken ct)
    {
        _database.ThrowIfAway();
        if (_reads.Wait(0, ct)) return;
        if (Interlocked.Increment(ref _waitingReads) > WaitingReadsMax)
        {
            Interlocked.Decrement(ref _waitingReads);
            throw new StorageException(StorageError.Unavailable, "Too many reads wait for the index.");
        }
        try
        {
            await _reads.WaitAsync(ct);
        }
        finally
        {
            Interlocked.Decrement(ref _waitingReads);
        }
    }

    private ValueTask<List<T>> ReadRowsAsync<T>(string sql, Action<NpgsqlParameterCollection> bind, Func<NpgsqlDataReader, T> read, CancellationToken ct) =>
        ReadAsync(sql, bind, async (rows, ct) =>
        {
            var found = new List<T>();
            while (await rows.ReadAsync(ct)) found.Add(read(rows));
            return found;
        }, ct);

    private ValueTask<T?> ReadFirstAsync<T>(string sql, Action<NpgsqlParameterCollection> bind, Func<NpgsqlDataReader, T> read, CancellationToken ct) where T : class =>
        ReadAsync(sql, bind, async (rows, ct) => await rows.ReadAsync(ct) ? read(rows) : null, ct);

    private Task<T> WriteAsync<T>(int lockedOn, string sql, Action<NpgsqlParameterCollection, int> bind, Func<NpgsqlDataReader, T> read, CancellationToken ct) =>
        WriteAsync(lockedOn, isAlone: false, sql, bind, read, ct);

    /// <param name="isAlone">It locks what others of a batch may have locked by another order: it gets a transaction of its own.</param>
    private Task<T> WriteAsync<T>(int lockedOn, bool isAlone, string sql, Action<NpgsqlParameterCollection, int> bind, Func<NpgsqlDataReader, T> read, CancellationToken ct) =>
        _writer.WriteAsync(lockedOn, isAlone, slot =>
        {
            var command = new NpgsqlBatchCommand(sql);
            bind(command.Parameters, slot);
            return command;
        }, read, ct);

    /// <summary>Reads what a function of a change says: empty where it made it, otherwise why not.</summary>
    private static string OutcomeOf(NpgsqlDataReader row)
    {
        var outcome = row.GetString(0);
        return outcome switch
        {
            "" or "Absent" => outcome,
            "BucketChanged" => throw new StorageException(StorageError.Conflict, "The bucket is at another revision than was decided on."),
            "Conflict" => throw new StorageException(StorageError.Conflict, "It is at another revision than was decided on."),
            "MoveChanged" => throw new StorageException(StorageError.VersionChanged, "Nobody wants it there any more."),
            "InvalidPart" => throw new StorageException(StorageError.InvalidPart, "A part was replaced while the upload was being completed."),
            _ => throw new StorageException(Enum.Parse<StorageError>(outcome), $"The index refused the change: {outcome}."),
        };
    }

    /// <summary>The lock of whatever has this name.</summary>
    private static int LockOf(string kind, string name) => LockOf(0, System.Text.Encoding.UTF8.GetBytes($"{kind}\0{name}"));

    /// <summary>The lock of a key. Two keys that share one wait for each other and nothing else.</summary>
    private static int LockOf(long bucket, ReadOnlySpan<byte> key)
    {
        Span<byte> number = stackalloc byte[sizeof(long)];
        System.Buffers.Binary.BinaryPrimitives.WriteInt64LittleEndian(number, bucket);
        return (int)DetailCodec.Crc(DetailCodec.Crc(uint.MaxValue, number), key);
    }

    private static async Task CheckServerAsync(NpgsqlConnection connection, PostgresUrl url, PostgresOptions options, TimeProvider clock, ILogger log, CancellationToken ct)
    {
        if (connection.PostgreSqlVersion < OldestServer) throw new InvalidDataException($"{url} is PostgreSQL {connection.PostgreSqlVersion}; {OldestServer} is the oldest that will do.");
        var asked = clock.GetUtcNow();
        await using var query = new NpgsqlCommand("SELECT current_setting('server_encoding'), current_setting('fsync'), clock_timestamp()", connection);
        await using var row = await query.ExecuteReaderAsync(ct);
        await row.ReadAsync(ct);
        if (row.GetString(0) != "UTF8") throw new InvalidDataException($"{url} has the encoding {row.GetString(0)}; the index needs UTF8.");
        if (row.GetString(1) != "on") LogUnsafe(log);
        if (FaultOf(asked, new(row.GetDateTime(2)), clock.GetUtcNow(), options, url.ToString()) is { } fault) throw new InvalidDataException(fault);
    }

    /// <summary>The database's answer was made between the question and when it was there: what is out of that, by more than is allowed, is a wrong clock.</summary>
    /// <returns>What is wrong, as a sentence; null where nothing is.</returns>
    private static string? FaultOf(DateTimeOffset asked, DateTimeOffset theirs, DateTimeOffset answered, PostgresOptions options, string database)
    {
        var difference = theirs < asked ? theirs - asked : theirs > answered ? theirs - answered : TimeSpan.Zero;
        if (difference.Duration() <= options.ClockDifferenceMax) return null;
        var seconds = difference.Duration().TotalSeconds.ToString("0", CultureInfo.InvariantCulture);
        return $"This machine's clock is {seconds} s {(difference > TimeSpan.Zero ? "behind" : "ahead of")} that of {database}; at most {options.ClockDifferenceMax.TotalSeconds} s are allowed: set it right.";
    }

    [LoggerMessage(LogLevel.Warning, "The database of the index runs with fsync = off: what was acknowledged may be lost when its machine fails")]
    private static partial void LogUnsafe(ILogger log);
}
