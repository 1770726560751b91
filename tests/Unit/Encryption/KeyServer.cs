using System.Collections.Concurrent;
using System.Security.Cryptography;
using System.Security.Cryptography.X509Certificates;
using System.Text;
using System.Text.Json;
using System.Text.Json.Nodes;
using Microsoft.AspNetCore.Builder;
using Microsoft.AspNetCore.Hosting;
using Microsoft.AspNetCore.Hosting.Server;
using Microsoft.AspNetCore.Hosting.Server.Features;
using Microsoft.AspNetCore.Http;
using Microsoft.Extensions.DependencyInjection;

namespace DarkStorage.Unit.Encryption;

/// <summary>A key server for tests: what the public API documentation of Vault's transit engine and of AWS KMS says of the calls that are made here,
/// and no more. It is no proof that the real ones agree.</summary>
public sealed class KeyServer : IAsyncDisposable
{
    private readonly WebApplication _app;
    private readonly ConcurrentDictionary<string, byte[]> _keys = new();
    private readonly ConcurrentDictionary<string, bool> _disabled = new();
    private int _version = 1;

    private KeyServer(WebApplication app) => _app = app;

    public Uri Url { get; private set; } = null!;

    /// <summary>Requests so far: method, path or target, and body.</summary>
    public ConcurrentQueue<(string What, IHeaderDictionary Headers, string Body)> Requests { get; } = new();

    /// <summary>Statuses that the next requests get instead of an answer.</summary>
    public ConcurrentQueue<int> Failures { get; } = new();

    /// <summary>Makes the server wait with every answer until it is set.</summary>
    public TaskCompletionSource? Stalled { get; set; }

    public static async Task<KeyServer> StartAsync(X509Certificate2? certificate = null)
    {
        var builder = WebApplication.CreateEmptyBuilder(new());
        builder.WebHost.UseKestrelCore();
        if (certificate is not null) builder.WebHost.UseKestrelHttpsConfiguration();
        builder.WebHost.ConfigureKestrel(k => k.Listen(System.Net.IPAddress.Loopback, 0, l =>
        {
            if (certificate is not null) l.UseHttps(certificate);
        }));
        var app = builder.Build();
        var server = new KeyServer(app);
        app.Run(server.AnswerAsync);
        await app.StartAsync();
        server.Url = new(app.Services.GetRequiredService<IServer>().Features.Get<IServerAddressesFeature>()!.Addresses.Single());
        return server;
    }

    public void AddKey(string name) => _keys[name] = RandomNumberGenerator.GetBytes(32);

    public void Disable(string name) => _disabled[name] = true;

    /// <summary>What is wrapped from now on says another version.</summary>
    public void Rotate() => _version++;

    public async ValueTask DisposeAsync()
    {
        Stalled?.TrySetResult();
        await _app.DisposeAsync();
    }

    private async Task AnswerAsync(HttpContext http)
    {
        var body = await new StreamReader(http.Request.Body).ReadToEndAsync();
        var target = http.Request.Headers["X-Amz-Target"].ToString();
        Requests.Enqueue((target.Length > 0 ? target : $"{http.Request.Method} {http.Request.Path}", new HeaderDictionary(http.Request.Headers.ToDictionary()), body));
        if (Stalled is { } stalled) await stalled.Task;
        if (Failures.TryDequeue(out var status))
        {
            http.Response.StatusCode = status;
            return;
        }
        var question = body.Length > 0 ? JsonNode.Parse(body)!.AsObject() : [];
        var (code, answer) = target.Length > 0 ? Kms(target, question) : Vault(http.Request, question);
        http.Response.StatusCode = code;
        http.Response.ContentType = target.Length > 0 ? "application/x-amz-json-1.1" : "application/json";
        await http.Response.WriteAsync(answer.ToJsonString());
    }

    private (int, JsonObject) Vault(HttpRequest request, JsonObject question)
    {
        if (request.Headers["X-Vault-Token"] != "hvs.right") return (403, Errors("permission denied"));
        var path = request.Path.Value!.Split('/', StringSplitOptions.RemoveEmptyEntries);     // v1, mount, operation, …, key
        if (path is not ["v1", "transit", ..]) return (404, Errors());
        var name = path[^1];
        var context = question["context"]?.GetValue<string>() ?? "";
        if (path[2] == "keys") return _keys.ContainsKey(name) ? (200, Data(new() { ["name"] = name, ["latest_version"] = _version, ["type"] = "aes256-gcm96" })) : (404, Errors());
        if (!_keys.TryGetValue(name, out var key)) return (400, Errors("encryption key not found"));
        switch (path[2])
        {
            case "datakey" when path[3] == "plaintext":
                var plain = RandomNumberGenerator.GetBytes(question["bits"]!.GetValue<int>() / 8);
                return (200, Data(new() { ["plaintext"] = Convert.ToBase64String(plain), ["ciphertext"] = Wrap(key, plain, context) }));
            case "decrypt":
                if (Unwrap(key, question["ciphertext"]!.GetValue<string>(), context) is not { } opened) return (400, Errors("cipher: message authentication failed"));
                return (200, Data(new() { ["plaintext"] = Convert.ToBase64String(opened) }));
            default:
                return (404, Errors());
        }

        static JsonObject Data(JsonObject data) => new() { ["request_id"] = "r", ["lease_id"] = "", ["renewable"] = false, ["lease_duration"] = 0, ["data"] = data };
        static JsonObject Errors(params string[] errors) => new() { ["errors"] = new JsonArray([.. errors.Select(e => JsonValue.Create(e))]) };
    }

    private (int, JsonObject) Kms(string target, JsonObject question)
    {
        var keyId = question["KeyId"]!.GetValue<string>();
        var context = question["EncryptionContext"]?.ToJsonString() ?? "";
        if (!_keys.TryGetValue(keyId, out var key)) return (400, Failure("NotFoundException"));
        if (_disabled.ContainsKey(keyId) && target != "TrentService.DescribeKey") return (400, Failure("DisabledException"));
        var arn = $"arn:aws:kms:eu-west-1:111122223333:key/{keyId}";
        switch (target)
        {
            case "TrentService.GenerateDataKey":
                var plain = RandomNumberGenerator.GetBytes(question["KeySpec"]!.GetValue<string>() == "AES_256" ? 32 : 16);
                return (200, new() { ["KeyId"] = arn, ["Plaintext"] = Convert.ToBase64String(plain), ["CiphertextBlob"] = Blob(Wrap(key, plain, context)) });
            case "TrentService.Decrypt":
                var text = Encoding.UTF8.GetString(Convert.FromBase64String(question["CiphertextBlob"]!.GetValue<string>()));
                if (Unwrap(key, text, context) is not { } opened) return (400, Failure("InvalidCiphertextException"));
                return (200, new() { ["KeyId"] = arn, ["Plaintext"] = Convert.ToBase64String(opened), ["EncryptionAlgorithm"] = "SYMMETRIC_DEFAULT" });
            case "TrentService.DescribeKey":
                return (200, new()
                {
                    ["KeyMetadata"] = new JsonObject { ["KeyId"] = keyId, ["Arn"] = arn, ["Enabled"] = !_disabled.ContainsKey(keyId), ["CreationDate"] = 1_700_000_000.5 },
                });
            default:
                return (400, Failure("UnknownOperationException"));
        }

        static string Blob(string text) => Convert.ToBase64String(Encoding.UTF8.GetBytes(text));
        static JsonObject Failure(string type) => new() { ["__type"] = type, ["message"] = "no" };
    }

    private string Wrap(byte[] key, byte[] plain, string context)
    {
        var (nonce, tag, text) = (RandomNumberGenerator.GetBytes(12), new byte[16], new byte[plain.Length]);
        using var aes = new AesGcm(key, 16);
        aes.Encrypt(nonce, plain, text, tag, Encoding.UTF8.GetBytes(context));
        return $"vault:v{_version}:{Convert.ToBase64String([.. nonce, .. tag, .. text])}";
    }

    private static byte[]? Unwrap(byte[] key, string wrapped, string context)
    {
        try
        {
            var bytes = Convert.FromBase64String(wrapped.Split(':')[2]);
            var plain = new byte[bytes.Length - 28];
            using var aes = new AesGcm(key, 16);
            aes.Decrypt(bytes.AsSpan(0, 12), bytes.AsSpan(28), bytes.AsSpan(12, 16), plain, Encoding.UTF8.GetBytes(context));
            return plain;
        }
        catch (Exception e) when (e is CryptographicException or FormatException or IndexOutOfRangeException)
        {
            return null;
        }
    }
}
