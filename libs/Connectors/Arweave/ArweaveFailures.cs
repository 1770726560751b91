using System.Text.RegularExpressions;
using DarkStorage.Connectors.Http;
using DarkStorage.Storage.Backends;

namespace DarkStorage.Connectors.Arweave;

/// <summary>What answers of bundlers and indexes are in the contract's words.</summary>
internal static partial class ArweaveFailures
{
    /// <summary>Of who takes items.</summary>
    public static Task<BackendException> OfBundlerAsync(HttpResponseMessage answer, string what, CancellationToken ct) => HttpFailures.OfAsync(answer, what, "the bundler", OfBundler, HintOf, ct);

    /// <summary>Of who finds them.</summary>
    public static Task<BackendException> OfIndexAsync(HttpResponseMessage answer, string what, CancellationToken ct) => HttpFailures.OfAsync(answer, what, "the gateway", (status, _) => OfIndex(status), HintOf, ct);

    public static BackendError OfBundler(int status, string message) => status switch
    {
        400 when TooLarge().IsMatch(message) => BackendError.Refused,
        // Its signature is right where it was made, so the bytes came otherwise than they were sent.
        400 when Invalid().IsMatch(message) => BackendError.Unavailable,
        404 or 405 => BackendError.PlaceMissing,
        _ => HttpFailures.Of(status),
    };

    public static BackendError OfIndex(int status) => status switch
    {
        // They would let who pays go on.
        402 => BackendError.Throttled,
        404 or 405 => BackendError.PlaceMissing,
        // Always the same question: if it is not understood, it is by something on the way.
        400 or 413 => BackendError.Unavailable,
        _ => HttpFailures.Of(status),
    };

    private static string HintOf(BackendError error, int status) => error switch
    {
        BackendError.Full => ": the wallet has no credit left there",
        BackendError.PlaceMissing => ": there is no such service at that address",
        _ => "",
    };

    [GeneratedRegex("too large", RegexOptions.IgnoreCase)]
    private static partial Regex TooLarge();

    [GeneratedRegex("invalid data item|parsing error", RegexOptions.IgnoreCase)]
    private static partial Regex Invalid();
}
