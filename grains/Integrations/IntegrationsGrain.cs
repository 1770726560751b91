using System.Collections.Immutable;
using DarkStorage.GrainInterfaces.Integrations;
using DarkStorage.Metadata;
using Orleans;
using Orleans.Runtime;

namespace DarkStorage.Grains.Integrations;

/// <summary>Which integrations there are: those whose state the index has. Nothing is kept here, so nothing can differ from it.</summary>
internal sealed class IntegrationsGrain(IMetadataIndex index) : Grain, IIntegrationsGrain
{
    public async Task<ImmutableArray<string>> ListAsync(CancellationToken ct) =>
        [.. (await index.ListGrainStatesAsync(IntegrationState.Name, after: "", IIntegrationsGrain.Max, ct)).Select(g => GrainId.Parse(g).Key.ToString()!).Order(StringComparer.Ordinal)];
}
