using System.Collections.Concurrent;
using System.Diagnostics;
using Orleans;
using Orleans.Runtime;

namespace DarkStorage.Engine;

/// <summary>
/// Grains whose home changes. The old home goes on with what it has awake and lets it go, some at a time; once a grain is gone there,
/// calls that waited go to the new home. The new home wakes a grain only when no live silo can still hold it: each has said that it
/// holds nothing that belongs elsewhere by this version of the membership (it has settled), or it is asked for this one grain.
/// A silo that cannot be reached is waited for as long as it can be alive without its lease; one that answers, as long as a call may take.
/// </summary>
internal sealed partial class ClusterNode
{
    /// <summary>Activations that are let go at a time, so that storage is not flooded by what they save.</summary>
    private const int MovedTogether = 256;

    private static readonly TimeSpan AskAgain = TimeSpan.FromMilliseconds(200);

    private readonly ConcurrentDictionary<SiloAddress, long> _settled = new();   // by which version each of the others has settled
    private long _ownSettled = -1;
    private TaskCompletionSource _ownChanged = new(TaskCreationOptions.RunContinuationsAsynchronously);
    private long _allSettled = -1;   // every live silo has settled by this version

    private TimeSpan ClaimPatience => Lease.Length + (_options.ProbeTimeout * 2);

    /// <summary>Before a grain is made: may it be, here and now?</summary>
    /// <returns>False when its home is another silo after all.</returns>
    public ValueTask<bool> ClaimAsync(GrainId id)
    {
        var view = View;
        if (view.HomeOf(id) is not { } home) return new(true);   // nobody is active yet, or any more: calls run where they are made
        if (home != Silo.Address) return new(false);
        return Volatile.Read(ref _allSettled) >= view.Version ? new(true) : new(ClaimFromOthersAsync(id));
    }

    public bool IsHome(GrainId id) => View.HomeOf(id) is not { } home || home == Silo.Address;

    /// <summary>Has this silo let go of all that belongs elsewhere by this version or a newer one?</summary>
    public async Task SettledAsync(long version)
    {
        await SeeAsync(version);
        while (Volatile.Read(ref _ownSettled) < version)
        {
            var changed = Volatile.Read(ref _ownChanged);
            if (Volatile.Read(ref _ownSettled) >= version) return;
            await changed.Task.WaitAsync(_ending.Token);
        }
    }

    public async Task<bool> GiveUpAsync(GrainId id, long version)
    {
        await SeeAsync(version);
        while (Silo.Catalog.Find(id) is { } activation)
        {
            if (activation.HasHome && IsHome(id)) return false;
            activation.Deactivate(Moved);
            await activation.Deactivated.WaitAsync(_ending.Token);
        }

        return !IsHome(id) || View.HomeOf(id) is null || Silo.Types.Find(id.Type) is { IsPlaced: true };
    }

    /// <summary>Waits until every live silo has seen the newest view; for one that cannot be reached, only as long as a grain is claimed.</summary>
    public async Task SeenByAllAsync()
    {
        using var patience = CancellationTokenSource.CreateLinkedTokenSource(_ending.Token);
        patience.CancelAfter(ClaimPatience);
        ClusterView view;
        do
        {
            view = View;
            await Task.WhenAll(view.HoldingOthers(Silo.Address).Select(other => AskAsync(other, view, control => control.See(view.Version), patience.Token)));
        }
        while (View != view);
    }

    /// <summary>Waits until nothing more comes from the others, and all that had come is answered.</summary>
    public async Task QuiesceAsync(CancellationToken ct)
    {
        if (_isFenced) return;
        var view = View;
        using var patience = CancellationTokenSource.CreateLinkedTokenSource(ct);
        patience.CancelAfter(Lease.Length);
        await Task.WhenAll(view.LiveOthers(Silo.Address).Select(other =>
            AskAsync(other, view, control => control.Farewell(Silo.Address, view.Version), patience.Token)));
        while (_inbound.Keys.Any(connection => connection.IsBusy) && !patience.IsCancellationRequested)
            await Task.Delay(5, CancellationToken.None);
    }

    /// <summary>Asked by a silo that leaves, which by that version is home to nothing.</summary>
    public async Task FarewellAsync(SiloAddress leaving, long version)
    {
        await SeeAsync(version);
        if (!_peers.TryGetValue(leaving, out var peer)) return;
        while (peer.IsEntered) await Task.Yield();   // a few instructions of another thread
        await Control(leaving).See(0);   // behind all that went before it on the same connection
    }

    private static DeactivationReason Moved => new(DeactivationReasonCode.Migrating, "The grain's home is another silo now.");

    /// <summary>Of this view: lets go of what belongs elsewhere, and asks the others whether they have.</summary>
    private async Task SettleAsync(ClusterView view)
    {
        await Task.CompletedTask.ConfigureAwait(ConfigureAwaitOptions.ForceYielding);   // off the thread that renews the lease
        ForgetPlacesOfOthers();
        var asked = view.HoldingOthers(Silo.Address).Select(other =>
            AskAsync(other, view, control => HearSettledAsync(control, other, view.Version), _ending.Token)).ToArray();
        try
        {
            foreach (var some in Silo.Catalog.Activations.Where(a => a.HasHome && !IsHome(a.GrainId)).Chunk(MovedTogether))
            {
                foreach (var activation in some) activation.Deactivate(Moved);
                await Task.WhenAll(some.Select(activation => activation.Deactivated)).WaitAsync(_ending.Token);
            }

            Raise(ref _ownSettled, view.Version);
            Interlocked.Exchange(ref _ownChanged, new(TaskCreationOptions.RunContinuationsAsynchronously)).TrySetResult();
            await Task.WhenAll(asked);
            if (View == view) Raise(ref _allSettled, view.Version);
        }
        catch (OperationCanceledException)
        {
            // The silo ends.
        }
    }

    private async Task HearSettledAsync(ISiloControl control, SiloAddress other, long version)
    {
        await control.Settle(version);
        _settled.AddOrUpdate(other, version, (_, known) => Math.Max(known, version));
    }

    /// <summary>Asks one silo until it has answered, is dead, or the view is another one.</summary>
    private async Task AskAsync(SiloAddress other, ClusterView view, Func<ISiloControl, Task> ask, CancellationToken ct)
    {
        while (!ct.IsCancellationRequested && View == view)
        {
            var changed = Silo.Membership.Changed;
            try
            {
                await ask(Control(other)).WaitAsync(ct);
                return;
            }
            catch (Exception error) when (error is OrleansException or TimeoutException or OperationCanceledException)
            {
                // It cannot be reached, or is busy letting go: again, until it is dead.
                await Task.WhenAny(changed, Task.Delay(AskAgain, CancellationToken.None));
            }
        }
    }

    private async Task<bool> ClaimFromOthersAsync(GrainId id)
    {
        var startedAt = Stopwatch.GetTimestamp();
        while (true)
        {
            var view = View;
            if (view.HomeOf(id) is { } home && home != Silo.Address) return false;
            var answers = await Task.WhenAll(view.HoldingOthers(Silo.Address).Select(other => ClaimFromAsync(other, id, view, startedAt)));
            if (answers.Contains(false)) await RefreshAsync(view.Version + 1);
            if (View == view) return true;
        }
    }

    /// <returns>False when the other one knows better whose the grain is.</returns>
    private async Task<bool> ClaimFromAsync(SiloAddress other, GrainId id, ClusterView view, long startedAt)
    {
        while (View == view && !_ending.IsCancellationRequested && (_settled.GetValueOrDefault(other, -1) < view.Version || Silo.Types.Find(id.Type) is { IsPlaced: true }))
        {
            var changed = Silo.Membership.Changed;
            try
            {
                return await Control(other).GiveUp(id, view.Version);
            }
            catch (OrleansException) when (Stopwatch.GetElapsedTime(startedAt) < ClaimPatience)
            {
                // It cannot be reached: again, until it answers or is dead.
                await Task.WhenAny(changed, Task.Delay(AskAgain));
            }
            catch (Exception error) when (error is OrleansException or TimeoutException or OperationCanceledException)
            {
                // It lives and cannot be reached, or has a call at work that outlasts every caller's patience.
                Silo.Log.NotGivenUp(error, id, other);
                return true;
            }
        }

        return true;
    }

    private static void Raise(ref long value, long to)
    {
        for (var now = Volatile.Read(ref value); now < to;)
        {
            var seen = Interlocked.CompareExchange(ref value, to, now);
            if (seen == now) return;
            now = seen;
        }
    }
}
