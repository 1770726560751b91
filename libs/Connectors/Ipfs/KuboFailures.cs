using System.Net;
using System.Net.Http;
using System.Text.Json;
using DarkStorage.Storage.Backends;

namespace DarkStorage.Connectors.Ipfs;

/// <summary>What a node's errors are in the contract's words. Kubo has one status (500) and one code (0) for nearly all of them, so that the text is what they are told apart by.</summary>
internal static class KuboFailures
{
    private const StringComparison AnyCase = StringComparison.OrdinalIgnoreCase;

    /// <summary>In the order in which they are looked for. The texts are those of Kubo, of the system it runs on, and of js-ipfs where that has others.</summary>
    private static readonly (string Text, BackendError Error)[] Texts =
    [
        ("no space left on device", BackendError.Full), ("ENOSPC", BackendError.Full), ("disk quota exceeded", BackendError.Full), ("storage limit exceeded", BackendError.Full),
        ("read-only file system", BackendError.AccessDenied), ("EROFS", BackendError.AccessDenied), ("permission denied", BackendError.AccessDenied), ("EACCES", BackendError.AccessDenied),
        // Of blocks: what a name leads to is not there, or not what was stored.
        ("not found locally", BackendError.Damaged), ("ipld: could not find", BackendError.Damaged), ("merkledag: not found", BackendError.Damaged), ("blockservice: key not found", BackendError.Damaged),
        ("different hash than requested", BackendError.Damaged), ("inconsistent hash", BackendError.Damaged),
        // Of names and pins.
        ("does not exist", BackendError.NotFound), ("did not exist", BackendError.NotFound), ("no link named", BackendError.NotFound), ("not pinned", BackendError.NotFound),
        ("not a directory", BackendError.NotFound), ("was not a file", BackendError.NotFound),
    ];

    /// <param name="text">What the node said, without what it was asked for: names may be of any words.</param>
    public static BackendError ErrorOf(HttpStatusCode status, string text)
    {
        switch ((int)status)
        {
            case 401 or 403: return BackendError.AccessDenied;
            // There is no such command: what answers is no RPC of a node.
            case 404 or 405: return BackendError.PlaceMissing;
            case 429: return BackendError.Throttled;
            case 507: return BackendError.Full;
            case 408 or (> 500 and < 600): return BackendError.Unavailable;
        }
        foreach (var (known, error) in Texts)
        {
            if (text.Contains(known, AnyCase)) return error;
        }
        return (int)status is >= 300 and < 500 ? BackendError.Refused : BackendError.Unavailable;
    }

    /// <returns>What an error's answer says: the message of a {"Message", "Code", "Type"}, or the text itself, as a proxy in front has it.</returns>
    public static string MessageOf(string answer)
    {
        try
        {
            using var json = JsonDocument.Parse(answer);
            return json.RootElement.ValueKind == JsonValueKind.Object && json.RootElement.TryGetProperty("Message", out var message) && message.ValueKind == JsonValueKind.String ? message.GetString()! : answer;
        }
        catch (JsonException)
        {
            return answer;
        }
    }

    public static bool IsOfClient(Exception e) => e is HttpRequestException or IOException or TimeoutException;

    public static BackendException NoAnswer(string what, Exception e) => new(BackendError.Unavailable, $"{what}: no answer. {(e.InnerException ?? e).Message}", e);

    public static BackendException NoSense(string what) => new(BackendError.Damaged, $"{what}: the node answered what makes no sense.");
}
