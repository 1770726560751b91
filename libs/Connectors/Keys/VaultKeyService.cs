using System.Net;
using System.Net.Http.Json;
using System.Net.Security;
using System.Security.Cryptography;
using System.Security.Cryptography.X509Certificates;
using System.Text;
using System.Text.Json;
using System.Text.Json.Serialization;
using DarkStorage.GrainInterfaces;
using DarkStorage.Storage.Encryption;

namespace DarkStorage.Connectors.Keys;

/// <summary>Keys of Vault's transit engine: <c>datakey/plaintext</c>, <c>decrypt</c> and <c>keys</c> of its HTTP API.</summary>
/// <remarks>The context is sent as Vault's <c>context</c>, which binds only where the key was made with <c>derived=true</c>; Vault ignores it for others.</remarks>
internal sealed class VaultKeyService : IKeyService, IDisposable
{
    private const int ResponseBytesMax = 64 << 10;
    private const int TokenBytesMax = 4096;

    private readonly VaultOptions _options;
    private readonly HttpClient _http;

    /// <param name="options">Valid.</param>
    public VaultKeyService(VaultOptions options)
    {
        _options = options;
        var handler = new SocketsHttpHandler { AllowAutoRedirect = false, UseProxy = false, PooledConnectionLifetime = TimeSpan.FromMinutes(5) };
        if (options.CaFile.Length > 0) handler.SslOptions = TrustOnly(options.CaFile);
        _http = new(handler)
        {
            BaseAddress = new(options.Url, $"/v1/{options.Mount}/"),
            Timeout = options.Timeout,
            MaxResponseContentBufferSize = ResponseBytesMax,
        };
    }

    public string DefaultKeyId => _options.DefaultKey;

    public async ValueTask<GeneratedKey> GenerateAsync(string keyId, KeyContext context, CancellationToken ct)
    {
        var answer = await PostAsync($"datakey/plaintext/{NameOf(keyId)}", keyId, new() { Context = Of(context), Bits = 256 }, ct);
        return new(ToKey(answer, keyId), Encoding.UTF8.GetBytes(answer.Ciphertext ?? throw Strange(keyId)));
    }

    public async ValueTask<DataKey> DecryptAsync(string keyId, ReadOnlyMemory<byte> wrapped, KeyContext context, CancellationToken ct) =>
        ToKey(await PostAsync($"decrypt/{NameOf(keyId)}", keyId, new() { Context = Of(context), Ciphertext = Encoding.UTF8.GetString(wrapped.Span) }, ct), keyId);

    public async ValueTask<KeyDescription?> DescribeAsync(string keyId, CancellationToken ct)
    {
        try
        {
            await SendAsync(HttpMethod.Get, $"keys/{NameOf(keyId)}", keyId, null, ct);
            return new(keyId, Enabled: true, Created: null);
        }
        catch (StorageException e) when (e.Error == StorageError.KeyNotFound)
        {
            return null;
        }
    }

    public void Dispose() => _http.Dispose();

    /// <summary>What Vault allows in a key's name, and so nothing that would lead the path elsewhere.</summary>
    private static string NameOf(string keyId) =>
        keyId.Length is > 0 and <= 256 && keyId.All(c => char.IsAsciiLetterOrDigit(c) || c is '-' or '_' or '.') && char.IsAsciiLetterOrDigit(keyId[0])
            ? keyId
            : throw new StorageException(StorageError.KeyNotFound, "Vault has no keys of such a name: letters, digits and -_. are allowed.");

    private static string? Of(KeyContext context) => context.Canonical.IsEmpty ? null : Convert.ToBase64String(context.Canonical.Span);

    private Task<Answer> PostAsync(string path, string keyId, Question question, CancellationToken ct) => SendAsync(HttpMethod.Post, path, keyId, question, ct);

    private async Task<Answer> SendAsync(HttpMethod method, string path, string keyId, Question? question, CancellationToken ct)
    {
        using var request = new HttpRequestMessage(method, path);
        request.Headers.TryAddWithoutValidation("X-Vault-Token", await TokenAsync(ct));
        request.Headers.TryAddWithoutValidation("X-Vault-Request", "true");
        if (_options.Namespace.Length > 0) request.Headers.TryAddWithoutValidation("X-Vault-Namespace", _options.Namespace);
        if (question is not null) request.Content = JsonContent.Create(question);
        try
        {
            using var response = await _http.SendAsync(request, ct);
            if (response.IsSuccessStatusCode) return (await response.Content.ReadFromJsonAsync<Envelope>(ct))?.Data ?? throw Strange(keyId);
            throw await RefusedAsync(response, keyId, ct);
        }
        catch (Exception e) when (e is HttpRequestException or JsonException or IOException || (e is OperationCanceledException && !ct.IsCancellationRequested))
        {
            throw new StorageException(StorageError.KeyServiceUnavailable, $"Vault did not answer for the key {keyId}.", e);
        }
    }

    private static async Task<StorageException> RefusedAsync(HttpResponseMessage response, string keyId, CancellationToken ct)
    {
        // Vault says what went wrong in words alone; they may quote what was sent, so they are looked at and not passed on.
        var words = "";
        if (response.StatusCode is HttpStatusCode.BadRequest)
        {
            try
            {
                words = string.Join(' ', (await response.Content.ReadFromJsonAsync<Refusal>(ct))?.Errors ?? []);
            }
            catch (JsonException)
            {
                // From a proxy on the way: the status has to do.
            }
        }
        var error = response.StatusCode switch
        {
            HttpStatusCode.NotFound => StorageError.KeyNotFound,
            HttpStatusCode.Forbidden or HttpStatusCode.Unauthorized => StorageError.KeyAccessDenied,
            HttpStatusCode.BadRequest when words.Contains("key not found", StringComparison.OrdinalIgnoreCase) => StorageError.KeyNotFound,
            HttpStatusCode.BadRequest when words.Contains("disallowed by policy", StringComparison.OrdinalIgnoreCase) => StorageError.KeyDisabled,
            HttpStatusCode.BadRequest when words.Contains("ciphertext", StringComparison.OrdinalIgnoreCase)
                || words.Contains("message authentication failed", StringComparison.OrdinalIgnoreCase) => StorageError.DataDamaged,
            HttpStatusCode.BadRequest => StorageError.InvalidArgument,
            _ => StorageError.KeyServiceUnavailable,        // sealed, standby, too many requests, and what a proxy says
        };
        return new(error, $"Vault answered {(int)response.StatusCode} for the key {keyId}.");
    }

    private async ValueTask<string> TokenAsync(CancellationToken ct)
    {
        if (_options.Token.Length > 0) return _options.Token;
        try
        {
            if (new FileInfo(_options.TokenFile).Length <= TokenBytesMax) return (await File.ReadAllTextAsync(_options.TokenFile, ct)).Trim();
            throw new StorageException(StorageError.KeyServiceUnavailable, $"{_options.TokenFile} is too long for a token.");
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            throw new StorageException(StorageError.KeyServiceUnavailable, $"Vault's token can't be read: {e.Message}", e);
        }
    }

    private static DataKey ToKey(Answer answer, string keyId)
    {
        if (answer.Plaintext is not { Length: SecretKey.Length } plain) throw Strange(keyId);
        var key = new DataKey(plain);
        CryptographicOperations.ZeroMemory(plain);
        return key;
    }

    private static StorageException Strange(string keyId) => new(StorageError.KeyServiceUnavailable, $"Vault's answer for the key {keyId} has no key of 256 bits.");

    private static SslClientAuthenticationOptions TrustOnly(string caFile)
    {
        var roots = new X509Certificate2Collection();
        roots.ImportFromPemFile(caFile);
        var policy = new X509ChainPolicy { TrustMode = X509ChainTrustMode.CustomRootTrust, RevocationMode = X509RevocationMode.NoCheck };
        policy.CustomTrustStore.AddRange(roots);
        return new() { CertificateChainPolicy = policy };
    }

    private sealed record Question
    {
        [JsonPropertyName("ciphertext"), JsonIgnore(Condition = JsonIgnoreCondition.WhenWritingNull)]
        public string? Ciphertext { get; init; }

        [JsonPropertyName("context"), JsonIgnore(Condition = JsonIgnoreCondition.WhenWritingNull)]
        public string? Context { get; init; }

        [JsonPropertyName("bits"), JsonIgnore(Condition = JsonIgnoreCondition.WhenWritingNull)]
        public int? Bits { get; init; }
    }

    private sealed record Envelope([property: JsonPropertyName("data")] Answer? Data);

    /// <param name="Plaintext">As bytes, so that it never is a text that can't be zeroed.</param>
    private sealed record Answer([property: JsonPropertyName("plaintext")] byte[]? Plaintext, [property: JsonPropertyName("ciphertext")] string? Ciphertext);

    private sealed record Refusal([property: JsonPropertyName("errors")] List<string>? Errors);
}
