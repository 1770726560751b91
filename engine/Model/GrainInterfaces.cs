using Orleans.Runtime;

namespace Orleans.Runtime
{
    /// <summary>Anything that can be called by reference.</summary>
    public interface IAddressable;

    /// <summary>Optional, but saves the <c>async</c> state machine of a grain that only looks at its context.</summary>
    public interface IGrainContextAccessor
    {
        /// <summary>The activation whose turn runs on this thread, or null.</summary>
        IGrainContext? GrainContext { get; }
    }

    /// <summary>One activation, seen from inside its silo.</summary>
    public interface IGrainContext : IEquatable<IGrainContext>
    {
        GrainReference GrainReference { get; }

        GrainId GrainId { get; }

        /// <summary>The grain object, null until it is constructed.</summary>
        object? GrainInstance { get; }

        ActivationId ActivationId { get; }

        GrainAddress Address { get; }

        /// <summary>The activation's own scope; disposed with it.</summary>
        IServiceProvider ActivationServices { get; }

        /// <summary>Ends when the activation is gone.</summary>
        Task Deactivated { get; }

        /// <summary>Lets running calls finish, then runs <c>OnDeactivateAsync</c>. Calls that still wait go to the next activation.</summary>
        void Deactivate(DeactivationReason deactivationReason, CancellationToken cancellationToken = default);
    }
}

namespace Orleans
{
    public interface IGrain : IAddressable;

    public interface IGrainWithStringKey : IGrain;

    public interface IGrainWithGuidKey : IGrain;

    public interface IGrainWithIntegerKey : IGrain;

    public interface IGrainWithGuidCompoundKey : IGrain;

    public interface IGrainWithIntegerCompoundKey : IGrain;

    /// <summary>What a grain class is to the engine. <see cref="Grain"/> implements it; a plain class may.</summary>
    public interface IGrainBase
    {
        IGrainContext GrainContext { get; }

        Task OnActivateAsync(CancellationToken token) => Task.CompletedTask;

        Task OnDeactivateAsync(DeactivationReason reason, CancellationToken token) => Task.CompletedTask;
    }

    /// <summary>Makes references to grains. Never touches the grain: a reference costs nothing until it is called.</summary>
    public interface IGrainFactory
    {
        TGrainInterface GetGrain<TGrainInterface>(Guid primaryKey, string? grainClassNamePrefix = null)
            where TGrainInterface : IGrainWithGuidKey;

        TGrainInterface GetGrain<TGrainInterface>(long primaryKey, string? grainClassNamePrefix = null)
            where TGrainInterface : IGrainWithIntegerKey;

        TGrainInterface GetGrain<TGrainInterface>(string primaryKey, string? grainClassNamePrefix = null)
            where TGrainInterface : IGrainWithStringKey;

        TGrainInterface GetGrain<TGrainInterface>(Guid primaryKey, string keyExtension, string? grainClassNamePrefix = null)
            where TGrainInterface : IGrainWithGuidCompoundKey;

        TGrainInterface GetGrain<TGrainInterface>(long primaryKey, string keyExtension, string? grainClassNamePrefix = null)
            where TGrainInterface : IGrainWithIntegerCompoundKey;

        IGrain GetGrain(Type grainInterfaceType, Guid grainPrimaryKey);

        IGrain GetGrain(Type grainInterfaceType, long grainPrimaryKey);

        IGrain GetGrain(Type grainInterfaceType, string grainPrimaryKey);

        IGrain GetGrain(Type grainInterfaceType, Guid grainPrimaryKey, string keyExtension);

        IGrain GetGrain(Type grainInterfaceType, long grainPrimaryKey, string keyExtension);

        TGrainInterface GetGrain<TGrainInterface>(GrainId grainId) where TGrainInterface : IAddressable;

        /// <summary>A reference without an interface; <see cref="GrainExtensions.AsReference{T}"/> gives it one.</summary>
        IAddressable GetGrain(GrainId grainId);
    }

    /// <summary>The way into the cluster for code outside grains.</summary>
    public interface IClusterClient : IGrainFactory
    {
        IServiceProvider ServiceProvider { get; }
    }
}
