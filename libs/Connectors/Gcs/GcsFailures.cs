using System.Net.Http.Headers;
using System.Text;
using System.Text.Json;
using System.Text.Json.Serialization;
using System.Text.RegularExpressions;
using DarkStorage.Connectors.Http;
using DarkStorage.Storage.Backends;

namespace DarkStorage.Connectors.Gcs;

/// <summary>What the errors of Cloud Storage's JSON API are in the contract's words. The reasons are those of its page "HTTP status and error codes for JSON".</summary>
internal static partial class GcsFailures
{
    private const int BodyBytesMax = 64 << 10;

    /// <summary>Reads what the answer says of it. It does not fail itself.</summary>
    public static async Task<BackendException> OfAsync(HttpResponseMessage answer, string what, CancellationToken ct)
    {
        ReadOnlyMemory<byte> body;
        try
        {
            body = await BoundedBody.ReadAsync(answer, BodyBytesMax, ct);
        }
        catch (Exception e) when (e is IOException or HttpRequestException)
        {
            // The status has to do.
            body = default;
        }
        var (reason, message) = Read(body);
        return Of((int)answer.StatusCode, reason, message, what, RetryAfterOf(answer.Headers));
    }

    public static BackendException Of(int status, string? reason, string? message, string what, TimeSpan? retryAfter = null)
    {
        var error = ErrorOf(status, reason, message);
        var code = reason is null ? $"{status}" : $"{Plain(reason)} ({status})";
        var hint = (error, reason) switch
        {
            (BackendError.AccessDenied, "retentionPolicyNotMet" or "objectUnderActiveHold") => ": it is held, and can't be deleted or replaced yet",
            (BackendError.AccessDenied, _) when status == 401 => ": the access token is not taken",
            _ => "",
        };
        return new(error, $"{what}: the server answered {code}{hint}. {Plain(message)}") { RetryAfter = retryAfter };
    }

    /// <summary>An error of OAuth (RFC 6749, section 5.2), which Google words so too.</summary>
    public static BackendException OfTokens(HttpResponseMessage answer, ReadOnlyMemory<byte> body, string what)
    {
        OAuthError? said = null;
        try
        {
            said = JsonSerializer.Deserialize<OAuthError>(body.Span);
        }
        catch (JsonException)
        {
            // From a proxy on the way: the status has to do.
        }
        var status = (int)answer.StatusCode;
        var error = status switch
        {
            429 => BackendError.Throttled,
            < 400 or 408 or >= 500 => BackendError.Unavailable,
            // The key was deleted, the account disabled, or the clocks differ by more than Google bears.
            _ => BackendError.AccessDenied,
        };
        var code = string.IsNullOrEmpty(said?.Error) ? $"{status}" : $"{Plain(said.Error)} ({status})";
        return new(error, $"{what} answered {code}{(error == BackendError.AccessDenied ? ": the service account's key is not taken, or the clocks differ" : "")}. {Plain(said?.Description)}") { RetryAfter = RetryAfterOf(answer.Headers) };
    }

    /// <summary>The first line, without long words: tokens and addresses of uploads are such, and a server may repeat what it was sent.</summary>
    public static string Plain(string? text) => LongWord().Replace((text ?? "").TrimStart().Split('\n', 2)[0].TrimEnd(), "…");

    public static BackendError ErrorOf(int status, string? reason, string? message) => reason switch
    {
        "rateLimitExceeded" or "userRateLimitExceeded" or "usageLimits.rateLimitExceeded" => BackendError.Throttled,
        // With 429 it is a quota of so much a minute.
        "quotaExceeded" or "storageQuotaExceeded" or "dailyLimitExceeded" => status == 429 ? BackendError.Throttled : BackendError.Full,
        // Somebody who owns the bucket, the project or the key of its encryption has to mend it.
        "retentionPolicyNotMet" or "objectUnderActiveHold" or "accountDisabled" or "orgPolicyConstraintFailed" or "userProjectMissing" or "userProjectInvalid" => BackendError.AccessDenied,
        not null when reason.StartsWith("cloudKms", StringComparison.Ordinal) => BackendError.AccessDenied,
        // An error behind the status of an upload that is gone.
        "backendError" or "internalError" => BackendError.Unavailable,
        _ => status switch
        {
            // What was sent is not what came: another attempt sends it again. There is no reason of its own for that.
            400 when message is not null && Mismatch().IsMatch(message) => BackendError.Unavailable,
            404 => BackendError.NotFound,
            401 or 403 => BackendError.AccessDenied,
            429 => BackendError.Throttled,
            507 => BackendError.Full,
            416 => BackendError.WrongLength,
            // Changed by somebody meanwhile, or an upload or a token of a rewrite that is gone: the whole is begun again.
            409 or 410 or 412 or 499 => BackendError.Unavailable,
            // What is no error, or leads elsewhere, is not from this API.
            < 400 or 408 or >= 500 => BackendError.Unavailable,
            _ => BackendError.Refused,
        },
    };

    /// <summary>Reason and message. What stands between may answer without either.</summary>
    private static (string? Reason, string? Message) Read(ReadOnlyMemory<byte> body)
    {
        try
        {
            var error = JsonSerializer.Deserialize<Envelope>(body.Span)?.Error;
            return (error?.Errors is [{ Reason: { Length: > 0 } reason }, ..] ? reason : null, error?.Message);
        }
        catch (JsonException)
        {
            // Reading content, Cloud Storage says it in plain text.
            var text = Encoding.UTF8.GetString(body.Span);
            return (null, text.StartsWith('<') ? null : text);
        }
    }

    /// <summary>Seconds; a date is not looked at.</summary>
    private static TimeSpan? RetryAfterOf(HttpResponseHeaders headers) => headers.RetryAfter?.Delta;

    [GeneratedRegex("doesn't match calculated", RegexOptions.IgnoreCase)]
    private static partial Regex Mismatch();

    [GeneratedRegex(@"[A-Za-z0-9_.~+/=%&?:-]{40,}")]
    private static partial Regex LongWord();

    private sealed record Envelope([property: JsonPropertyName("error")] ApiError? Error);

    private sealed record ApiError([property: JsonPropertyName("message")] string? Message, [property: JsonPropertyName("errors")] List<Detail?>? Errors);

    private sealed record Detail([property: JsonPropertyName("reason")] string? Reason);

    private sealed record OAuthError([property: JsonPropertyName("error")] string? Error, [property: JsonPropertyName("error_description")] string? Description);
}
