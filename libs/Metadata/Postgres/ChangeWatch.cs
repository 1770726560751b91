using Microsoft.Extensions.Logging;
using Npgsql;

namespace DarkStorage.Metadata.Postgres;

/// <summary>Hears what other nodes changed: makes the cache forget the buckets, and passes the documents on.</summary>
/// <remarks>Invariant: records of buckets are remembered only while it is known that changes are heard. Where the connection is lost all is forgotten, and nothing is remembered until there is
/// another; a connection that is dead without knowing is found out by asking it. So a record is at most <see cref="Patience"/> and one <see cref="PostgresOptions.Timeout"/> old, and mostly no
/// older than a message takes.</remarks>
internal sealed partial class ChangeWatch : IAsyncDisposable
{
    private const string Buckets = "darkstorage_bucket";
    private const string Documents = "darkstorage_document";

    /// <summary>Time of silence after which the connection is asked whether it lives.</summary>
    private static readonly TimeSpan Patience = TimeSpan.FromSeconds(2);

    private static readonly TimeSpan Retry = TimeSpan.FromMilliseconds(200);

    private readonly CancellationTokenSource _closing = new();
    private readonly Database _database;
    private readonly BucketCache _buckets;
    private readonly ILogger _log;
    private readonly Task _running;
    private volatile bool _hears;

    public ChangeWatch(Database database, BucketCache buckets, ILogger log)
    {
        (_database, _buckets, _log) = (database, buckets, log);
        _running = Task.Run(RunAsync);
    }

    /// <summary>With the document's name, or null where changes may have gone unheard.</summary>
    public event Action<string?>? DocumentChanged;

    /// <summary>Whether what is remembered may be answered.</summary>
    public bool Hears => _hears;

    public async ValueTask DisposeAsync()
    {
        await _closing.CancelAsync();
        await _running;
        _closing.Dispose();
    }

    private async Task RunAsync()
    {
        while (!_closing.IsCancellationRequested)
        {
            try
            {
                await ListenAsync(_closing.Token);
            }
            catch (OperationCanceledException) when (_closing.IsCancellationRequested)
            {
                return;
            }
            catch (Exception e)
            {
                LogLost(_log, _database.ReportSilence(e).Message);
            }
            finally
            {
                _hears = false;
                _buckets.ForgetAll();
            }
            await Task.Delay(Retry, _closing.Token).ConfigureAwait(ConfigureAwaitOptions.SuppressThrowing);
        }
    }

    private async Task ListenAsync(CancellationToken ct)
    {
        var connection = await _database.OpenAsync(ct);
        var answer = Task.CompletedTask;
        try
        {
            await SubscribeAsync(connection, ct);
            while (true)
            {
                if (await connection.WaitAsync(Patience, ct)) continue;
                answer = AskAsync(connection);
                await answer.WaitAsync(_database.Options.Timeout, _database.Clock, ct);
            }
        }
        finally
        {
            var left = Database.LeaveAsync(connection, answer);
            if (answer.IsCompleted) await left;
        }
    }

    private async Task SubscribeAsync(NpgsqlConnection connection, CancellationToken ct)
    {
        connection.Notification += (_, told) =>
        {
            if (told.Channel == Buckets) _buckets.Forget(told.Payload);
            else DocumentChanged?.Invoke(told.Payload);
        };
        await using (var listen = new NpgsqlCommand($"LISTEN {Buckets}; LISTEN {Documents}", connection)) await listen.ExecuteNonQueryAsync(ct);
        // What was read before is from before: it may have been changed unheard.
        _buckets.ForgetAll();
        _hears = true;
        DocumentChanged?.Invoke(null);
    }

    /// <summary>Without a timeout of Npgsql's: when that is over it first connects once more, to cancel, and for as long nobody would know that there is no answer.</summary>
    private static async Task AskAsync(NpgsqlConnection connection)
    {
        await using var alive = new NpgsqlCommand("SELECT 1", connection) { CommandTimeout = 0 };
        await alive.ExecuteNonQueryAsync();
    }

    [LoggerMessage(LogLevel.Debug, "Changes by other nodes are not heard: {Failure}")]
    private static partial void LogLost(ILogger log, string failure);
}
