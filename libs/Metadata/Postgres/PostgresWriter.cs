using DarkStorage.GrainInterfaces;
using Microsoft.Extensions.Logging;
using Npgsql;

namespace DarkStorage.Metadata.Postgres;

/// <summary>The lanes by which changes go to the database. What concerns one key goes by one lane, in the order it came.</summary>
internal sealed class PostgresWriter : IAsyncDisposable
{
    private readonly WriteLane[] _lanes;
    private readonly Database _database;

    public PostgresWriter(Database database, ILogger log)
    {
        _database = database;
        _lanes = [.. Enumerable.Range(0, database.Options.WriteConnections).Select(_ => new WriteLane(database, log))];
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
        await _lanes[(uint)lockedOn % _lanes.Length].EnqueueAsync(change, ct);
        // From here on the change happens, whether or not anyone still waits for it.
        return await change.Completion;
    }

    public async ValueTask DisposeAsync()
    {
        foreach (var lane in _lanes) await lane.DisposeAsync();
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
