using System.Buffers.Text;
using System.Security.Cryptography;
using System.Text;
using DarkStorage.GrainInterfaces;
using DarkStorage.GrainInterfaces.Cluster;
using DarkStorage.GrainInterfaces.Integrations;
using DarkStorage.Metadata;
using DarkStorage.Storage.Backends;

namespace DarkStorage.Grains.Integrations;

/// <summary>How somebody gives access.</summary>
internal sealed partial class AuthorizationGrain
{
    private const string TooLate = "Nobody gave access in time.";
    private const string Ended = "This address was good once and for ten minutes, and is not any more. Begin again: darkstorage integrations authorize NAME";

    private const int RandomBytes = 32;

    private static readonly TimeSpan CodeFlowMax = TimeSpan.FromMinutes(10);

    /// <summary>What is added to the time between questions where the service says so (RFC 8628, section 3.5).</summary>
    private static readonly TimeSpan SlowDown = TimeSpan.FromSeconds(5);

    private static readonly TimeSpan IntervalMin = TimeSpan.FromSeconds(1);
    private static readonly TimeSpan IntervalMax = TimeSpan.FromMinutes(1);

    /// <summary>Of a device's flow, when the service is asked next; null for not yet asked.</summary>
    private DateTimeOffset? _nextPoll;

    /// <summary>Between two questions, where it is more than the service said at first.</summary>
    private TimeSpan _interval;

    public async Task<AuthorizationStart> BeginAsync(AuthorizationFlow flow, Uri localAddress, CancellationToken ct)
    {
        var application = await ApplicationAsync(ct);
        if (index is IClusterIndex cluster && await cluster.TryUseLevelAsync(ClusterLevels.Authorizations, ct) is { } older) throw new StorageException(StorageError.Conflict, ClusterLevels.RefusalBy(older));
        return flow == AuthorizationFlow.Device ? await BeginDeviceAsync(application, ct) : await BeginCodeAsync(application, new(options.Value.CallbackAddress ?? localAddress, IAuthorizationGrain.CallbackPath));
    }

    public async Task<AuthorizationOutcome> CompleteAsync(string random, string? code, string? error, CancellationToken ct)
    {
        if (Flow() is not { State: { } expected } flow || !IsSame(random, expected)) return new(false, Ended);
        _exchangingUntil = clock.GetUtcNow() + RenewingMax;
        try
        {
            return await CompleteAsync(flow, code, error);
        }
        finally
        {
            _exchangingUntil = null;
        }
    }

    private async Task<AuthorizationOutcome> CompleteAsync(PendingFlow flow, string? code, string? error)
    {
        // Before anything is done with it, and for good: whoever comes with the same is told so, after a crash too.
        await KeepAsync(s => s with { SealedFlow = null, FlowUntil = null, FlowIsDevice = false, FlowFailure = "The code that somebody came back with was not exchanged." });
        if (code is null) return await EndAsync(error == "access_denied" ? "Access was refused." : $"The service gave no code{(IsWord(error) ? $": {error}" : "")}.");
        try
        {
            // The browser may leave: the code is good once.
            var application = await ApplicationAsync(CancellationToken.None);
            if (application.Identity != flow.Application) return await EndAsync("The integration has another application than when this began.");
            var asked = clock.GetUtcNow();
            return await AcceptAsync(application, await oauth.ExchangeAsync(application, code, flow.Redirect!, flow.Verifier, CancellationToken.None), asked);
        }
        catch (Exception e) when (e is OAuthException or StorageException { Error: StorageError.NoSuchIntegration or StorageError.InvalidArgument })
        {
            // Also where the integration has become another meanwhile, or none.
            return await EndAsync(e.Message);
        }
    }

    private async Task<AuthorizationStart> BeginCodeAsync(OAuthApplication application, Uri redirect)
    {
        var random = Base64Url.EncodeToString(RandomNumberGenerator.GetBytes(RandomBytes));
        var verifier = application.Service.UsesPkce ? Base64Url.EncodeToString(RandomNumberGenerator.GetBytes(RandomBytes)) : null;
        var challenge = verifier is null ? null : Base64Url.EncodeToString(SHA256.HashData(Encoding.ASCII.GetBytes(verifier)));
        var until = clock.GetUtcNow() + CodeFlowMax;
        await KeepFlowAsync(new(application.Identity, random, verifier, redirect, null, TimeSpan.Zero), until);
        // With the name behind it, as whoever comes back is nobody that is known.
        return new(AuthorizationFlow.Code, application.AddressFor(redirect, $"{random}.{Name}", challenge), null, null, until);
    }

    private async Task<AuthorizationStart> BeginDeviceAsync(OAuthApplication application, CancellationToken ct)
    {
        if (application.DeviceUrl is null) throw new StorageException(StorageError.InvalidArgument, $"{application.Service.Title} is not known to have a flow for devices: authorize it with a browser, or say where that is ({OAuthService.DeviceUrlField}).");
        DeviceCode device;
        var asked = clock.GetUtcNow();
        try
        {
            device = await oauth.BeginDeviceAsync(application, ct);
        }
        catch (OAuthException e)
        {
            throw new StorageException(StorageError.BackendFailed, e.Message, e);
        }
        (_nextPoll, _interval) = (asked + device.Interval, device.Interval);
        await KeepFlowAsync(new(application.Identity, null, null, null, device.Code, device.Interval), asked + device.Life);
        Schedule();
        return new(AuthorizationFlow.Device, device.Address, device.UserCode, device.CompleteAddress, asked + device.Life);
    }

    private Task KeepFlowAsync(PendingFlow flow, DateTimeOffset until)
    {
        var box = SealFlow(flow);
        return KeepAsync(s => s with { SealedFlow = box, FlowUntil = until, FlowIsDevice = flow.DeviceCode is not null, FlowFailure = null });
    }

    /// <returns>Null where nothing is to be asked: a code that was good for tokens is not shown again.</returns>
    private DateTimeOffset? NextPoll(DateTimeOffset now) => _kept.FlowIsDevice && _kept.FlowUntil > now && _unsaved is null ? _nextPoll ?? now : null;

    private async Task PollAsync()
    {
        var asked = clock.GetUtcNow();
        // Whatever becomes of this one.
        _nextPoll = asked + (_interval > IntervalMin ? _interval : IntervalMin);
        if (Flow() is not { DeviceCode: { } code } flow) return;
        var box = _kept.SealedFlow!;
        if (_interval < flow.Interval) _interval = flow.Interval;
        try
        {
            var application = await ApplicationAsync(CancellationToken.None);
            if (application.Identity != flow.Application)
            {
                if (IsUnderWay(box)) await EndAsync("The integration has another application than when this began.");
                return;
            }
            var tokens = await oauth.PollAsync(application, code, CancellationToken.None);
            // Another may have been begun meanwhile, or all forgotten: these are nobody's.
            if (IsUnderWay(box)) await AcceptAsync(application, tokens, asked);
        }
        catch (OAuthException e) when (e.Error is OAuthError.Pending or OAuthError.SlowDown or OAuthError.Unavailable)
        {
            if (e.Error == OAuthError.SlowDown) _interval += SlowDown;
            else if (e.Error == OAuthError.Unavailable) _interval = _interval * 2 < IntervalMax ? _interval * 2 : IntervalMax;
            _nextPoll = clock.GetUtcNow() + (_interval > IntervalMin ? _interval : IntervalMin);
        }
        catch (OAuthException e)
        {
            if (IsUnderWay(box)) await EndAsync(e.Error switch { OAuthError.Denied => "Access was refused.", OAuthError.Expired => TooLate, _ => e.Message });
        }
        catch (StorageException e) when (e.Error is StorageError.NoSuchIntegration or StorageError.InvalidArgument)
        {
            if (IsUnderWay(box)) await EndAsync(e.Message);
        }
    }

    private bool IsUnderWay(byte[] box) => _kept.SealedFlow is { } now && now.AsSpan().SequenceEqual(box);

    private async Task<AuthorizationOutcome> EndAsync(string failure)
    {
        await KeepAsync(s => s with { SealedFlow = null, FlowUntil = null, FlowIsDevice = false, FlowFailure = failure });
        LogNotAuthorized(log, Name, failure);
        return new(false, failure);
    }

    private async Task<AuthorizationOutcome> AcceptAsync(OAuthApplication application, OAuthTokens tokens, DateTimeOffset asked)
    {
        if (tokens is { RefreshToken: null, Life: { } life })
            return await EndAsync($"{application.Service.Title} gave access for {life.TotalMinutes:0} minutes, and nothing to renew it by. Ask for access that lasts: with the scope (offline_access, where the service knows it), or in the application's settings there.");
        _unsaved = new(application.Identity, Seal(tokens), tokens.RefreshToken is null ? null : secrets.Seal(tokens.RefreshToken, RefreshPurpose), asked, tokens.Life, Granted: asked, Renewal: null);
        try
        {
            await SaveAsync();
        }
        catch (Exception e) when (e is not OutOfMemoryException)
        {
            Schedule();
            return new(false, "Access was given, and can't be written down now, which is tried again.");
        }
        LogAuthorized(log, Name);
        Schedule();
        try
        {
            await GrainFactory.GetGrain<IIntegrationGrain>(Name).CheckSoonAsync(CancellationToken.None);
        }
        catch (Exception e) when (e is not OutOfMemoryException)
        {
            // It asks by itself a little later.
        }
        return new(true, $"The integration {Name} is authorized.");
    }

    private static bool IsSame(string given, string expected) => CryptographicOperations.FixedTimeEquals(SHA256.HashData(Encoding.UTF8.GetBytes(given)), SHA256.HashData(Encoding.UTF8.GetBytes(expected)));

    private static bool IsWord(string? text) => text is { Length: > 0 and <= 40 } && text.All(c => char.IsAsciiLetterLower(c) || c == '_');
}
