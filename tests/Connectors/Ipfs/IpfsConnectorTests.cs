using DarkStorage.GrainInterfaces;
using DarkStorage.Storage.Backends;

namespace DarkStorage.Connectors.Ipfs;

/// <summary>Settings of nodes: what can't be right is said before anybody is called.</summary>
public sealed class IpfsConnectorTests
{
    private static readonly ConnectorType Type = IpfsConnector.Connector.Type;

    [Fact]
    public async Task A_node_on_this_machine_needs_nothing_to_be_said()
    {
        await using var backend = Open();
        Assert.False(backend.Traits.IsCold);
        Assert.Equal("http://127.0.0.1:5001", Type.Complete("kubo", [])["endpoint"]);
    }

    [Theory]
    [InlineData("path", "darkstorage", "path: a slash, and names with single slashes between them, none of which is '.' or '..'; 256 bytes at most.")]
    [InlineData("path", "/", "path: a slash, and names with single slashes between them, none of which is '.' or '..'; 256 bytes at most.")]
    [InlineData("path", "/a/../b", "path: a slash, and names with single slashes between them, none of which is '.' or '..'; 256 bytes at most.")]
    [InlineData("path", "/a/", "path: a slash, and names with single slashes between them, none of which is '.' or '..'; 256 bytes at most.")]
    [InlineData("path", "/ipfs/bafkreihdwdcefgh4dqkjv67uzcmw7ojee6xedzdetojuzjevtenxquvyku", "path: what begins with /ipfs or /ipns is the whole world's content, and no node's own files.")]
    [InlineData("path", "/ipns/example.org", "path: what begins with /ipfs or /ipns is the whole world's content, and no node's own files.")]
    [InlineData("endpoint", "/ip4/127.0.0.1/tcp/5001", "endpoint: http:// or https://, without a user's name, a query or a fragment.")]
    [InlineData("authorization", "SECRET", "authorization: bearer:TOKEN or basic:USER:PASSWORD.")]
    [InlineData("authorization", "bearer:", "authorization: bearer:TOKEN or basic:USER:PASSWORD.")]
    [InlineData("authorization", "bearer:SEC RET", "authorization: bearer:TOKEN or basic:USER:PASSWORD.")]
    [InlineData("authorization", "basic:SECRET", "authorization: bearer:TOKEN or basic:USER:PASSWORD.")]
    public void A_setting_that_can_not_be_right_is_refused_with_a_sentence(string field, string value, string expected)
    {
        var refused = Assert.Throws<StorageException>(() => Open((field, value)));
        Assert.Equal((StorageError.InvalidArgument, expected), (refused.Error, refused.Message));
    }

    [Theory]
    [InlineData("http://10.0.0.7:5001", false)]
    [InlineData("http://ipfs.example.org:5001", false)]
    [InlineData("https://ipfs.example.org", true)]
    [InlineData("http://localhost:5001", true)]
    [InlineData("http://127.0.0.2:5001", true)]
    [InlineData("http://[::1]:5001", true)]
    public async Task A_secret_goes_to_nobody_over_a_wire_that_others_can_read(string endpoint, bool isAllowed)
    {
        await using var open = Open(("endpoint", endpoint));
        var refused = Record.Exception(() => Open(("endpoint", endpoint), ("authorization", "bearer:SECRET")));
        Assert.Equal(isAllowed, refused is null);
        if (refused is not null) Assert.Equal("authorization: only over https, or to this machine: on its way it could be read.", refused.Message);
    }

    [Fact]
    public void A_credential_is_not_what_makes_the_place()
    {
        var before = Type.Complete("kubo", []);
        Assert.True(Type.IsSamePlace(before, before.SetItem("authorization", "bearer:a")));
        foreach (var field in new[] { "endpoint", "path" }) Assert.False(Type.IsSamePlace(before, before.SetItem(field, "other")));
        Assert.True(Type.IsSecret("authorization"));
    }

    private static IBackend Open(params (string Name, string Value)[] settings) => IpfsConnector.Connector.Open(Type.Complete("kubo", settings.Select(s => KeyValuePair.Create(s.Name, s.Value))), TimeProvider.System);
}
