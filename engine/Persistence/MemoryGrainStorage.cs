using System.Collections.Concurrent;
using System.Globalization;
using System.Text.Json;
using Orleans;
using Orleans.Runtime;
using Orleans.Storage;

namespace DarkStorage.Engine;

/// <summary>State that ends with the silo, for tests and for what may be lost.</summary>
internal sealed class MemoryGrainStorage : IGrainStorage
{
    private readonly ConcurrentDictionary<(GrainId, string), Record> _records = new();
    private long _lastTag;

    public Task ReadStateAsync<T>(string stateName, GrainId grainId, IGrainState<T> grainState)
    {
        var record = _records.GetValueOrDefault((grainId, stateName));
        grainState.RecordExists = record is not null;
        grainState.ETag = record?.ETag;
        grainState.State = record is null ? default! : Copy((T)record.State!);
        return Task.CompletedTask;
    }

    public Task WriteStateAsync<T>(string stateName, GrainId grainId, IGrainState<T> grainState)
    {
        var key = (grainId, stateName);
        var record = new Record(Copy(grainState.State), Interlocked.Increment(ref _lastTag).ToString(CultureInfo.InvariantCulture));
        var old = Expect(key, grainState.ETag);
        if (old is null ? !_records.TryAdd(key, record) : !_records.TryUpdate(key, record, old)) throw Stale(key, grainState.ETag);
        grainState.ETag = record.ETag;
        grainState.RecordExists = true;
        return Task.CompletedTask;
    }

    public Task ClearStateAsync<T>(string stateName, GrainId grainId, IGrainState<T> grainState)
    {
        var key = (grainId, stateName);
        var old = Expect(key, grainState.ETag);
        if (old is not null && !_records.TryRemove(new(key, old))) throw Stale(key, grainState.ETag);
        grainState.ETag = null;
        grainState.RecordExists = false;
        grainState.State = default!;
        return Task.CompletedTask;
    }

    private Record? Expect((GrainId Grain, string Name) key, string? etag)
    {
        var record = _records.GetValueOrDefault(key);
        return record?.ETag == etag ? record : throw Stale(key, etag);
    }

    private InconsistentStateException Stale((GrainId Grain, string Name) key, string? etag) => new(
        $"State \"{key.Name}\" of {key.Grain} was written by another", _records.GetValueOrDefault(key)?.ETag ?? "none", etag ?? "none");

    /// <summary>As with Orleans' memory storage, a state needs no [GenerateSerializer]: without one it goes through JSON.</summary>
    private static T Copy<T>(T state) => Copiers.FindError(typeof(T), []) is null
        ? DeepCopy<T>.Copy(state)
        : JsonSerializer.Deserialize<T>(JsonSerializer.SerializeToUtf8Bytes(state))!;

    private sealed record Record(object? State, string ETag);
}
