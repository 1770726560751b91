using DarkStorage.GrainInterfaces;
using DarkStorage.Storage.Backends;

namespace DarkStorage.Connectors.Filecoin;

/// <summary>Settings of places: what can't be right is said before anybody is called.</summary>
public sealed class FilecoinConnectorTests
{
    private static readonly ConnectorType Type = FilecoinConnector.Connector.Type;

    [Fact]
    public async Task A_key_is_all_that_the_preset_needs()
    {
        await using var backend = Open();
        Assert.Equal(24_000_000_000 - 16, backend.Traits.BlobBytesMax);
        Assert.False(backend.Traits.IsCold);
    }

    [Theory]
    [InlineData("place", "a~b", "place: 1 to 64 letters, digits, '-', '_' and '.'.")]
    [InlineData("place", "a/b", "place: 1 to 64 letters, digits, '-', '_' and '.'.")]
    [InlineData("api-key", "SEC RET", "api-key: visible letters, and no spaces.")]
    [InlineData("api-key", " ", "api-key: visible letters, and no spaces.")]
    [InlineData("upload-endpoint", "http://upload.example.org", "upload-endpoint: https, or http on this machine: who sees the key can do all that the account may.")]
    [InlineData("api-endpoint", "http://api.example.org", "api-endpoint: https, or http on this machine: who sees the key can do all that the account may.")]
    [InlineData("gateway", "ipfs://bafy", "gateway: http:// or https://, without a user's name, a query or a fragment.")]
    [InlineData("visible-within-seconds", "0", "visible-within-seconds: A whole number from 1 to 3600.")]
    public void A_setting_that_can_not_be_right_is_refused_with_a_sentence(string field, string value, string expected)
    {
        var refused = Assert.Throws<StorageException>(() => Open((field, value)));
        Assert.Equal((StorageError.InvalidArgument, expected), (refused.Error, refused.Message));
        Assert.DoesNotContain("RET", refused.ToString(), StringComparison.Ordinal);
    }

    [Fact]
    public void A_new_key_is_the_same_place()
    {
        var before = Type.Complete("lighthouse", new Dictionary<string, string> { ["api-key"] = "k" });
        foreach (var field in new[] { "place", "api-endpoint" }) Assert.False(Type.IsSamePlace(before, before.SetItem(field, "other")));
        foreach (var field in new[] { "api-key", "upload-endpoint", "gateway" }) Assert.True(Type.IsSamePlace(before, before.SetItem(field, "other")));
        Assert.True(Type.IsSecret("api-key"));
    }

    [Theory]
    [InlineData(400, BackendError.Refused)]
    [InlineData(401, BackendError.AccessDenied)]
    [InlineData(402, BackendError.Full)]
    [InlineData(403, BackendError.AccessDenied)]
    [InlineData(404, BackendError.PlaceMissing)]
    [InlineData(408, BackendError.Unavailable)]
    [InlineData(413, BackendError.Refused)]
    [InlineData(429, BackendError.Throttled)]
    [InlineData(302, BackendError.Unavailable)]
    [InlineData(500, BackendError.Unavailable)]
    [InlineData(507, BackendError.Full)]
    public void An_answer_is_of_a_kind(int status, BackendError expected) => Assert.Equal(expected, LighthouseApi.ErrorOf(status));

    private static IBackend Open(params (string Name, string Value)[] settings)
    {
        var values = new Dictionary<string, string> { ["api-key"] = "key" };
        foreach (var (name, value) in settings) values[name] = value;
        return FilecoinConnector.Connector.Open(Type.Complete("lighthouse", values), TimeProvider.System);
    }
}
