using System.Collections.Immutable;
using Orleans.Runtime;

namespace DarkStorage.Engine;

/// <summary>Holds the newest view and hands it to whoever waits. A silo that is alone has itself for a member.</summary>
/// <param name="earlier">That of the silo's life before, whose last view is what is known until this one has read.</param>
internal sealed class MembershipService(Silo silo, MembershipService? earlier)
{
    private readonly ClusterView? _earlier = earlier?._view ?? earlier?._earlier;

    private readonly Lock _gate = new();
    private TaskCompletionSource _changed = new(TaskCreationOptions.RunContinuationsAsynchronously);
    private volatile ClusterView? _view;

    public ClusterMembershipSnapshot CurrentSnapshot => (_view ?? _earlier ?? View).Snapshot;

    public ClusterView View => _view ?? (silo.Cluster is null ? Alone() : ClusterView.Empty);

    /// <summary>Completes when a newer view than the one that was current is there.</summary>
    public Task Changed
    {
        get
        {
            lock (_gate) return _changed.Task;
        }
    }

    public bool Publish(ClusterView view)
    {
        TaskCompletionSource changed;
        lock (_gate)
        {
            if (_view is { } current && current.Version >= view.Version) return false;
            _view = view;
            changed = _changed;
            _changed = new(TaskCreationOptions.RunContinuationsAsynchronously);
        }

        changed.TrySetResult();
        return true;
    }

    public async ValueTask Refresh(MembershipVersion minimumVersion, CancellationToken cancellationToken)
    {
        if (silo.Cluster is not { } cluster) return;
        cluster.RequestRefresh();
        while (View.Version < minimumVersion.Value)
        {
            var changed = Changed;
            if (View.Version >= minimumVersion.Value) return;
            await changed.WaitAsync(cancellationToken);
        }
    }

    private ClusterView Alone() => new(
        new(
            ImmutableDictionary<SiloAddress, ClusterMember>.Empty.Add(silo.Address, new(silo.Address, silo.Status, silo.Name)),
            new(1)));
}
