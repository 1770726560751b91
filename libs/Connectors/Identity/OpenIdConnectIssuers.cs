using System.ComponentModel.DataAnnotations;
using System.Net.Security;
using System.Security.Cryptography.X509Certificates;
using System.Text.Json;
using DarkStorage.GrainInterfaces;
using DarkStorage.GrainInterfaces.Identity;
using DarkStorage.Storage.Backends;

namespace DarkStorage.Connectors.Identity;

/// <summary>Fetches the public keys of issuers: their discovery document (OpenID Connect Discovery 1.0, section 4), and the key set that it names.</summary>
/// <remarks>What comes in is bounded in size and time, redirects are not followed, and an issuer is asked no oftener than once in a pause, by one request at a time, however
/// many tokens wait and whether it answers or not. Only issuers that were configured are ever asked.</remarks>
public sealed class OpenIdConnectIssuers : IIdentityProviders, IDisposable
{
    /// <summary>Bytes of an answer.</summary>
    private const int AnswerBytesMax = 256 << 10;

    private const int IssuersMax = 100;
    private const int UrlLengthMax = 255;

    private readonly OpenIdConnectOptions _options;
    private readonly TimeProvider _clock;
    private readonly Dictionary<string, Issuer> _issuers = new(StringComparer.Ordinal);

    private sealed class Issuer(IdentityProvider provider, HttpClient http)
    {
        public IdentityProvider Provider => provider;
        public HttpClient Http => http;
        public Lock Gate { get; } = new();

        /// <summary>The last fetch, under way or over; null until there is one.</summary>
        public Task<byte[]>? Fetching { get; set; }

        /// <summary>What the last fetch brought, and when; null until one succeeds.</summary>
        public Fetched? Last { get; set; }

        /// <summary>When the last fetch began, whatever it brought.</summary>
        public long? Tried { get; set; }
    }

    private sealed record Fetched(byte[] Keys, long Time);

    /// <exception cref="ValidationException">An option is out of its bounds.</exception>
    public OpenIdConnectIssuers(OpenIdConnectOptions options, TimeProvider clock)
    {
        (_options, _clock) = (options, clock);
        Validator.ValidateObject(options, new(options), validateAllProperties: true);
        if (options.Issuers.Count > IssuersMax) throw new ValidationException($"There are more than {IssuersMax} issuers.");
        foreach (var issuer in options.Issuers)
        {
            if (issuer.Url.Length > UrlLengthMax || !Uri.TryCreate(issuer.Url, UriKind.Absolute, out var url) || !SafeAddress.Is(url) || url.Query.Length + url.Fragment.Length + url.UserInfo.Length > 0)
                throw new ValidationException($"The issuer is '{issuer.Url}'; allowed is https://HOST/PATH without a query, and http on this machine.");
            if (issuer.ClientIds.Count == 0 || issuer.ClientIds.Any(c => c.Length is 0 or > UrlLengthMax)) throw new ValidationException($"The issuer {issuer.Url} needs ClientIds: the audiences whose tokens are taken.");
            if (!_issuers.TryAdd(issuer.Url, new(new(issuer.Url, issuer.ClientIds.ToHashSet(StringComparer.Ordinal)), Client(issuer.CaFile, options.Timeout))))
                throw new ValidationException($"The issuer {issuer.Url} is there twice.");
        }
    }

    public IdentityProvider? Find(string issuer) => _issuers.GetValueOrDefault(issuer)?.Provider;

    public async ValueTask<byte[]> GetKeySetAsync(IdentityProvider provider, bool anew, CancellationToken ct)
    {
        var issuer = _issuers[provider.Issuer];
        if (!anew && Known(issuer, anew) is { } remembered) return remembered;
        Task<byte[]> fetching;
        lock (issuer.Gate)
        {
            if (issuer.Fetching is { IsCompleted: false } underWay)
            {
                fetching = underWay;
            }
            else
            {
                if (Known(issuer, anew) is { } known) return known;
                if (IsWithinPause(issuer)) throw Unavailable(issuer, "did not answer a moment ago");
                issuer.Tried = _clock.GetTimestamp();
                fetching = issuer.Fetching = FetchAndKeepAsync(issuer);
            }
        }
        // A fetch goes on though whoever began it has left: or strangers who hang up would keep the keys from everybody, with one fetch in each pause.
        return await fetching.WaitAsync(ct);
    }

    public void Dispose()
    {
        foreach (var issuer in _issuers.Values) issuer.Http.Dispose();
    }

    private async Task<byte[]> FetchAndKeepAsync(Issuer issuer)
    {
        var keys = await FetchAsync(issuer);
        issuer.Last = new(keys, _clock.GetTimestamp());
        return keys;
    }

    private byte[]? Known(Issuer issuer, bool anew) =>
        issuer.Last is { } last && _clock.GetElapsedTime(last.Time) < _options.KeysLife && (!anew || IsWithinPause(issuer)) ? last.Keys : null;

    private bool IsWithinPause(Issuer issuer) => issuer.Tried is { } tried && _clock.GetElapsedTime(tried) < _options.FetchPause;

    private static async Task<byte[]> FetchAsync(Issuer issuer)
    {
        var url = issuer.Provider.Issuer;
        try
        {
            var discovery = await issuer.Http.GetByteArrayAsync(new Uri(url.TrimEnd('/') + "/.well-known/openid-configuration"));
            Uri keys;
            using (var document = JsonDocument.Parse(discovery))
            {
                // An issuer may speak for itself alone (Discovery, section 4.3).
                if (document.RootElement.GetProperty("issuer").GetString() != url) throw Unavailable(issuer, "says in its discovery document that it is another");
                if (!Uri.TryCreate(document.RootElement.GetProperty("jwks_uri").GetString(), UriKind.Absolute, out keys!) || !SafeAddress.Is(keys) || (keys.Scheme != "https" && url.StartsWith("https:", StringComparison.Ordinal)))
                    throw Unavailable(issuer, "has its keys at an address that is not safe");
            }
            return await issuer.Http.GetByteArrayAsync(keys);
        }
        catch (Exception e) when (e is HttpRequestException or JsonException or IOException or InvalidOperationException or KeyNotFoundException or OperationCanceledException)
        {
            throw Unavailable(issuer, "did not answer with its keys", e);
        }
    }

    private static StorageException Unavailable(Issuer issuer, string why, Exception? inner = null) =>
        new(StorageError.Unavailable, $"The issuer {issuer.Provider.Issuer} {why}.", inner);

    private static HttpClient Client(string caFile, TimeSpan timeout)
    {
        var handler = new SocketsHttpHandler { AllowAutoRedirect = false, UseProxy = false, UseCookies = false, PooledConnectionLifetime = TimeSpan.FromMinutes(5) };
        if (caFile.Length > 0)
        {
            var roots = new X509Certificate2Collection();
            roots.ImportFromPemFile(caFile);
            var policy = new X509ChainPolicy { TrustMode = X509ChainTrustMode.CustomRootTrust, RevocationMode = X509RevocationMode.NoCheck };
            policy.CustomTrustStore.AddRange(roots);
            handler.SslOptions = new SslClientAuthenticationOptions { CertificateChainPolicy = policy };
        }
        return new(handler) { Timeout = timeout, MaxResponseContentBufferSize = AnswerBytesMax };
    }
}
