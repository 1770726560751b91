using System.Globalization;
using System.Net;
using Amazon.Runtime.Internal;
using Amazon.S3;
using DarkStorage.Storage.Backends;

namespace DarkStorage.Connectors.S3;

/// <summary>What S3's errors are in the contract's words. The codes are those of the S3 API reference ("Error responses"); some are of servers that speak it.</summary>
internal static class S3Failures
{
    public static BackendException Of(AmazonS3Exception e, string what)
    {
        var error = ErrorOf(e.ErrorCode, e.StatusCode);
        var code = string.IsNullOrEmpty(e.ErrorCode) ? $"{(int)e.StatusCode}" : $"{e.ErrorCode} ({(int)e.StatusCode})";
        return new(error, $"{what}: the server answered {code}{(error == BackendError.PlaceMissing ? ": there is no such bucket" : "")}. {e.Message}", e) { RetryAfter = RetryAfterOf(e) };
    }

    /// <summary>Seconds, as servers that throttle say them; a date is not looked at.</summary>
    private static TimeSpan? RetryAfterOf(AmazonS3Exception e) =>
        e.InnerException is HttpErrorResponseException answer && int.TryParse(answer.Response.GetHeaderValue("Retry-After"), NumberStyles.None, CultureInfo.InvariantCulture, out var seconds) ? TimeSpan.FromSeconds(seconds) : null;

    private static BackendError ErrorOf(string? code, HttpStatusCode status) => code switch
    {
        "NoSuchBucket" => BackendError.PlaceMissing,
        "InvalidObjectState" or "ObjectNotInActiveTierError" => BackendError.Cold,
        "InvalidRange" => BackendError.WrongLength,
        "SlowDown" or "TooManyRequests" or "RequestLimitExceeded" or "ThrottlingException" or "BandwidthLimitExceeded" => BackendError.Throttled,
        "QuotaExceeded" or "InsufficientStorage" or "XMinioStorageFull" or "storage_cap_exceeded" => BackendError.Full,
        // What was sent is not what came: another attempt sends it again.
        // Copies and completions have errors with a status of 200, so these are named: what failed inside, and an upload of parts that is gone.
        "InternalError" or "ServiceUnavailable" or "NoSuchUpload" or "ConditionalRequestConflict" or
        "BadDigest" or "XAmzContentChecksumMismatch" or "XAmzContentSHA256Mismatch" or "RequestTimeout" or "IncompleteBody" or "OperationAborted" => BackendError.Unavailable,
        "AccessDenied" or "AllAccessDisabled" or "InvalidAccessKeyId" or "SignatureDoesNotMatch" or "ExpiredToken" or "InvalidToken" or "RequestTimeTooSkewed" or "AccountProblem" => BackendError.AccessDenied,
        _ => (int)status switch
        {
            404 => BackendError.NotFound,
            401 or 403 => BackendError.AccessDenied,
            429 => BackendError.Throttled,
            507 => BackendError.Full,
            416 => BackendError.WrongLength,
            // An error that says all is well says nothing.
            200 or 408 or >= 500 or 0 => BackendError.Unavailable,
            _ => BackendError.Refused,
        },
    };
}
