using System.Diagnostics;
using DarkStorage.GrainInterfaces;
using Microsoft.Extensions.Logging;
using Npgsql;

namespace DarkStorage.Metadata.Postgres;

/// <summary>One connection that writes: a batch of changes is pipelined, which is one transaction and one round trip.</summary>
/// <remarks>Invariants: a change's task completes only after the database said that the transaction is committed; a change that fails takes nothing with it: the batch is rolled back, and its
/// changes are then tried one by one. Where the connection is lost, or there is no answer in time, nobody knows whether the batch was committed: all of it is told so, and nothing is tried
/// again. A batch without an answer is never cancelled: PostgreSQL ends a cancelled wait for a synchronous standby with a commit that everybody sees and the standby has not got.</remarks>
internal sealed partial class WriteLane : IAsyncDisposable
{
    /// <summary>Connections on which a batch waits for its answer past its time. As long as there are so many no other is opened, and changes are refused at once.</summary>
    public const int UnansweredMax = 2;

    private readonly Database _database;
    private readonly ILogger _log;
    private readonly List<Task> _unanswered = [];
    private NpgsqlConnection? _connection;
    private int _outages;       // of the database, before the connection was made
    private int _slot;

    public WriteLane(Database database, ILogger log) => (_database, _log) = (database, log);

    /// <summary>It refuses everything until one of those answers comes.</summary>
    public bool IsBlocked => _unanswered.Count(static left => !left.IsCompleted) >= UnansweredMax;

    /// <summary>Makes changes and tells each what became of it. One batch at a time.</summary>
    public async Task CommitAsync(List<Change> batch)
    {
        var start = Stopwatch.GetTimestamp();
        if (await TryCommitAsync(batch, isHasty: false) is { } failure)
        {
            // Where one has waited for a lock in vain, the others are not to wait as long, one after the other, for the same one.
            foreach (var change in batch) await TryCommitAsync([change], isHasty: failure.SqlState == PostgresErrorCodes.LockNotAvailable);
        }
        MetadataMeter.CommitSeconds.Record(Stopwatch.GetElapsedTime(start).TotalSeconds);
        MetadataMeter.BatchSizes.Record(batch.Count);
    }

    public async ValueTask DisposeAsync() => await CloseAsync();

    /// <returns>Why a batch of several was rolled back: it has not been told. Null otherwise.</returns>
    private async Task<PostgresException?> TryCommitAsync(List<Change> batch, bool isHasty)
    {
        try
        {
            var connection = await ConnectAsync();
            var answer = SendAsync(connection, batch, isHasty);
            try
            {
                await answer.WaitAsync(_database.Options.Timeout, _database.Clock);
            }
            catch (TimeoutException) when (!answer.IsCompleted)
            {
                LogUnanswered(_log, batch.Count, _database.Options.Timeout);
                _connection = null;
                _unanswered.Add(Database.LeaveAsync(connection, answer));
                throw;
            }
        }
        catch (Exception e)
        {
            var rolledBack = _connection?.State == System.Data.ConnectionState.Open ? e as PostgresException : null;
            if (rolledBack is not null && batch.Count > 1) return rolledBack;
            if (e is not (StorageException or TimeoutException)) LogFailed(_log, batch.Count, e);
            if (rolledBack is null) await CloseAsync();
            var told = _database.Report(e);
            foreach (var change in batch) change.Fail(told);
            return null;
        }
        foreach (var change in batch) change.Complete();
        return null;
    }

    private async Task SendAsync(NpgsqlConnection connection, List<Change> batch, bool isHasty)
    {
        // No timeout here: Npgsql, whatever its settings, sends a cancellation when one is over.
        await using var commands = new NpgsqlBatch(connection) { Timeout = 0 };
        if (isHasty) commands.BatchCommands.Add(new("SELECT set_config('lock_timeout', '100ms', true)"));
        foreach (var change in batch) commands.BatchCommands.Add(change.MakeCommand(_slot));
        // Without a transaction of its own a batch is one: the server commits when it has run all of it.
        await using var rows = await commands.ExecuteReaderAsync();
        if (isHasty) await rows.NextResultAsync();
        foreach (var change in batch)
        {
            await rows.ReadAsync();
            change.Read(rows);
            await rows.NextResultAsync();
        }
        // Only when this returns has the server said that it is through: the commit comes after the last result.
        await rows.CloseAsync();
    }

    private async ValueTask<NpgsqlConnection> ConnectAsync()
    {
        if (_connection is { State: System.Data.ConnectionState.Open } open && _outages == _database.Outages) return open;
        await CloseAsync();
        _unanswered.RemoveAll(left => left.IsCompleted);
        if (_unanswered.Count >= UnansweredMax)
            throw new StorageException(StorageError.IndexAway, $"The index has not answered {UnansweredMax} batches of changes yet: no other is begun.");
        _outages = _database.Outages;
        _connection = await _database.OpenAsync(CancellationToken.None);
        await using var command = new NpgsqlCommand("SELECT take_slot()", _connection);
        _slot = (int)(await command.ExecuteScalarAsync())!;
        return _connection;
    }

    private async Task CloseAsync()
    {
        if (_connection is not { } connection) return;
        _connection = null;
        await connection.DisposeAsync();
    }

    [LoggerMessage(LogLevel.Error, "The index has not answered {Count} changes in {Timeout}: whether they were made is unknown. A synchronous standby may be away")]
    private static partial void LogUnanswered(ILogger log, int count, TimeSpan timeout);

    [LoggerMessage(LogLevel.Error, "The index could not commit {Count} changes")]
    private static partial void LogFailed(ILogger log, int count, Exception exception);
}
