using System.Collections.Concurrent;
using System.Collections.Immutable;
using System.Runtime.InteropServices;
using DarkStorage.GrainInterfaces;
using DarkStorage.GrainInterfaces.Integrations;
using DarkStorage.Grains.Integrations;
using DarkStorage.Storage.Backends;
using DarkStorage.Storage.Secrets;
using Orleans;

namespace DarkStorage.Silo;

/// <summary>The places outside, as this node uses them: one backend for each integration, opened at its first use, and anew when its settings change.</summary>
/// <param name="running">The node's services; null until it has begun to run, when nobody can ask for content.</param>
internal sealed class NodePlaces(Func<IServiceProvider?> running, TimeProvider clock) : IPlaces, IAsyncDisposable
{
    /// <summary>For how long settings hold without being asked for again. What a place is can't change while content is there, so only credentials and bounds can be this old.</summary>
    private static readonly TimeSpan SettingsLifetime = TimeSpan.FromSeconds(15);

    /// <summary>For how long a backend whose settings were replaced is left to those who use it.</summary>
    private static readonly TimeSpan RetiredFor = TimeSpan.FromMinutes(10);

    private readonly ConcurrentDictionary<string, Place> _places = new(StringComparer.Ordinal);

    private sealed class Place : IDisposable
    {
        public readonly SemaphoreSlim Turn = new(1);
        public volatile Opened? Now;

        public void Dispose() => Turn.Dispose();
    }

    private sealed record Opened(IMeteredBackend Backend, DateTimeOffset Changed, bool IsEnabled)
    {
        public long AskedAt { get; set; }
    }

    /// <inheritdoc/>
    public async ValueTask<IBackend> OpenAsync(string integration, CancellationToken ct) => (await FindAsync(integration, ct)).Backend;

    /// <returns>Whether new content may go there.</returns>
    public async ValueTask<bool> IsEnabledAsync(string integration, CancellationToken ct) => (await FindAsync(integration, ct)).IsEnabled;

    /// <summary>Tells each integration what went through since the last time.</summary>
    public async Task ReportAsync(CancellationToken ct)
    {
        foreach (var (name, place) in _places)
        {
            if (place.Now?.Backend.TakeUsage() is { } usage && usage != BackendUsage.None) await Grain(name).ReportAsync(usage, ct);
        }
    }

    public async ValueTask DisposeAsync()
    {
        foreach (var place in _places.Values)
        {
            if (place.Now is { } opened) await opened.Backend.DisposeAsync();
            place.Dispose();
        }
    }

    private async ValueTask<Opened> FindAsync(string integration, CancellationToken ct)
    {
        var place = _places.GetOrAdd(integration, static _ => new());
        if (place.Now is { } known && IsFresh(known)) return known;
        await place.Turn.WaitAsync(ct);
        try
        {
            var before = place.Now;
            if (before is not null && IsFresh(before)) return before;
            IntegrationSettings? settings;
            try
            {
                settings = await Grain(integration).FindSettingsAsync(ct);
            }
            catch (Exception e) when (before is not null && e is not OperationCanceledException)
            {
                return before; // reads go on while the grain can't be asked, as by what was known before
            }
            if (settings is null) throw new StorageException(StorageError.Unavailable, $"The integration {integration} is gone.");
            if (before is not null && before.Changed == settings.Changed && before.IsEnabled == settings.IsEnabled)
            {
                before.AskedAt = clock.GetTimestamp();
                return before;
            }
            var opened = new Opened(Open(integration, settings), settings.Changed, settings.IsEnabled) { AskedAt = clock.GetTimestamp() };
            place.Now = opened;
            if (before is not null) _ = RetireAsync(before.Backend);
            return opened;
        }
        finally
        {
            place.Turn.Release();
        }
    }

    private bool IsFresh(Opened opened) => clock.GetElapsedTime(opened.AskedAt) < SettingsLifetime;

    private IIntegrationGrain Grain(string integration) => Services.GetRequiredService<IGrainFactory>().GetGrain<IIntegrationGrain>(integration);

    private IServiceProvider Services => running() ?? throw new StorageException(StorageError.Unavailable, "The node has not begun to run.");

    private IMeteredBackend Open(string integration, IntegrationSettings settings)
    {
        var all = settings.SealedSecrets.IsEmpty
            ? settings.Settings
            : settings.Settings.AddRange(Services.GetRequiredService<ISecretBox>().OpenSecrets(integration, ImmutableCollectionsMarshal.AsArray(settings.SealedSecrets)!));
        return Services.GetRequiredService<IConnectors>().Open(integration, settings.Type, all);
    }

    private async Task RetireAsync(IMeteredBackend backend)
    {
        await Task.Delay(RetiredFor, clock);
        await backend.DisposeAsync();
    }
}
