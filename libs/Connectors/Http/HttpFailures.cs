using System.Net.Http.Headers;
using System.Text;
using System.Text.Json;
using System.Text.RegularExpressions;
using DarkStorage.Storage.Backends;

namespace DarkStorage.Connectors.Http;

/// <summary>What a service that answers over HTTP, and says more in plain text or not at all, says of what went wrong.</summary>
internal static partial class HttpFailures
{
    private const int BodyBytesMax = 64 << 10;

    /// <summary>Reads what the answer says of it. It does not fail itself.</summary>
    /// <param name="who">Who has answered.</param>
    /// <param name="errorOf">Of a status and what was said.</param>
    /// <param name="hintOf">What that means there, behind a colon; empty for nothing.</param>
    /// <param name="secret">What was sent and may be repeated; null for nothing.</param>
    public static async Task<BackendException> OfAsync(HttpResponseMessage answer, string what, string who, Func<int, string, BackendError> errorOf, Func<BackendError, int, string> hintOf, CancellationToken ct, string? secret = null)
    {
        var message = await TextOfAsync(answer, ct);
        if (message.StartsWith('<')) message = "";
        if (secret is not null) message = message.Replace(secret, "…", StringComparison.Ordinal);
        var status = (int)answer.StatusCode;
        var error = errorOf(status, message);
        return new(error, $"{what}: {who} answered {status}{hintOf(error, status)}. {Plain(message)}") { RetryAfter = RetryAfterOf(answer.Headers) };
    }

    /// <returns>What is in an answer that says what went wrong; empty where that breaks too, or is too long.</returns>
    public static async Task<string> TextOfAsync(HttpResponseMessage answer, CancellationToken ct)
    {
        try
        {
            return Encoding.UTF8.GetString((await BoundedBody.ReadAsync(answer, BodyBytesMax, ct)).Span);
        }
        catch (Exception e) when (e is IOException or HttpRequestException)
        {
            return ""; // the status has to do
        }
    }

    /// <summary>Where a service has no words of its own for it.</summary>
    public static BackendError Of(int status) => status switch
    {
        // 451: its operator does not give out what somebody had blocked.
        401 or 403 or 451 => BackendError.AccessDenied,
        402 or 507 => BackendError.Full,
        429 => BackendError.Throttled,
        < 400 or 408 or >= 500 => BackendError.Unavailable,
        _ => BackendError.Refused,
    };

    /// <summary>What is no answer of this kind of service.</summary>
    public static bool IsBroken(Exception e, CancellationToken ct) => e is not BackendException && (e is HttpRequestException or IOException or JsonException || (e is OperationCanceledException && !ct.IsCancellationRequested));

    public static BackendException NoAnswer(string what, Exception e) => new(BackendError.Unavailable, $"{what}: no answer. {Plain(e.Message)}", e);

    /// <summary>The first line, without words of many letters (an id of Arweave with a dot behind it has 44): keys, tokens, signatures and addresses of uploads are such, and a server may repeat what it was sent.</summary>
    public static string Plain(string? text) => LongWord().Replace((text ?? "").TrimStart().Split('\n', 2)[0].TrimEnd(), "…");

    /// <summary>Seconds; a date is not looked at.</summary>
    public static TimeSpan? RetryAfterOf(HttpResponseHeaders headers) => headers.RetryAfter?.Delta;

    [GeneratedRegex(@"[A-Za-z0-9_.~+/=%&?:-]{45,}")]
    private static partial Regex LongWord();
}
