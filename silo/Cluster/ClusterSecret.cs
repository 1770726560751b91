using System.Collections.Immutable;
using System.Security.Cryptography;
using System.Text;
using DarkStorage.Grains.Cluster;
using DarkStorage.Metadata;
using DarkStorage.Rules.Cluster;
using DarkStorage.Silo.Configuration;
using DarkStorage.Storage.Peers;
using DarkStorage.Storage.Secrets;

namespace DarkStorage.Silo.Cluster;

/// <summary>What all nodes of a cluster know and nobody else: it proves who is one of them, and seals the secrets that they share. While it is changed there are several: the first is shown and
/// seals, all are accepted and open.</summary>
internal sealed class ClusterSecret
{
    private const string Variable = "DARKSTORAGE_CLUSTER_SECRET";
    private const string ProofPurpose = "secret-proof/1";

    private readonly ImmutableArray<string> _secrets;

    private ClusterSecret(ImmutableArray<string> secrets)
    {
        _secrets = secrets;
        Box = MakeBox(secrets);
        KeyIds = [.. Box.KeyIds];
    }

    /// <summary>What seals what the nodes share: a key of its own for each secret, derived from it.</summary>
    public MasterKeyBox Box { get; }

    /// <summary>Ids of the keys of <see cref="Box"/>.</summary>
    public ImmutableArray<ulong> KeyIds { get; }

    /// <summary>From the environment, or the file that <c>DARKSTORAGE_CLUSTER_SECRET_FILE</c> names: one in each line.</summary>
    /// <returns>Null where there is none: the node stands alone.</returns>
    /// <exception cref="InvalidDataException">It is given twice, or too short, or there are too many.</exception>
    public static ClusterSecret? Read()
    {
        var secrets = ClusterIdentity.SecretsIn(SecretVariable.Read(Variable), Variable);
        return secrets.IsEmpty ? null : new(secrets);
    }

    public ClusterIdentity OpenIdentity(PeerIdentityOptions options, TimeProvider clock, ILogger log) => ClusterIdentity.Open(_secrets, options, clock, log);

    /// <summary>Holds these secrets against those that the cluster has: before a node enters itself anywhere.</summary>
    /// <param name="store">This node's.</param>
    /// <exception cref="InvalidDataException">It has others, or not all that it needs; or other nodes lack what this one would seal under.</exception>
    public async Task ProveAsync(IClusterIndex index, Guid store, CancellationToken ct)
    {
        var proof = await ReadProofAsync(index, ct);
        var (seals, _) = await ReadSealsAsync(index, KeyOf(proof), ct);
        if (seals.RefusalOf(store, KeyIds, await NodesOfAsync(index, ct), KeyOf(proof)) is { } refusal) throw new InvalidDataException(refusal);
        if (!Proves(proof)) throw new InvalidDataException("The cluster secret is not the one that this cluster was begun with, or was changed to: it does not open the proof in the index.");
    }

    /// <summary>Says which secrets this node has: once it is among the nodes, and before it seals anything.</summary>
    /// <exception cref="InvalidDataException">As <see cref="ProveAsync"/>: another node was started meanwhile.</exception>
    public async Task EnterAsync(IClusterIndex index, Guid store, CancellationToken ct)
    {
        while (true)
        {
            var proof = await ReadProofAsync(index, ct);
            var (seals, revision) = await ReadSealsAsync(index, KeyOf(proof), ct);
            var nodes = await NodesOfAsync(index, ct);
            if (seals.RefusalOf(store, KeyIds, nodes, KeyOf(proof)) is { } refusal) throw new InvalidDataException(refusal);
            if (seals.Has(store, KeyIds) || await index.TryReplaceDocumentAsync(ClusterDocuments.Seals, seals.With(store, KeyIds, nodes).Encode(), revision, ct)) return;
        }
    }

    /// <returns>And its revision; 0 where no node has entered itself yet.</returns>
    public async Task<(ClusterSeals Seals, long Revision)> ReadSealsAsync(IClusterIndex index, CancellationToken ct) => await ReadSealsAsync(index, KeyOf(await ReadProofAsync(index, ct)), ct);

    public static async Task<List<SealingNode>> NodesOfAsync(IClusterIndex index, CancellationToken ct) => [.. (await index.ListNodesAsync(ct)).Select(n => new SealingNode(n.Store, n.Name))];

    /// <summary>Seals the proof under the first secret, where it is under another: the last step of a change, so that programs which look at nothing else wait for it too.</summary>
    public async Task SealProofAnewAsync(IClusterIndex index, CancellationToken ct)
    {
        while (await ReadProofAsync(index, ct) is var proof && !Box.IsCurrent(proof.Content))
        {
            if (await index.TryReplaceDocumentAsync(ClusterDocuments.SecretProof, Proof(index), proof.Revision, ct)) return;
        }
    }

    private async Task<ClusterDocument> ReadProofAsync(IClusterIndex index, CancellationToken ct)
    {
        while (true)
        {
            if (await index.ReadDocumentAsync(ClusterDocuments.SecretProof, ct) is { } proof) return proof;
            await index.TryReplaceDocumentAsync(ClusterDocuments.SecretProof, Proof(index), 0, ct);
        }
    }

    private static async Task<(ClusterSeals, long)> ReadSealsAsync(IClusterIndex index, ulong begun, CancellationToken ct) =>
        await index.ReadDocumentAsync(ClusterDocuments.Seals, ct) is { } document ? (ClusterSeals.Decode(document.Content), document.Revision) : (ClusterSeals.Begun(begun), 0);

    private static ulong KeyOf(ClusterDocument proof) => MasterKeyBox.KeyIdOf(proof.Content) ?? throw new InvalidDataException("The proof of the cluster secret in the index is damaged.");

    private byte[] Proof(IClusterIndex index) => Box.Seal(index.ClusterId.ToByteArray(), ProofPurpose);

    private bool Proves(ClusterDocument proof)
    {
        try
        {
            Box.OpenBytes(proof.Content, ProofPurpose);
            return true;
        }
        catch (CryptographicException)
        {
            return false;
        }
    }

    private static MasterKeyBox MakeBox(ImmutableArray<string> secrets)
    {
        Span<byte> keys = stackalloc byte[MasterKeyBox.KeyLength * secrets.Length];
        try
        {
            foreach (var (i, secret) in secrets.Index())
            {
                var text = Encoding.UTF8.GetBytes(secret);
                HKDF.DeriveKey(HashAlgorithmName.SHA256, text, keys.Slice(i * MasterKeyBox.KeyLength, MasterKeyBox.KeyLength), [], "darkstorage/cluster-master-key/1"u8);
                CryptographicOperations.ZeroMemory(text);
            }
            return new(keys);
        }
        finally
        {
            CryptographicOperations.ZeroMemory(keys);
        }
    }
}
