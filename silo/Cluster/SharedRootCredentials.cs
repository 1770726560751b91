using System.Text;
using System.Text.Json;
using DarkStorage.Grains.Cluster;
using DarkStorage.Metadata;
using DarkStorage.Silo.Configuration;
using DarkStorage.Storage.Secrets;

namespace DarkStorage.Silo.Cluster;

/// <summary>The root credentials of a cluster: made by the node that starts first, sealed in the index, the same on all.</summary>
internal static class SharedRootCredentials
{
    private const string Purpose = "root-credentials/1";

    /// <returns>And whether they were made just now: the operator has not seen them.</returns>
    public static async Task<(RootCredentials Root, bool IsNew)> ReadAsync(IClusterIndex index, ISecretBox box, CancellationToken ct)
    {
        if (DataDirectory.ReadRootEnvironment() is { } given) return (given, false);
        while (true)
        {
            if (await index.ReadDocumentAsync(ClusterDocuments.RootCredentials, ct) is { } document)
                return (JsonSerializer.Deserialize<RootCredentials>(box.Open(document.Content, Purpose))!, false);
            var made = RootCredentials.Make();
            if (await index.TryReplaceDocumentAsync(ClusterDocuments.RootCredentials, box.Seal(Encoding.UTF8.GetBytes(JsonSerializer.Serialize(made)), Purpose), 0, ct)) return (made, true);
        }
    }

    /// <summary>Seals them under the newest key, where there are any that are sealed under another.</summary>
    /// <returns>Whether there were.</returns>
    public static async Task<bool> SealAnewAsync(IClusterIndex index, ISecretBox box, CancellationToken ct)
    {
        while (await index.ReadDocumentAsync(ClusterDocuments.RootCredentials, ct) is { } document && !box.IsCurrent(document.Content))
        {
            var plain = box.OpenBytes(document.Content, Purpose);
            if (await index.TryReplaceDocumentAsync(ClusterDocuments.RootCredentials, box.Seal(plain, Purpose), document.Revision, ct)) return true;
        }
        return false;
    }
}
