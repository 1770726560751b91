using DarkStorage.Storage.Backends;

namespace DarkStorage.Connectors.GoogleDrive;

/// <summary>Drive's errors in the contract's words.</summary>
public sealed class DriveFailuresTests
{
    [Theory]
    [InlineData(400, "badRequest", BackendError.Refused)]
    [InlineData(400, "invalid", BackendError.Refused)]
    [InlineData(401, "authError", BackendError.AccessDenied)]
    [InlineData(403, "userRateLimitExceeded", BackendError.Throttled)]
    [InlineData(403, "rateLimitExceeded", BackendError.Throttled)]
    [InlineData(403, "dailyLimitExceeded", BackendError.Throttled)]
    [InlineData(403, "sharingRateLimitExceeded", BackendError.Throttled)]
    [InlineData(403, "downloadQuotaExceeded", BackendError.Throttled)]
    [InlineData(429, "rateLimitExceeded", BackendError.Throttled)]
    [InlineData(429, "quotaExceeded", BackendError.Throttled)]
    [InlineData(429, null, BackendError.Throttled)]
    [InlineData(403, "storageQuotaExceeded", BackendError.Full)]
    [InlineData(403, "quotaExceeded", BackendError.Full)]
    [InlineData(403, "teamDriveFileLimitExceeded", BackendError.Full)]
    [InlineData(403, "numChildrenInNonRootLimitExceeded", BackendError.Full)]
    [InlineData(403, "activeItemCreationLimitExceeded", BackendError.Full)]
    [InlineData(403, "insufficientFilePermissions", BackendError.AccessDenied)]
    [InlineData(403, "appNotAuthorizedToFile", BackendError.AccessDenied)]
    [InlineData(403, "teamDriveMembershipRequired", BackendError.AccessDenied)]
    [InlineData(403, "domainPolicy", BackendError.AccessDenied)]
    [InlineData(403, "cannotDownloadAbusiveFile", BackendError.AccessDenied)]
    [InlineData(403, "accessNotConfigured", BackendError.AccessDenied)]
    [InlineData(403, null, BackendError.AccessDenied)]
    [InlineData(404, "notFound", BackendError.NotFound)]
    [InlineData(409, "fileIdInUse", BackendError.Unavailable)]
    [InlineData(410, null, BackendError.Unavailable)]
    [InlineData(416, "requestedRangeNotSatisfiable", BackendError.WrongLength)]
    [InlineData(413, "uploadTooLarge", BackendError.Refused)]
    [InlineData(500, "backendError", BackendError.Unavailable)]
    [InlineData(502, null, BackendError.Unavailable)]
    [InlineData(503, "internalError", BackendError.Unavailable)]
    [InlineData(302, null, BackendError.Unavailable)]
    public void An_answer_is_of_a_kind(int status, string? reason, BackendError expected)
    {
        var error = DriveFailures.Api.Of(status, reason, "What happened.\nMore.", "a/b");
        Assert.Equal(expected, error.Error);
        Assert.StartsWith($"a/b: the server answered {(reason is null ? $"{status}" : $"{reason} ({status})")}", error.Message, StringComparison.Ordinal);
        Assert.EndsWith(" What happened.", error.Message, StringComparison.Ordinal);
    }

    [Fact]
    public void The_limit_of_a_day_is_told() => Assert.Contains("750 GB", DriveFailures.Api.Of(403, "userRateLimitExceeded", "User rate limit exceeded.", "a").Message, StringComparison.Ordinal);
}
