using System.Buffers;

namespace DarkStorage.ClientApi.S3;

/// <summary>A growing buffer whose memory is borrowed: an answer of some hundred KiB would otherwise be a large object for the collector each time.</summary>
internal sealed class PooledBuffer(int capacity) : IBufferWriter<byte>, IDisposable
{
    private byte[] _bytes = ArrayPool<byte>.Shared.Rent(capacity);

    public int WrittenCount { get; private set; }

    public ReadOnlyMemory<byte> WrittenMemory => _bytes.AsMemory(0, WrittenCount);

    public ReadOnlySpan<byte> WrittenSpan => _bytes.AsSpan(0, WrittenCount);

    public void Advance(int count)
    {
        ArgumentOutOfRangeException.ThrowIfGreaterThan((uint)count, (uint)(_bytes.Length - WrittenCount), nameof(count));
        WrittenCount += count;
    }

    public Memory<byte> GetMemory(int sizeHint = 0)
    {
        Reserve(sizeHint);
        return _bytes.AsMemory(WrittenCount);
    }

    public Span<byte> GetSpan(int sizeHint = 0)
    {
        Reserve(sizeHint);
        return _bytes.AsSpan(WrittenCount);
    }

    /// <summary>Gives the memory back. What was handed out of it must not be used any more.</summary>
    public void Dispose()
    {
        var bytes = _bytes;
        _bytes = [];
        WrittenCount = 0;
        if (bytes.Length > 0) ArrayPool<byte>.Shared.Return(bytes);
    }

    private void Reserve(int sizeHint)
    {
        var wanted = WrittenCount + Math.Max(sizeHint, 1);
        if (wanted <= _bytes.Length) return;
        var larger = ArrayPool<byte>.Shared.Rent(Math.Max(wanted, 2 * _bytes.Length));
        WrittenSpan.CopyTo(larger);
        ArrayPool<byte>.Shared.Return(_bytes);
        _bytes = larger;
    }
}
