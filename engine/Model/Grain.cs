using DarkStorage.Engine;
using Orleans.Core;
using Orleans.Runtime;

namespace Orleans;

/// <summary>The usual base of a grain class.</summary>
public abstract class Grain : IGrainBase, IAddressable
{
    /// <summary>Only the engine constructs grains: the context is the activation whose turn runs on this thread.</summary>
    protected Grain() => GrainContext = Activation.Current
        ?? throw new InvalidOperationException($"{GetType()} was constructed outside an activation: get grains from IGrainFactory");

    public IGrainContext GrainContext { get; }

    public GrainReference GrainReference => GrainContext.GrainReference;

    protected IGrainFactory GrainFactory => Activation.Silo.Host.GrainFactory;

    protected IServiceProvider ServiceProvider => GrainContext.ActivationServices;

    public string IdentityString => GrainContext.GrainId.ToString();

    /// <summary>Which silo this activation runs on.</summary>
    public string RuntimeIdentity => Activation.Silo.Address.ToString();

    private Activation Activation => (Activation)GrainContext;

    /// <summary>Ends this activation once its running calls have finished.</summary>
    protected void DeactivateOnIdle() => GrainBaseExtensions.DeactivateOnIdle(this);

    /// <summary>Keeps idle collection away for at least <paramref name="timeSpan"/>; zero or less takes an earlier delay back.</summary>
    protected void DelayDeactivation(TimeSpan timeSpan) => Activation.DelayDeactivation(timeSpan);

    public virtual Task OnActivateAsync(CancellationToken cancellationToken) => Task.CompletedTask;

    public virtual Task OnDeactivateAsync(DeactivationReason reason, CancellationToken cancellationToken) => Task.CompletedTask;
}

/// <summary>A grain with one state in the default storage, read before <see cref="Grain.OnActivateAsync"/>.</summary>
public class Grain<TGrainState> : Grain
{
    private readonly IStorage<TGrainState> _storage;

    protected Grain() => _storage = ((Activation)GrainContext).DefaultState<TGrainState>();

    protected TGrainState State
    {
        get => _storage.State;
        set => _storage.State = value;
    }

    protected virtual Task ReadStateAsync() => _storage.ReadStateAsync();

    protected virtual Task WriteStateAsync() => _storage.WriteStateAsync();

    protected virtual Task ClearStateAsync() => _storage.ClearStateAsync();
}
