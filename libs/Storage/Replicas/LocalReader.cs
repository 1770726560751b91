using System.Buffers;
using DarkStorage.GrainInterfaces.Objects;
using DarkStorage.Storage.Chunks;
using DarkStorage.Storage.Packs;

namespace DarkStorage.Storage.Replicas;

/// <summary>Chunks of this node's own drive where there are others to read from: what is cached is read at once and into its destination, what is not is
/// fetched beside, so that another replica may be quicker.</summary>
internal sealed class LocalReader(PackStore.PackReader pack) : ChunkReader
{
    private const int StretchBytes = 256 << 10;

    private BlobId _blob;
    private int _index;
    private int _length;
    private int _end;
    private int _wanted;
    private byte[]? _window;
    private int _windowFrom;
    private int _windowEnd;

    public override bool Fetches => true;

    public override bool IsOpen => _length > 0;

    public override void Open(BlobId blob, int index, int length, int end)
    {
        pack.Close();
        (_blob, _index, _length, _end) = (blob, index, length, end);
        (_windowFrom, _windowEnd) = (0, 0);
    }

    public override int Read(int block, Span<byte> destination, bool mayBlock, bool verify)
    {
        _wanted = block * PackFormat.Block;
        if (_wanted >= _windowFrom && _wanted < _windowEnd)
        {
            var count = Math.Min(destination.Length, _windowEnd - _wanted);
            _window.AsSpan(_wanted - _windowFrom, count).CopyTo(destination);
            return count;
        }
        if (destination.IsEmpty || (!pack.IsOpen && pack.TryOpen(_blob, _index, _length) is not null)) return -1;
        try
        {
            return Math.Max(-1, pack.Read(block, destination, mayBlock: false, verify));
        }
        catch (IOException)
        {
            return -1;      // fetching meets it again, and says it
        }
    }

    public override bool Matches(int block, ReadOnlySpan<byte> stored) => !pack.IsOpen || pack.Matches(block, stored);

    public override void Fail(string problem, int attempt)
    {
        (_windowFrom, _windowEnd) = (0, 0);
        if (pack.IsOpen) pack.Fail(problem, attempt);
        else throw Damaged(_blob, _index, problem);
    }

    public override async ValueTask FetchAsync(CancellationToken ct)
    {
        _window ??= ArrayPool<byte>.Shared.Rent(StretchBytes);
        (_windowFrom, _windowEnd) = (0, 0);
        var count = Math.Min(StretchBytes, Math.Max(_end, Math.Min(_length, _wanted + PackFormat.Block)) - _wanted);
        await pack.FillAsync(_blob, _index, _length, _wanted, _window.AsMemory(0, count));
        (_windowFrom, _windowEnd) = (_wanted, _wanted + count);
        ct.ThrowIfCancellationRequested();
    }

    public override void Ahead(int offset, long bytes) => pack.Ahead(offset, bytes);

    public override void Close()
    {
        _length = 0;
        pack.Close();
    }

    public override async ValueTask DisposeAsync()
    {
        if (_window is not null) ArrayPool<byte>.Shared.Return(_window);
        _window = null;
        await pack.DisposeAsync();
    }
}
