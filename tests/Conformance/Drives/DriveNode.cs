namespace DarkStorage.Conformance.Drives;

/// <summary>Drives are slow and these tests use much of them: one at a time.</summary>
[CollectionDefinition(nameof(Drives))]
public sealed class Drives;

/// <summary>What tests of a node's drive ask it.</summary>
internal static class DriveNode
{
    /// <summary>Garbage goes at once.</summary>
    public static readonly IReadOnlyDictionary<string, string> QuickGarbage = new Dictionary<string, string>
    {
        ["DARKSTORAGE_Garbage__GracePeriod"] = "00:00:00",
        ["DARKSTORAGE_Garbage__Interval"] = "00:00:00.100",
    };

    public static Dictionary<string, string> With(this IReadOnlyDictionary<string, string> settings, params (string Name, string Value)[] more)
    {
        var all = new Dictionary<string, string>(settings);
        foreach (var (name, value) in more) all[$"DARKSTORAGE_{name}"] = value;
        return all;
    }

    public static string Packs(this NodeProcess node) => Path.Combine(node.DataDirectory, "blobs", "packs");

    public static async Task AssertReadsBackAsync(this IAmazonS3 s3, string bucket, string key, byte[] content)
    {
        var read = await s3.GetBytesAsync(bucket, key);
        Assert.True(content.AsSpan().SequenceEqual(read), $"{key} reads back {read.Length} bytes that are not its {content.Length}.");
    }
}
