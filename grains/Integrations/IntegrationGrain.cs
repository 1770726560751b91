using System.Collections.Immutable;
using DarkStorage.GrainInterfaces;
using DarkStorage.GrainInterfaces.Cluster;
using DarkStorage.GrainInterfaces.Integrations;
using DarkStorage.Grains.Tiers;
using DarkStorage.Metadata;
using DarkStorage.Storage.Backends;
using DarkStorage.Storage.Secrets;
using Microsoft.Extensions.Logging;
using Microsoft.Extensions.Options;
using Orleans;
using Orleans.Runtime;
using Orleans.Storage;

namespace DarkStorage.Grains.Integrations;

/// <summary>One integration. Its place is asked for its health by a timer, which a reminder sees to, and before settings are kept that name another.</summary>
internal sealed partial class IntegrationGrain(
    IMetadataIndex index, IConnectors connectors, ISecretBox secrets, TimeProvider clock, IOptions<IntegrationOptions> options, [PersistentState(IntegrationState.Name, StorageNames.Index)] IPersistentState<IntegrationState> state,
    IntegrationGauges gauges, ILogger<IntegrationGrain> log) : Grain, IIntegrationGrain, IRemindable
{
    private const string WakeReminder = "wake";

    /// <summary>Wakes the grain, should its silo have ended. The least that reminders can have.</summary>
    private static readonly TimeSpan WakePeriod = TimeSpan.FromMinutes(1);

    /// <summary>Time for all that one call of this grain asks of a place: callers of grains wait for 30 s, and one may wait behind another.</summary>
    private static readonly TimeSpan AskingMax = TimeSpan.FromSeconds(12);

    /// <summary>Between cleanings of what puts that a crash cut off have left in the place.</summary>
    private static readonly TimeSpan CleaningPeriod = TimeSpan.FromDays(1);

    private const int ForgottenAtOnceMax = 10_000;

    private IGrainTimer? _health;

    /// <summary>Under way, or over and not heard of yet; null for none.</summary>
    private Cleaning? _cleaning;

    /// <summary>A call that is under way here is leaving the place. Where the state says so and this does not, whoever wrote that is gone, or frozen, or at another silo.</summary>
    private bool _isLeaving;

    /// <summary>A write failed, and memory may be ahead of the index: this activation ends, and gives out no place to put to.</summary>
    private bool _isAhead;

    /// <summary>For how long a backend whose settings were replaced is left to those who are asking it: longer than any call here.</summary>
    private static readonly TimeSpan RetiredFor = TimeSpan.FromMinutes(1);

    /// <summary>The timer interleaves: one write of the state at one time.</summary>
    private readonly WriteQueue _writes = new();

    /// <summary>Opened at its first use, by the settings of that time. One for all calls: what is bounded is so for all of them together.</summary>
    private (IMeteredBackend Open, DateTimeOffset Changed)? _backend;

    private string Name => this.GetPrimaryKeyString();

    public override Task OnActivateAsync(CancellationToken cancellationToken)
    {
        if (state.RecordExists) WatchHealth();
        TellHealth();
        return Task.CompletedTask;
    }

    public override Task OnDeactivateAsync(DeactivationReason reason, CancellationToken cancellationToken)
    {
        gauges.Forget(Name, this);
        Retire();
        return Task.CompletedTask;
    }

    public async Task<Integration> AddAsync(string type, string? preset, ImmutableDictionary<string, string> settings, CancellationToken ct)
    {
        if (state.RecordExists) throw new StorageException(StorageError.IntegrationExists, $"There is an integration {Name}.");
        if ((await GrainFactory.GetGrain<IIntegrationsGrain>(IIntegrationsGrain.Key).ListAsync(ct)).Length >= IIntegrationsGrain.Max)
            throw new StorageException(StorageError.TooManySettings, $"There are {IIntegrationsGrain.Max} integrations already.");
        var complete = TypeOf(type).Complete(preset, settings);
        var application = TypeOf(type).ApplicationOf(complete);
        await UseLevelAsync(application, ct);
        if (application is null)
        {
            await AskAsync(type, complete, async (backend, asking) => complete = await PrepareAsync(backend, TypeOf(type), complete, asking), ct);
        }
        else
        {
            await RequireOpensAsync(type, complete);
            // Of one of that name that was removed, and not to its end.
            await Authorization.ForgetAsync(ct);
        }
        // First, since one without its integration ends itself, and the other way round nothing would wake the grain.
        await this.RegisterOrUpdateReminder(WakeReminder, WakePeriod, WakePeriod);
        await KeepAsync(s =>
        {
            (s.Type, s.Preset, s.IsEnabled, s.Added, s.Cleaned, s.IsUnprepared) = (type, preset, true, clock.GetUtcNow(), clock.GetUtcNow(), application is not null);
            Put(s, complete, application is null ? null : AuthorizationGrain.NotYet(Name));
        }, ct);
        WatchHealth();
        LogAdded(log, Name, type);
        return Record;
    }

    public async Task<Integration> ChangeAsync(ImmutableDictionary<string, string> settings, CancellationToken ct)
    {
        RequireIntegration();
        var type = TypeOf(state.State.Type);
        // Secrets that are all replaced need not open.
        var before = state.State.Secrets.All(settings.ContainsKey) ? state.State.Settings : Settings();
        var complete = type.Complete(state.State.Preset, settings, before);
        // Of secrets it is asked whether they are there, and not what they are.
        var applicationBefore = type.ApplicationOf(before.SetItems(state.State.Secrets.Where(s => !before.ContainsKey(s)).Select(s => KeyValuePair.Create(s, settings[s]))));
        var application = type.ApplicationOf(complete);
        if (application is not null) await UseLevelAsync(application, ct);
        var isSameApplication = applicationBefore?.Identity == application?.Identity;
        // Without a token it can't be asked; a new secret of the application may be what is to mend that.
        var noAccess = application is null ? null : isSameApplication ? (await Authorization.GetAccessAsync([], ct)).Failure : AuthorizationGrain.NotYet(Name);
        // The place it is already is not made ready again: were it gone, that would make another.
        if (type.IsSamePlace(before, complete) && state.State.IsUnprepared) await ChangeAsync(static (backend, asking) => backend.PrepareAsync(asking), isUnprepared: noAccess is not null);
        else if (type.IsSamePlace(before, complete)) await ChangeAsync(AnswersAsync, isUnprepared: false);
        else await LeaveAsync("and would not be found at another place", async () =>
        {
            // It is deleted where the integration says then, and forgotten.
            if (await index.HasTakenGarbageAsync(Name, ct))
                throw new StorageException(StorageError.Conflict, $"What objects do not need any more is still at the place of the integration {Name}, and nobody would know of it. Wait until it is deleted, for which that place has to answer and the integration to be enabled; or add another integration for the other place, and remove this one: that forgets what is left.");
            complete = complete.Remove(ConnectorType.PlaceId);
            await ChangeAsync(async (backend, asking) => complete = await PrepareAsync(backend, type, complete, asking), isUnprepared: noAccess is not null);
        }, ct);
        // It is told of settings that may mend what failed.
        if (application is not null) await Authorization.WakeAsync(isChanged: true, ct);
        LogChanged(log, Name);
        return Record;

        async Task ChangeAsync(Func<IBackend, CancellationToken, Task> ask, bool isUnprepared)
        {
            if (noAccess is null) await AskAsync(type.Name, complete, ask, ct);
            else await RequireOpensAsync(type.Name, complete);
            // Tokens of another application are of no use, and nobody is to get them for it.
            if (!isSameApplication && state.State.WasByOAuth) await Authorization.ForgetAsync(ct);
            await KeepAsync(s =>
            {
                (s.IsUnprepared, s.IsLeaving) = (isUnprepared, false);
                Put(s, complete, noAccess);
            }, ct);
            // Its backend is the one of before.
            StopCleaning();
        }
    }

    public async Task<Integration> SetEnabledAsync(bool isEnabled, CancellationToken ct)
    {
        RequireIntegration();
        if (state.State.IsEnabled != isEnabled) await KeepAsync(s => (s.IsEnabled, s.Health, s.Changed) = (isEnabled, null, clock.GetUtcNow()), ct);
        if (!isEnabled) StopCleaning();
        return Record;
    }

    public async Task<bool> RemoveAsync(CancellationToken ct)
    {
        var existed = state.RecordExists;
        if (existed) await LeaveAsync("and could not be read without it", ForgetAsync, ct);
        else await ForgetAsync();
        return existed;

        async Task ForgetAsync()
        {
            try
            {
                // First, as nobody would know of them afterwards: where all else fails it can be authorized again.
                if (existed && state.State.WasByOAuth) await Authorization.ForgetAsync(ct);
                if (existed) await _writes.RunAsync(() => WriteAsync(() => state.ClearStateAsync(ct)));
                // What could not be deleted there is nobody's any more.
                while (await index.ForgetPlaceAsync(Name, ForgottenAtOnceMax, ct) == ForgottenAtOnceMax) { }
                if (await this.GetReminder(WakeReminder) is { } reminder) await this.UnregisterReminder(reminder);
            }
            finally
            {
                DeactivateOnIdle(); // and where it failed memory may be behind the index: forget it
            }
        }
    }

    public async Task<IntegrationStatus?> FindAsync(CancellationToken ct)
    {
        if (!state.RecordExists) return null;
        var authorization = state.State.IsByOAuth ? await Authorization.FindAsync(ct) : null;
        return new(Record, state.State.Health, state.State.Usage, authorization);
    }

    public Task CheckSoonAsync(CancellationToken ct)
    {
        // The one there is may hold on to access that was given before.
        Retire();
        _health?.Change(TimeSpan.Zero, options.Value.HealthPeriod);
        return Task.CompletedTask;
    }

    public async Task<IntegrationTest> TestAsync(CancellationToken ct)
    {
        RequireIntegration();
        using var bounded = Bounded(ct);
        var backend = Backend;
        var test = await BackendProbe.RunAsync(backend, clock, bounded.Token);
        ct.ThrowIfCancellationRequested();
        Count(backend);
        return test;
    }

    public Task<IntegrationSettings?> FindSettingsAsync(CancellationToken ct) => Task.FromResult(SettingsOf(isLeaving: _isLeaving));

    public async Task<IntegrationSettings?> FindSettingsForWritingAsync(CancellationToken ct)
    {
        try
        {
            await StayAsync(ct);
        }
        catch (StorageException e) when (e.Error is StorageError.Conflict)
        {
            throw ReadAnew(e);
        }
        IntegrationSettings? settings = null;
        // Where no write is under way. What the index has is never taken over: a call that is leaving the place, by what was read before, is to fail when it writes.
        await _writes.RunAsync(async () =>
        {
            var kept = await index.ReadGrainStateAsync(IntegrationState.Name, GrainContext.GrainId.ToString(), ct);
            if (_isAhead || kept?.ETag != state.Etag)
            {
                DeactivateOnIdle(); // memory is not what the index has: forget it
                throw ReadAnew(null);
            }
            settings = SettingsOf(state.State.IsLeaving);
        });
        return settings;

        StorageException ReadAnew(Exception? inner) => new(StorageError.Unavailable, $"What is known here of the integration {Name} is not what is kept of it, and is read anew.", inner);
    }

    public Task ReportAsync(BackendUsage usage, CancellationToken ct)
    {
        // Written with the next health.
        if (state.RecordExists) state.State.Usage += usage;
        return Task.CompletedTask;
    }

    public async Task<bool> SealAnewAsync(CancellationToken ct)
    {
        if (!state.RecordExists || state.State.SealedSecrets is not { } box || secrets.IsCurrent(box)) return false;
        var opened = OpenSecrets();
        await KeepAsync(s => s.SealedSecrets = secrets.Seal(Name, opened), ct);
        return true;
    }

    public async Task ReceiveReminder(string reminderName, TickStatus status)
    {
        // One that outlived its integration, after a crash between the two.
        if (!state.RecordExists) await RemoveAsync(CancellationToken.None);
        else if (state.State.IsByOAuth) await Authorization.WakeAsync(isChanged: false, CancellationToken.None);
    }

    /// <summary>Leaves the place, if nothing is there. That it is about to is in the index before it looks; and whoever is about to put something there has entered that before they ask for the settings, which are compared with the
    /// index then, whichever activation is asked: either what they entered is seen here, or they are refused. Who takes the intent back changes the state's etag, so whatever this call writes afterwards fails.</summary>
    /// <param name="why">What would become of what is there.</param>
    private async Task LeaveAsync(string why, Func<Task> leave, CancellationToken ct)
    {
        _isLeaving = true;
        try
        {
            // Written where it is there already too: whoever left it there may wake, and is to write nothing any more.
            await KeepAsync(static s => s.IsLeaving = true, ct);
            await RequireUnusedAsync(why, ct);
            await leave();
        }
        finally
        {
            _isLeaving = false;
            try
            {
                await StayAsync(CancellationToken.None);
            }
            catch (Exception e) when (e is not OutOfMemoryException)
            {
                // Who is asked next by somebody who is about to put takes it back.
            }
        }
    }

    /// <summary>Takes back that the place is about to be left, where no call under way here is at it.</summary>
    private async Task StayAsync(CancellationToken ct)
    {
        if (IsLeftOver()) await KeepAsync(static s => s.IsLeaving = false, ct, isWanted: IsLeftOver);

        bool IsLeftOver() => state.State.IsLeaving && !_isLeaving;
    }

    private async Task RequireUnusedAsync(string why, CancellationToken ct)
    {
        var tiers = await GrainFactory.ListTiersAsync(ct);
        if (tiers.FirstOrDefault(t => t.Integration == Name) is { } tier) throw new StorageException(StorageError.Conflict, $"The tier {tier.Name} is at the integration {Name}.");
        if (await index.IsPlaceInUseAsync(Name, ct)) throw new StorageException(StorageError.Conflict, $"Content of objects is at the integration {Name}, {why}: move it first.");
    }

    private void WatchHealth() =>
        _health ??= this.RegisterGrainTimer(WatchHealthAsync, new GrainTimerCreationOptions(options.Value.HealthPeriod, options.Value.HealthPeriod) { KeepAlive = true, Interleave = true });

    private async Task WatchHealthAsync(CancellationToken ct)
    {
        if (!state.RecordExists || !state.State.IsEnabled) return;
        var asked = state.State.Changed;
        var failure = await CheckAsync(ct);
        var placeId = failure is null ? await FindPlaceIdAsync(ct) : null;
        var before = state.State.Health;
        var isKept = await KeepAsync(s =>
        {
            var now = clock.GetUtcNow();
            if (placeId is not null) s.Settings = s.Settings.SetItem(ConnectorType.PlaceId, placeId);
            s.Health = new(now, before is not null && before.IsHealthy == failure is null ? before.Since : now, failure);
            if (failure is null) s.IsUnprepared = false;
        }, ct, isWanted: () => state.RecordExists && state.State.IsEnabled && state.State.Changed == asked);
        // Meanwhile it may have become another place, or none.
        if (!isKept) return;
        if (placeId is not null) Retire(); // it was opened without
        if (failure is not null && before is not { IsHealthy: false }) LogFailing(log, Name, failure);
        if (failure is null && before is { IsHealthy: false }) LogRecovered(log, Name);
    }

    /// <summary>Of one that is disabled or gone nobody is to hear.</summary>
    private void TellHealth() => gauges.Tell(Name, this, state.RecordExists && state.State.IsEnabled ? state.State.Health : null);

    private Integration Record => new(Name, state.State.Type, state.State.Preset, state.State.Settings, state.State.Secrets, state.State.IsEnabled, state.State.Added, state.State.Changed);

    private ConnectorType TypeOf(string type) => connectors.Types.FirstOrDefault(t => t.Name == type)
        ?? throw new StorageException(StorageError.InvalidArgument, $"There is no connector {type}; there are: {string.Join(", ", connectors.Types.Select(t => t.Name))}.");

    private void RequireIntegration()
    {
        if (!state.RecordExists) throw new StorageException(StorageError.NoSuchIntegration, $"There is no integration {Name}.");
    }

    /// <returns>What is wrong; null where nothing is.</returns>
    private async Task<string?> CheckAsync(CancellationToken ct)
    {
        try
        {
            var failure = await AskedAsync(state.State.IsUnprepared ? static (backend, asking) => backend.PrepareAsync(asking) : AnswersAsync, ct);
            // It may answer for as long as the last access token is good.
            if (failure is null && state.State.IsByOAuth) failure = (await Authorization.FindAsync(ct)).Failure;
            if (failure is null) Clean(ct);
            return failure;
        }
        catch (StorageException e)
        {
            return e.Message;
        }
    }

    /// <summary>Has the place cleaned, when a day is over. It may take hours, and nobody waits for it: the bounds are the backend's.</summary>
    /// <param name="ct">Ends with this activation.</param>
    private void Clean(CancellationToken ct)
    {
        HearOfCleaning();
        // While its health was asked for it may have been disabled, or removed.
        if (ct.IsCancellationRequested || !state.RecordExists || !state.State.IsEnabled || _cleaning is not null) return;
        if (clock.GetUtcNow() - state.State.Cleaned < CleaningPeriod) return;
        var (name, backend, stop) = (Name, Backend, new CancellationTokenSource());
        // It has left the grain, and touches nothing of its state.
        _cleaning = new(Task.Run(() => CleanAsync(name, backend, stop.Token), CancellationToken.None), stop);
    }

    private async Task CleanAsync(string name, IBackend backend, CancellationToken ct)
    {
        try
        {
            await backend.CleanAsync(ct);
        }
        catch (Exception) when (ct.IsCancellationRequested)
        {
            // Begun again by whoever asks this place next.
        }
        catch (Exception e) when (e is not OutOfMemoryException)
        {
            LogNotCleaned(log, name, e.Message);
        }
    }

    private void HearOfCleaning()
    {
        if (_cleaning is not { Work.IsCompleted: true } over) return;
        _cleaning = null;
        over.Stop.Dispose();
        // The next one is a day away, whatever became of this: a place where nothing may be cleaned works all the same.
        state.State.Cleaned = clock.GetUtcNow();
    }

    /// <summary>It is begun again, from the first, when the place is asked next.</summary>
    private void StopCleaning()
    {
        HearOfCleaning();
        if (_cleaning is not { } cleaning) return;
        _cleaning = null;
        _ = cleaning.StopAsync();
    }

    /// <summary>Makes a place ready.</summary>
    /// <returns>The settings, with the place's id where it has one.</returns>
    private static async Task<ImmutableSortedDictionary<string, string>> PrepareAsync(IBackend backend, ConnectorType type, ImmutableSortedDictionary<string, string> settings, CancellationToken ct)
    {
        await backend.PrepareAsync(ct);
        return type.HasPlaceId && await backend.IdentifyAsync(ct) is { } id ? settings.SetItem(ConnectorType.PlaceId, id) : settings;
    }

    /// <returns>The id of a place that was made ready by a program from before places had any; null where it is known, or there is none.</returns>
    private async Task<string?> FindPlaceIdAsync(CancellationToken ct)
    {
        if (!TypeOf(state.State.Type).HasPlaceId || state.State.Settings.ContainsKey(ConnectorType.PlaceId)) return null;
        string? id = null;
        // What it can't say now it is asked with its next health.
        await AskedAsync(async (backend, asking) => id = await backend.IdentifyAsync(asking), ct);
        return id;
    }

    private async Task<string?> AskedAsync(Func<IBackend, CancellationToken, Task> ask, CancellationToken ct)
    {
        using var bounded = Bounded(ct);
        var backend = Backend;
        try
        {
            await ask(backend, bounded.Token);
            return null;
        }
        catch (BackendException e)
        {
            return e.Message;
        }
        catch (OperationCanceledException) when (!ct.IsCancellationRequested)
        {
            return NoAnswer;
        }
        finally
        {
            Count(backend);
        }
    }

    private IMeteredBackend Backend
    {
        get
        {
            if (_backend is not { } backend || backend.Changed != state.State.Changed)
            {
                Retire();
                _backend = backend = (connectors.Open(Name, state.State.Type, Settings(), Tokens), state.State.Changed);
            }
            return backend.Open;
        }
    }

    private void Retire()
    {
        if (_backend is not { } backend) return;
        _backend = null;
        StopCleaning();
        Count(backend.Open);
        _ = Task.Run(async () =>
        {
            await Task.Delay(RetiredFor, clock);
            await backend.Open.DisposeAsync();
        });
    }

    private static Task AnswersAsync(IBackend backend, CancellationToken ct) => backend.StatAsync(BackendProbe.HealthName, ct);

    private async Task AskAsync(string type, IReadOnlyDictionary<string, string> settings, Func<IBackend, CancellationToken, Task> ask, CancellationToken ct)
    {
        using var bounded = Bounded(ct);
        await using var backend = connectors.Open(Name, type, settings, Tokens);
        try
        {
            await ask(backend, bounded.Token);
        }
        catch (BackendException e)
        {
            throw new StorageException(StorageError.BackendFailed, e.Message, e);
        }
        catch (OperationCanceledException e) when (!ct.IsCancellationRequested)
        {
            throw new StorageException(StorageError.BackendFailed, NoAnswer, e);
        }
    }

    /// <summary>Whether settings can be right, of a place that can't be asked yet.</summary>
    private async Task RequireOpensAsync(string type, IReadOnlyDictionary<string, string> settings)
    {
        await using var backend = connectors.Open(Name, type, settings, Tokens);
    }

    /// <summary>Makes sure that every node knows what is about to be kept, from now on.</summary>
    private async Task UseLevelAsync(OAuthApplication? application, CancellationToken ct)
    {
        var level = application is null ? ClusterLevels.Integrations : ClusterLevels.Authorizations;
        if (index is IClusterIndex cluster && await cluster.TryUseLevelAsync(level, ct) is { } older) throw new StorageException(StorageError.Conflict, ClusterLevels.RefusalBy(older));
    }

    private IAuthorizationGrain Authorization => GrainFactory.GetGrain<IAuthorizationGrain>(Name);

    private GrainAccessTokens Tokens => new(Name, GrainFactory, secrets, clock);

    private static string NoAnswer => $"It did not answer within {AskingMax.TotalSeconds:0} s.";

    private static CancellationTokenSource Bounded(CancellationToken ct)
    {
        var bounded = CancellationTokenSource.CreateLinkedTokenSource(ct);
        bounded.CancelAfter(AskingMax);
        return bounded;
    }

    private void Count(IMeteredBackend backend) => state.State.Usage += backend.TakeUsage();

    /// <param name="failure">Why its place can't be asked yet; null where it was, just now.</param>
    private void Put(IntegrationState into, ImmutableSortedDictionary<string, string> complete, string? failure)
    {
        var type = TypeOf(into.Type);
        into.IsByOAuth = type.ApplicationOf(complete) is not null;
        into.WasByOAuth |= into.IsByOAuth;
        var secret = complete.Where(s => type.IsSecret(s.Key)).ToDictionary();
        into.Settings = complete.RemoveRange(secret.Keys);
        into.Secrets = [.. secret.Keys.Order(StringComparer.Ordinal)];
        into.SealedSecrets = secret.Count == 0 ? null : secrets.Seal(Name, secret);
        var now = clock.GetUtcNow();
        (into.Changed, into.Health) = (now, new(now, now, failure));
    }

    /// <returns>Null where there is no integration.</returns>
    private IntegrationSettings? SettingsOf(bool isLeaving) =>
        state.RecordExists ? new(state.State.Type, state.State.Settings, state.State.SealedSecrets is { } box ? [.. box] : [], state.State.IsEnabled && !isLeaving) : null;

    /// <summary>All of them, secrets too.</summary>
    private ImmutableSortedDictionary<string, string> Settings() => state.State.SealedSecrets is null ? state.State.Settings : state.State.Settings.AddRange(OpenSecrets());

    private Dictionary<string, string> OpenSecrets() => secrets.OpenSecrets(Name, state.State.SealedSecrets!);

    /// <param name="isWanted">Asked when no other write is under way; null for always.</param>
    /// <returns>Whether it was.</returns>
    private async Task<bool> KeepAsync(Action<IntegrationState> change, CancellationToken ct, Func<bool>? isWanted = null)
    {
        var isKept = false;
        await _writes.RunAsync(async () =>
        {
            if (isWanted?.Invoke() == false) return;
            await WriteAsync(() =>
            {
                change(state.State);
                return state.WriteStateAsync(ct);
            });
            isKept = true;
            TellHealth();
        });
        return isKept;
    }

    /// <exception cref="StorageException"><see cref="StorageError.Conflict"/>: another activation wrote first, for a moment that there were two.</exception>
    private async Task WriteAsync(Func<Task> write)
    {
        try
        {
            await write();
        }
        catch (Exception e)
        {
            _isAhead = true;
            DeactivateOnIdle(); // forget it
            if (e is InconsistentStateException) throw new StorageException(StorageError.Conflict, $"The integration {Name} was changed elsewhere at the same time: try again.", e);
            throw;
        }
    }

    /// <param name="Work">Fails never.</param>
    private sealed record Cleaning(Task Work, CancellationTokenSource Stop)
    {
        public async Task StopAsync()
        {
            // Not in the grain's turn: what hears of it may do anything.
            await Stop.CancelAsync();
            await Work;
            Stop.Dispose();
        }
    }

    [LoggerMessage(LogLevel.Information, "The integration {Integration} was added: {Type}")]
    private static partial void LogAdded(ILogger log, string integration, string type);

    [LoggerMessage(LogLevel.Information, "The settings of the integration {Integration} were changed")]
    private static partial void LogChanged(ILogger log, string integration);

    [LoggerMessage(LogLevel.Warning, "The integration {Integration} does not work: {Failure}")]
    private static partial void LogFailing(ILogger log, string integration, string failure);

    [LoggerMessage(LogLevel.Warning, "The place of the integration {Integration} was not cleaned of what crashes may have left: {Failure}")]
    private static partial void LogNotCleaned(ILogger log, string integration, string failure);

    [LoggerMessage(LogLevel.Information, "The integration {Integration} works again")]
    private static partial void LogRecovered(ILogger log, string integration);
}
