using System.Net.Sockets;
using Azure;
using DarkStorage.Storage.Backends;

namespace DarkStorage.Connectors.Azure;

/// <summary>Azure's errors in the contract's words.</summary>
public sealed class AzureFailuresTests
{
    [Theory]
    [InlineData("BlobNotFound", 404, BackendError.NotFound)]
    [InlineData(null, 404, BackendError.NotFound)]
    [InlineData("ContainerNotFound", 404, BackendError.PlaceMissing)]
    [InlineData("ContainerBeingDeleted", 409, BackendError.PlaceMissing)]
    [InlineData("BlobArchived", 409, BackendError.Cold)]
    [InlineData("BlobBeingRehydrated", 409, BackendError.Cold)]
    [InlineData("AuthenticationFailed", 403, BackendError.AccessDenied)]
    [InlineData("AuthorizationPermissionMismatch", 403, BackendError.AccessDenied)]
    [InlineData("NoAuthenticationInformation", 401, BackendError.AccessDenied)]
    [InlineData("InvalidAuthenticationInfo", 400, BackendError.AccessDenied)]
    [InlineData("BlobImmutableDueToPolicy", 409, BackendError.AccessDenied)]
    [InlineData("LeaseIdMissing", 412, BackendError.AccessDenied)]
    [InlineData(null, 507, BackendError.Full)]
    [InlineData("InvalidRange", 416, BackendError.WrongLength)]
    [InlineData("ServerBusy", 503, BackendError.Throttled)]
    [InlineData("TooManyRequests", 429, BackendError.Throttled)]
    [InlineData("OperationTimedOut", 500, BackendError.Unavailable)]
    [InlineData("InternalError", 500, BackendError.Unavailable)]
    [InlineData(null, 502, BackendError.Unavailable)]
    [InlineData("Md5Mismatch", 400, BackendError.Unavailable)]
    [InlineData("InvalidBlockList", 400, BackendError.Unavailable)]
    [InlineData("ConditionNotMet", 412, BackendError.Damaged)]
    [InlineData("OutOfRangeInput", 400, BackendError.Refused)]
    [InlineData("RequestBodyTooLarge", 413, BackendError.Refused)]
    [InlineData("InvalidBlobType", 409, BackendError.Refused)]
    public void An_answer_is_of_a_kind(string? code, int status, BackendError expected)
    {
        var error = AzureFailures.Of(new RequestFailedException(status, "What happened.\nRequestId:1\nStatus: 4", code, null), "a/b");
        Assert.Equal(expected, error.Error);
        Assert.StartsWith($"a/b: the server answered {(code is null ? $"{status}" : $"{code} ({status})")}", error.Message, StringComparison.Ordinal);
        Assert.EndsWith(" What happened.", error.Message, StringComparison.Ordinal);
        Assert.Null(error.InnerException);
    }

    [Fact]
    public void No_answer_is_a_place_that_is_away()
    {
        var broken = new HttpRequestException("Connection refused", new SocketException((int)SocketError.ConnectionRefused));
        var error = AzureFailures.Of(new RequestFailedException("Connection refused", broken), "a/b");
        Assert.Equal((BackendError.Unavailable, "a/b: no answer. Connection refused"), (error.Error, error.Message));
        Assert.Same(broken, error.InnerException);
    }

    [Theory]
    [InlineData("of https://a.blob.core.windows.net/c/b?sv=2022-11-02&sig=SECRET%3D went wrong", "of https://a.blob.core.windows.net/c/b?… went wrong")]
    [InlineData("'sv=1&sig=SECRET'", "'sv=1?…'")]
    [InlineData("(/c?sig=SECRET/+=)", "(/c?…")]
    [InlineData("Why? It is so.\nsig=SECRET", "Why? It is so.")]
    [InlineData("\r\nFirst\r\nSecond", "First")]
    [InlineData(null, "")]
    public void A_text_loses_queries_and_all_but_its_first_line(string? text, string expected) => Assert.Equal(expected, AzureFailures.Plain(text));
}
