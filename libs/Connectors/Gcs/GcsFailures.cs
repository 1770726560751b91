using System.Text.RegularExpressions;
using DarkStorage.Connectors.Google;
using DarkStorage.Storage.Backends;

namespace DarkStorage.Connectors.Gcs;

/// <summary>What the errors of Cloud Storage's JSON API are in the contract's words. The reasons are those of its page "HTTP status and error codes for JSON".</summary>
internal static partial class GcsFailures
{
    public static readonly GoogleFailures Api = new(ErrorOf, HintOf);

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
        // What was sent is not what came: another attempt sends it again. There is no reason of its own for that.
        _ when status == 400 && message is not null && Mismatch().IsMatch(message) => BackendError.Unavailable,
        _ => GoogleFailures.OfStatus(status),
    };

    private static string HintOf(BackendError error, string? reason) =>
        error == BackendError.AccessDenied && reason is "retentionPolicyNotMet" or "objectUnderActiveHold" ? "it is held, and can't be deleted or replaced yet" : "";

    [GeneratedRegex("doesn't match calculated", RegexOptions.IgnoreCase)]
    private static partial Regex Mismatch();
}
