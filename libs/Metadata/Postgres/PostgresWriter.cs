using DarkStorage.GrainInterfaces;
using Microsoft.Extensions.Logging;
using Npgsql;

namespace DarkStorage.Metadata.Postgres;

/// <summary>The changes that wait, and the lanes by which they go to the database.</summary>
/// <remarks>What a transaction costs, here and there, is much of what a small change costs. So while a lane is on its way the others are left alone until there are changes enough for them,
/// or one has waited for <see cref="CompanyPatience"/>: a batch that hangs, at a lock or at a disk, holds up nobody else.</remarks>
internal sealed class PostgresWriter : IAsyncDisposable
{
    /// <summary>Changes in one transaction at the most. Each may hold a lock, and PostgreSQL has room for some 6,400 by default, for all nodes together.</summary>
    private const int BatchMax = 64;

    /// <summary>So many changes are enough for a transaction of their own.</summary>
    private const int BatchWanted = 16;

    /// <summary>Changes that may wait. A writer beyond that waits for a place.</summary>
    private const int WaitingMax = 8_192;

    /// <summary>For how long a change waits for others while a lane is free: a commit or two.</summary>
    private static readonly TimeSpan CompanyPatience = TimeSpan.FromMilliseconds(5);

    private readonly Database _database;
    private readonly Lock _lock = new();
    private readonly SemaphoreSlim _places = new(WaitingMax);
    private readonly Queue<Change> _waiting = [];
    private readonly WriteLane[] _lanes;
    private readonly List<WriteLane> _idle;
    private readonly ITimer _patience;
    private readonly TaskCompletionSource _ended = new(TaskCreationOptions.RunContinuationsAsynchronously);
    private int _wanted = 1;    // for a lane to begin while no other is on its way: who was answered together writes again together, and the first of them would go alone
    private int _alone;         // of those that wait
    private bool _isTimed;
    private bool _isDue;        // something has waited long enough
    private bool _isClosed;

    public PostgresWriter(Database database, ILogger log)
    {
        _database = database;
        _lanes = [.. Enumerable.Range(0, database.Options.WriteConnections).Select(_ => new WriteLane(database, log))];
        _idle = [.. _lanes];
        _patience = database.Clock.CreateTimer(_ => Due(), null, Timeout.InfiniteTimeSpan, Timeout.InfiniteTimeSpan);
    }

    /// <summary>Runs a change, with others that wait, in one transaction.</summary>
    /// <param name="lockedOn">What it locks, if anything: changes of a batch are made in the order of these, so that no two batches wait for each other.</param>
    /// <param name="isAlone">In a transaction of its own: it takes locks out of that order.</param>
    /// <param name="command">Makes the one statement of the change, which returns one row. Called again where the batch is made anew.</param>
    /// <param name="read">Reads that row. A <see cref="StorageException"/> out of it is the change's refusal.</param>
    /// <returns>What was read, once it is durable.</returns>
    public async Task<T> WriteAsync<T>(int lockedOn, bool isAlone, Func<int, NpgsqlBatchCommand> command, Func<NpgsqlDataReader, T> read, CancellationToken ct)
    {
        _database.ThrowIfAway();
        var change = new Change<T>(lockedOn, isAlone, command, read);
        await _places.WaitAsync(ct);
        lock (_lock)
        {
            if (_isClosed)
            {
                _places.Release();  // to the next one who is told so
                throw new StorageException(StorageError.Unavailable, "The node is shutting down.");
            }
            _waiting.Enqueue(change);
            if (isAlone) _alone++;
            Send();
        }
        // From here on the change happens, whether or not anyone still waits for it.
        return await change.Completion;
    }

    public async ValueTask DisposeAsync()
    {
        lock (_lock)
        {
            _isClosed = true;
            Send();
            if (_idle.Count == _lanes.Length) _ended.TrySetResult();
        }
        await _ended.Task;
        await _patience.DisposeAsync();
        foreach (var lane in _lanes) await lane.DisposeAsync();
    }

    private void Due()
    {
        lock (_lock)
        {
            _isTimed = false;
            _isDue = _waiting.Count > 0;
            Send();
        }
    }

    /// <summary>Gives what waits to lanes that are free, if it is time for that. Under the lock.</summary>
    private void Send()
    {
        while (_waiting.Count > 0 && FreeLane() is { } lane && IsTime())
        {
            _idle.Remove(lane);
            var batch = NextBatch();
            _wanted = Math.Min(batch.Count, BatchWanted);
            _isDue = false;
            _places.Release(batch.Count);
            _ = Task.Run(() => CommitAsync(lane, batch));
        }
        if (_waiting.Count == 0 || _isTimed || _isDue) return;
        _isTimed = true;
        _patience.Change(CompanyPatience, Timeout.InfiniteTimeSpan);
    }

    /// <summary>One that still waits for answers past their time refuses at once what the others, that are on their way, can write: so it is given something only where all are like that.</summary>
    private WriteLane? FreeLane() => _idle.Find(static lane => !lane.IsBlocked) ?? (_idle.Count == _lanes.Length ? _idle[0] : null);

    /// <summary>Whether those that wait are to wait no longer. Behind one that goes alone nobody can join a batch.</summary>
    private bool IsTime() => _isDue || _isClosed || _alone > 0 || _waiting.Count >= (_idle.Count == _lanes.Length ? _wanted : BatchWanted);

    /// <summary>In the order of their locks, and those of one lock in the order they came.</summary>
    private List<Change> NextBatch()
    {
        var batch = new List<Change>(Math.Min(_waiting.Count, BatchMax));
        while (batch.Count < BatchMax && _waiting.TryPeek(out var next) && !(next.IsAlone && batch.Count > 0))
        {
            batch.Add(_waiting.Dequeue());
            if (!next.IsAlone) continue;
            _alone--;
            break;
        }
        return [.. batch.OrderBy(static change => change.LockedOn)];
    }

    private async Task CommitAsync(WriteLane lane, List<Change> batch)
    {
        try
        {
            await lane.CommitAsync(batch);
        }
        finally
        {
            lock (_lock)
            {
                _idle.Add(lane);
                Send();
                if (_isClosed && _idle.Count == _lanes.Length) _ended.TrySetResult();
            }
        }
    }
}

/// <summary>A change on its way.</summary>
internal abstract class Change(int lockedOn, bool isAlone, Func<int, NpgsqlBatchCommand> command)
{
    public int LockedOn => lockedOn;

    public bool IsAlone => isAlone;

    /// <param name="slot">The connection's place in each bucket's usage.</param>
    public NpgsqlBatchCommand MakeCommand(int slot) => command(slot);

    /// <summary>Takes the row that the statement returned; the transaction may yet fail.</summary>
    public abstract void Read(NpgsqlDataReader row);

    public abstract void Complete();

    public abstract void Fail(Exception exception);
}

internal sealed class Change<T>(int lockedOn, bool isAlone, Func<int, NpgsqlBatchCommand> command, Func<NpgsqlDataReader, T> read)
    : Change(lockedOn, isAlone, command)
{
    private readonly TaskCompletionSource<T> _completion = new(TaskCreationOptions.RunContinuationsAsynchronously);
    private T _result = default!;
    private StorageException? _refused;

    public Task<T> Completion => _completion.Task;

    public override void Read(NpgsqlDataReader row)
    {
        _refused = null;
        try
        {
            _result = read(row);
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
