using System.Collections.Concurrent;
using DarkStorage.GrainInterfaces;
using DarkStorage.GrainInterfaces.Identity;
using DarkStorage.Rules.Identity;

namespace DarkStorage.ClientApi.Sts;

/// <summary>Believes tokens of identity providers, or not.</summary>
internal sealed class WebIdentities(IIdentityProviders providers, TimeProvider clock)
{
    /// <summary>Key sets that were read, so that a large one is read once for each fetch and not for each token.</summary>
    private readonly ConcurrentDictionary<string, (byte[] Document, JsonWebKeySet Keys)> _read = new(StringComparer.Ordinal);

    /// <exception cref="StsException"><c>InvalidIdentityToken</c>, <c>ExpiredTokenException</c>, <c>IDPRejectedClaim</c>, <c>IDPCommunicationError</c>.</exception>
    public async Task<WebIdentity> VerifyAsync(string text, CancellationToken ct)
    {
        try
        {
            var token = WebIdentityToken.Parse(text);
            var provider = providers.Find(token.Issuer) ?? throw new StsException(StsError.InvalidIdentityToken, "No OpenIDConnect provider is configured for the token's issuer.");
            try
            {
                return Verify(token, provider, await ReadKeysAsync(provider, anew: false, ct));
            }
            catch (WebIdentityException e) when (e.Problem == WebIdentityProblem.UnknownKey)
            {
                return Verify(token, provider, await ReadKeysAsync(provider, anew: true, ct));
            }
        }
        catch (WebIdentityException e)
        {
            throw new StsException(e.Problem switch
            {
                WebIdentityProblem.Expired => StsError.ExpiredTokenException,
                WebIdentityProblem.RejectedClaim => StsError.IdpRejectedClaim,
                _ => StsError.InvalidIdentityToken,
            }, e.Message, e);
        }
    }

    private WebIdentity Verify(WebIdentityToken token, IdentityProvider provider, JsonWebKeySet keys) => token.Verify(keys, provider.Issuer, provider.ClientIds, clock.GetUtcNow());

    private async Task<JsonWebKeySet> ReadKeysAsync(IdentityProvider provider, bool anew, CancellationToken ct)
    {
        try
        {
            var document = await providers.GetKeySetAsync(provider, anew, ct);
            if (_read.TryGetValue(provider.Issuer, out var read) && ReferenceEquals(read.Document, document)) return read.Keys;
            var keys = JsonWebKeySet.Parse(document);
            _read[provider.Issuer] = (document, keys);
            return keys;
        }
        catch (Exception e) when (e is FormatException or StorageException { Error: StorageError.Unavailable })
        {
            throw new StsException(StsError.IdpCommunicationError, "The identity provider did not answer with its keys.", e);
        }
    }
}
