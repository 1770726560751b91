using System.Globalization;
using System.Net;
using System.Net.Http;
using System.Text.Json;
using System.Text.RegularExpressions;
using DarkStorage.Connectors.Http;
using DarkStorage.Storage.Backends;

namespace DarkStorage.Connectors.OAuth;

/// <summary>The token and device endpoints of services, over connections that reach no forbidden address. The application's secret goes in the body (RFC 6749, section 2.3.1), which all that have one take.</summary>
public sealed partial class OAuthClient(TimeProvider clock) : IOAuthClient, IDisposable
{
    private const int AnswerBytesMax = 64 << 10;

    /// <summary>Characters of a token. Microsoft's have several thousand.</summary>
    private const int TokenLengthMax = 16 << 10;

    private const int UserCodeLengthMax = 64;
    private const int AddressLengthMax = 2_048;
    private const int DescriptionLengthMax = 200;

    /// <summary>Whatever a service says. Yandex' tokens are good for a year.</summary>
    private static readonly TimeSpan LifeMax = TimeSpan.FromDays(400);

    private static readonly TimeSpan DeviceLifeMax = TimeSpan.FromHours(1);

    /// <summary>Where none is said (RFC 8628, section 3.2).</summary>
    private static readonly TimeSpan IntervalDefault = TimeSpan.FromSeconds(5);

    private static readonly TimeSpan IntervalMax = TimeSpan.FromMinutes(5);

    /// <summary>For an answer: whoever waits is a grain's call, or somebody with a browser.</summary>
    private static readonly TimeSpan AnswerWithin = TimeSpan.FromSeconds(10);

    private readonly HttpClient _http = OutboundConnections.NewClient();

    public Task<OAuthTokens> ExchangeAsync(OAuthApplication application, string code, Uri redirect, string? verifier, CancellationToken ct)
    {
        List<KeyValuePair<string, string>> form = [new("grant_type", "authorization_code"), new("code", code), new("redirect_uri", redirect.AbsoluteUri)];
        if (verifier is not null) form.Add(new("code_verifier", verifier));
        return TokensAsync(application, form, [code, verifier], ct);
    }

    public Task<OAuthTokens> RenewAsync(OAuthApplication application, string refreshToken, CancellationToken ct) =>
        TokensAsync(application, [new("grant_type", "refresh_token"), new("refresh_token", refreshToken)], [refreshToken], ct);

    public Task<OAuthTokens> PollAsync(OAuthApplication application, string deviceCode, CancellationToken ct) =>
        TokensAsync(application, [new("grant_type", "urn:ietf:params:oauth:grant-type:device_code"), new("device_code", deviceCode)], [deviceCode], ct);

    public Task<DeviceCode> BeginDeviceAsync(OAuthApplication application, CancellationToken ct)
    {
        List<KeyValuePair<string, string>> form = [];
        if (application.Scope.Length > 0) form.Add(new("scope", application.Scope));
        var url = application.DeviceUrl ?? throw new ArgumentException("The service has no flow for devices.", nameof(application));
        return AskAsync(application, url, form, [], DeviceCodeOf, ct);
    }

    public void Dispose() => _http.Dispose();

    private Task<OAuthTokens> TokensAsync(OAuthApplication application, List<KeyValuePair<string, string>> form, string?[] secrets, CancellationToken ct) => AskAsync(application, application.TokenUrl, form, secrets, TokensOf, ct);

    /// <param name="secrets">What is in no message, besides the application's own.</param>
    /// <param name="read">Null where the answer makes no sense.</param>
    private async Task<T> AskAsync<T>(OAuthApplication application, Uri url, List<KeyValuePair<string, string>> form, string?[] secrets, Func<JsonElement, T?> read, CancellationToken ct) where T : class
    {
        var what = $"{application.Service.Title} ({url.Authority})";
        form.Add(new("client_id", application.ClientId));
        if (application.ClientSecret is { } secret) form.Add(new("client_secret", secret));
        using var over = new CancellationTokenSource(AnswerWithin, clock);
        using var bounded = CancellationTokenSource.CreateLinkedTokenSource(ct, over.Token);
        try
        {
            using var request = new HttpRequestMessage(HttpMethod.Post, url) { Content = new FormUrlEncodedContent(form) };
            request.Headers.Accept.Add(new("application/json"));
            using var answer = await _http.SendAsync(request, HttpCompletionOption.ResponseHeadersRead, bounded.Token);
            var body = Parse(await BoundedBody.ReadAsync(answer, AnswerBytesMax, bounded.Token));
            // Some say with 200 that it went wrong.
            if (answer.StatusCode == HttpStatusCode.OK && Text(body, "error") is null) return read(body) ?? throw new OAuthException(OAuthError.Unavailable, $"{what} gave an answer that makes no sense.");
            throw FailureOf(answer, body, what, [.. secrets.Append(application.ClientSecret).OfType<string>()]);
        }
        catch (OperationCanceledException) when (!ct.IsCancellationRequested)
        {
            throw new OAuthException(OAuthError.Unavailable, $"{what} did not answer within {AnswerWithin.TotalSeconds:0} s.");
        }
        // What went wrong, by kind: a text may hold anything.
        catch (HttpRequestException e)
        {
            throw new OAuthException(OAuthError.Unavailable, e.InnerException is ForbiddenAddressException ? $"{what}: its address is link-local, which is not allowed." : $"{what}: no connection ({e.HttpRequestError}).");
        }
        catch (Exception e) when (e is IOException and not OAuthException)
        {
            throw new OAuthException(OAuthError.Unavailable, $"{what}: its answer broke off, or is longer than {AnswerBytesMax} bytes.");
        }
    }

    /// <returns>An element that is undefined where it is no JSON object.</returns>
    private static JsonElement Parse(ReadOnlyMemory<byte> body)
    {
        try
        {
            using var json = JsonDocument.Parse(body);
            return json.RootElement.ValueKind == JsonValueKind.Object ? json.RootElement.Clone() : default;
        }
        catch (JsonException)
        {
            return default;
        }
    }

    private static OAuthException FailureOf(HttpResponseMessage answer, JsonElement body, string what, string[] secrets)
    {
        var status = (int)answer.StatusCode;
        var said = Text(body, "error") is { } text && ErrorName().IsMatch(text) && !secrets.Contains(text) ? text : null;
        var error = said switch
        {
            // Whatever it says: it can't now.
            _ when status is 408 or 429 or >= 500 => OAuthError.Unavailable,
            "temporarily_unavailable" or "server_error" => OAuthError.Unavailable,
            "invalid_grant" => OAuthError.InvalidGrant,
            "invalid_client" or "unauthorized_client" => OAuthError.InvalidClient,
            "authorization_pending" => OAuthError.Pending,
            "slow_down" => OAuthError.SlowDown,
            "expired_token" or "code_expired" => OAuthError.Expired,
            "access_denied" or "authorization_declined" => OAuthError.Denied,
            not null => OAuthError.Refused,
            _ => status switch
            {
                401 or 403 => OAuthError.InvalidClient,
                // What is no error of OAuth, or leads elsewhere, is not from a token endpoint.
                < 400 => OAuthError.Unavailable,
                _ => OAuthError.Refused,
            },
        };
        var hint = error == OAuthError.InvalidClient ? ": the application or its secret is not taken" : "";
        return new(error, $"{what} answered {(said is null ? $"{status}" : $"{said} ({status})")}{hint}.{Description(body, secrets)}") { RetryAfter = answer.Headers.RetryAfter?.Delta };
    }

    /// <summary>What a service says of it, unless something secret is in it; without long words, which may be such.</summary>
    private static string Description(JsonElement body, string[] secrets)
    {
        if (Text(body, "error_description") is not { } text) return "";
        if (Array.Exists(secrets, s => text.Contains(s, StringComparison.OrdinalIgnoreCase) || text.Contains(Uri.EscapeDataString(s), StringComparison.OrdinalIgnoreCase))) return "";
        var plain = LongWord().Replace(new string([.. text.Split('\n', 2)[0].Where(c => !char.IsControl(c))]).Trim(), "…");
        return plain.Length == 0 ? "" : $" {(plain.Length > DescriptionLengthMax ? plain[..DescriptionLengthMax] + "…" : plain)}";
    }

    private static OAuthTokens? TokensOf(JsonElement body)
    {
        // What can be used is used: the refresh token that it was given for may be good no more.
        if (Secret(body, "access_token") is not { } token || !(Text(body, "token_type") ?? "Bearer").Equals("Bearer", StringComparison.OrdinalIgnoreCase)) return null;
        var life = Seconds(body, "expires_in") is { } said && said > TimeSpan.Zero ? said < LifeMax ? said : LifeMax : (TimeSpan?)null;
        // One that can't be kept would be lost with what it replaces.
        var refresh = Secret(body, "refresh_token");
        return refresh is null && Text(body, "refresh_token") is { Length: > 0 } ? null : new(token, life, refresh);
    }

    private static DeviceCode? DeviceCodeOf(JsonElement body)
    {
        if (Secret(body, "device_code") is not { } code || Text(body, "user_code") is not { Length: > 0 and <= UserCodeLengthMax } user || user.Any(c => c is < ' ' or > '~')) return null;
        if ((Address(body, "verification_uri") ?? Address(body, "verification_url")) is not { } address) return null;
        if (Seconds(body, "expires_in") is not { } life || life <= TimeSpan.Zero) return null;
        var interval = Seconds(body, "interval") ?? IntervalDefault;
        return interval < TimeSpan.Zero || interval > IntervalMax ? null : new(code, user, address, Address(body, "verification_uri_complete"), life < DeviceLifeMax ? life : DeviceLifeMax, interval);
    }

    private static string? Text(JsonElement body, string name) => body.ValueKind == JsonValueKind.Object && body.TryGetProperty(name, out var value) && value.ValueKind == JsonValueKind.String && IsText(value) ? value.GetString() : null;

    /// <summary>JSON may have half a character.</summary>
    private static bool IsText(JsonElement value)
    {
        try
        {
            return value.GetString() is not null;
        }
        catch (InvalidOperationException)
        {
            return false;
        }
    }

    /// <summary>Goes into headers and forms.</summary>
    private static string? Secret(JsonElement body, string name) => Text(body, name) is { Length: > 0 and <= TokenLengthMax } text && text.All(c => c is > ' ' and <= '~') ? text : null;

    /// <summary>A number; some write it as a text.</summary>
    private static TimeSpan? Seconds(JsonElement body, string name)
    {
        if (!body.TryGetProperty(name, out var value) || value.ValueKind == JsonValueKind.Null) return null;
        var isNumber = value.ValueKind == JsonValueKind.Number ? value.TryGetDouble(out var seconds) : double.TryParse(Text(body, name), NumberStyles.AllowLeadingSign | NumberStyles.AllowDecimalPoint, CultureInfo.InvariantCulture, out seconds);
        return isNumber ? TimeSpan.FromSeconds(Math.Clamp(Math.Floor(seconds), int.MinValue, int.MaxValue)) : TimeSpan.MinValue;
    }

    /// <summary>People are told to open it.</summary>
    private static Uri? Address(JsonElement body, string name) =>
        Text(body, name) is { Length: <= AddressLengthMax } text && Uri.TryCreate(text, UriKind.Absolute, out var url) && SafeAddress.Is(url) && url.UserInfo.Length == 0 ? url : null;

    [GeneratedRegex(@"^[a-z_]{1,40}\z")]
    private static partial Regex ErrorName();

    [GeneratedRegex(@"[A-Za-z0-9_.~+/=%&?:-]{24,}")]
    private static partial Regex LongWord();
}
