using System.Security.Cryptography;

namespace DarkStorage.Connectors.Ipfs;

/// <summary>Works out the CID of a file while its bytes pass, as a node does that is told to cut it into so many bytes, keep those as they are (raw leaves), and put 174 at a time together (the balanced layout).</summary>
/// <param name="chunkBytes">Of each leaf but the last.</param>
internal sealed class FileTree(int chunkBytes) : IDisposable
{
    /// <summary>What one node puts together: Kubo's default, and that of js-ipfs, since there has been one.</summary>
    public const int LinksMax = 174;

    private readonly IncrementalHash _chunk = IncrementalHash.CreateHash(HashAlgorithmName.SHA256);

    /// <summary>Of each height what is not yet put together; the leaves first. Each has fewer than <see cref="LinksMax"/>.</summary>
    private readonly List<List<FileLink>> _levels = [];

    private int _chunkLength;

    public void Append(ReadOnlySpan<byte> bytes)
    {
        while (!bytes.IsEmpty)
        {
            var taken = bytes[..Math.Min(bytes.Length, chunkBytes - _chunkLength)];
            _chunk.AppendData(taken);
            _chunkLength += taken.Length;
            bytes = bytes[taken.Length..];
            if (_chunkLength == chunkBytes) EndChunk();
        }
    }

    /// <summary>Of all that was appended. Nothing may be after.</summary>
    public Cid End()
    {
        if (_chunkLength > 0 || _levels.Count == 0) EndChunk();
        for (var level = 0; ; level++)
        {
            var links = _levels[level];
            // All leaves are equally far from the root, so one that is left over gets nodes of its own up to there; but what is alone at the top is the root.
            if (level == _levels.Count - 1 && links.Count == 1) return links[0].Cid;
            if (links.Count > 0) PutTogether(level);
        }
    }

    public void Dispose() => _chunk.Dispose();

    private void EndChunk()
    {
        Span<byte> hash = stackalloc byte[SHA256.HashSizeInBytes];
        _chunk.GetHashAndReset(hash);
        Add(0, new(Cid.OfRaw(hash), _chunkLength, _chunkLength));
        _chunkLength = 0;
    }

    private void Add(int level, FileLink link)
    {
        if (level == _levels.Count) _levels.Add([]);
        _levels[level].Add(link);
        if (_levels[level].Count == LinksMax) PutTogether(level);
    }

    private void PutTogether(int level)
    {
        var links = _levels[level];
        var node = FileNode.Encode(links);
        var link = new FileLink(Cid.OfNode(node), links.Sum(l => l.Length), node.Length + links.Sum(l => l.TreeBytes));
        links.Clear();
        Add(level + 1, link);
    }
}
