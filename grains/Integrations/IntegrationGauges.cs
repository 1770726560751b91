using System.Collections.Concurrent;
using System.Diagnostics.Metrics;
using DarkStorage.GrainInterfaces.Integrations;

namespace DarkStorage.Grains.Integrations;

/// <summary>What metrics say of the health of the integrations whose grains are awake on this silo.</summary>
/// <remarks>A grain tells what it has just kept, so a scrape asks no place, no index and no grain, and of an integration one silo speaks: the one that asks its place. While a grain goes to another silo both may for a moment, and
/// when its silo has died nobody does, until its reminder has woken it elsewhere. There are <see cref="IIntegrationsGrain.Max"/> integrations at most.</remarks>
public sealed class IntegrationGauges : IDisposable
{
    private readonly Meter _meter = new("DarkStorage.Grains");
    private readonly ConcurrentDictionary<string, Told> _told = new(StringComparer.Ordinal);

    public IntegrationGauges()
    {
        _meter.CreateObservableGauge("darkstorage.integration.healthy", () => All(static h => h.IsHealthy ? 1 : 0), "{integration}",
            "1 where the place of an enabled integration was well when it was last asked, 0 where it was not. On the node that asks it alone.");
        _meter.CreateObservableGauge("darkstorage.integration.checked_timestamp", () => All(static h => SecondsOf(h.Checked)), "s", "When the place of an enabled integration was last asked for its health.");
        _meter.CreateObservableGauge("darkstorage.integration.health_changed_timestamp", () => All(static h => SecondsOf(h.Since)), "s", "When the place of an enabled integration began to be as well as it is, or as ill.");
    }

    /// <param name="Teller">The activation: one that ends later than another of the same grain began takes nothing away from that.</param>
    private sealed record Told(object Teller, IntegrationHealth Health);

    public void Dispose() => _meter.Dispose();

    /// <param name="health">Null where there is none to speak of.</param>
    internal void Tell(string integration, object teller, IntegrationHealth? health)
    {
        if (health is not null) _told[integration] = new(teller, health);
        else Forget(integration, teller);
    }

    internal void Forget(string integration, object teller)
    {
        if (_told.TryGetValue(integration, out var told) && ReferenceEquals(told.Teller, teller)) _told.TryRemove(KeyValuePair.Create(integration, told));
    }

    private IEnumerable<Measurement<double>> All(Func<IntegrationHealth, double> value) =>
        _told.Select(t => new Measurement<double>(value(t.Value.Health), new KeyValuePair<string, object?>("integration", t.Key)));

    private static double SecondsOf(DateTimeOffset time) => time.ToUnixTimeMilliseconds() / 1e3;
}
