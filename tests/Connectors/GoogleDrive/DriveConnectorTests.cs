using System.Security.Cryptography;
using DarkStorage.Connectors.Google;
using DarkStorage.GrainInterfaces;
using DarkStorage.Storage.Backends;

namespace DarkStorage.Connectors.GoogleDrive;

/// <summary>Settings of drives: what can't be right is said before anybody is called, and who is asked for access.</summary>
public sealed class DriveConnectorTests
{
    private static readonly RSA Rsa = RSA.Create(2048);
    private static readonly string Key = GoogleServer.KeyFile("robot@tests.iam.gserviceaccount.com", Rsa, "https://oauth2.googleapis.com/token");

    private static readonly ConnectorType Type = DriveConnector.Connector.Type;

    [Fact]
    public async Task A_preset_makes_a_place_of_an_application_or_of_a_shared_drive_and_a_key()
    {
        await using var own = DriveConnector.Connector.OpenAuthorized!(Type.Complete("google-drive", Settings(("client-id", "app"), ("client-secret", "s"))), new UserTokens("t"), TimeProvider.System);
        Assert.Equal((5L << 40, false), (own.Traits.BlobBytesMax, own.Traits.IsCold));
        await using var shared = Open("google-shared-drive", ("drive-id", "0AbcUk9PVA"), ("service-account-key", Key));
    }

    [Fact]
    public void People_are_asked_for_what_the_application_makes_alone_and_in_shared_drives_for_all()
    {
        var own = Type.ApplicationOf(Type.Complete("google-drive", Settings(("client-id", "app"), ("client-secret", "s"))))!;
        Assert.Equal(("https://www.googleapis.com/auth/drive.file", "app", "s"), (own.Scope, own.ClientId, own.ClientSecret));
        var address = own.AddressFor(new("https://here/callback"), "state", "challenge").ToString();
        foreach (var part in new[] { "https://accounts.google.com/", "access_type=offline", "prompt=consent", "drive.file" }) Assert.Contains(part, address, StringComparison.Ordinal);
        Assert.Null(own.DeviceUrl);
        Assert.Equal("https://www.googleapis.com/auth/drive", Type.ApplicationOf(Type.Complete("google-shared-drive", Settings(("client-id", "app"), ("drive-id", "0A"))))!.Scope);
        Assert.Null(Type.ApplicationOf(Type.Complete("google-shared-drive", Settings(("service-account-key", Key), ("drive-id", "0A")))));
    }

    [Theory]
    [InlineData("folder", " ", "folder: 1 to 100 bytes, and not of spaces alone.")]
    [InlineData("drive-id", "../about", "drive-id: letters, digits, '-' and '_', as the drive's address ends.")]
    [InlineData("drive-id", "https://drive.google.com/drive/folders/0A", "drive-id: letters, digits, '-' and '_', as the drive's address ends.")]
    [InlineData("drive-id", "", "The preset google-shared-drive needs drive-id.")]
    [InlineData("service-account-key", "", "google-drive needs service-account-key, or client-id for a user's account.")]
    [InlineData("service-account-key", "SECRET", "service-account-key: the JSON file of a service account's key, as Google gives it.")]
    [InlineData("client-id", "app", "service-account-key and client-id: one or the other.")]
    [InlineData("endpoint", "http://www.example.com", "endpoint: https, or http on this machine: who sees an access token can do all that the account may.")]
    [InlineData("endpoint", "https://www.googleapis.com/drive/v3", "endpoint: without a path behind the host.")]
    [InlineData("visible-within-seconds", "0", "visible-within-seconds: A whole number from 1 to 3600.")]
    public void A_setting_that_can_not_be_right_is_refused_with_a_sentence(string field, string value, string expected)
    {
        var refused = Assert.Throws<StorageException>(() => Open("google-shared-drive", ("drive-id", "0A"), ("service-account-key", Key), (field, value)));
        Assert.Equal((StorageError.InvalidArgument, expected), (refused.Error, refused.Message));
    }

    [Fact]
    public void A_service_account_has_no_room_of_its_own() =>
        Assert.Equal("service-account-key needs drive-id: a service account has no room of its own.", Assert.Throws<StorageException>(() => Open("google-drive", ("service-account-key", Key))).Message);

    [Fact]
    public void A_preset_for_shared_drives_is_for_none_of_somebodys_own()
    {
        var refused = Assert.Throws<StorageException>(() => Type.Complete("google-shared-drive", Settings(("client-id", "app"), ("client-secret", "s"))));
        Assert.Equal((StorageError.InvalidArgument, "The preset google-shared-drive needs drive-id."), (refused.Error, refused.Message));
        var before = Type.Complete("google-shared-drive", Settings(("client-id", "app"), ("drive-id", "0A")));
        Assert.Throws<StorageException>(() => Type.Complete("google-shared-drive", Settings(("drive-id", "")), before));
        // One that was added before that was looked at can have its secret replaced.
        var old = before.Remove("drive-id");
        Assert.Equal("new", Type.Complete("google-shared-drive", Settings(("client-secret", "new")), old)["client-secret"]);
    }

    [Theory]
    [InlineData(null, false)]
    [InlineData("https://www.googleapis.com/auth/drive.file", false)]
    [InlineData("openid https://www.googleapis.com/auth/drive.file", false)]
    [InlineData("https://www.googleapis.com/auth/drive.file https://www.googleapis.com/auth/drive", true)]
    [InlineData("https://www.googleapis.com/auth/drive", true)]
    public async Task Nothing_can_be_made_in_a_shared_drive_by_who_is_given_its_own_files_alone(string? scope, bool isTaken)
    {
        foreach (var drive in new[] { "0A", null })
        {
            var settings = Settings(("client-id", "app"), ("client-secret", "s"));
            if (drive is not null) settings["drive-id"] = drive;
            if (scope is not null) settings["scope"] = scope;
            var complete = Type.Complete("google-drive", settings);
            if (isTaken || drive is null)
            {
                await using var opened = DriveConnector.Connector.OpenAuthorized!(complete, new UserTokens("t"), TimeProvider.System);
                continue;
            }
            var refused = Assert.Throws<StorageException>(() => DriveConnector.Connector.OpenAuthorized!(complete, new UserTokens("t"), TimeProvider.System));
            Assert.Equal((StorageError.InvalidArgument, "drive-id needs scope https://www.googleapis.com/auth/drive: with https://www.googleapis.com/auth/drive.file, which is asked for where nothing is said, nothing can be made in a shared drive."), (refused.Error, refused.Message));
        }
    }

    [Fact]
    public void A_folder_has_as_many_bytes_as_a_property() =>
        Assert.Equal("folder: 1 to 100 bytes, and not of spaces alone.", Assert.Throws<StorageException>(() => Open("google-shared-drive", ("drive-id", "0A"), ("service-account-key", Key), ("folder", new string('ü', 51)))).Message);

    [Fact]
    public void What_makes_the_place_and_what_is_secret()
    {
        var before = Type.Complete("google-drive", Settings(("client-id", "app"), ("client-secret", "s")));
        Assert.True(Type.IsSamePlace(before, before.SetItem("client-secret", "other").SetItem("visible-within-seconds", "7").SetItem("scope", "x").SetItem("client-id", "another")));
        foreach (var field in new[] { "endpoint", "folder", "drive-id" }) Assert.False(Type.IsSamePlace(before, before.SetItem(field, "other")));
        Assert.True(Type.IsSecret("service-account-key") && Type.IsSecret("client-secret"));
    }

    private static Dictionary<string, string> Settings(params (string Name, string Value)[] settings)
    {
        var values = new Dictionary<string, string>();
        foreach (var (name, value) in settings) values[name] = value;
        return values;
    }

    private static IBackend Open(string preset, params (string Name, string Value)[] settings) => DriveConnector.Connector.Open(Type.Complete(preset, Settings(settings)), TimeProvider.System);
}
