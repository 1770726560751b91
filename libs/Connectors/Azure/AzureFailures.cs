using System.Globalization;
using System.Text.RegularExpressions;
using Azure;
using DarkStorage.Storage.Backends;

namespace DarkStorage.Connectors.Azure;

/// <summary>What Azure's errors are in the contract's words. The codes are those of the Blob service's REST API ("Status and error codes").</summary>
internal static partial class AzureFailures
{
    /// <param name="e">What the client threw.</param>
    public static BackendException Of(Exception e, string what)
    {
        // The SDK's own text has the answer's body and headers, in which Azure repeats what was signed; so it is neither passed on nor kept.
        if (e is not RequestFailedException { Status: not 0 } answer) return new(BackendError.Unavailable, $"{what}: no answer. {Plain(e.Message)}", e is RequestFailedException ? e.InnerException : e);
        var error = ErrorOf(answer.ErrorCode, answer.Status);
        var code = string.IsNullOrEmpty(answer.ErrorCode) ? $"{answer.Status}" : $"{answer.ErrorCode} ({answer.Status})";
        var request = answer.GetRawResponse()?.Headers.RequestId;
        return new(error, $"{what}: the server answered {code}{HintOf(answer.ErrorCode, error)}. {Plain(answer.Message)}{(request is null ? "" : $" Request {request}.")}") { RetryAfter = RetryAfterOf(answer) };
    }

    /// <summary>The first line, without what may be the query of an address: shared access signatures are there.</summary>
    public static string Plain(string? text) => Query().Replace((text ?? "").AsSpan().TrimStart().ToString().Split('\n', 2)[0].TrimEnd(), "?…");

    public static BackendError ErrorOf(string? code, int status) => code switch
    {
        "ContainerNotFound" or "ContainerBeingDeleted" or "ContainerDisabled" => BackendError.PlaceMissing,
        "BlobArchived" or "BlobBeingRehydrated" => BackendError.Cold,
        "InvalidRange" => BackendError.WrongLength,
        // Azure's word for being asked too often, with the status of a server that is down.
        "ServerBusy" or "TooManyRequests" => BackendError.Throttled,
        // What was sent is not what came, or another put of the name was committed meanwhile, and the blocks are gone: another attempt sends them again. InvalidOperation is what Azurite says for Md5Mismatch.
        "Md5Mismatch" or "InvalidOperation" or "Crc64Mismatch" or "InvalidBlockList" or "InvalidBlobOrBlock" => BackendError.Unavailable,
        "PendingCopyOperation" or "AccountBeingCreated" or "OperationTimedOut" or "InternalError" => BackendError.Unavailable,
        // Of a read that went on: it is not the content any more that it began with.
        "ConditionNotMet" => BackendError.Damaged,
        // Someone has a lease or a hold on it, or the account is not to be used so: its owner has to mend that.
        "AccountIsDisabled" or "InsufficientAccountPermissions" or "InvalidAuthenticationInfo" or "BlobImmutableDueToPolicy" or "CannotVerifyCopySource" or
        "LeaseIdMissing" or "LeaseIdMismatchWithBlobOperation" => BackendError.AccessDenied,
        _ => status switch
        {
            404 => BackendError.NotFound,
            401 or 403 => BackendError.AccessDenied,
            429 => BackendError.Throttled,
            507 => BackendError.Full,
            416 => BackendError.WrongLength,
            // An error that says all is well says nothing.
            < 300 or 408 or >= 500 => BackendError.Unavailable,
            _ => BackendError.Refused,
        },
    };

    private static string HintOf(string? code, BackendError error) => (error, code) switch
    {
        (BackendError.PlaceMissing, _) => ": there is no such container",
        (BackendError.Damaged, _) => ": the blob was replaced while it was read",
        (_, "AuthenticationFailed") => ": the account's name, its key or the signature is wrong, the signature has expired, or the clocks differ",
        (_, "AuthorizationFailure") => ": the key or the signature may not do this, or the account's firewall is in between",
        _ => "",
    };

    /// <summary>Seconds; a date is not looked at.</summary>
    private static TimeSpan? RetryAfterOf(RequestFailedException e) =>
        e.GetRawResponse() is { } answer && answer.Headers.TryGetValue("Retry-After", out var text) && int.TryParse(text, NumberStyles.None, CultureInfo.InvariantCulture, out var seconds) ? TimeSpan.FromSeconds(seconds) : null;

    [GeneratedRegex(@"[?&][^\s=?&]+=[^\s'""<>]*")]
    private static partial Regex Query();
}
