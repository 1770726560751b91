using System.Security.Cryptography;
using System.Text;
using DarkStorage.Grains.Cluster;
using DarkStorage.Metadata;
using DarkStorage.Silo.Configuration;
using DarkStorage.Storage.Peers;
using DarkStorage.Storage.Secrets;

namespace DarkStorage.Silo.Cluster;

/// <summary>What all nodes of a cluster know and nobody else: it proves who is one of them, and seals the secrets that they share.</summary>
internal sealed class ClusterSecret
{
    private const string Variable = "DARKSTORAGE_CLUSTER_SECRET";

    private readonly string _secret;

    private ClusterSecret(string secret) => _secret = secret;

    /// <summary>From the environment, or the file that <c>DARKSTORAGE_CLUSTER_SECRET_FILE</c> names.</summary>
    /// <returns>Null where there is none: the node stands alone.</returns>
    /// <exception cref="InvalidDataException">It is given twice, or too short.</exception>
    public static ClusterSecret? Read()
    {
        var text = SecretVariable.Read(Variable)?.Trim();
        if (string.IsNullOrEmpty(text)) return null;
        return text.Length >= ClusterIdentity.SecretLengthMin ? new(text) : throw new InvalidDataException($"{Variable} has at least {ClusterIdentity.SecretLengthMin} characters; this one has {text.Length}.");
    }

    public ClusterIdentity MakeIdentity() => ClusterIdentity.FromSecret(_secret);

    /// <summary>Holds this secret against the one that the cluster was begun with: before a node enters itself anywhere.</summary>
    /// <exception cref="InvalidDataException">It is another one.</exception>
    public async Task ProveAsync(IClusterIndex index, CancellationToken ct)
    {
        const string Purpose = "secret-proof/1";
        ISecretBox box = MakeBox();
        while (true)
        {
            if (await index.ReadDocumentAsync(ClusterDocuments.SecretProof, ct) is { } proof)
            {
                try
                {
                    box.OpenBytes(proof.Content, Purpose);
                    return;
                }
                catch (CryptographicException e)
                {
                    throw new InvalidDataException("The cluster secret is not the one that this cluster was begun with: all nodes have the same.", e);
                }
            }
            await index.TryReplaceDocumentAsync(ClusterDocuments.SecretProof, box.Seal(index.ClusterId.ToByteArray(), Purpose), 0, ct);
        }
    }

    /// <summary>What seals what the nodes share: a key of its own, derived from the secret.</summary>
    public MasterKeyBox MakeBox()
    {
        var text = Encoding.UTF8.GetBytes(_secret);
        Span<byte> key = stackalloc byte[MasterKeyBox.KeyLength];
        HKDF.DeriveKey(HashAlgorithmName.SHA256, text, key, [], "darkstorage/cluster-master-key/1"u8);
        CryptographicOperations.ZeroMemory(text);
        try
        {
            return new(key);
        }
        finally
        {
            CryptographicOperations.ZeroMemory(key);
        }
    }
}
