using System.Buffers.Text;
using System.Collections.Concurrent;
using System.Security.Cryptography;
using System.Text;
using System.Text.Json;
using System.Text.Json.Nodes;
using Microsoft.AspNetCore.Builder;
using Microsoft.AspNetCore.Hosting;
using Microsoft.AspNetCore.Hosting.Server;
using Microsoft.AspNetCore.Hosting.Server.Features;
using Microsoft.AspNetCore.Http;
using Microsoft.Extensions.DependencyInjection;

namespace DarkStorage.TestKit;

/// <summary>An issuer of OpenID Connect for tests: discovery, a key set that can change, and tokens, as OpenID Connect Discovery 1.0 and RFC 7515, 7517 and 7518
/// describe them. It shares nothing with the product.</summary>
public sealed class OidcIssuer : IAsyncDisposable
{
    private readonly WebApplication _app;
    private readonly ConcurrentDictionary<string, AsymmetricAlgorithm> _keys = new();

    private OidcIssuer(WebApplication app) => _app = app;

    /// <summary>What tokens say in <c>iss</c>.</summary>
    public string Url { get; private set; } = "";

    /// <summary>As policies name it.</summary>
    public string Provider => Url["http://".Length..];

    /// <summary>Paths of the requests so far.</summary>
    public ConcurrentQueue<string> Requests { get; } = new();

    /// <summary>In place of the discovery document; null for the right one.</summary>
    public Func<HttpContext, Task>? Discovery { get; set; }

    /// <summary>In place of the key set; null for the right one.</summary>
    public Func<HttpContext, Task>? KeySet { get; set; }

    public static async Task<OidcIssuer> StartAsync()
    {
        var builder = WebApplication.CreateEmptyBuilder(new());
        builder.WebHost.UseKestrelCore().ConfigureKestrel(k => k.Listen(System.Net.IPAddress.Loopback, 0));
        var app = builder.Build();
        var issuer = new OidcIssuer(app);
        app.Run(issuer.AnswerAsync);
        await app.StartAsync();
        issuer.Url = app.Services.GetRequiredService<IServer>().Features.Get<IServerAddressesFeature>()!.Addresses.Single() + "/realm";
        return issuer;
    }

    public void AddRsa(string id) => _keys[id] = RSA.Create(2048);

    public void AddEc(string id, ECCurve curve) => _keys[id] = ECDsa.Create(curve);

    /// <summary>Takes a key out of the set.</summary>
    public void Remove(string id) => _keys.TryRemove(id, out _);

    public async ValueTask DisposeAsync()
    {
        await _app.DisposeAsync();
        foreach (var key in _keys.Values) key.Dispose();
    }

    /// <summary>Claims of a token that is good for five minutes.</summary>
    public JsonObject Claims(string subject, string audience) => new()
    {
        ["iss"] = Url,
        ["sub"] = subject,
        ["aud"] = audience,
        ["iat"] = DateTimeOffset.UtcNow.ToUnixTimeSeconds(),
        ["exp"] = DateTimeOffset.UtcNow.AddMinutes(5).ToUnixTimeSeconds(),
    };

    /// <summary>A token, signed by one of the keys.</summary>
    public string Sign(string keyId, string algorithm, JsonObject claims) => Sign(_keys[keyId], algorithm, new() { ["alg"] = algorithm, ["kid"] = keyId, ["typ"] = "JWT" }, claims);

    /// <summary>A token with any header, signed by any key.</summary>
    public static string Sign(AsymmetricAlgorithm key, string algorithm, JsonObject header, JsonObject claims)
    {
        var text = $"{Encode(header)}.{Encode(claims)}";
        var bytes = Encoding.ASCII.GetBytes(text);
        var hash = new HashAlgorithmName("SHA" + algorithm[2..]);
        var signature = key switch
        {
            RSA rsa => rsa.SignData(bytes, hash, algorithm[0] == 'P' ? RSASignaturePadding.Pss : RSASignaturePadding.Pkcs1),
            ECDsa ec => ec.SignData(bytes, hash),
            _ => throw new ArgumentException("Neither RSA nor EC.", nameof(key)),
        };
        return $"{text}.{Base64Url.EncodeToString(signature)}";
    }

    public static string Encode(JsonNode json) => Base64Url.EncodeToString(Encoding.UTF8.GetBytes(json.ToJsonString()));

    /// <summary>A public key as RFC 7517 writes it.</summary>
    public static JsonObject Jwk(string id, AsymmetricAlgorithm key)
    {
        if (key is RSA rsa)
        {
            var parameters = rsa.ExportParameters(includePrivateParameters: false);
            return new() { ["kty"] = "RSA", ["kid"] = id, ["use"] = "sig", ["n"] = Base64Url.EncodeToString(parameters.Modulus), ["e"] = Base64Url.EncodeToString(parameters.Exponent) };
        }
        var point = ((ECDsa)key).ExportParameters(includePrivateParameters: false);
        var curve = point.Q.X!.Length switch { 32 => "P-256", 48 => "P-384", _ => "P-521" };
        return new() { ["kty"] = "EC", ["kid"] = id, ["crv"] = curve, ["x"] = Base64Url.EncodeToString(point.Q.X), ["y"] = Base64Url.EncodeToString(point.Q.Y) };
    }

    public string KeySetJson() => new JsonObject { ["keys"] = new JsonArray([.. _keys.Select(k => Jwk(k.Key, k.Value))]) }.ToJsonString();

    private Task AnswerAsync(HttpContext http)
    {
        Requests.Enqueue(http.Request.Path);
        http.Response.ContentType = "application/json";
        switch (http.Request.Path.Value)
        {
            case "/realm/.well-known/openid-configuration":
                return Discovery?.Invoke(http) ?? http.Response.WriteAsync(JsonSerializer.Serialize(new { issuer = Url, jwks_uri = Url + "/keys" }));
            case "/realm/keys":
                return KeySet?.Invoke(http) ?? http.Response.WriteAsync(KeySetJson());
            default:
                http.Response.StatusCode = StatusCodes.Status404NotFound;
                return Task.CompletedTask;
        }
    }
}
