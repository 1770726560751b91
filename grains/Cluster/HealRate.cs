using System.Text.Json;
using DarkStorage.Metadata;

namespace DarkStorage.Grains.Cluster;

/// <summary>What an operator told all nodes to spend on repairs and movements, as the shared index keeps it.</summary>
public static class HealRate
{
    private sealed record Document(int? MibPerSecond);

    /// <param name="mibPerSecond">Null: as each node is configured.</param>
    public static byte[] Write(int? mibPerSecond) => JsonSerializer.SerializeToUtf8Bytes(new Document(mibPerSecond), JsonSerializerOptions.Web);

    /// <returns>MiB per second; null where nothing was told, and each node does as it is configured.</returns>
    public static async Task<int?> ReadAsync(IClusterIndex index, CancellationToken ct) =>
        await index.ReadDocumentAsync(ClusterDocuments.HealRate, ct) is { } document ? JsonSerializer.Deserialize<Document>(document.Content, JsonSerializerOptions.Web)?.MibPerSecond : null;
}
