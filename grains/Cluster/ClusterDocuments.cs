namespace DarkStorage.Grains.Cluster;

/// <summary>Names of what all nodes share in the index (<c>IClusterIndex</c>).</summary>
public static class ClusterDocuments
{
    public const string Layout = "layout";
    /// <summary>See <see cref="Cluster.HealRate"/>.</summary>
    public const string HealRate = "heal-rate";
    public const string KeyRing = "key-ring";
    public const string SecretProof = "secret-proof";
    public const string Seals = "seals";
    public const string RootCredentials = "root-credentials";
}
