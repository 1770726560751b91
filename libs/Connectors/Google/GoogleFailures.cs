using System.Text.Json;
using System.Text.Json.Serialization;
using DarkStorage.Connectors.Http;
using DarkStorage.Storage.Backends;

namespace DarkStorage.Connectors.Google;

/// <summary>What the errors of one of Google's JSON APIs are in the contract's words: a status, and a reason where one is given.</summary>
/// <param name="errorOf">Of a status, a reason and a message, either of which may be null.</param>
/// <param name="hintOf">What that means there, of the kind and the reason; empty for nothing.</param>
internal sealed class GoogleFailures(Func<int, string?, string?, BackendError> errorOf, Func<BackendError, string?, string> hintOf)
{
    /// <summary>Reads what the answer says of it. It does not fail itself.</summary>
    public async Task<BackendException> OfAsync(HttpResponseMessage answer, string what, CancellationToken ct)
    {
        var (reason, message) = Read(await HttpFailures.TextOfAsync(answer, ct));
        return Of((int)answer.StatusCode, reason, message, what, HttpFailures.RetryAfterOf(answer.Headers));
    }

    public BackendException Of(int status, string? reason, string? message, string what, TimeSpan? retryAfter = null)
    {
        var error = errorOf(status, reason, message);
        var code = reason is null ? $"{status}" : $"{HttpFailures.Plain(reason)} ({status})";
        var hint = hintOf(error, reason) is { Length: > 0 } said ? $": {said}" : error == BackendError.AccessDenied && status == 401 ? ": the access token is not taken" : "";
        return new(error, $"{what}: the server answered {code}{hint}. {HttpFailures.Plain(message)}") { RetryAfter = retryAfter };
    }

    /// <summary>Where a reason says no more than the status.</summary>
    public static BackendError OfStatus(int status) => status switch
    {
        404 => BackendError.NotFound,
        416 => BackendError.WrongLength,
        // Changed by somebody meanwhile, or an upload or a token of a page or a rewrite that is gone: the whole is begun again.
        409 or 410 or 412 or 499 => BackendError.Unavailable,
        _ => HttpFailures.Of(status),
    };

    /// <summary>Reason and message. What stands between may answer without either.</summary>
    private static (string? Reason, string? Message) Read(string text)
    {
        try
        {
            var error = JsonSerializer.Deserialize<Envelope>(text)?.Error;
            return (error?.Errors is [{ Reason: { Length: > 0 } reason }, ..] ? reason : null, error?.Message);
        }
        catch (JsonException)
        {
            // Reading content, Cloud Storage says it in plain text.
            return (null, text.StartsWith('<') ? null : text);
        }
    }

    private sealed record Envelope([property: JsonPropertyName("error")] ApiError? Error);

    private sealed record ApiError([property: JsonPropertyName("message")] string? Message, [property: JsonPropertyName("errors")] List<Detail?>? Errors);

    private sealed record Detail([property: JsonPropertyName("reason")] string? Reason);
}
