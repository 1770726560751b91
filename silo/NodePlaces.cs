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
    /// <summary>For how long settings hold without being asked for again. What a place is can't change while content is there; who puts there, deletes there, or does not find there what should be, asks anew.</summary>
    private static readonly TimeSpan SettingsLifetime = TimeSpan.FromSeconds(15);

    /// <summary>For how long a backend whose settings were replaced is left to those who use it: longer than any transfer that is worth waiting for.</summary>
    private static readonly TimeSpan RetiredFor = TimeSpan.FromHours(12);

    private readonly ConcurrentDictionary<string, Place> _places = new(StringComparer.Ordinal);

    private sealed class Place : IDisposable
    {
        public readonly SemaphoreSlim Turn = new(1);
        public volatile Opened? Now;

        public void Dispose() => Turn.Dispose();
    }

    private sealed record Opened(IMeteredBackend Backend, IntegrationSettings Settings, long AskedAt);

    /// <inheritdoc/>
    public async ValueTask<IBackend> OpenAsync(string integration, bool anew, CancellationToken ct)
    {
        if (anew) return (await AskAsync(integration, isToPut: false, ct)).Backend;
        var place = _places.GetOrAdd(integration, static _ => new());
        var known = place.Now;
        if (known is not null && clock.GetElapsedTime(known.AskedAt) < SettingsLifetime) return known.Backend;
        // One asks; who knows a backend goes on with it meanwhile, and where nobody can be asked.
        if (!await place.Turn.WaitAsync(known is null ? Timeout.InfiniteTimeSpan : TimeSpan.Zero, ct)) return known!.Backend;
        try
        {
            if (place.Now != known) return place.Now!.Backend;
            return (await AskAsync(integration, place, isToPut: false, ct)).Backend;
        }
        catch (Exception e) when (known is not null && e is not OperationCanceledException)
        {
            place.Now = known with { AskedAt = clock.GetTimestamp() };
            return known.Backend;
        }
        finally
        {
            place.Turn.Release();
        }
    }

    /// <inheritdoc/>
    public async ValueTask<IBackend> OpenForWritingAsync(string integration, CancellationToken ct) =>
        await AskAsync(integration, isToPut: true, ct) is { Settings.IsEnabled: true } opened ? opened.Backend : throw new StorageException(StorageError.BackendFailed, $"The integration {integration} is disabled, or being left.");

    /// <returns>As <see cref="OpenAsync"/> anew, for who is about to delete there; null where nothing may be changed.</returns>
    /// <exception cref="StorageException"><see cref="StorageError.Unavailable"/>: it can't be asked, or is gone.</exception>
    public async ValueTask<IBackend?> FindEnabledAsync(string integration, CancellationToken ct) => await AskAsync(integration, isToPut: false, ct) is { Settings.IsEnabled: true } opened ? opened.Backend : null;

    /// <summary>Tells each integration what went through since the last time.</summary>
    public async Task ReportAsync(CancellationToken ct)
    {
        foreach (var (name, place) in _places)
        {
            if (place.Now is { } opened) await ReportAsync(name, opened.Backend, ct);
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

    private async Task<Opened> AskAsync(string integration, bool isToPut, CancellationToken ct)
    {
        var place = _places.GetOrAdd(integration, static _ => new());
        await place.Turn.WaitAsync(ct);
        try
        {
            return await AskAsync(integration, place, isToPut, ct);
        }
        finally
        {
            place.Turn.Release();
        }
    }

    /// <summary>In the place's turn.</summary>
    private async Task<Opened> AskAsync(string integration, Place place, bool isToPut, CancellationToken ct)
    {
        var asking = isToPut ? Services.GetRequiredService<IGrainFactory>().FindSettingsForWritingAsync(integration, ct) : Grain(integration).FindSettingsAsync(ct);
        var settings = await asking ?? throw new StorageException(StorageError.Unavailable, $"The integration {integration} is gone.");
        var before = place.Now;
        var isSame = before is not null && before.Settings.AreThoseOf(settings);
        var opened = new Opened(isSame ? before!.Backend : Open(integration, settings), settings, clock.GetTimestamp());
        place.Now = opened;
        if (before is not null && !isSame) _ = RetireAsync(integration, before.Backend);
        return opened;
    }

    private async Task ReportAsync(string integration, IMeteredBackend backend, CancellationToken ct)
    {
        if (backend.TakeUsage() is var usage && usage != BackendUsage.None) await Grain(integration).ReportAsync(usage, ct);
    }

    private IIntegrationGrain Grain(string integration) => Services.GetRequiredService<IGrainFactory>().GetGrain<IIntegrationGrain>(integration);

    private IServiceProvider Services => running() ?? throw new StorageException(StorageError.Unavailable, "The node has not begun to run.");

    private IMeteredBackend Open(string integration, IntegrationSettings settings)
    {
        var all = settings.SealedSecrets.IsEmpty
            ? settings.Settings
            : settings.Settings.AddRange(Services.GetRequiredService<ISecretBox>().OpenSecrets(integration, ImmutableCollectionsMarshal.AsArray(settings.SealedSecrets)!));
        // Renewed ones come by these, and open nothing anew.
        var tokens = new GrainAccessTokens(integration, Services.GetRequiredService<IGrainFactory>(), Services.GetRequiredService<ISecretBox>(), clock);
        return Services.GetRequiredService<IConnectors>().Open(integration, settings.Type, all, tokens);
    }

    private async Task RetireAsync(string integration, IMeteredBackend backend)
    {
        await Task.Delay(RetiredFor, clock);
        try
        {
            await ReportAsync(integration, backend, CancellationToken.None);
        }
        catch (Exception e) when (e is not OutOfMemoryException)
        {
            // A count that is lost.
        }
        await backend.DisposeAsync();
    }
}
