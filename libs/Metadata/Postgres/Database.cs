using System.Diagnostics;
using System.Diagnostics.Metrics;
using System.Globalization;
using System.Net.Sockets;
using DarkStorage.GrainInterfaces;
using Microsoft.Extensions.Logging;
using Npgsql;

namespace DarkStorage.Metadata.Postgres;

/// <summary>The connections to the database, and whether it is there.</summary>
/// <remarks>Invariant: while it is away nobody waits for it. Who finds it away says so at once; one task alone asks for it again, and when it answers everything goes on by itself.
/// Which of several hosts takes writes is asked anew with each connection, so a promoted standby is found as a restarted server is.</remarks>
internal sealed partial class Database : IAsyncDisposable
{
    private static readonly TimeSpan FirstRetry = TimeSpan.FromMilliseconds(50);
    private static readonly TimeSpan LastRetry = TimeSpan.FromSeconds(1);

    private readonly NpgsqlMultiHostDataSource _source;
    private readonly Meter _meter = new(MetadataMeter.Name);
    private readonly ILogger _log;
    private readonly CancellationTokenSource _closing = new();
    private readonly Lock _lock = new();
    private Task _asking = Task.CompletedTask;
    private volatile bool _isAway;
    private int _outages;

    public Database(PostgresUrl url, PostgresOptions options, TimeProvider clock, ILogger log)
    {
        (Options, Clock, _log) = (options, clock, log);
        var settings = new NpgsqlConnectionStringBuilder(url.Settings.ConnectionString)
        {
            ApplicationName = "darkstorage",
            SearchPath = Migrations.Schema,
            // Those that write and listen are opened beside those that read.
            MaxPoolSize = options.ReadConnectionsMax + (options.WriteConnections * WriteLane.UnansweredMax) + 2,
            Timeout = (int)Math.Ceiling(options.Timeout.TotalSeconds),
            CommandTimeout = (int)Math.Ceiling(options.Timeout.TotalSeconds),
            // A statement that timed out is cancelled, and its connection dropped without waiting for what comes of it. Changes must not be cancelled: WriteLane has a clock of its own.
            CancellationTimeout = -1,
            // A connection that waits for an answer without end is to find out that the machine at the other side has gone.
            TcpKeepAlive = true,
            TcpKeepAliveTime = (int)Math.Ceiling(options.Timeout.TotalSeconds),
            TcpKeepAliveInterval = (int)Math.Ceiling(options.Timeout.TotalSeconds),
            MaxAutoPrepare = 100,
            AutoPrepareMinUsages = 2,
            NoResetOnClose = true,      // nobody leaves anything behind in a session
            HostRecheckSeconds = 1,
            IncludeErrorDetail = false, // values of rows are no matter for logs
        };
        var builder = new NpgsqlDataSourceBuilder(settings.ConnectionString);
        builder.UsePhysicalConnectionInitializer(_ => throw new NotSupportedException("Connections are opened asynchronously."), connection => PrepareSessionAsync(connection, options.Timeout));
        _source = builder.BuildMultiHost();
        _meter.CreateObservableGauge("darkstorage.index.away", () => _isAway ? 1 : 0, "{database}", "1 while the database of the index does not answer this node.");
    }

    public PostgresOptions Options { get; }

    public TimeProvider Clock { get; }

    public bool IsAway => _isAway;

    /// <summary>How often it went away. A connection from before the last time may be dead without knowing.</summary>
    public int Outages => Volatile.Read(ref _outages);

    /// <summary>Opens a connection to the host that takes writes.</summary>
    /// <exception cref="StorageException"><see cref="StorageError.IndexAway"/>.</exception>
    public async ValueTask<NpgsqlConnection> OpenAsync(CancellationToken ct)
    {
        ThrowIfAway();
        try
        {
            return await _source.OpenConnectionAsync(TargetSessionAttributes.ReadWrite, ct);
        }
        catch (Exception e) when (e is NpgsqlException or SocketException or IOException or TimeoutException)
        {
            NoteAway(e);
            throw new StorageException(StorageError.IndexAway, "The database of the index is away.", e);
        }
    }

    /// <summary>Closes a connection once the answer that it waits for has come, or it is found dead: not before, for closing it would cancel what it waits for.</summary>
    public static async Task LeaveAsync(NpgsqlConnection connection, Task answer)
    {
        await answer.ConfigureAwait(ConfigureAwaitOptions.SuppressThrowing);
        await connection.DisposeAsync();
    }

    /// <summary>Closes what nobody uses at the moment: the next one gets a session that is new.</summary>
    public void CloseIdle() => _source.Clear();

    public void ThrowIfAway()
    {
        if (_isAway) throw new StorageException(StorageError.IndexAway, "The database of the index is away.");
    }

    /// <summary>Says what a failure of a connection or a statement means, and notes where it means that the database is away.</summary>
    public Exception Report(Exception failure)
    {
        if (failure is StorageException) return failure;
        if (failure is PostgresException { SqlState: PostgresErrorCodes.DiskFull } full) return new StorageException(StorageError.InsufficientStorage, "The drive of the index is full.", full);
        // PostgreSQL's texts can't have the character NUL (documentation, "Character Types"). Keys are bytes.
        if (failure is PostgresException { SqlState: PostgresErrorCodes.CharacterNotInRepertoire } nul) return new StorageException(StorageError.InvalidArgument, "A name has a character that the index can't keep.", nul);
        // A server that answers is there: it refused this one statement.
        if (failure is PostgresException { SqlState: var state } answer && !IsGoing(state)) return new StorageException(StorageError.Unavailable, $"The index did not answer: {answer.SqlState}.", answer);
        if (failure is NpgsqlException or SocketException or IOException or TimeoutException)
        {
            // One statement may take too long where all others are answered. A database that answers nobody is found out by ChangeWatch, and by who opens a connection.
            if (!IsTimeout(failure)) NoteAway(failure);
            return new StorageException(StorageError.Unavailable, "The index did not answer.", failure);
        }
        return failure;
    }

    /// <summary>As <see cref="Report"/>, of a statement that every database answers at once: silence, too, means that it is away.</summary>
    public Exception ReportSilence(Exception failure)
    {
        if (IsTimeout(failure)) NoteAway(failure);
        return Report(failure);
    }

    public async ValueTask DisposeAsync()
    {
        await _closing.CancelAsync();
        Task asking;
        lock (_lock) asking = _asking;
        await asking;
        await _source.DisposeAsync();
        _meter.Dispose();
        _closing.Dispose();
    }

    /// <summary>Shutting down, starting up, or demoted to a standby.</summary>
    private static bool IsGoing(string sqlState) => sqlState is PostgresErrorCodes.AdminShutdown or PostgresErrorCodes.CrashShutdown or PostgresErrorCodes.CannotConnectNow
        or PostgresErrorCodes.ReadOnlySqlTransaction or PostgresErrorCodes.TooManyConnections || sqlState.StartsWith("08", StringComparison.Ordinal);

    private static bool IsTimeout(Exception failure) => failure is TimeoutException or { InnerException: TimeoutException };

    private void NoteAway(Exception failure)
    {
        lock (_lock)
        {
            if (_isAway || _closing.IsCancellationRequested) return;
            _isAway = true;
            Interlocked.Increment(ref _outages);
            LogAway(_log, failure.Message);
            _asking = Task.Run(AskUntilBackAsync);
        }
    }

    private async Task AskUntilBackAsync()
    {
        var since = Clock.GetTimestamp();
        for (var pause = FirstRetry; ; pause = TimeSpan.FromTicks(Math.Min(pause.Ticks * 2, LastRetry.Ticks)))
        {
            try
            {
                // Whatever idles in the pool was opened before: it may be dead without knowing.
                _source.Clear();
                await using (var connection = await _source.OpenConnectionAsync(TargetSessionAttributes.ReadWrite, _closing.Token))
                {
                    // An answer, and not a connection alone: that may be an old one after all.
                    await using var question = new NpgsqlCommand("SELECT 1", connection);
                    await question.ExecuteNonQueryAsync(_closing.Token);
                    _isAway = false;
                }
                LogBack(_log, Clock.GetElapsedTime(since).TotalSeconds);
                return;
            }
            catch (Exception e) when (e is NpgsqlException or SocketException or IOException or TimeoutException)
            {
                LogStillAway(_log, e.Message);
            }
            catch (OperationCanceledException)
            {
                return;
            }
            try
            {
                await Task.Delay(pause, Clock, _closing.Token);
            }
            catch (OperationCanceledException)
            {
                return;
            }
        }
    }

    /// <summary>What every session needs. Plans are held to the indexes: a table that was not analysed yet, or was when it was empty, must not be read from end to end.</summary>
    /// <remarks>A lock is waited for no longer than half of what a statement may take, so that the server says what is the matter, and not the silence. A node that vanished, or stands still, amid
    /// a batch leaves locks behind: the server ends its session when nobody acknowledges what it sends, and, from PostgreSQL 17 on, when the transaction takes longer than any may. There is no
    /// timeout for a statement, whatever the database's setting: it would end the wait for a synchronous standby, as a cancellation does.</remarks>
    private static async Task PrepareSessionAsync(NpgsqlConnection connection, TimeSpan timeout)
    {
        var (milliseconds, seconds) = ((long)timeout.TotalMilliseconds, (int)Math.Ceiling(timeout.TotalSeconds));
        await using var command = new NpgsqlCommand(string.Create(CultureInfo.InvariantCulture, $"""
            SELECT set_config('default_transaction_isolation', 'read committed', false), set_config('synchronous_commit', CASE current_setting('synchronous_commit')
                       WHEN 'off' THEN 'on' WHEN 'local' THEN 'on' ELSE current_setting('synchronous_commit') END, false),
                   set_config('enable_seqscan', 'off', false), set_config('enable_bitmapscan', 'off', false), set_config('jit', 'off', false),
                   set_config('max_parallel_workers_per_gather', '0', false), set_config('plan_cache_mode', 'force_generic_plan', false),
                   set_config('idle_in_transaction_session_timeout', '30s', false), set_config('statement_timeout', '0', false), set_config('lock_timeout', '{milliseconds / 2}', false),
                   set_config('tcp_keepalives_idle', '{seconds}', false), set_config('tcp_keepalives_interval', '{seconds}', false), set_config('tcp_keepalives_count', '2', false),
                   set_config('tcp_user_timeout', '{milliseconds * 4}', false),
                   CASE WHEN current_setting('server_version_num')::integer >= 170000 THEN set_config('transaction_timeout', '{milliseconds}', false) END
            """), connection);
        await command.ExecuteNonQueryAsync();
    }

    [LoggerMessage(LogLevel.Error, "The database of the index is away: {Failure}. Writes and reads are refused until it is back")]
    private static partial void LogAway(ILogger log, string failure);

    [LoggerMessage(LogLevel.Debug, "The database of the index is still away: {Failure}")]
    private static partial void LogStillAway(ILogger log, string failure);

    [LoggerMessage(LogLevel.Information, "The database of the index is back after {Seconds:0.0} s")]
    private static partial void LogBack(ILogger log, double seconds);
}
