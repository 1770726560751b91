using System.Buffers;
using System.Buffers.Binary;
using System.IO.Pipelines;
using System.Threading.Channels;
using Orleans.Serialization;

namespace DarkStorage.Engine;

/// <summary>One frame to send: a pooled array that begins with four bytes for the length.</summary>
internal readonly record struct Frame(byte[] Buffer, int Length)
{
    public void Return() => ArrayPool<byte>.Shared.Return(Buffer);
}

/// <summary>
/// Frames over one stream, both ways: four bytes of length, little-endian, and as many bytes. What waits to be sent is bounded, in
/// frames and in bytes. Nothing is allocated for a frame before its bytes have come.
/// </summary>
internal sealed class FrameConnection : IAsyncDisposable
{
    public const int HeaderLength = 4;

    private const int BatchBytes = 64 * 1024;

    private readonly Stream _stream;
    private readonly int _frameMax;
    private readonly int _queuedMax;
    private readonly long _queuedBytesMax;
    private readonly Channel<Frame> _queue = Channel.CreateUnbounded<Frame>(new() { SingleReader = true });   // bounded by the two counts
    private readonly CancellationTokenSource _closing = new();
    private TaskCompletionSource? _drained;
    private int _queued;
    private long _queuedBytes;
    private int _isClosed;
    private volatile bool _isWriting;

    public FrameConnection(Stream stream, int frameMax, int queuedMax, long queuedBytesMax)
    {
        _stream = stream;
        _frameMax = frameMax;
        _queuedMax = queuedMax;
        _queuedBytesMax = queuedBytesMax;
    }

    public bool IsClosed => Volatile.Read(ref _isClosed) != 0;

    /// <summary>Something waits to be sent, or is on its way into the stream.</summary>
    public bool HasUnsent => Volatile.Read(ref _queued) > 0 || _isWriting;

    /// <summary>False when it is closed, or when too much waits; the frame then stays the caller's.</summary>
    /// <param name="isBounded">False for answers, whose number is bounded by that of the calls: see <see cref="DrainedAsync"/>.</param>
    public bool TrySend(Frame frame, bool isBounded)
    {
        if (IsClosed) return false;
        var queued = Interlocked.Increment(ref _queued);
        var bytes = Interlocked.Add(ref _queuedBytes, frame.Length);
        // One frame may always wait, however large it is.
        var isTooMuch = isBounded && queued > 1 && (queued > _queuedMax || bytes > _queuedBytesMax);
        if (!isTooMuch && _queue.Writer.TryWrite(frame)) return true;
        TakeOff(frame.Length);
        return false;
    }

    /// <summary>Writes and reads until the connection ends. The handler gets each frame's content, for as long as it runs.</summary>
    /// <param name="beforeEach">Awaited before each read frame: what holds the peer back.</param>
    public async Task RunAsync(Action<ReadOnlyMemory<byte>> handle, Func<ValueTask>? beforeEach)
    {
        var writing = WriteAsync();
        try
        {
            await ReadAsync(handle, beforeEach);
        }
        catch (Exception)
        {
            // The other side has gone, this side has closed, or what came was no frame: whatever it is, the connection ends with it.
        }
        finally
        {
            Close();
            await writing;
        }
    }

    /// <summary>Completes when less waits to be sent than the bound allows.</summary>
    public async ValueTask DrainedAsync()
    {
        while (!IsClosed && (Volatile.Read(ref _queued) > _queuedMax || Volatile.Read(ref _queuedBytes) > _queuedBytesMax))
        {
            var drained = Volatile.Read(ref _drained);
            if (drained is null || drained.Task.IsCompleted)
            {
                var fresh = new TaskCompletionSource(TaskCreationOptions.RunContinuationsAsynchronously);
                Interlocked.CompareExchange(ref _drained, fresh, drained);
                continue;   // looks at the counts again, now that it will be told
            }

            await drained.Task;
        }
    }

    public void Close()
    {
        if (Interlocked.Exchange(ref _isClosed, 1) != 0) return;
        _closing.Cancel();
        _queue.Writer.TryComplete();
        _stream.Dispose();
        Volatile.Read(ref _drained)?.TrySetResult();
    }

    public async ValueTask DisposeAsync()
    {
        Close();
        await _stream.DisposeAsync();
    }

    /// <summary>One frame, as long as the two sides have not agreed to talk: no longer than <paramref name="max"/> bytes.</summary>
    public static async Task<byte[]> ReadOneAsync(Stream stream, int max, CancellationToken ct)
    {
        var header = new byte[HeaderLength];
        await stream.ReadExactlyAsync(header, ct);
        var length = BinaryPrimitives.ReadUInt32LittleEndian(header);
        if (length > max) throw new SerializerException($"A first frame of {length} bytes is too long");
        var content = new byte[length];
        await stream.ReadExactlyAsync(content, ct);
        return content;
    }

    private async Task WriteAsync()
    {
        var batch = new byte[BatchBytes];
        try
        {
            while (await _queue.Reader.WaitToReadAsync(_closing.Token))
            {
                var filled = 0;
                _isWriting = true;
                while (_queue.Reader.TryRead(out var frame))
                {
                    TakeOff(frame.Length);   // it waits no longer: whoever sees its answer may send the next
                    if (filled > 0 && filled + frame.Length > batch.Length)
                    {
                        await _stream.WriteAsync(batch.AsMemory(0, filled), _closing.Token);
                        filled = 0;
                    }

                    if (frame.Length > batch.Length) await _stream.WriteAsync(frame.Buffer.AsMemory(0, frame.Length), _closing.Token);
                    else frame.Buffer.AsSpan(0, frame.Length).CopyTo(batch.AsSpan(filled));
                    filled += frame.Length > batch.Length ? 0 : frame.Length;
                    frame.Return();
                    if (filled > batch.Length / 2) break;
                }

                if (filled > 0) await _stream.WriteAsync(batch.AsMemory(0, filled), _closing.Token);
                _isWriting = false;
            }
        }
        catch (Exception)
        {
            // As where it reads.
        }
        finally
        {
            Close();
            _isWriting = false;
            while (_queue.Reader.TryRead(out var frame))
            {
                TakeOff(frame.Length);
                frame.Return();
            }
        }
    }

    private async Task ReadAsync(Action<ReadOnlyMemory<byte>> handle, Func<ValueTask>? beforeEach)
    {
        var pipe = PipeReader.Create(_stream, new(bufferSize: BatchBytes, leaveOpen: true));
        while (true)
        {
            var result = await pipe.ReadAsync(_closing.Token);
            var buffer = result.Buffer;
            while (TryTake(ref buffer, out var frame))
            {
                if (beforeEach is not null) await beforeEach();
                Handle(frame, handle);
            }

            pipe.AdvanceTo(buffer.Start, buffer.End);
            if (result.IsCompleted) return;
        }
    }

    private bool TryTake(ref ReadOnlySequence<byte> buffer, out ReadOnlySequence<byte> frame)
    {
        frame = default;
        if (buffer.Length < HeaderLength) return false;
        Span<byte> header = stackalloc byte[HeaderLength];
        buffer.Slice(0, HeaderLength).CopyTo(header);
        var length = BinaryPrimitives.ReadUInt32LittleEndian(header);
        if (length > _frameMax) throw new SerializerException($"A frame of {length} bytes is longer than one may be");
        if (buffer.Length - HeaderLength < length) return false;
        frame = buffer.Slice(HeaderLength, length);
        buffer = buffer.Slice(HeaderLength + (long)length);
        return true;
    }

    private static void Handle(ReadOnlySequence<byte> frame, Action<ReadOnlyMemory<byte>> handle)
    {
        if (frame.IsSingleSegment)
        {
            handle(frame.First);
            return;
        }

        var whole = ArrayPool<byte>.Shared.Rent((int)frame.Length);
        frame.CopyTo(whole);
        handle(whole.AsMemory(0, (int)frame.Length));
        ArrayPool<byte>.Shared.Return(whole);
    }

    private void TakeOff(long bytes)
    {
        var queued = Interlocked.Decrement(ref _queued);
        var left = Interlocked.Add(ref _queuedBytes, -bytes);
        if (queued <= _queuedMax && left <= _queuedBytesMax) Interlocked.Exchange(ref _drained, null)?.TrySetResult();
    }
}
