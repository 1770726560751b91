using System.Security.Cryptography;
using System.Text.Json.Nodes;
using DarkStorage.GrainInterfaces;
using DarkStorage.Storage.Backends;

namespace DarkStorage.Connectors.Arweave;

/// <summary>Settings of places: what can't be right is said before anybody is called, and a wallet is repeated by nothing.</summary>
public sealed class ArweaveConnectorTests
{
    private static readonly ConnectorType Type = ArweaveConnector.Connector.Type;

    [Fact]
    public async Task A_wallet_is_all_that_the_preset_needs()
    {
        await using var backend = Open("turbo");
        Assert.InRange(backend.Traits.BlobBytesMax, (2L << 30) - 6_000, (2L << 30) - 5_000);
        Assert.False(backend.Traits.IsCold);
    }

    [Theory]
    [InlineData("place", "a place", "place: 1 to 64 letters, digits, '-', '_', '.' and '/'.")]
    [InlineData("place", "plätze", "place: 1 to 64 letters, digits, '-', '_', '.' and '/'.")]
    [InlineData("gateway", "ar://name", "gateway: http:// or https://, without a user's name, a query or a fragment.")]
    [InlineData("graphql", "https://a/graphql?key=SECRET", "graphql: http:// or https://, without a user's name, a query or a fragment.")]
    [InlineData("item-mebibytes-max", "0", "item-mebibytes-max: A whole number from 1 to 1048576.")]
    [InlineData("visible-within-seconds", "3601", "visible-within-seconds: A whole number from 1 to 3600.")]
    public void A_setting_that_can_not_be_right_is_refused_with_a_sentence(string field, string value, string expected)
    {
        var refused = Assert.Throws<StorageException>(() => Open("turbo", (field, value)));
        Assert.Equal((StorageError.InvalidArgument, expected), (refused.Error, refused.Message));
    }

    [Fact]
    public void Without_a_preset_a_bundler_has_to_be_named() =>
        Assert.StartsWith("arweave needs upload-endpoint:", Assert.Throws<StorageException>(() => Open(null)).Message, StringComparison.Ordinal);

    [Theory]
    [InlineData("SECRET", null, "the JSON file of a wallet (a JWK with \"kty\": \"RSA\"), as Arweave's wallets export it.")]
    [InlineData("[\"SECRET\"]", null, "the JSON file of a wallet (a JWK with \"kty\": \"RSA\"), as Arweave's wallets export it.")]
    [InlineData("null", null, "the JSON file of a wallet (a JWK with \"kty\": \"RSA\"), as Arweave's wallets export it.")]
    [InlineData("kty", "EC", "the JSON file of a wallet (a JWK with \"kty\": \"RSA\"), as Arweave's wallets export it.")]
    [InlineData("d", null, "it has no private key.")]
    [InlineData("d", "SECRET", "its numbers make no key.")]
    [InlineData("p", null, "its numbers make no key.")]
    [InlineData("q", "SECRET!", "its numbers make no key.")]
    [InlineData("e", "AQ", "its exponent is not 65537.")]
    [InlineData("n", "AQAB", "a key of 4,096 bits, as Arweave has it.")]
    public void What_is_no_wallet_is_refused_and_not_repeated(string part, string? value, string expected)
    {
        var wallet = part is "SECRET" or "[\"SECRET\"]" or "null" ? part : With(part, value);
        var refused = Assert.Throws<StorageException>(() => Open("turbo", ("wallet", wallet)));
        Assert.Equal((StorageError.InvalidArgument, $"wallet: {expected}"), (refused.Error, refused.Message));
        Assert.DoesNotContain("SECRET", refused.ToString(), StringComparison.Ordinal);
    }

    [Fact]
    public void A_shorter_key_is_refused()
    {
        using var key = RSA.Create(2048);
        Assert.Equal("wallet: a key of 4,096 bits, as Arweave has it.", Assert.Throws<StorageException>(() => Open("turbo", ("wallet", Wallets.Jwk(key)))).Message);
    }

    [Fact]
    public void The_wallet_and_the_tag_are_the_place_and_the_services_are_not()
    {
        var before = Type.Complete("turbo", Settings(("wallet", "w")));
        foreach (var field in new[] { "wallet", "place" }) Assert.False(Type.IsSamePlace(before, before.SetItem(field, "other")));
        foreach (var field in new[] { "upload-endpoint", "gateway", "graphql" }) Assert.True(Type.IsSamePlace(before, before.SetItem(field, "https://other")));
        Assert.True(Type.IsSecret("wallet"));
    }

    [Fact]
    public void Who_chooses_it_is_told_first_that_nothing_can_be_deleted() => Assert.Contains("PUBLIC, AND NOBODY CAN EVER DELETE IT", Type.Help, StringComparison.Ordinal);

    private static string With(string part, string? value)
    {
        var wallet = JsonNode.Parse(Wallets.First)!.AsObject();
        wallet[part] = value;
        return wallet.ToJsonString();
    }

    private static Dictionary<string, string> Settings(params (string Name, string Value)[] settings)
    {
        var values = new Dictionary<string, string> { ["wallet"] = Wallets.First };
        foreach (var (name, value) in settings) values[name] = value;
        return values;
    }

    private static IBackend Open(string? preset, params (string Name, string Value)[] settings) => ArweaveConnector.Connector.Open(Type.Complete(preset, Settings(settings)), TimeProvider.System);
}
