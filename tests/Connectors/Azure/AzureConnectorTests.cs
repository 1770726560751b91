using DarkStorage.GrainInterfaces;
using DarkStorage.Storage.Backends;

namespace DarkStorage.Connectors.Azure;

/// <summary>Settings of containers: what can't be right is said before anybody is called.</summary>
public sealed class AzureConnectorTests
{
    private const string Key = "c2VjcmV0";
    private const string Signature = "sv=2022-11-02&sr=c&sp=racwdl&se=2030-01-01T00%3A00%3A00Z&sig=SECRET%2Bsecret%3D";

    private static readonly ConnectorType Type = AzureConnector.Connector.Type;

    public static TheoryData<string> Presets => [.. Type.Presets.Select(p => p.Name)];

    [Theory, MemberData(nameof(Presets))]
    public async Task A_preset_makes_a_place_of_an_account_and_a_container(string preset)
    {
        await using var backend = Open(preset, ("account", "photos1"), ("container", "cold"), ("account-key", Key));
        Assert.Equal(50_000L * 4_000 * 1024 * 1024, backend.Traits.BlobBytesMax);
    }

    [Theory]
    [InlineData("account", "Photos", "account: 3 to 24 lower-case letters and digits.")]
    [InlineData("account", "a.b/c", "account: 3 to 24 lower-case letters and digits.")]
    [InlineData("container", "a--b", "container: 3 to 63 lower-case letters, digits and single dashes, with none in front or behind.")]
    [InlineData("container", "ab", "container: 3 to 63 lower-case letters, digits and single dashes, with none in front or behind.")]
    [InlineData("container", "cold?", "container: 3 to 63 lower-case letters, digits and single dashes, with none in front or behind.")]
    [InlineData("prefix", "/mine", "prefix: without a slash in front.")]
    [InlineData("account-key", "not base 64!", "account-key: Base64, as Azure shows it.")]
    [InlineData("account-key", "", "One of account-key and sas is needed, and not both.")]
    [InlineData("sas", Signature, "One of account-key and sas is needed, and not both.")]
    [InlineData("access-tier", "Frozen", "access-tier: One of Hot, Cool, Cold, Archive.")]
    [InlineData("endpoint", "http://a/?sig=b", "endpoint: http:// or https://, without a user's name, a query or a fragment.")]
    [InlineData("endpoint", "http://[::1]:10000/photos1", "endpoint: Azure's client takes no address of IPv6 for a host; give it a name.")]
    public void A_setting_that_can_not_be_right_is_refused_with_a_sentence(string field, string value, string expected)
    {
        var refused = Assert.Throws<StorageException>(() => Open("azure", ("account", "photos1"), ("container", "cold"), ("account-key", Key), (field, value)));
        Assert.Equal((StorageError.InvalidArgument, expected), (refused.Error, refused.Message));
    }

    [Theory]
    [InlineData("https://photos1.blob.core.windows.net/cold?" + Signature)]
    [InlineData("SECRET")]
    [InlineData("sv=2022-11-02&sp=racwdl")]
    [InlineData("sv=1&sig=SECRET x")]
    [InlineData("DefaultEndpointsProtocol=https;AccountName=photos1;AccountKey=SECRET;sv=&sig=")]
    public void What_is_no_signature_is_refused_and_not_repeated(string signature)
    {
        var refused = Assert.Throws<StorageException>(() => Open("azure", ("account", "photos1"), ("container", "cold"), ("sas", signature)));
        Assert.Equal((StorageError.InvalidArgument, "sas: what is behind the question mark of the address, with sv=, sig= and others joined by '&'."), (refused.Error, refused.Message));
    }

    [Fact]
    public async Task A_signature_may_be_given_with_its_question_mark()
    {
        await using var backend = Open("azure", ("account", "photos1"), ("container", "cold"), ("sas", "?" + Signature));
    }

    [Fact]
    public void Credentials_and_the_tier_are_not_what_makes_the_place()
    {
        var before = Type.Complete("azure", Settings(("account", "photos1"), ("container", "cold"), ("account-key", Key)));
        Assert.True(Type.IsSamePlace(before, before.Remove("account-key").SetItem("sas", Signature).SetItem("access-tier", "Cool")));
        foreach (var field in new[] { "endpoint", "account", "container", "prefix" }) Assert.False(Type.IsSamePlace(before, before.SetItem(field, "other")));
        Assert.True(Type.IsSecret("account-key") && Type.IsSecret("sas"));
    }

    private static Dictionary<string, string> Settings(params (string Name, string Value)[] settings)
    {
        var values = new Dictionary<string, string>();
        foreach (var (name, value) in settings) values[name] = value;
        return values;
    }

    private static IBackend Open(string preset, params (string Name, string Value)[] settings) => AzureConnector.Connector.Open(Type.Complete(preset, Settings(settings)), TimeProvider.System);
}
