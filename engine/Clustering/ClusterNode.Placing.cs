using System.Collections.Concurrent;
using System.Diagnostics;
using Orleans;
using Orleans.Runtime;

namespace DarkStorage.Engine;

/// <summary>
/// Grains that do not live at their home: of classes with [PreferLocalPlacement] or [RandomPlacement]. Their home only knows where they
/// are. What it knows is a memory of answers: when it is forgotten, or the home is another silo now, the live silos are asked again
/// which of them holds the grain, and where none does it is placed anew.
/// </summary>
internal sealed partial class ClusterNode
{
    private readonly ConcurrentDictionary<GrainId, Lazy<Task<SiloAddress>>> _places = new();

    /// <summary>Fresh grains may be placed here.</summary>
    public bool IsActive => View.Snapshot.GetSiloStatus(Silo.Address) == SiloStatus.Active;

    /// <summary>May the next activation of a grain be where the last one was?</summary>
    public bool MayStay(GrainClass grainClass, GrainId id) => grainClass.IsPlaced ? IsActive : IsHome(id);

    public void ForgetPlace(GrainId id) => _places.TryRemove(id, out _);

    /// <summary>A grain that was placed here is gone: its home need not remember it.</summary>
    public async Task TellGoneAsync(GrainId id)
    {
        if (View.HomeOf(id) is not { } home) return;
        if (home == Silo.Address)
        {
            ForgetPlace(id);
            return;
        }

        try
        {
            await Control(home).ForgetPlace(id);
        }
        catch (Exception error) when (error is OrleansException or TimeoutException)
        {
            // Then calls still come here, where the grain wakes again.
        }
    }

    private async Task PlaceAsync(Call call)
    {
        var id = call.Target.GrainId;
        try
        {
            var place = await PlaceOfAsync(id, call.CameFrom ?? Silo.Address);
            if (place is null)
            {
                Silo.Send(call);   // its home has changed meanwhile
                return;
            }

            call.Place = CallPlace.Found;
            Silo.Send(call, place == Silo.Address ? null : PeerOf(place));
        }
        catch (Exception error)
        {
            // The caller is told what kept the grain from being placed.
            call.Answer(error);
        }
    }

    private async Task<SiloAddress?> PlaceOfAsync(GrainId id, SiloAddress caller)
    {
        while (IsHome(id))
        {
            var entry = _places.GetOrAdd(id, _ => new(() => FindPlaceAsync(id, caller)));
            SiloAddress? place = null;
            try
            {
                place = await entry.Value;
                if (View.Snapshot.GetSiloStatus(place) == SiloStatus.Active) return place;
            }
            finally
            {
                if (place is null || View.Snapshot.GetSiloStatus(place) != SiloStatus.Active) _places.TryRemove(new(id, entry));
            }
        }

        return null;
    }

    private async Task<SiloAddress> FindPlaceAsync(GrainId id, SiloAddress caller)
    {
        var startedAt = Stopwatch.GetTimestamp();
        while (true)
        {
            var view = View;
            var active = view.Snapshot.Members.Values.Where(member => member.Status == SiloStatus.Active).Select(member => member.SiloAddress).ToArray();
            if (Silo.Catalog.Contains(id)) return Silo.Address;
            var others = view.HoldingOthers(Silo.Address).ToArray();
            var answers = await Task.WhenAll(others.Select(other => HoldsAsync(other, id, view, startedAt)));
            if (View != view) continue;
            var holder = others.Zip(answers).FirstOrDefault(answer => answer.Second).First;
            if (holder is not null && active.Contains(holder)) return holder;
            if (holder is not null) await ClaimFromAsync(holder, id, view, startedAt);   // it is shutting down
            if (active.Length == 0) return Silo.Address;
            if (Silo.Types.Find(id.Type) is { PrefersLocal: true }) return active.Contains(caller) ? caller : Silo.Address;
            return active[Random.Shared.Next(active.Length)];
        }
    }

    private async Task<bool> HoldsAsync(SiloAddress other, GrainId id, ClusterView view, long startedAt)
    {
        while (View == view && !_ending.IsCancellationRequested)
        {
            var changed = Silo.Membership.Changed;
            try
            {
                return await Control(other).Holds(id);
            }
            catch (Exception error) when (error is OrleansException or TimeoutException && Stopwatch.GetElapsedTime(startedAt) < ClaimPatience)
            {
                // As when a grain is claimed.
                await Task.WhenAny(changed, Task.Delay(AskAgain));
            }
            catch (Exception error) when (error is OrleansException or TimeoutException)
            {
                Silo.Log.NotGivenUp(error, id, other);
                return false;
            }
        }

        return false;
    }

    private void ForgetPlacesOfOthers()
    {
        foreach (var id in _places.Keys)
            if (!IsHome(id)) ForgetPlace(id);
    }
}
