using System.Collections.Immutable;
using DarkStorage.GrainInterfaces;
using DarkStorage.GrainInterfaces.Events;
using Orleans;
using Orleans.Runtime;

namespace DarkStorage.Grains.Events;

[GenerateSerializer, Alias("event-targets-state")]
public sealed class EventTargetsState
{
    [Id(0)]
    public HashSet<string> Names { get; set; } = [];
}

/// <summary>The names of the event targets. A name is added before its target is made and removed after it is gone, so no target is without.</summary>
internal sealed class EventTargetsGrain([PersistentState("event-targets", StorageNames.Index)] IPersistentState<EventTargetsState> state) : Grain, IEventTargetsGrain
{
    /// <summary>Targets of one cluster.</summary>
    private const int TargetsMax = 1_000;

    public Task AddAsync(string name, CancellationToken ct)
    {
        if (state.State.Names.Count >= TargetsMax && !state.State.Names.Contains(name)) throw new StorageException(StorageError.TooManySettings, $"There are {TargetsMax} event targets already.");
        return state.State.Names.Add(name) ? WriteAsync(ct) : Task.CompletedTask;
    }

    public Task RemoveAsync(string name, CancellationToken ct) => state.State.Names.Remove(name) ? WriteAsync(ct) : Task.CompletedTask;

    public Task<ImmutableArray<string>> ListAsync(CancellationToken ct) => Task.FromResult<ImmutableArray<string>>([.. state.State.Names.Order(StringComparer.Ordinal)]);

    private async Task WriteAsync(CancellationToken ct)
    {
        try
        {
            await state.WriteStateAsync(ct);
        }
        catch
        {
            DeactivateOnIdle(); // memory is ahead of the index now: forget it
            throw;
        }
    }
}
