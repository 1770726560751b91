using System.Buffers.Text;
using System.Security.Cryptography;
using System.Text;
using System.Text.Json;
using System.Text.Json.Serialization;
using DarkStorage.GrainInterfaces;
using DarkStorage.Storage.Backends;

namespace DarkStorage.Connectors.Google;

/// <summary>What the JSON file of a service account's key says: who it is, where it gets its tokens, and the key that shows it.</summary>
internal sealed class ServiceAccountKey : IDisposable
{
    private const string DefaultTokenUri = "https://oauth2.googleapis.com/token";

    /// <summary>Google takes no assertion that is good for longer.</summary>
    private const int AssertionSeconds = 3600;

    private readonly string _email;
    private readonly string? _keyId;
    private readonly string _scope;
    private readonly RSA _key;

    private ServiceAccountKey(string email, string? keyId, string scope, RSA key, Uri tokenUri) => (_email, _keyId, _scope, _key, TokenUri) = (email, keyId, scope, key, tokenUri);

    /// <summary>Takes assertions, and hands out access tokens.</summary>
    public Uri TokenUri { get; }

    /// <param name="field">What the setting is called.</param>
    /// <param name="scope">What tokens are asked for.</param>
    /// <exception cref="StorageException"><see cref="StorageError.InvalidArgument"/>, with nothing of the text in it.</exception>
    public static ServiceAccountKey Parse(string field, string text, string scope)
    {
        File file;
        try
        {
            file = JsonSerializer.Deserialize<File>(text) ?? throw new JsonException();
        }
        catch (JsonException)
        {
            throw ConnectorType.Invalid($"{field}: the JSON file of a service account's key, as Google gives it.");
        }
        if (file.Type != "service_account") throw ConnectorType.Invalid($"{field}: the key of a service account (\"type\": \"service_account\"), and of nothing else.");
        if (string.IsNullOrWhiteSpace(file.ClientEmail) || file.ClientEmail.Any(char.IsControl)) throw ConnectorType.Invalid($"{field}: it has no client_email.");
        if (!Uri.TryCreate(file.TokenUri ?? DefaultTokenUri, UriKind.Absolute, out var tokenUri) || !SafeAddress.Is(tokenUri)) throw ConnectorType.Invalid($"{field}: its token_uri has to be https, or http on this machine.");
        return new(file.ClientEmail, file.PrivateKeyId, scope, ImportKey(field, file.PrivateKey), tokenUri);
    }

    /// <summary>A JWT that says who asks for what, signed with RS256 (RFC 7515, 7523).</summary>
    public string Assert(DateTimeOffset now)
    {
        var time = now.ToUnixTimeSeconds();
        var header = JsonSerializer.SerializeToUtf8Bytes(new Dictionary<string, string?> { ["alg"] = "RS256", ["typ"] = "JWT", ["kid"] = _keyId });
        var claims = JsonSerializer.SerializeToUtf8Bytes(new Dictionary<string, object> { ["iss"] = _email, ["scope"] = _scope, ["aud"] = TokenUri.OriginalString, ["iat"] = time, ["exp"] = time + AssertionSeconds });
        var signed = $"{Base64Url.EncodeToString(header)}.{Base64Url.EncodeToString(claims)}";
        return $"{signed}.{Base64Url.EncodeToString(_key.SignData(Encoding.ASCII.GetBytes(signed), HashAlgorithmName.SHA256, RSASignaturePadding.Pkcs1))}";
    }

    public void Dispose() => _key.Dispose();

    private static RSA ImportKey(string field, string? pem)
    {
        var key = RSA.Create();
        try
        {
            key.ImportFromPem(pem);
            // Of a public key alone nothing can be signed.
            key.SignData([], HashAlgorithmName.SHA256, RSASignaturePadding.Pkcs1);
            return key;
        }
        catch (Exception e) when (e is ArgumentException or CryptographicException)
        {
            key.Dispose();
            throw ConnectorType.Invalid($"{field}: its private_key is no RSA key in PEM.");
        }
    }

    private sealed record File(
        [property: JsonPropertyName("type")] string? Type,
        [property: JsonPropertyName("client_email")] string? ClientEmail,
        [property: JsonPropertyName("private_key_id")] string? PrivateKeyId,
        [property: JsonPropertyName("private_key")] string? PrivateKey,
        [property: JsonPropertyName("token_uri")] string? TokenUri);
}
