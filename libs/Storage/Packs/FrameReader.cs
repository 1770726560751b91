using System.Runtime.InteropServices;

namespace DarkStorage.Storage.Packs;

/// <summary>Reads frames of one pack one after another and verifies each whole: for scrub and compaction.</summary>
/// <param name="fromMedium">Past the page cache, so that what is verified is what the disk holds.</param>
internal sealed unsafe class FrameReader(Pack pack, bool fromMedium) : IDisposable
{
    private const int WindowBytes = 1 << 20;

    private readonly byte* _window = (byte*)NativeMemory.AlignedAlloc(WindowBytes, PackFormat.Page);
    private long _from;
    private int _held;
    private bool _disposed;

    /// <summary>Bytes read from the pack so far.</summary>
    public long BytesRead { get; private set; }

    /// <summary>Reads a frame.</summary>
    /// <param name="block">Gets each block of the payload once it matched.</param>
    /// <returns>What is wrong, as a predicate; null where all matched.</returns>
    public string? Read(in PackEntry entry, BlockReader? block)
    {
        var location = entry.Location;
        try
        {
            var header = At(location.Offset, location.PayloadOffset);
            if (header.Length < location.PayloadOffset
                || !PackFormat.TryReadFrameHeader(header, pack.Salt, location.Offset, out var frame)
                || frame.Blob != entry.Blob || frame.Index != entry.Index || frame.Length != location.Length || frame.PayloadOffset != location.PayloadOffset)
                return "has a header that does not match";
            Span<uint> few = stackalloc uint[64];
            var blocks = PackFormat.Blocks(location.Length);
            var checksums = blocks <= few.Length ? few[..blocks] : new uint[blocks];
            for (var i = 0; i < blocks; i++) checksums[i] = PackFormat.BlockChecksum(header, i);
            for (var i = 0; i < blocks; i++)
            {
                var length = Math.Min(PackFormat.Block, location.Length - i * PackFormat.Block);
                var bytes = At(location.Offset + location.PayloadOffset + (long)i * PackFormat.Block, length);
                if (bytes.Length < length || Crc32C.Append(0, bytes) != checksums[i]) return "does not match its checksum";
                block?.Invoke(bytes);
            }
            return null;
        }
        catch (IOException e)
        {
            _held = 0;
            return $"can't be read ({e.Message})";
        }
    }

    public void Dispose()
    {
        if (_disposed) return;
        _disposed = true;
        NativeMemory.AlignedFree(_window);
    }

    private ReadOnlySpan<byte> At(long offset, int bytes)
    {
        if (offset < _from || offset + bytes > _from + _held)
        {
            _from = offset / PackFormat.Page * PackFormat.Page;
            _held = 0;
            // The end of a pack is the end of a page, so what is asked for is always whole pages.
            var wanted = (int)Math.Clamp(PackFormat.AlignUp(pack.Position) - _from, 0, WindowBytes);
            var window = new Span<byte>(_window, wanted);
            _held = fromMedium ? pack.File.ReadMedium(_from, window) : pack.File.Read(_from, window, default, mayBlock: true);
            BytesRead += _held;
        }
        var skip = (int)(offset - _from);
        return new(_window + skip, Math.Clamp(_held - skip, 0, bytes));
    }

    internal delegate void BlockReader(ReadOnlySpan<byte> block);
}
