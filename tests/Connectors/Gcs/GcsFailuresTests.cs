using DarkStorage.Connectors.Http;
using DarkStorage.Storage.Backends;

namespace DarkStorage.Connectors.Gcs;

/// <summary>Cloud Storage's errors in the contract's words.</summary>
public sealed class GcsFailuresTests
{
    [Theory]
    [InlineData(404, "notFound", BackendError.NotFound)]
    [InlineData(404, null, BackendError.NotFound)]
    [InlineData(401, "authError", BackendError.AccessDenied)]
    [InlineData(401, "required", BackendError.AccessDenied)]
    [InlineData(403, "forbidden", BackendError.AccessDenied)]
    [InlineData(403, "insufficientPermissions", BackendError.AccessDenied)]
    [InlineData(403, "accountDisabled", BackendError.AccessDenied)]
    [InlineData(403, "retentionPolicyNotMet", BackendError.AccessDenied)]
    [InlineData(403, "objectUnderActiveHold", BackendError.AccessDenied)]
    [InlineData(403, null, BackendError.AccessDenied)]
    [InlineData(400, "cloudKmsDisabledKey", BackendError.AccessDenied)]
    [InlineData(400, "userProjectMissing", BackendError.AccessDenied)]
    [InlineData(412, "orgPolicyConstraintFailed", BackendError.AccessDenied)]
    [InlineData(403, "rateLimitExceeded", BackendError.Throttled)]
    [InlineData(403, "userRateLimitExceeded", BackendError.Throttled)]
    [InlineData(429, "rateLimitExceeded", BackendError.Throttled)]
    [InlineData(429, "quotaExceeded", BackendError.Throttled)]
    [InlineData(429, null, BackendError.Throttled)]
    [InlineData(403, "quotaExceeded", BackendError.Full)]
    [InlineData(507, null, BackendError.Full)]
    [InlineData(416, "requestedRangeNotSatisfiable", BackendError.WrongLength)]
    [InlineData(408, "uploadBrokenConnection", BackendError.Unavailable)]
    [InlineData(409, "conflict", BackendError.Unavailable)]
    [InlineData(410, "backendError", BackendError.Unavailable)]
    [InlineData(410, null, BackendError.Unavailable)]
    [InlineData(412, "conditionNotMet", BackendError.Unavailable)]
    [InlineData(499, null, BackendError.Unavailable)]
    [InlineData(500, "internalError", BackendError.Unavailable)]
    [InlineData(502, null, BackendError.Unavailable)]
    [InlineData(503, "backendError", BackendError.Unavailable)]
    [InlineData(504, "gatewayTimeout", BackendError.Unavailable)]
    [InlineData(302, null, BackendError.Unavailable)]
    [InlineData(400, "invalid", BackendError.Refused)]
    [InlineData(413, "uploadTooLarge", BackendError.Refused)]
    public void An_answer_is_of_a_kind(int status, string? reason, BackendError expected)
    {
        var error = GcsFailures.Api.Of(status, reason, "What happened.\nMore.", "a/b");
        Assert.Equal(expected, error.Error);
        Assert.StartsWith($"a/b: the server answered {(reason is null ? $"{status}" : $"{reason} ({status})")}", error.Message, StringComparison.Ordinal);
        Assert.EndsWith(" What happened.", error.Message, StringComparison.Ordinal);
    }

    [Theory]
    [InlineData("""Provided MD5 hash "a" doesn't match calculated MD5 hash "b".""")]
    [InlineData("""Provided CRC32C "a" doesn't match calculated CRC32C "b".""")]
    public void What_came_otherwise_than_it_was_sent_may_be_sent_again(string message) => Assert.True(GcsFailures.Api.Of(400, "invalid", message, "a").IsTransient);

    [Theory]
    [InlineData("Why? It is so.\nMore.", "Why? It is so.")]
    [InlineData("of https://storage.googleapis.com/upload/storage/v1/b/x/o?upload_id=ABg5 went wrong", "of … went wrong")]
    [InlineData("Bearer ya29.c.b0Aaekm1KabcdefghijklmnopqrstuvwxyzABCDEF_-", "Bearer …")]
    [InlineData(null, "")]
    public void A_text_loses_long_words_and_all_but_its_first_line(string? text, string expected) => Assert.Equal(expected, HttpFailures.Plain(text));
}
