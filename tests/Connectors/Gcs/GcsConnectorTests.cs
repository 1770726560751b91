using System.Security.Cryptography;
using System.Text.Json.Nodes;
using DarkStorage.GrainInterfaces;
using DarkStorage.Storage.Backends;

namespace DarkStorage.Connectors.Gcs;

/// <summary>Settings of buckets: what can't be right is said before anybody is called, and a key is repeated by nothing.</summary>
public sealed class GcsConnectorTests
{
    private static readonly RSA Rsa = RSA.Create(2048);
    private static readonly string Key = GcsServer.KeyFile("robot@tests.iam.gserviceaccount.com", Rsa, "https://oauth2.googleapis.com/token");

    private static readonly ConnectorType Type = GcsConnector.Connector.Type;

    [Fact]
    public async Task A_preset_makes_a_place_of_a_bucket_and_a_key()
    {
        await using var backend = Open(("bucket", "photos.example.com"), ("service-account-key", Key));
        Assert.Equal(5L << 40, backend.Traits.BlobBytesMax);
        Assert.False(backend.Traits.IsCold);
    }

    [Theory]
    [InlineData("bucket", "Photos", "bucket: 3 to 222 lower-case letters, digits, '-', '_' and '.', with a letter or digit in front and behind.")]
    [InlineData("bucket", "a/b", "bucket: 3 to 222 lower-case letters, digits, '-', '_' and '.', with a letter or digit in front and behind.")]
    [InlineData("bucket", "photos-", "bucket: 3 to 222 lower-case letters, digits, '-', '_' and '.', with a letter or digit in front and behind.")]
    [InlineData("prefix", "/mine", "prefix: without a slash in front.")]
    [InlineData("storage-class", "FROZEN", "storage-class: One of STANDARD, NEARLINE, COLDLINE, ARCHIVE.")]
    [InlineData("endpoint", "http://storage.example.com", "endpoint: https, or http on this machine: who sees an access token can do all that the account may.")]
    [InlineData("endpoint", "https://storage.googleapis.com/photos", "endpoint: without a path behind the host.")]
    [InlineData("endpoint", "https://a/?b=c", "endpoint: http:// or https://, without a user's name, a query or a fragment.")]
    public void A_setting_that_can_not_be_right_is_refused_with_a_sentence(string field, string value, string expected)
    {
        var refused = Assert.Throws<StorageException>(() => Open(("bucket", "photos"), ("service-account-key", Key), (field, value)));
        Assert.Equal((StorageError.InvalidArgument, expected), (refused.Error, refused.Message));
    }

    [Theory]
    [InlineData("SECRET", null, "the JSON file of a service account's key, as Google gives it.")]
    [InlineData("[\"SECRET\"]", null, "the JSON file of a service account's key, as Google gives it.")]
    [InlineData("type", "authorized_user", "the key of a service account (\"type\": \"service_account\"), and of nothing else.")]
    [InlineData("client_email", "", "it has no client_email.")]
    [InlineData("token_uri", "http://oauth2.example.com/SECRET", "its token_uri has to be https, or http on this machine.")]
    [InlineData("token_uri", "file:///SECRET", "its token_uri has to be https, or http on this machine.")]
    [InlineData("private_key", "SECRET", "its private_key is no RSA key in PEM.")]
    [InlineData("private_key", null, "its private_key is no RSA key in PEM.")]
    public void What_is_no_key_is_refused_and_not_repeated(string part, string? value, string expected)
    {
        var key = part.Contains("SECRET", StringComparison.Ordinal) ? part : With(part, value);
        var refused = Assert.Throws<StorageException>(() => Open(("bucket", "photos"), ("service-account-key", key)));
        Assert.Equal((StorageError.InvalidArgument, $"service-account-key: {expected}"), (refused.Error, refused.Message));
        Assert.DoesNotContain("SECRET", refused.ToString(), StringComparison.Ordinal);
    }

    [Fact]
    public void A_public_key_alone_is_no_key() =>
        Assert.Equal("service-account-key: its private_key is no RSA key in PEM.", Assert.Throws<StorageException>(() => Open(("bucket", "photos"), ("service-account-key", With("private_key", Rsa.ExportSubjectPublicKeyInfoPem())))).Message);

    [Fact]
    public void The_key_and_the_class_are_not_what_makes_the_place()
    {
        var before = Type.Complete("google", Settings(("bucket", "photos"), ("service-account-key", Key)));
        Assert.True(Type.IsSamePlace(before, before.SetItem("service-account-key", "other").SetItem("storage-class", "ARCHIVE")));
        foreach (var field in new[] { "endpoint", "bucket", "prefix" }) Assert.False(Type.IsSamePlace(before, before.SetItem(field, "other")));
        Assert.True(Type.IsSecret("service-account-key"));
    }

    private static string With(string part, string? value)
    {
        var key = JsonNode.Parse(Key)!.AsObject();
        key[part] = value;
        return key.ToJsonString();
    }

    private static Dictionary<string, string> Settings(params (string Name, string Value)[] settings)
    {
        var values = new Dictionary<string, string>();
        foreach (var (name, value) in settings) values[name] = value;
        return values;
    }

    private static IBackend Open(params (string Name, string Value)[] settings) => GcsConnector.Connector.Open(Type.Complete("google", Settings(settings)), TimeProvider.System);
}
