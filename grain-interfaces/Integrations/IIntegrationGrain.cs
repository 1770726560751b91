using System.Collections.Immutable;
using Orleans;
using Orleans.Concurrency;

namespace DarkStorage.GrainInterfaces.Integrations;

/// <summary>One place outside that the cluster may keep bytes in: its settings, its credentials, how it is. The grain's key is the integration's name.</summary>
[Alias("integration")]
public interface IIntegrationGrain : IGrainWithStringKey
{
    /// <summary>Makes the integration, after its place was asked and made ready. Where the place refuses, nothing is made. One that somebody has to authorize first is made as it is, and its place asked and made ready when they have.</summary>
    /// <param name="preset">Null for none.</param>
    /// <param name="settings">By the fields' names; secrets among them.</param>
    /// <exception cref="StorageException"><see cref="StorageError.IntegrationExists"/>; <see cref="StorageError.TooManySettings"/>; <see cref="StorageError.Conflict"/>: a node runs an older program; <see cref="StorageError.InvalidArgument"/>: which setting can't be right, and why;
    /// <see cref="StorageError.BackendFailed"/>: what the place said.</exception>
    [Alias("add")]
    Task<Integration> AddAsync(string type, string? preset, ImmutableDictionary<string, string> settings, CancellationToken ct);

    /// <summary>Changes some settings, after the place they make was asked and made ready. Where it refuses, nothing is changed. New ones hold from the next call to it. With another application it has to be authorized again.</summary>
    /// <param name="settings">An empty text takes a setting back to its default. Those that are not named stay, secrets too.</param>
    /// <exception cref="StorageException"><see cref="StorageError.NoSuchIntegration"/>; <see cref="StorageError.Conflict"/>: it would be another place, and a tier, content of objects or what they do not need any more is at this one; and as for <see cref="AddAsync"/>.</exception>
    [Alias("change")]
    Task<Integration> ChangeAsync(ImmutableDictionary<string, string> settings, CancellationToken ct);

    /// <summary>While it is disabled nothing is put there or deleted there, but what <see cref="TestAsync"/> tries, and its health is not asked for. What is there is read. Transfers that are under way end.</summary>
    /// <exception cref="StorageException"><see cref="StorageError.NoSuchIntegration"/>.</exception>
    [Alias("set-enabled")]
    Task<Integration> SetEnabledAsync(bool isEnabled, CancellationToken ct);

    /// <summary>Forgets the integration. What is in its place stays there.</summary>
    /// <returns>Whether there was one.</returns>
    /// <exception cref="StorageException"><see cref="StorageError.Conflict"/>: a tier is there, or content of objects.</exception>
    [Alias("remove")]
    Task<bool> RemoveAsync(CancellationToken ct);

    /// <returns>Null where there is none.</returns>
    [Alias("find"), AlwaysInterleave]
    Task<IntegrationStatus?> FindAsync(CancellationToken ct);

    /// <summary>Writes, reads, lists and deletes a small blob there, and says how each went.</summary>
    /// <exception cref="StorageException"><see cref="StorageError.NoSuchIntegration"/>.</exception>
    [Alias("test"), AlwaysInterleave]
    Task<IntegrationTest> TestAsync(CancellationToken ct);

    /// <returns>What a node needs to use the place; null where there is no such integration.</returns>
    [Alias("find-settings"), AlwaysInterleave]
    Task<IntegrationSettings?> FindSettingsAsync(CancellationToken ct);

    /// <summary>The same for who is about to put there, after they have entered in the index what they put: it is compared with what the index has, so that no activation gives out a place that another has left, or is leaving.</summary>
    /// <exception cref="StorageException"><see cref="StorageError.Unavailable"/>: it was changed elsewhere. The next call is told how.</exception>
    [Alias("find-settings-for-writing"), AlwaysInterleave]
    Task<IntegrationSettings?> FindSettingsForWritingAsync(CancellationToken ct);

    /// <summary>Adds what a node has sent there and read from there.</summary>
    [Alias("report"), AlwaysInterleave]
    Task ReportAsync(BackendUsage usage, CancellationToken ct);

    /// <summary>Asks for the health now, and does not wait for it: somebody has authorized it.</summary>
    [Alias("check-soon"), AlwaysInterleave]
    Task CheckSoonAsync(CancellationToken ct);

    /// <summary>Seals the secrets under the newest key of the silo that has the grain, where they are sealed under another.</summary>
    /// <returns>Whether they were.</returns>
    /// <exception cref="StorageException"><see cref="StorageError.DataDamaged"/>: no key opens them.</exception>
    [Alias("seal-anew")]
    Task<bool> SealAnewAsync(CancellationToken ct);
}

/// <summary>Which integrations there are. There is one such grain.</summary>
[Alias("integrations")]
public interface IIntegrationsGrain : IGrainWithStringKey
{
    /// <summary>The key of the one grain.</summary>
    const string Key = "all";

    /// <summary>Integrations of one cluster.</summary>
    const int Max = 1_000;

    /// <returns>Their names, in order.</returns>
    [Alias("list")]
    Task<ImmutableArray<string>> ListAsync(CancellationToken ct);
}

/// <summary>A configured place outside.</summary>
/// <param name="Preset">The well-known place that its settings began with; null for none.</param>
/// <param name="Settings">Without the secrets.</param>
/// <param name="Secrets">The names of the fields whose secrets are kept. They are shown to nobody.</param>
[GenerateSerializer, Immutable, Alias("integration-record")]
public sealed record Integration(
    string Name, string Type, string? Preset, ImmutableSortedDictionary<string, string> Settings, ImmutableArray<string> Secrets, bool IsEnabled, DateTimeOffset Added, DateTimeOffset Changed);

/// <summary>What a node needs to use a place.</summary>
/// <param name="Settings">Without the secrets.</param>
/// <param name="SealedSecrets">Sealed under the cluster's secret, so that they cross no wire open; empty where there are none.</param>
/// <param name="IsEnabled">Content may go there, and be deleted there: it was not disabled, and is not about to be another place.</param>
[GenerateSerializer, Immutable, Alias("integration-settings")]
public sealed record IntegrationSettings(string Type, ImmutableSortedDictionary<string, string> Settings, ImmutableArray<byte> SealedSecrets, bool IsEnabled)
{
    /// <summary>Whether what was opened by others is as good.</summary>
    public bool AreThoseOf(IntegrationSettings other) => Type == other.Type && Settings.SequenceEqual(other.Settings) && SealedSecrets.AsSpan().SequenceEqual(other.SealedSecrets.AsSpan());
}

/// <param name="Health">Null before it was first asked for.</param>
/// <param name="Usage">Since the integration was added; at most some minutes behind after a crash.</param>
/// <param name="Authorization">Null where nobody has to give access.</param>
[GenerateSerializer, Immutable, Alias("integration-status")]
public sealed record IntegrationStatus(Integration Integration, IntegrationHealth? Health, BackendUsage Usage, IntegrationAuthorization? Authorization = null);

/// <summary>How a place was when it was last asked.</summary>
/// <param name="Checked">When that was.</param>
/// <param name="Since">When it began to be so.</param>
/// <param name="Failure">What it said, or why it said nothing; null where all is well.</param>
[GenerateSerializer, Immutable, Alias("integration-health")]
public sealed record IntegrationHealth(DateTimeOffset Checked, DateTimeOffset Since, string? Failure)
{
    public bool IsHealthy => Failure is null;
}

/// <summary>A try of all that is needed of a place.</summary>
/// <param name="Steps">In order, to the first that failed.</param>
[GenerateSerializer, Immutable, Alias("integration-test")]
public sealed record IntegrationTest(ImmutableArray<IntegrationTestStep> Steps)
{
    public bool Passed => Steps.All(s => s.Failure is null);
}

/// <param name="Failure">What went wrong; null where nothing did.</param>
/// <param name="Took">From asking to the answer.</param>
[GenerateSerializer, Immutable, Alias("integration-test-step")]
public sealed record IntegrationTestStep(string Name, string? Failure, TimeSpan Took);
