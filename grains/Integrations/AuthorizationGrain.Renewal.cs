using System.Collections.Immutable;
using System.Security.Cryptography;
using DarkStorage.GrainInterfaces;
using DarkStorage.GrainInterfaces.Integrations;
using DarkStorage.Storage.Backends;

namespace DarkStorage.Grains.Integrations;

/// <summary>Access tokens: handed out, and renewed.</summary>
internal sealed partial class AuthorizationGrain
{
    /// <summary>For a renewal, its answer and the write of that: after it nobody is at it any more.</summary>
    private static readonly TimeSpan RenewingMax = TimeSpan.FromSeconds(30);

    /// <summary>Between attempts, doubled each time.</summary>
    private static readonly TimeSpan RetryDelay = TimeSpan.FromSeconds(1);

    private static readonly TimeSpan RetryDelayMax = TimeSpan.FromMinutes(5);

    /// <summary>Whatever a service says.</summary>
    private static readonly TimeSpan RetryAfterMax = TimeSpan.FromHours(1);

    /// <summary>A place that does not take a token as young as that takes none: what is wrong is something else, and renewing it again and again would have the service refuse that.</summary>
    private static readonly TimeSpan YoungFor = TimeSpan.FromMinutes(1);

    /// <summary>When a node that has a good token asks for the one that it is being renewed to.</summary>
    private static readonly TimeSpan AskAgain = TimeSpan.FromSeconds(30);

    private Task? _renewing;

    /// <summary>What this activation wrote down last, or may have, when it was about to renew.</summary>
    private DateTimeOffset? _mark;

    /// <summary>What was sent last to be renewed.</summary>
    private byte[]? _sent;
    private int _failures;
    private string? _lastFailure;
    private DateTimeOffset? _nextAttempt;

    /// <summary>Tokens that the service has given, and of which it is not known that the index has them.</summary>
    private Unsaved? _unsaved;

    /// <param name="Renewal">When that was written down by which they came; null for a flow's.</param>
    private sealed record Unsaved(string Application, byte[] SealedAccessToken, byte[]? SealedRefreshToken, DateTimeOffset Obtained, TimeSpan? Life, DateTimeOffset? Granted, DateTimeOffset? Renewal);

    public async Task<AccessGrant> GetAccessAsync(ImmutableArray<byte> rejected, CancellationToken ct)
    {
        if (_kept.SealedAccessToken is not { } box) return AccessGrant.None(FailureAt(clock.GetUtcNow())!, isTransient: false);
        var isRejected = !rejected.IsDefaultOrEmpty && CryptographicOperations.FixedTimeEquals(GrainAccessTokens.HashOf(Open(box, AccessPurpose)), rejected.AsSpan());
        var now = clock.GetUtcNow();
        if (isRejected && _kept.Failure is { } failure) return AccessGrant.None(failure, isTransient: false);
        if (isRejected && now >= _kept.Obtained && now - _kept.Obtained < YoungFor) return AccessGrant.None($"The place does not take the access token that {_kept.Application} was given {(now - _kept.Obtained).TotalSeconds:0} s ago. Has whoever gave access the right to do this?", isTransient: false);
        if (isRejected || now >= UseUntil)
        {
            if (CanRenew && !(_nextAttempt > now)) await RenewAsync().WaitAsync(ct);
            if (isRejected && _kept.SealedAccessToken.AsSpan().SequenceEqual(box)) return AccessGrant.None(FailureAt(now) ?? _lastFailure ?? "The place does not take the access token, and there is nothing to renew it by: authorize it again.", _kept.Failure is null && CanRenew);
        }
        else if (now >= RenewFrom)
        {
            Schedule();
        }
        return GrantAt(clock.GetUtcNow());
    }

    internal static string NotYet(string integration) => $"It is not authorized yet: darkstorage integrations authorize {integration}";

    private bool CanRenew => _kept.SealedRefreshToken is not null || _unsaved is not null;

    private DateTimeOffset RenewFrom => _kept.Life is { } life ? IsOfTheFuture ? DateTimeOffset.MinValue : _kept.Obtained + TokenLife.RenewAfter(life) : DateTimeOffset.MaxValue;

    private DateTimeOffset UseUntil => _kept.Life is { } life ? IsOfTheFuture ? DateTimeOffset.MinValue : _kept.Obtained + TokenLife.UseFor(life) : DateTimeOffset.MaxValue;

    /// <summary>A clock that was wrong then has been set right since, or another node's is: nobody knows when it ends.</summary>
    private bool IsOfTheFuture => _kept.Obtained > clock.GetUtcNow() + YoungFor;

    private AccessGrant GrantAt(DateTimeOffset now)
    {
        if (_kept.SealedAccessToken is not { } box || now >= UseUntil) return AccessGrant.None(FailureAt(now) ?? _lastFailure ?? "The access token has ended, and is being renewed.", isTransient: FailureAt(now) is null);
        if (_kept.Life is null) return new([.. box], null, TimeSpan.MaxValue, null, false);
        var left = UseUntil - now;
        return new([.. box], left, now < RenewFrom ? RenewFrom - now : left / 2 < AskAgain ? left / 2 : AskAgain, null, false);
    }

    /// <returns>Why somebody has to give access; null where nobody has to.</returns>
    private string? FailureAt(DateTimeOffset now) =>
        _kept.SealedAccessToken is null ? NotYet(Name)
        : _kept.Failure ?? (!CanRenew && now >= UseUntil ? $"The access has ended, and there is nothing to renew it by. Authorize it again: darkstorage integrations authorize {Name}" : null);

    /// <returns>When tokens are to be renewed, or to be written; null for never.</returns>
    private DateTimeOffset? NextRenewal(DateTimeOffset now)
    {
        if (!CanRenew || (_unsaved is null && RenewFrom == DateTimeOffset.MaxValue)) return null;
        var wanted = _unsaved is null ? RenewFrom : now;
        return _nextAttempt > wanted ? _nextAttempt : wanted;
    }

    /// <summary>One at one time: whoever comes meanwhile waits for that. It ends by itself, whoever leaves, and does not fail: it says what went wrong in other ways.</summary>
    private Task RenewAsync() => _renewing is { IsCompleted: false } running ? running : _renewing = RenewAloneAsync();

    private async Task RenewAloneAsync()
    {
        try
        {
            if (_unsaved is null) await AskAsync();
            await SaveAsync();
            (_failures, _lastFailure, _nextAttempt) = (0, null, null);
        }
        catch (OAuthException e) when (e.Error == OAuthError.InvalidGrant)
        {
            await RevokedAsync(e.Message);
        }
        catch (Exception e) when (e is not OutOfMemoryException)
        {
            FailedBecause(e is OAuthException or StorageException ? e.Message : $"The tokens can't be written down now ({e.GetType().Name}).", (e as OAuthException)?.RetryAfter);
        }
        Schedule();
    }

    private async Task AskAsync()
    {
        var application = await ApplicationAsync(CancellationToken.None);
        if (application.Identity != _kept.Application) throw new StorageException(StorageError.InvalidArgument, $"It was authorized for another application ({_kept.Application}). Authorize it again: darkstorage integrations authorize {Name}");
        var (asked, known, mark) = (clock.GetUtcNow(), _kept.Obtained, _mark);
        _mark = asked;
        await KeepAsync(s =>
        {
            // What the index has may be of another activation, which lost its place and is at it still, or has done it.
            if (s.Obtained != known) return s;
            if (s.Renewing is { } begun && begun != mark && begun != asked && (asked - begun).Duration() < RenewingMax) throw new StorageException(StorageError.Unavailable, "It is being renewed elsewhere.");
            return s with { Renewing = asked };
        });
        // Done, or forgotten.
        if (_kept.Renewing != asked || _kept.SealedRefreshToken is not { } box) return;
        _sent = box;
        var tokens = await oauth.RenewAsync(application, Open(box, RefreshPurpose), CancellationToken.None);
        // Somebody has given access meanwhile: that counts.
        if (_unsaved is not null) return;
        _unsaved = new(application.Identity, Seal(tokens), tokens.RefreshToken is { } next ? secrets.Seal(next, RefreshPurpose) : null, asked, tokens.Life, null, asked);
    }

    /// <summary>Writes what the service has given, if the index does not have it.</summary>
    private async Task SaveAsync()
    {
        if (_unsaved is not { } tokens) return;
        // Where somebody else has renewed meanwhile, or all was forgotten, these are nobody's.
        await KeepAsync(s => !ReferenceEquals(_unsaved, tokens) || (tokens.Renewal is { } renewal && s.Renewing != renewal) ? s : s with
        {
            Application = tokens.Application,
            SealedAccessToken = tokens.SealedAccessToken,
            // A service that gives no other means that the one there is stays good.
            SealedRefreshToken = tokens.SealedRefreshToken ?? (tokens.Renewal is null ? null : s.SealedRefreshToken),
            Obtained = tokens.Obtained,
            Life = tokens.Life,
            Granted = tokens.Granted ?? s.Granted,
            Renewing = null,
            Failure = null,
            SealedFlow = tokens.Granted is null ? s.SealedFlow : null,
            FlowUntil = tokens.Granted is null ? s.FlowUntil : null,
            FlowIsDevice = tokens.Granted is null && s.FlowIsDevice,
            FlowFailure = tokens.Granted is null ? s.FlowFailure : null,
        });
        if (ReferenceEquals(_unsaved, tokens)) _unsaved = null;
    }

    private byte[] Seal(OAuthTokens tokens) => secrets.Seal(tokens.AccessToken, AccessPurpose);

    private async Task RevokedAsync(string said)
    {
        var failure = $"{said} Authorize it again: darkstorage integrations authorize {Name}";
        try
        {
            // Somebody may have given access again meanwhile: that is another.
            await KeepAsync(s => s.SealedRefreshToken.AsSpan().SequenceEqual(_sent) ? s with { SealedRefreshToken = null, Renewing = null, Failure = failure } : s);
            if (!CanRenew) LogRevoked(log, Name, said);
        }
        catch (Exception e) when (e is not OutOfMemoryException)
        {
            FailedBecause(said, null);
        }
    }

    private void FailedBecause(string failure, TimeSpan? retryAfter)
    {
        var delay = RetryDelay * Math.Pow(2, Math.Min(_failures, 10));
        if (delay > RetryDelayMax) delay = RetryDelayMax;
        if (retryAfter > delay) delay = retryAfter < RetryAfterMax ? retryAfter.Value : RetryAfterMax;
        // What there is to be written waits for nobody but the index.
        if (_unsaved is not null) delay = RetryDelay;
        if (_failures++ == 0) LogNotRenewed(log, Name, failure);
        (_lastFailure, _nextAttempt) = (failure, clock.GetUtcNow() + delay);
    }
}
