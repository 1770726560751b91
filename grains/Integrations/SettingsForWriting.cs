using DarkStorage.GrainInterfaces.Integrations;
using Orleans;
using Orleans.Serialization;

namespace DarkStorage.Grains.Integrations;

public static class SettingsForWriting
{
    /// <returns>What <see cref="IIntegrationGrain.FindSettingsForWritingAsync"/> says.</returns>
    public static async Task<IntegrationSettings?> FindSettingsForWritingAsync(this IGrainFactory grains, string integration, CancellationToken ct)
    {
        var grain = grains.GetGrain<IIntegrationGrain>(integration);
        try
        {
            return await grain.FindSettingsForWritingAsync(ct);
        }
        catch (SerializerException)
        {
            // The silo that has the grain runs a program that goes by what it remembers.
            return await grain.FindSettingsAsync(ct);
        }
    }
}
