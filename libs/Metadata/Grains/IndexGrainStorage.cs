using System.Text.Json;
using Orleans;
using Orleans.Runtime;
using Orleans.Storage;

namespace DarkStorage.Metadata.Grains;

/// <summary>Grain state as rows of the object index, in JSON. With it one machine needs no other database, on either engine.</summary>
public sealed class IndexGrainStorage(IMetadataIndex index) : IGrainStorage
{
    public async Task ReadStateAsync<T>(string stateName, GrainId grainId, IGrainState<T> grainState)
    {
        var record = await index.ReadGrainStateAsync(stateName, grainId.ToString(), CancellationToken.None);
        grainState.RecordExists = record is not null;
        grainState.ETag = record?.ETag;
        grainState.State = record is null ? Activator.CreateInstance<T>() : JsonSerializer.Deserialize<T>(record.State.AsSpan())!;
    }

    public async Task WriteStateAsync<T>(string stateName, GrainId grainId, IGrainState<T> grainState)
    {
        var state = JsonSerializer.SerializeToUtf8Bytes(grainState.State);
        grainState.ETag = await index.WriteGrainStateAsync(stateName, grainId.ToString(), state, grainState.ETag, CancellationToken.None)
            ?? throw Stale(stateName, grainId, grainState.ETag);
        grainState.RecordExists = true;
    }

    public async Task ClearStateAsync<T>(string stateName, GrainId grainId, IGrainState<T> grainState)
    {
        if (!await index.ClearGrainStateAsync(stateName, grainId.ToString(), grainState.ETag, CancellationToken.None)) throw Stale(stateName, grainId, grainState.ETag);
        grainState.State = Activator.CreateInstance<T>();
        grainState.ETag = null;
        grainState.RecordExists = false;
    }

    private static InconsistentStateException Stale(string stateName, GrainId grainId, string? etag) =>
        new($"The state {stateName} of {grainId} is not at etag {etag ?? "(none)"} any more.");
}
