namespace DarkStorage.GrainInterfaces.Identity;

/// <summary>The identity providers of OpenID Connect whose tokens are taken, as they were configured.</summary>
public interface IIdentityProviders
{
    /// <param name="issuer">Exactly as the claim <c>iss</c> has it.</param>
    /// <returns>Null where that issuer is not trusted.</returns>
    IdentityProvider? Find(string issuer);

    /// <summary>The issuer's public keys: its JWKS document (RFC 7517), the same instance while it is remembered.</summary>
    /// <param name="provider">One that <see cref="Find"/> returned.</param>
    /// <param name="anew">A token names a key that the document has not: fetched again, unless that was done a moment ago.</param>
    /// <exception cref="StorageException"><see cref="StorageError.Unavailable"/>: the issuer did not answer, or not with such a document.</exception>
    ValueTask<byte[]> GetKeySetAsync(IdentityProvider provider, bool anew, CancellationToken ct);
}

/// <param name="Issuer">The issuer's address.</param>
/// <param name="ClientIds">Audiences whose tokens are taken.</param>
public sealed record IdentityProvider(string Issuer, IReadOnlyCollection<string> ClientIds);
