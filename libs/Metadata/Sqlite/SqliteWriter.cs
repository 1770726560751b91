using System.Diagnostics;
using System.Threading.Channels;
using DarkStorage.GrainInterfaces;
using Microsoft.Extensions.Logging;

namespace DarkStorage.Metadata.Sqlite;

/// <summary>The one writer of the database: a thread that puts all changes that wait into one transaction, so that they share one fsync.</summary>
/// <remarks>Invariants: a change's task completes only after the COMMIT that holds it returned; the next batch fills while one commits;
/// a change that fails takes nothing with it. A change checks first and writes afterwards: a <see cref="StorageException"/> out of it means
/// that it wrote nothing. Anything else rolls the batch back, and its changes are then tried one by one.</remarks>
internal sealed partial class SqliteWriter : IAsyncDisposable
{
    /// <summary>Changes in one transaction at the most: past that a commit gains little and the first waits long.</summary>
    private const int BatchMax = 512;

    /// <summary>Changes that may wait. A writer beyond that waits for a place.</summary>
    private const int QueueMax = 8_192;

    private readonly Channel<Change> _queue = Channel.CreateBounded<Change>(new BoundedChannelOptions(QueueMax) { SingleReader = true });
    private readonly List<Change> _batch = new(BatchMax);
    private readonly WriteSession _session;
    private readonly IndexReserve _reserve;
    private readonly ILogger _log;
    private readonly Thread _thread;

    public SqliteWriter(WriteSession session, IndexReserve reserve, ILogger log)
    {
        _session = session;
        _reserve = reserve;
        _log = log;
        _thread = new Thread(Run) { Name = "index writer", IsBackground = true };
        _thread.Start();
    }

    /// <summary>Runs a change in the next transaction.</summary>
    /// <returns>Its result, once it is durable.</returns>
    public Task<T> WriteAsync<T>(Func<WriteSession, T> change, CancellationToken ct) => EnqueueAsync(new Change<T>(change, frees: false), ct);

    /// <summary>Runs a change that takes away more than it adds: on a full drive it may use the reserve.</summary>
    /// <returns>Its result, once it is durable.</returns>
    public Task<T> RemoveAsync<T>(Func<WriteSession, T> change, CancellationToken ct) => EnqueueAsync(new Change<T>(change, frees: true), ct);

    private async Task<T> EnqueueAsync<T>(Change<T> waiting, CancellationToken ct)
    {
        try
        {
            await _queue.Writer.WriteAsync(waiting, ct);
        }
        catch (ChannelClosedException)
        {
            throw new StorageException(StorageError.Unavailable, "The node is shutting down.");
        }
        // From here on the change happens, whether or not anyone still waits for it.
        return await waiting.Completion;
    }

    public async ValueTask DisposeAsync()
    {
        _queue.Writer.TryComplete();
        await Task.Run(_thread.Join);
        _session.Dispose();
    }

    private void Run()
    {
        var reader = _queue.Reader;
        while (reader.WaitToReadAsync().AsTask().GetAwaiter().GetResult())
        {
            _batch.Clear();
            while (_batch.Count < BatchMax && reader.TryRead(out var change))
            {
                if (IsAllowed(change)) _batch.Add(change);
            }
            if (_batch.Count > 0) Commit();
        }
    }

    private void Commit()
    {
        var start = Stopwatch.GetTimestamp();
        if (!TryCommit(_batch) && _batch.Count > 1)
        {
            foreach (var change in _batch)
            {
                if (IsAllowed(change)) TryCommit([change]); // asked again: one before it may have needed the reserve
            }
        }
        MetadataMeter.CommitSeconds.Record(Stopwatch.GetElapsedTime(start).TotalSeconds);
        MetadataMeter.BatchSizes.Record(_batch.Count);
    }

    /// <summary>Refuses what would grow the index while its reserve is given up.</summary>
    private bool IsAllowed(Change change)
    {
        if (change.Frees || _reserve.AllowsGrowth) return true;
        change.Fail(new StorageException(StorageError.InsufficientStorage, "The drive of the index is full."));
        return false;
    }

    /// <returns>False if the transaction as a whole failed. A batch of one has then been told; a larger one has not.</returns>
    private bool TryCommit(List<Change> batch)
    {
        try
        {
            _session.Begin();
            foreach (var change in batch) change.Run(_session);
            _session.Commit();
        }
        catch (Exception e)
        {
            LogBatchFailed(_log, batch.Count, e);
            _session.Rollback();
            // Once: the second time there is no reserve to give up.
            if (batch.Count == 1 && batch[0].Frees && e is SqliteException { IsFull: true } && _reserve.TryRelease()) return TryCommit(batch);
            if (batch.Count == 1) batch[0].Fail(e is SqliteException s ? s.ToStorage() : e);
            return false;
        }
        foreach (var change in batch) change.Complete();
        return true;
    }

    [LoggerMessage(LogLevel.Error, "The index could not commit a batch of {Count} changes")]
    private static partial void LogBatchFailed(ILogger log, int count, Exception exception);

    private abstract class Change(bool frees)
    {
        public bool Frees => frees;
        public abstract void Run(WriteSession session);
        public abstract void Complete();
        public abstract void Fail(Exception exception);
    }

    private sealed class Change<T>(Func<WriteSession, T> run, bool frees) : Change(frees)
    {
        private readonly TaskCompletionSource<T> _completion = new(TaskCreationOptions.RunContinuationsAsynchronously);
        private T _result = default!;
        private StorageException? _refused;

        public Task<T> Completion => _completion.Task;

        public override void Run(WriteSession session)
        {
            _refused = null;
            try
            {
                _result = run(session);
            }
            catch (StorageException e)
            {
                _refused = e;
            }
        }

        public override void Complete()
        {
            if (_refused is null) _completion.SetResult(_result);
            else _completion.SetException(_refused);
        }

        public override void Fail(Exception exception) => _completion.SetException(exception);
    }
}
