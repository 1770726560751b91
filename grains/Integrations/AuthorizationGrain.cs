using System.Collections.Immutable;
using System.Runtime.InteropServices;
using System.Security.Cryptography;
using System.Text.Json;
using DarkStorage.GrainInterfaces;
using DarkStorage.GrainInterfaces.Cluster;
using DarkStorage.GrainInterfaces.Integrations;
using DarkStorage.Metadata;
using DarkStorage.Storage.Backends;
using DarkStorage.Storage.Secrets;
using Microsoft.Extensions.Logging;
using Microsoft.Extensions.Options;
using Orleans;
using Orleans.Runtime;

namespace DarkStorage.Grains.Integrations;

/// <summary>The tokens of one integration. It alone renews them, before they end, and hands access tokens out.</summary>
/// <remarks>Invariants, since a service may take each refresh token once, and take a second use for a theft:
/// a renewal is written down before it is asked for, so that of two activations of this grain one alone asks, and none while the index takes no writes;
/// what comes of it is in the index before anybody gets the new access token, and is written again and again until it is;
/// nobody who leaves takes a renewal with them.
/// A crash between the service's answer and the write loses what the service will not give again: then somebody has to authorize the integration again, and its health says so.
/// Tokens are sent to the endpoint of the application that they were given to, and nowhere else.</remarks>
internal sealed partial class AuthorizationGrain(
    IMetadataIndex index, IOAuthClient oauth, IConnectors connectors, ISecretBox secrets, TimeProvider clock, IOptions<IntegrationOptions> options,
    [PersistentState(AuthorizationState.Name, StorageNames.Index)] IPersistentState<AuthorizationState> state, ILogger<AuthorizationGrain> log) : Grain, IAuthorizationGrain
{
    /// <summary>The longest that a timer is set for; then it looks again.</summary>
    private static readonly TimeSpan WorkPeriodMax = TimeSpan.FromDays(1);

    /// <summary>What the index has, as far as is known. The state itself is ahead of it while it is written.</summary>
    private AuthorizationState _kept = new();

    /// <summary>A write's outcome is not known: the index is asked before the next.</summary>
    private bool _isUnsure;

    /// <summary>Timers and calls interleave: one write at one time.</summary>
    private readonly WriteQueue _writes = new();

    /// <summary>Somebody came back with a code, and the service is asked for what it is good for; null where nobody did.</summary>
    private DateTimeOffset? _exchangingUntil;

    private IGrainTimer? _work;

    private string Name => this.GetPrimaryKeyString();

    private static DateTimeOffset Earlier(DateTimeOffset one, DateTimeOffset other) => one < other ? one : other;

    public override Task OnActivateAsync(CancellationToken cancellationToken)
    {
        _kept = state.State;
        // Another activation, which lost its place, may still be at it.
        if (_kept.Renewing is { } begun) _nextAttempt = Earlier(begun, clock.GetUtcNow()) + RenewingMax;
        Schedule();
        return Task.CompletedTask;
    }

    public override async Task OnDeactivateAsync(DeactivationReason reason, CancellationToken cancellationToken)
    {
        if (_renewing is { } running) await running;
        try
        {
            await SaveAsync();
        }
        catch (Exception e) when (e is not OutOfMemoryException)
        {
            LogLost(log, Name, e);
        }
    }

    public Task<IntegrationAuthorization> FindAsync(CancellationToken ct)
    {
        var now = clock.GetUtcNow();
        // Neither has failed as long as it is at it.
        var until = _exchangingUntil ?? (_unsaved is { Granted: not null } ? now + RenewingMax : _kept.FlowUntil);
        var (pending, failure) = until > now ? (until, null) : _kept.FlowUntil <= now ? (null, TooLate) : (_kept.FlowUntil, _kept.FlowFailure);
        return Task.FromResult(new IntegrationAuthorization(_kept.Granted, _kept.SealedAccessToken is null ? null : _kept.Obtained, FailureAt(now), pending, failure));
    }

    public Task WakeAsync(bool isChanged, CancellationToken ct)
    {
        if (isChanged) (_nextAttempt, _failures) = (null, 0);
        Schedule();
        return Task.CompletedTask;
    }

    public async Task ForgetAsync(CancellationToken ct)
    {
        try
        {
            await _writes.RunAsync(async () =>
            {
                _unsaved = null;
                if (_isUnsure) await state.ReadStateAsync(ct);
                if (state.RecordExists) await state.ClearStateAsync(ct);
                _kept = new();
            });
        }
        finally
        {
            DeactivateOnIdle(); // and where it failed memory may be behind the index: forget it
        }
    }

    public async Task<bool> SealAnewAsync(CancellationToken ct)
    {
        // What waits to be written was sealed before.
        await SaveAsync();
        if (IsCurrent(_kept.SealedAccessToken) && IsCurrent(_kept.SealedRefreshToken) && IsCurrent(_kept.SealedFlow)) return false;
        await KeepAsync(s => s with { SealedAccessToken = Anew(s.SealedAccessToken, AccessPurpose), SealedRefreshToken = Anew(s.SealedRefreshToken, RefreshPurpose), SealedFlow = Anew(s.SealedFlow, FlowPurpose) });
        return true;

        bool IsCurrent(byte[]? box) => box is null || secrets.IsCurrent(box);

        byte[]? Anew(byte[]? box, string purpose) => box is null ? null : secrets.Seal(Open(box, purpose), purpose);
    }

    private string AccessPurpose => GrainAccessTokens.PurposeOf(Name);

    private string RefreshPurpose => $"integration/{Name}/refresh-token";

    private string FlowPurpose => $"integration/{Name}/flow";

    /// <summary>As the integration's settings have it now.</summary>
    /// <exception cref="StorageException"><see cref="StorageError.NoSuchIntegration"/>; <see cref="StorageError.InvalidArgument"/>: nobody has to give access.</exception>
    private async Task<OAuthApplication> ApplicationAsync(CancellationToken ct)
    {
        var settings = await GrainFactory.GetGrain<IIntegrationGrain>(Name).FindSettingsAsync(ct) ?? throw new StorageException(StorageError.NoSuchIntegration, $"There is no integration {Name}.");
        var all = settings.SealedSecrets.IsEmpty ? settings.Settings : settings.Settings.AddRange(secrets.OpenSecrets(Name, ImmutableCollectionsMarshal.AsArray(settings.SealedSecrets)!));
        return connectors.Types.FirstOrDefault(t => t.Name == settings.Type)?.ApplicationOf(all)
            ?? throw new StorageException(StorageError.InvalidArgument, $"The integration {Name} has other credentials: nobody has to give it access. Those that are authorized have a {OAuthService.ClientId} and no others.");
    }

    private string Open(byte[] box, string purpose)
    {
        try
        {
            return secrets.Open(box, purpose);
        }
        catch (CryptographicException e)
        {
            throw new StorageException(StorageError.DataDamaged, $"The tokens of the integration {Name} do not open: authorize it again.", e);
        }
    }

    private byte[] SealFlow(PendingFlow flow) => secrets.Seal(JsonSerializer.Serialize(flow), FlowPurpose);

    /// <returns>Null where none is under way.</returns>
    private PendingFlow? Flow() => _kept.SealedFlow is { } box && _kept.FlowUntil > clock.GetUtcNow() ? JsonSerializer.Deserialize<PendingFlow>(Open(box, FlowPurpose)) : null;

    /// <summary>Sets the timer for what is to be done next.</summary>
    private void Schedule()
    {
        var now = clock.GetUtcNow();
        if (new[] { NextRenewal(now), NextPoll(now) }.Min() is not { } next)
        {
            _work?.Change(Timeout.InfiniteTimeSpan, Timeout.InfiniteTimeSpan);
            return;
        }
        var due = next <= now ? TimeSpan.Zero : next - now < WorkPeriodMax ? next - now : WorkPeriodMax;
        if (_work is null) _work = this.RegisterGrainTimer(WorkAsync, new GrainTimerCreationOptions(due, Timeout.InfiniteTimeSpan) { Interleave = true, KeepAlive = true });
        else _work.Change(due, Timeout.InfiniteTimeSpan);
    }

    private async Task WorkAsync(CancellationToken ct)
    {
        try
        {
            var now = clock.GetUtcNow();
            if (NextPoll(now) <= now) await PollAsync();
            if (NextRenewal(now) <= now) await RenewAsync();
        }
        finally
        {
            Schedule();
        }
    }

    private async Task KeepAsync(Func<AuthorizationState, AuthorizationState> change) => await _writes.RunAsync(async () =>
    {
        if (_isUnsure)
        {
            await state.ReadStateAsync();
            (_kept, _isUnsure) = (state.State, false);
        }
        var next = change(_kept);
        if (next == _kept) return;
        try
        {
            state.State = next;
            await state.WriteStateAsync();
        }
        catch
        {
            _isUnsure = true;
            throw;
        }
        _kept = next; // memory follows the index, never leads it
    });

    [LoggerMessage(LogLevel.Information, "The integration {Integration} was authorized")]
    private static partial void LogAuthorized(ILogger log, string integration);

    [LoggerMessage(LogLevel.Warning, "The integration {Integration} was not authorized: {Failure}")]
    private static partial void LogNotAuthorized(ILogger log, string integration, string failure);

    [LoggerMessage(LogLevel.Warning, "The access of the integration {Integration} was not renewed, which is tried again: {Failure}")]
    private static partial void LogNotRenewed(ILogger log, string integration, string failure);

    [LoggerMessage(LogLevel.Error, "The integration {Integration} has to be authorized again: {Failure}")]
    private static partial void LogRevoked(ILogger log, string integration, string failure);

    [LoggerMessage(LogLevel.Error, "New tokens of the integration {Integration} could not be written down before the silo's end")]
    private static partial void LogLost(ILogger log, string integration, Exception exception);
}
