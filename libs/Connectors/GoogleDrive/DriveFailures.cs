using DarkStorage.Connectors.Google;
using DarkStorage.Storage.Backends;

namespace DarkStorage.Connectors.GoogleDrive;

/// <summary>What Drive's errors are in the contract's words. The reasons are those of its page "Resolve errors", and some that it does not have and others have met.</summary>
internal static class DriveFailures
{
    public static readonly GoogleFailures Api = new((status, reason, _) => ErrorOf(status, reason), HintOf);

    private static BackendError ErrorOf(int status, string? reason) => reason switch
    {
        // The second is also what is said when the account has sent its 750 GB of the day: in a day it may go on.
        "rateLimitExceeded" or "userRateLimitExceeded" or "dailyLimitExceeded" or "sharingRateLimitExceeded" or "downloadQuotaExceeded" => BackendError.Throttled,
        _ when status == 429 => BackendError.Throttled,
        "storageQuotaExceeded" or "quotaExceeded" or "teamDriveFileLimitExceeded" or "numChildrenInNonRootLimitExceeded" or "activeItemCreationLimitExceeded" => BackendError.Full,
        "backendError" or "internalError" => BackendError.Unavailable,
        _ => GoogleFailures.OfStatus(status),
    };

    private static string HintOf(BackendError error, string? reason) => reason switch
    {
        "userRateLimitExceeded" => "too many requests, or the 750 GB that an account may send in a day",
        "downloadQuotaExceeded" => "it was read too often today",
        "numChildrenInNonRootLimitExceeded" => "a folder has 500,000 files at most",
        "teamDriveFileLimitExceeded" => "the shared drive has as many files as it may",
        "activeItemCreationLimitExceeded" => "the account has as many files as it may",
        "appNotAuthorizedToFile" => "another application has made it",
        "insufficientFilePermissions" => "the account may not do that; to delete in a shared drive it has to be a manager there",
        "teamDriveMembershipRequired" => "the account is no member of the shared drive",
        "cannotDownloadAbusiveFile" => "Google takes it for harmful, and gives it to its owner or a manager of the shared drive alone",
        _ => "",
    };
}
