using System.Buffers.Text;
using System.Collections.Concurrent;
using System.Security.Cryptography;
using System.Text;
using System.Text.Json;
using System.Text.Json.Nodes;
using Microsoft.AspNetCore.Http;

namespace DarkStorage.Connectors.Google;

/// <summary>Service accounts and their tokens: RFC 7523, as Google's "Using OAuth 2.0 for server to server applications" has it.</summary>
public abstract partial class GoogleServer
{
    private static readonly TimeSpan ClockSkewMax = TimeSpan.FromMinutes(5);

    /// <summary>Of all accounts here: to make one takes long.</summary>
    private static readonly RSA Key = RSA.Create(2048);

    private readonly ConcurrentDictionary<string, RSA> _accounts = new();
    private readonly ConcurrentDictionary<string, (string Account, DateTimeOffset Until)> _tokens = new();

    /// <summary>What service accounts are to ask for.</summary>
    protected abstract string Scope { get; }

    public TimeProvider Clock { get; set; } = TimeProvider.System;

    /// <summary>Of the tokens that are given from now on.</summary>
    public int TokenSeconds { get; set; } = 3599;

    public ConcurrentQueue<string> TokensGiven { get; } = new();

    /// <summary>Whether a token is good that another server has given to a user; null where there is no other.</summary>
    public Func<string, Task<bool>>? TakesOfUsers { get; set; }

    /// <summary>Accounts that may do nothing.</summary>
    public ConcurrentDictionary<string, bool> Denied { get; } = new();

    /// <summary>The file of a new service account's key.</summary>
    public string NewKey() => NewKey(out _);

    public string NewKey(out string account)
    {
        account = $"{Guid.NewGuid():N}@tests.iam.gserviceaccount.com";
        _accounts[account] = Key;
        return KeyFile(account, Key, $"{Url}/token");
    }

    public static string KeyFile(string account, RSA key, string tokenUri) => new JsonObject
    {
        ["type"] = "service_account", ["project_id"] = "tests", ["private_key_id"] = "0123456789abcdef", ["private_key"] = key.ExportPkcs8PrivateKeyPem() + "\n", ["client_email"] = account,
        ["client_id"] = "1", ["auth_uri"] = "https://accounts.google.com/o/oauth2/auth", ["token_uri"] = tokenUri, ["universe_domain"] = "googleapis.com",
    }.ToJsonString();

    /// <summary>As when the key was deleted.</summary>
    public void Forget(string account) => _accounts.TryRemove(account, out _);

    /// <summary>Takes none of those that were given so far.</summary>
    public void ExpireTokens() => _tokens.Clear();

    private async Task GiveTokenAsync(HttpContext http)
    {
        var form = await http.Request.ReadFormAsync();
        string? account = null;
        var problem = form["grant_type"] != "urn:ietf:params:oauth:grant-type:jwt-bearer" ? ("unsupported_grant_type", "Invalid grant_type") : Problem(form["assertion"].ToString(), out account);
        if (problem is var (error, description))
        {
            http.Response.StatusCode = 400;
            await http.Response.WriteAsJsonAsync(new { error, error_description = description });
            return;
        }
        // Of the shape of Google's.
        var token = $"ya29.c.{Base64Url.EncodeToString(RandomNumberGenerator.GetBytes(96))}";
        _tokens[token] = (account!, Clock.GetUtcNow().AddSeconds(TokenSeconds));
        TokensGiven.Enqueue(token);
        await http.Response.WriteAsJsonAsync(new { access_token = token, expires_in = TokenSeconds, token_type = "Bearer" });
    }

    private (string Error, string Description)? Problem(string assertion, out string? account)
    {
        account = null;
        if (assertion.Split('.') is not [var header, var claims, var signature]) return ("invalid_grant", "Bad Request");
        var head = JsonDocument.Parse(Base64Url.DecodeFromChars(header)).RootElement;
        var claim = JsonDocument.Parse(Base64Url.DecodeFromChars(claims)).RootElement;
        if (head.GetProperty("alg").GetString() != "RS256") return ("invalid_grant", "Invalid JWT: Failed audience check");
        account = claim.GetProperty("iss").GetString();
        if (account is null || !_accounts.TryGetValue(account, out var key)) return ("invalid_grant", "Invalid grant: account not found");
        if (!key.VerifyData(Encoding.ASCII.GetBytes($"{header}.{claims}"), Base64Url.DecodeFromChars(signature), HashAlgorithmName.SHA256, RSASignaturePadding.Pkcs1)) return ("invalid_grant", "Invalid JWT Signature.");
        if (claim.GetProperty("aud").GetString() != $"{Url}/token") return ("invalid_grant", "Invalid JWT: Failed audience check. The right audience is the token endpoint.");
        if (claim.GetProperty("scope").GetString() != Scope) return ("invalid_scope", "Invalid OAuth scope or ID token audience provided.");
        var (issued, expires) = (DateTimeOffset.FromUnixTimeSeconds(claim.GetProperty("iat").GetInt64()), DateTimeOffset.FromUnixTimeSeconds(claim.GetProperty("exp").GetInt64()));
        var now = Clock.GetUtcNow();
        if (expires - issued > TimeSpan.FromHours(1) || issued > now + ClockSkewMax || expires < now - ClockSkewMax)
            return ("invalid_grant", "Invalid JWT: Token must be a short-lived token (60 minutes) and in a reasonable timeframe. Check your iat and exp values in the JWT claim.");
        return null;
    }

    private async Task AuthorizeAsync(HttpContext http)
    {
        var token = http.Request.Headers.Authorization.ToString();
        if (!token.StartsWith("Bearer ", StringComparison.Ordinal)) throw new ApiException(401, "required", "Anonymous callers have no access.");
        if (TakesOfUsers is { } takes && await takes(token["Bearer ".Length..])) return;
        if (!_tokens.TryGetValue(token["Bearer ".Length..], out var given) || given.Until <= Clock.GetUtcNow()) throw new ApiException(401, "authError", "Invalid Credentials");
        if (Denied.ContainsKey(given.Account)) throw new ApiException(403, "forbidden", $"{given.Account} does not have access. Permission denied on resource (or it may not exist).");
    }
}
