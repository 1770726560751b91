using DarkStorage.Connectors.Http;
using DarkStorage.Storage.Backends;

namespace DarkStorage.Connectors.Arweave;

/// <summary>Answers of bundlers, indexes and gateways in the contract's words.</summary>
public sealed class ArweaveFailuresTests
{
    [Theory]
    [InlineData(400, "Data item is too large, this service only accepts data items up to 2147483648 bytes!", BackendError.Refused)]
    [InlineData(400, "Invalid Data Item!", BackendError.Unavailable)]
    [InlineData(400, "Data item parsing error!", BackendError.Unavailable)]
    [InlineData(400, "Invalid Content Type", BackendError.Refused)]
    [InlineData(401, "", BackendError.AccessDenied)]
    [InlineData(402, "Insufficient balance", BackendError.Full)]
    [InlineData(403, "Forbidden", BackendError.AccessDenied)]
    [InlineData(404, "", BackendError.PlaceMissing)]
    [InlineData(405, "", BackendError.PlaceMissing)]
    [InlineData(408, "", BackendError.Unavailable)]
    [InlineData(413, "", BackendError.Refused)]
    [InlineData(429, "", BackendError.Throttled)]
    [InlineData(302, "", BackendError.Unavailable)]
    [InlineData(500, "", BackendError.Unavailable)]
    [InlineData(503, "Data Item: x. Upload Service is Unavailable. Payment Service is unreachable", BackendError.Unavailable)]
    [InlineData(507, "", BackendError.Full)]
    public void An_answer_of_a_bundler_is_of_a_kind(int status, string message, BackendError expected) => Assert.Equal(expected, ArweaveFailures.OfBundler(status, message));

    [Theory]
    [InlineData(400, BackendError.Unavailable, BackendError.Unavailable)]
    [InlineData(402, BackendError.Throttled, BackendError.Throttled)]
    [InlineData(403, BackendError.AccessDenied, BackendError.AccessDenied)]
    [InlineData(404, BackendError.PlaceMissing, BackendError.Unavailable)]
    [InlineData(410, BackendError.Refused, BackendError.Unavailable)]
    [InlineData(413, BackendError.Unavailable, BackendError.Refused)]
    [InlineData(416, BackendError.Refused, BackendError.WrongLength)]
    [InlineData(429, BackendError.Throttled, BackendError.Throttled)]
    [InlineData(451, BackendError.AccessDenied, BackendError.AccessDenied)]
    [InlineData(504, BackendError.Unavailable, BackendError.Unavailable)]
    public void An_answer_of_a_gateway_is_of_a_kind(int status, BackendError ofIndex, BackendError ofContent) => Assert.Equal((ofIndex, ofContent), (ArweaveFailures.OfIndex(status), ContentGateway.ErrorOf(status)));

    [Theory]
    [InlineData("It is so.\nMore.", "It is so.")]
    [InlineData("of iU_S6uuG1OD8k0XqMGOmbcKfysDckEMUy4R9-ODPXiQjKXuT4lTngRFBFKO5NQT1iIfqSDKcbTRL6g went wrong", "of … went wrong")]
    [InlineData("Data Item: QpmY8mZmFEC8RxNsgbxSV6e36OF6quIYaPRKzvUco0o.", "Data Item: QpmY8mZmFEC8RxNsgbxSV6e36OF6quIYaPRKzvUco0o.")]
    [InlineData(null, "")]
    public void A_text_loses_signatures_and_all_but_its_first_line(string? text, string expected) => Assert.Equal(expected, HttpFailures.Plain(text));
}
