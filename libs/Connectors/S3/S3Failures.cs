using System.Net;
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
        return new(error, $"{what}: the server answered {code}{(error == BackendError.PlaceMissing ? ": there is no such bucket" : "")}. {e.Message}", e);
    }

    private static BackendError ErrorOf(string? code, HttpStatusCode status) => code switch
    {
        "NoSuchBucket" => BackendError.PlaceMissing,
        "InvalidObjectState" => BackendError.Cold,
        "SlowDown" or "TooManyRequests" or "RequestLimitExceeded" or "ThrottlingException" or "BandwidthLimitExceeded" => BackendError.Throttled,
        "QuotaExceeded" or "InsufficientStorage" or "XMinioStorageFull" or "storage_cap_exceeded" => BackendError.Full,
        // What was sent is not what came: another attempt sends it again.
        "BadDigest" or "XAmzContentChecksumMismatch" or "XAmzContentSHA256Mismatch" or "RequestTimeout" or "IncompleteBody" or "OperationAborted" => BackendError.Unavailable,
        "AccessDenied" or "AllAccessDisabled" or "InvalidAccessKeyId" or "SignatureDoesNotMatch" or "ExpiredToken" or "InvalidToken" or "RequestTimeTooSkewed" or "AccountProblem" => BackendError.AccessDenied,
        _ => (int)status switch
        {
            404 => BackendError.NotFound,
            401 or 403 => BackendError.AccessDenied,
            429 => BackendError.Throttled,
            507 => BackendError.Full,
            408 or >= 500 or 0 => BackendError.Unavailable,
            _ => BackendError.Refused,
        },
    };
}
