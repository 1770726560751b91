using System.Runtime.CompilerServices;
using Microsoft.Extensions.DependencyInjection;
using Orleans;
using Orleans.Runtime;
using Orleans.Storage;

namespace DarkStorage.Engine;

internal static class PersistentState
{
    /// <summary>The storage of a state that names none.</summary>
    public const string DefaultStorage = "Default";
}

/// <summary>A grain's state and the storage behind it.</summary>
internal sealed class PersistentState<T> : IPersistentState<T>, IActivationState
{
    private readonly Activation _activation;
    private readonly IGrainStorage _storage;
    private readonly string _name;
    private readonly GrainState<T> _state = new(NewState());

    private PersistentState(Activation activation, string name, IGrainStorage storage)
    {
        _activation = activation;
        _name = name;
        _storage = storage;
    }

    public T State
    {
        get => _state.State;
        set => _state.State = value;
    }

    public string? Etag => _state.ETag;

    public bool RecordExists => _state.RecordExists;

    public static PersistentState<T> Create(Activation activation, string name, string? storageName)
    {
        var storage = activation.Silo.Services.GetKeyedService<IGrainStorage>(storageName ?? PersistentState.DefaultStorage)
            ?? throw new BadProviderConfigException(
                $"{activation.Class.Type} keeps its state \"{name}\" in storage \"{storageName ?? PersistentState.DefaultStorage}\", which was not added");
        return new(activation, name, storage);
    }

    public Task ReadStateAsync() => ReadStateAsync(CancellationToken.None);

    public Task WriteStateAsync() => WriteStateAsync(CancellationToken.None);

    public Task ClearStateAsync() => ClearStateAsync(CancellationToken.None);

    public async Task ReadStateAsync(CancellationToken cancellationToken)
    {
        await Do("read", storage => storage.ReadStateAsync(_name, _activation.GrainId, _state, cancellationToken));
        if (_state.State is null) _state.State = NewState();
    }

    public Task WriteStateAsync(CancellationToken cancellationToken) =>
        Do("write", storage => storage.WriteStateAsync(_name, _activation.GrainId, _state, cancellationToken));

    public async Task ClearStateAsync(CancellationToken cancellationToken)
    {
        await Do("clear", storage => storage.ClearStateAsync(_name, _activation.GrainId, _state, cancellationToken));
        if (_state.State is null) _state.State = NewState();
    }

    /// <summary>As in Orleans, a grain sees every failure of a storage as an <see cref="OrleansException"/>.</summary>
    private async Task Do(string verb, Func<IGrainStorage, Task> operation)
    {
        try
        {
            await operation(_storage);
        }
        catch (Exception error) when (error is not OrleansException)
        {
            throw new OrleansException($"Could not {verb} state \"{_name}\" of {_activation.GrainId}: {error.Message}", error);
        }
    }

    private static T NewState()
    {
        var type = typeof(T);
        if (type.IsValueType) return default!;
        if (type.IsAbstract || type == typeof(string)) return default!;
        return type.GetConstructor(Type.EmptyTypes) is not null
            ? Activator.CreateInstance<T>()
            : (T)RuntimeHelpers.GetUninitializedObject(type);
    }
}
