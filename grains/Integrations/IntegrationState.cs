using System.Collections.Immutable;
using DarkStorage.GrainInterfaces.Integrations;
using Orleans;

namespace DarkStorage.Grains.Integrations;

/// <summary>What is kept of an integration. The secrets are sealed.</summary>
[GenerateSerializer, Alias("integration-state")]
public sealed class IntegrationState
{
    /// <summary>The name of the state in the index.</summary>
    public const string Name = "integration";

    [Id(0)]
    public string Type { get; set; } = "";

    [Id(1)]
    public string? Preset { get; set; }

    /// <summary>All that are not secret, defaults and the preset's among them: what a later program has for defaults changes nothing here.</summary>
    [Id(2)]
    public ImmutableSortedDictionary<string, string> Settings { get; set; } = ImmutableSortedDictionary<string, string>.Empty;

    /// <summary>A JSON object of the secret settings, sealed; null where there are none.</summary>
    [Id(3)]
    public byte[]? SealedSecrets { get; set; }

    /// <summary>Names of the secret settings.</summary>
    [Id(4)]
    public ImmutableArray<string> Secrets { get; set; } = [];

    [Id(5)]
    public bool IsEnabled { get; set; }

    [Id(6)]
    public DateTimeOffset Added { get; set; }

    [Id(7)]
    public DateTimeOffset Changed { get; set; }

    [Id(8)]
    public IntegrationHealth? Health { get; set; }

    [Id(9)]
    public BackendUsage Usage { get; set; } = BackendUsage.None;

    [Id(10)]
    public DateTimeOffset Cleaned { get; set; }

    /// <summary>Somebody has to give access before the place can be asked.</summary>
    [Id(11)]
    public bool IsByOAuth { get; set; }

    /// <summary>It was so at some time: there may be tokens.</summary>
    [Id(12)]
    public bool WasByOAuth { get; set; }

    /// <summary>The place is to be made ready when it can be asked: nothing has been there yet.</summary>
    [Id(13)]
    public bool IsUnprepared { get; set; }

    /// <summary>It is about to be another place, or none, if nothing is there: nothing is put there until this is taken back.</summary>
    [Id(14)]
    public bool IsLeaving { get; set; }
}
