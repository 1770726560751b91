using DarkStorage.Storage;
using DarkStorage.Storage.Backends;

namespace DarkStorage.Connectors.Ipfs;

/// <summary>A range of a file, block by block: each is asked for by its CID and compared with it before a byte of it is given, and some come ahead of being read.</summary>
/// <param name="root">Of the file.</param>
/// <param name="length">Of the file, as it was when it was put.</param>
internal sealed class BlockStream(KuboRpc rpc, BlobName name, Cid root, long length, ByteRange range) : ReadOnlyStream
{
    /// <summary>Blocks under way for one reader: of 1 MiB each, some 4 MiB of memory.</summary>
    private const int AheadMax = 4;

    /// <summary>Nodes above a leaf: two are enough for 30 GiB.</summary>
    private const int DepthMax = 16;

    private readonly CancellationTokenSource _ending = new();

    /// <summary>What is yet to be looked at, the first on top.</summary>
    private readonly Stack<(FileLink Link, long Offset, int Depth)> _tree = new([(new(root, length, 0), 0, 0)]);

    private readonly Queue<Task<ReadOnlyMemory<byte>>> _ahead = new();
    private ReadOnlyMemory<byte> _block;

    /// <summary>Asks for the first blocks. What is wrong with these is said here.</summary>
    public async Task BeginAsync(CancellationToken ct)
    {
        await AskAheadAsync(ct);
        _ = await _ahead.Peek().WaitAsync(ct);
    }

    public override async ValueTask<int> ReadAsync(Memory<byte> buffer, CancellationToken cancellationToken = default)
    {
        if (buffer.IsEmpty) return 0;
        if (_block.IsEmpty)
        {
            await AskAheadAsync(cancellationToken);
            if (!_ahead.TryPeek(out var next)) return 0;
            _block = await next.WaitAsync(cancellationToken);
            _ = _ahead.Dequeue();
        }
        var read = Math.Min(buffer.Length, _block.Length);
        _block[..read].CopyTo(buffer);
        _block = _block[read..];
        return read;
    }

    protected override void Dispose(bool disposing)
    {
        if (disposing)
        {
            _ending.Cancel();
            foreach (var asked in _ahead) _ = ForgetAsync(asked);
        }
        base.Dispose(disposing);
    }

    /// <summary>A failure of what nobody waits for any more is nobody's.</summary>
    private static async Task ForgetAsync(Task asked) => await asked.ConfigureAwait(ConfigureAwaitOptions.SuppressThrowing);

    private async Task AskAheadAsync(CancellationToken ct)
    {
        while (_ahead.Count < AheadMax && _tree.TryPeek(out var next))
        {
            var (link, offset, depth) = next;
            if (offset > range.Last || offset + link.Length <= range.First)
            {
                _tree.Pop();
            }
            else if (link.Cid.IsRaw)
            {
                _tree.Pop();
                _ahead.Enqueue(LeafAsync(link, offset));
            }
            else
            {
                // Only after what was asked for before, which the reader has not to wait for.
                var links = await ChildrenAsync(link, depth, ct);
                _tree.Pop();
                offset += link.Length;
                foreach (var child in links.Reverse())
                {
                    offset -= child.Length;
                    _tree.Push((child, offset, depth + 1));
                }
            }
        }
    }

    private async Task<IEnumerable<FileLink>> ChildrenAsync(FileLink link, int depth, CancellationToken ct)
    {
        var block = await rpc.BlockAsync(name.Value, link.Cid, ct);
        return depth < DepthMax && FileNode.Decode(block.Span) is { } links && links.Sum(l => l.Length) == link.Length ? links
            : throw new BackendException(BackendError.Damaged, $"{name}: the block {link.Cid} is no node of a file of {link.Length} bytes.");
    }

    /// <returns>What of the block is within the range.</returns>
    private async Task<ReadOnlyMemory<byte>> LeafAsync(FileLink link, long offset)
    {
        var block = await rpc.BlockAsync(name.Value, link.Cid, _ending.Token);
        if (block.Length != link.Length) throw new BackendException(BackendError.Damaged, $"{name}: the block {link.Cid} has {block.Length} bytes, and was to have {link.Length}.");
        var from = (int)Math.Max(0, range.First - offset);
        var to = (int)Math.Min(block.Length, range.Last + 1 - offset);
        return block[from..to];
    }
}
