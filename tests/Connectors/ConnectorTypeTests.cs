using DarkStorage.GrainInterfaces;
using DarkStorage.Storage.Backends;

namespace DarkStorage.Connectors;

/// <summary>Settings as they are given, filled in and changed.</summary>
public sealed class ConnectorTypeTests
{
    private static readonly ConnectorCatalog Catalog = new(TimeProvider.System);

    private static ConnectorType S3 => Catalog.Types.Single(t => t.Name == "s3");

    public static TheoryData<string> Presets => [.. S3.Presets.Select(p => p.Name)];

    [Theory, MemberData(nameof(Presets))]
    public async Task Settings_that_began_with_a_preset_can_be_changed_and_taken_back_to_it(string preset)
    {
        var before = S3.Complete(preset, new Dictionary<string, string> { ["bucket"] = "b", ["access-key"] = "k", ["secret-key"] = "s" });
        var changed = S3.Complete(preset, new Dictionary<string, string> { ["secret-key"] = "other", ["calls-max"] = "7", ["checksums"] = "false" }, before);
        Assert.Equal(before.SetItem("secret-key", "other").SetItem("calls-max", "7").SetItem("checksums", "false"), changed);
        Assert.Equal(before.SetItem("secret-key", "other"), S3.Complete(preset, new Dictionary<string, string> { ["calls-max"] = "", ["checksums"] = "" }, changed));
        await using var backend = Catalog.Open("any", "s3", changed);
    }

    [Fact]
    public void A_region_that_makes_no_address_is_refused()
    {
        var settings = S3.Complete("wasabi", new Dictionary<string, string> { ["bucket"] = "b", ["region"] = "a b" });
        var refused = Assert.Throws<StorageException>(() => Catalog.Open("any", "s3", settings));
        Assert.Equal(StorageError.InvalidArgument, refused.Error);
        Assert.StartsWith("region:", refused.Message, StringComparison.Ordinal);
    }

    [Fact]
    public void What_a_server_says_is_cut_and_plain()
    {
        var error = new BackendException(BackendError.Unavailable, "\u001b[2J" + new string('x', 5_000));
        Assert.Equal(1_000, error.Message.Length);
        Assert.StartsWith(" [2Jxxx", error.Message, StringComparison.Ordinal);
    }
}
