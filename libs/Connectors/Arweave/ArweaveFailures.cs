using System.Net.Http.Headers;
using System.Text;
using System.Text.Json;
using System.Text.RegularExpressions;
using DarkStorage.Connectors.Http;
using DarkStorage.Storage.Backends;

namespace DarkStorage.Connectors.Arweave;

/// <summary>What answers of bundlers, indexes and gateways are in the contract's words.</summary>
internal static partial class ArweaveFailures
{
    private const int BodyBytesMax = 16 << 10;

    /// <summary>Of who takes items.</summary>
    public static Task<BackendException> OfBundlerAsync(HttpResponseMessage answer, string what, CancellationToken ct) => OfAsync(answer, what, "the bundler", OfBundler, ct);

    /// <summary>Of who finds them.</summary>
    public static Task<BackendException> OfIndexAsync(HttpResponseMessage answer, string what, CancellationToken ct) => OfAsync(answer, what, "the gateway", (status, _) => OfIndex(status), ct);

    /// <summary>Of who has their data.</summary>
    public static Task<BackendException> OfContentAsync(HttpResponseMessage answer, string what, CancellationToken ct) => OfAsync(answer, what, "the gateway", (status, _) => OfContent(status), ct);

    public static BackendError OfBundler(int status, string message) => status switch
    {
        400 when TooLarge().IsMatch(message) => BackendError.Refused,
        // Its signature is right where it was made, so the bytes came otherwise than they were sent.
        400 when Invalid().IsMatch(message) => BackendError.Unavailable,
        402 or 507 => BackendError.Full,
        404 or 405 => BackendError.PlaceMissing,
        _ => Of(status),
    };

    public static BackendError OfIndex(int status) => status switch
    {
        // They would let who pays go on.
        402 => BackendError.Throttled,
        404 or 405 => BackendError.PlaceMissing,
        // Always the same question: if it is not understood, it is by something on the way.
        400 or 413 => BackendError.Unavailable,
        _ => Of(status),
    };

    public static BackendError OfContent(int status) => status switch
    {
        402 => BackendError.Throttled,
        // The item is there, as the index says.
        400 or 404 or 410 => BackendError.Unavailable,
        416 => BackendError.WrongLength,
        _ => Of(status),
    };

    /// <summary>What is no answer of this kind of service.</summary>
    public static bool IsBroken(Exception e, CancellationToken ct) => e is not BackendException && (e is HttpRequestException or IOException or JsonException || (e is OperationCanceledException && !ct.IsCancellationRequested));

    public static BackendException NoAnswer(string what, Exception e) => new(BackendError.Unavailable, $"{what}: no answer. {Plain(e.Message)}", e);

    /// <summary>The first line, without long words: signatures are such, and a server may repeat what it was sent.</summary>
    public static string Plain(string? text) => LongWord().Replace((text ?? "").TrimStart().Split('\n', 2)[0].TrimEnd(), "…");

    private static BackendError Of(int status) => status switch
    {
        // 451: the gateway's operator does not give out what somebody had blocked.
        401 or 403 or 451 => BackendError.AccessDenied,
        429 => BackendError.Throttled,
        < 400 or 408 or >= 500 => BackendError.Unavailable,
        _ => BackendError.Refused,
    };

    private static async Task<BackendException> OfAsync(HttpResponseMessage answer, string what, string who, Func<int, string, BackendError> errorOf, CancellationToken ct)
    {
        var message = "";
        try
        {
            message = Encoding.UTF8.GetString((await BoundedBody.ReadAsync(answer, BodyBytesMax, ct)).Span);
        }
        catch (Exception e) when (e is IOException or HttpRequestException)
        {
            // The status has to do.
        }
        if (message.StartsWith('<')) message = "";
        var status = (int)answer.StatusCode;
        var error = errorOf(status, message);
        var hint = error switch
        {
            BackendError.Full => ": the wallet has no credit left there",
            BackendError.PlaceMissing => ": there is no such service at that address",
            BackendError.AccessDenied when status == 451 => ": it does not give that out",
            _ => "",
        };
        return new(error, $"{what}: {who} answered {status}{hint}. {Plain(message)}") { RetryAfter = RetryAfterOf(answer.Headers) };
    }

    /// <summary>Seconds; a date is not looked at.</summary>
    private static TimeSpan? RetryAfterOf(HttpResponseHeaders headers) => headers.RetryAfter?.Delta;

    [GeneratedRegex("too large", RegexOptions.IgnoreCase)]
    private static partial Regex TooLarge();

    [GeneratedRegex("invalid data item|parsing error", RegexOptions.IgnoreCase)]
    private static partial Regex Invalid();

    [GeneratedRegex(@"[A-Za-z0-9_.~+/=%&?:-]{60,}")]
    private static partial Regex LongWord();
}
