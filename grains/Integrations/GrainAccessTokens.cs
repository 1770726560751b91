using System.Collections.Immutable;
using System.Runtime.InteropServices;
using System.Security.Cryptography;
using System.Text;
using DarkStorage.GrainInterfaces.Integrations;
using DarkStorage.Storage.Backends;
using DarkStorage.Storage.Secrets;
using Orleans;

namespace DarkStorage.Grains.Integrations;

/// <summary>An integration's access tokens, as its grain hands them out: it alone renews them, and refresh tokens do not leave it.</summary>
public sealed class GrainAccessTokens(string integration, IGrainFactory grains, ISecretBox secrets, TimeProvider clock) : IAccessTokens
{
    /// <summary>A good one is asked for again so soon: somebody may have given other access meanwhile.</summary>
    private static readonly TimeSpan AskAgain = TimeSpan.FromSeconds(30);

    private readonly HeldToken _held = new(clock);

    /// <summary>Of a token that the place did not take. The grain knows whether it is the one there is.</summary>
    private volatile byte[] _rejected = [];

    public ValueTask<AccessToken> GetAsync(CancellationToken ct) => _held.GetAsync(FetchAsync, ct);

    public void Reject(AccessToken token)
    {
        _rejected = HashOf(token.Text);
        _held.Reject(token);
    }

    internal static byte[] HashOf(string token) => SHA256.HashData(Encoding.UTF8.GetBytes(token));

    internal static string PurposeOf(string integration) => $"integration/{integration}/access-token";

    private async Task<FetchedToken> FetchAsync(CancellationToken ct)
    {
        var asked = clock.GetTimestamp();
        AccessGrant grant;
        try
        {
            grant = await grains.GetGrain<IAuthorizationGrain>(integration).GetAccessAsync([.. _rejected], ct);
        }
        catch (Exception e) when (!ct.IsCancellationRequested)
        {
            throw new BackendException(BackendError.Unavailable, $"The access token of {integration} can't be had now: {e.Message}", e);
        }
        if (grant.Failure is { } failure) throw new BackendException(grant.IsTransient ? BackendError.Unavailable : BackendError.AccessDenied, failure);
        string text;
        try
        {
            text = secrets.Open(ImmutableCollectionsMarshal.AsArray(grant.SealedToken), PurposeOf(integration));
        }
        catch (CryptographicException e)
        {
            throw new BackendException(BackendError.Unavailable, $"The access token of {integration} does not open on this node.", e);
        }
        return new(new(text, clock.GetUtcNow() + grant.GoodFor), asked, grant.AskAfter < AskAgain ? grant.AskAfter : AskAgain, grant.GoodFor is { } life ? life : TimeSpan.MaxValue);
    }
}
