using System.Collections.Immutable;
using DarkStorage.GrainInterfaces.Tiers;
using Orleans;
using Orleans.Serialization;

namespace DarkStorage.Grains.Tiers;

internal static class TierList
{
    /// <returns>The tiers, as <see cref="ITiersGrain.ListAsync"/> has them.</returns>
    public static async Task<ImmutableArray<Tier>> ListTiersAsync(this IGrainFactory grains, CancellationToken ct)
    {
        try
        {
            return await grains.GetGrain<ITiersGrain>(ITiersGrain.Key).ListAsync(ct);
        }
        catch (SerializerException)
        {
            // The silo that would have the grain runs a program that knows no tiers: while there is one of those, there are none.
            return [Tier.Hot];
        }
    }
}
