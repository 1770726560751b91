using Orleans.Core;
using Orleans.Runtime;

namespace Orleans
{
    /// <summary>A state on its way to or from storage.</summary>
    public interface IGrainState<T>
    {
        T State { get; set; }

        string? ETag { get; set; }

        bool RecordExists { get; set; }
    }

    public sealed class GrainState<T> : IGrainState<T>
    {
        public GrainState()
        {
        }

        public GrainState(T state) => State = state;

        public GrainState(T state, string? eTag)
        {
            State = state;
            ETag = eTag;
        }

        public T State { get; set; } = default!;

        public string? ETag { get; set; }

        public bool RecordExists { get; set; }
    }
}

namespace Orleans.Core
{
    public interface IStorage
    {
        string? Etag { get; }

        bool RecordExists { get; }

        Task ClearStateAsync();

        Task WriteStateAsync();

        Task ReadStateAsync();

        Task ClearStateAsync(CancellationToken cancellationToken) => ClearStateAsync();

        Task WriteStateAsync(CancellationToken cancellationToken) => WriteStateAsync();

        Task ReadStateAsync(CancellationToken cancellationToken) => ReadStateAsync();
    }

    public interface IStorage<TState> : IStorage
    {
        TState State { get; set; }
    }
}

namespace Orleans.Storage
{
    /// <summary>
    /// Where grain state is kept. A write or clear whose <see cref="IGrainState{T}.ETag"/> is not the stored one throws
    /// <see cref="InconsistentStateException"/>; a write sets the new etag.
    /// </summary>
    public interface IGrainStorage
    {
        Task ReadStateAsync<T>(string stateName, GrainId grainId, IGrainState<T> grainState);

        Task ReadStateAsync<T>(string stateName, GrainId grainId, IGrainState<T> grainState, CancellationToken cancellationToken) =>
            ReadStateAsync(stateName, grainId, grainState);

        Task WriteStateAsync<T>(string stateName, GrainId grainId, IGrainState<T> grainState);

        Task WriteStateAsync<T>(string stateName, GrainId grainId, IGrainState<T> grainState, CancellationToken cancellationToken) =>
            WriteStateAsync(stateName, grainId, grainState);

        Task ClearStateAsync<T>(string stateName, GrainId grainId, IGrainState<T> grainState);

        Task ClearStateAsync<T>(string stateName, GrainId grainId, IGrainState<T> grainState, CancellationToken cancellationToken) =>
            ClearStateAsync(stateName, grainId, grainState);
    }
}

namespace Orleans.Runtime
{
    /// <summary>One named state of a grain, injected into its constructor and read before <c>OnActivateAsync</c>.</summary>
    public interface IPersistentState<TState> : IStorage<TState>;

    /// <summary>Marks a constructor parameter of type <see cref="IPersistentState{TState}"/>.</summary>
    /// <param name="storageName">The name of an <c>AddGrainStorage</c>; the default storage when null.</param>
    [AttributeUsage(AttributeTargets.Parameter)]
    public class PersistentStateAttribute(string? stateName, string? storageName = null) : Attribute
    {
        public string? StateName { get; } = stateName;

        public string? StorageName { get; } = storageName;
    }
}
