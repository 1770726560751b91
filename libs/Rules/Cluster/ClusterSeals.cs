using System.Collections.Immutable;
using System.Globalization;
using System.Text.Json;

namespace DarkStorage.Rules.Cluster;

/// <summary>Under which keys of a cluster something may be sealed, and which keys each node has: what makes a change of the cluster's secret safe, whatever nodes are started with and when
/// (docs/adr/0016-identity.md). A document of the index: docs/FORMATS.md, "Seals".</summary>
/// <remarks>Invariants: all that the nodes share is sealed under keys of <see cref="InUse"/>, and every node that is entered has all of these. For that a node enters itself before it seals anything,
/// is refused where one of the two would not hold, and leaves a key out only after all was sealed anew while every node sealed under one and the same key.</remarks>
public sealed class ClusterSeals
{
    private const int Format = 1;

    /// <summary>Bytes of a document: 10,000 nodes of four keys each have less.</summary>
    private const int BytesMax = 2 << 20;

    /// <summary>Former keys that are remembered, for a better sentence.</summary>
    private const int FormerMax = 16;

    private ClusterSeals(ImmutableArray<ulong> inUse, ImmutableArray<ulong> former, ImmutableSortedDictionary<Guid, ImmutableArray<ulong>> nodes) => (InUse, Former, Nodes) = (inUse, former, nodes);

    /// <summary>Ids of the keys under which something may be sealed. One where no change is under way.</summary>
    public ImmutableArray<ulong> InUse { get; }

    /// <summary>Ids of keys under which nothing is sealed any more.</summary>
    public ImmutableArray<ulong> Former { get; }

    /// <summary>By its store, which keys a node has: it seals under the first, and opens with all.</summary>
    public ImmutableSortedDictionary<Guid, ImmutableArray<ulong>> Nodes { get; }

    /// <summary>Of a cluster in which no node has entered itself yet.</summary>
    /// <param name="key">The one that its nodes seal under.</param>
    public static ClusterSeals Begun(ulong key) => new([key], [], ImmutableSortedDictionary<Guid, ImmutableArray<ulong>>.Empty);

    /// <summary>Whether a node may serve with some keys.</summary>
    /// <param name="keys">Its own, the one that it seals under first.</param>
    /// <param name="nodes">All nodes of the cluster.</param>
    /// <param name="assumed">The key that a node has which has not entered itself: its program does not know of several.</param>
    /// <returns>Null, or a sentence for its operator.</returns>
    public string? RefusalOf(Guid self, IReadOnlyList<ulong> keys, IReadOnlyList<SealingNode> nodes, ulong assumed)
    {
        var others = nodes.Where(n => n.Store != self).ToList();
        if (!InUse.All(keys.Contains))
        {
            if (keys.Any(InUse.Contains)) return "The cluster secret is being changed, and something is still sealed under one that this node does not have: start it with all that the other nodes have, each in a line.";
            if (others.Exists(n => KeysOf(n.Store, assumed).Any(keys.Contains)))
                return "The cluster secret of this node is not the one that everything is sealed under yet: start it with the other one too, in a line behind it, until a node says that all is sealed anew.";
            return keys.Any(Former.Contains)
                ? "The cluster secret of this node is one that the cluster had before: it was changed."
                : "The cluster secret is not the one that this cluster was begun with, nor one that it was changed to: all nodes have the same.";
        }
        var without = others.Where(n => !KeysOf(n.Store, assumed).Contains(keys[0])).Select(n => n.Name).ToList();
        return without.Count == 0 ? null : $"What this node seals could not be opened at {string.Join(", ", without)}: the first cluster secret here is not known there. "
            + "Start each of them with both first, that one in the second line; one that does not come back is taken out with DELETE /v1/cluster/nodes/NAME.";
    }

    /// <summary>With a node that is not refused.</summary>
    /// <param name="nodes">All nodes of the cluster: others are forgotten.</param>
    public ClusterSeals With(Guid self, IReadOnlyList<ulong> keys, IReadOnlyList<SealingNode> nodes)
    {
        var entered = Nodes.RemoveRange(Nodes.Keys.Where(k => !nodes.Any(n => n.Store == k))).SetItem(self, [.. keys]);
        return new(InUse.Contains(keys[0]) ? InUse : InUse.Add(keys[0]), Former.Remove(keys[0]), entered);
    }

    /// <summary>Whether a node is entered with exactly these keys.</summary>
    public bool Has(Guid self, IReadOnlyList<ulong> keys) => InUse.Contains(keys[0]) && Nodes.TryGetValue(self, out var entered) && entered.AsSpan().SequenceEqual([.. keys]);

    /// <summary>Whether all nodes seal under a key: only then is it of use to seal anew, and ends.</summary>
    public bool AllSealUnder(ulong key, IReadOnlyList<SealingNode> nodes) => nodes.All(n => Nodes.TryGetValue(n.Store, out var keys) && keys[0] == key);

    /// <summary>After everything was sealed under a key, while <see cref="AllSealUnder"/> held from the begin to the end: what the revision of the document has to prove.</summary>
    public ClusterSeals SealedAnew(ulong key) => new([key], [.. InUse.Remove(key).Concat(Former).Distinct().Take(FormerMax)], Nodes);

    public byte[] Encode() => JsonSerializer.SerializeToUtf8Bytes(new Document(
        Format, TextsOf(InUse), TextsOf(Former), Nodes.ToDictionary(n => n.Key, n => TextsOf(n.Value))));

    /// <exception cref="InvalidDataException">It is damaged, or of a format that this program does not know.</exception>
    public static ClusterSeals Decode(ReadOnlySpan<byte> bytes)
    {
        try
        {
            if (bytes.Length > BytesMax) throw new InvalidDataException($"The document of seals has {bytes.Length} bytes, and may have {BytesMax}.");
            if (JsonSerializer.Deserialize<Document>(bytes) is not { InUse: { Count: > 0 } inUse, Former: { } former, Nodes: { } nodes } document) throw new InvalidDataException("The document of seals lacks something.");
            if (document.Format != Format) throw new InvalidDataException($"The document of seals has format {document.Format}, written by a newer version of DarkStorage.");
            return new(KeysOf(inUse), KeysOf(former), nodes.ToImmutableSortedDictionary(n => n.Key, n => n.Value is { Count: > 0 } keys ? KeysOf(keys) : throw new InvalidDataException("The document of seals has a node without a key.")));
        }
        catch (Exception e) when (e is JsonException or FormatException)
        {
            throw new InvalidDataException("The document of seals is damaged.", e);
        }
    }

    private ImmutableArray<ulong> KeysOf(Guid store, ulong assumed) => Nodes.TryGetValue(store, out var keys) ? keys : [assumed];

    private static List<string> TextsOf(ImmutableArray<ulong> keys) => [.. keys.Select(k => k.ToString("x16", CultureInfo.InvariantCulture))];

    private static ImmutableArray<ulong> KeysOf(List<string> texts) => [.. texts.Select(t => ulong.Parse(t, NumberStyles.AllowHexSpecifier, CultureInfo.InvariantCulture))];

    private sealed record Document(int Format, List<string> InUse, List<string> Former, Dictionary<Guid, List<string>> Nodes);
}

/// <summary>A node, as a change of the secret sees it.</summary>
public readonly record struct SealingNode(Guid Store, string Name);
