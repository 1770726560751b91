using DarkStorage.Storage;
using DarkStorage.Storage.Backends;

namespace DarkStorage.Connectors.Guards;

/// <summary>A range that is being read. Where the stream below breaks or hangs it is opened again there.</summary>
internal sealed class GuardedStream(GuardedBackend owner, BlobName name, ByteRange range, Stream first, BackendLimits limits, TimeProvider clock) : ReadOnlyStream
{
    /// <summary>Bytes after which earlier breaks are forgiven: a long stream may break now and then, and one that breaks all the time ends.</summary>
    private const long ForgivenAfter = 64L << 20;

    private const int BufferBytes = 256 << 10;

    private Stream? _stream = first;
    private byte[]? _buffer;
    private long _position;
    private int _unpaced;
    private long _brokeAt;
    private int _breaks;

    public override async ValueTask<int> ReadAsync(Memory<byte> buffer, CancellationToken cancellationToken = default)
    {
        if (buffer.IsEmpty || _position == range.Length) return 0;
        // Before the next bytes and not behind the last: those the caller has, cancelled or not.
        await owner.PassedAsync(Interlocked.Exchange(ref _unpaced, 0), isWrite: false, cancellationToken);
        while (true)
        {
            _stream ??= await owner.OpenOnceAsync(name, range with { First = range.First + _position }, cancellationToken);
            try
            {
                var read = await ReadOnceAsync(_stream, buffer, cancellationToken);
                if (read == 0) throw BackendException.WrongLength(name, range.Length, _position);
                _position += read;
                _unpaced = read;
                return read;
            }
            catch (BackendException e) when (e.IsTransient)
            {
                await ForgetStreamAsync();
                if (!Forgives()) throw;
                await Task.Delay(limits.RetryDelay * _breaks, clock, cancellationToken);
            }
        }
    }

    public override async ValueTask DisposeAsync()
    {
        await ForgetStreamAsync();
        await base.DisposeAsync();
    }

    protected override void Dispose(bool disposing)
    {
        if (disposing)
        {
            owner.Passed(Interlocked.Exchange(ref _unpaced, 0), isWrite: false);
            _stream?.Dispose();
            _stream = null;
        }
        base.Dispose(disposing);
    }

    private bool Forgives()
    {
        if (_position - _brokeAt >= ForgivenAfter) _breaks = 0;
        _brokeAt = _position;
        return ++_breaks < limits.AttemptsMax;
    }

    /// <summary>Into a buffer that is left behind with a read that hangs: the caller's own may by then be somebody else's.</summary>
    private async Task<int> ReadOnceAsync(Stream stream, Memory<byte> buffer, CancellationToken ct)
    {
        var own = _buffer ?? GC.AllocateUninitializedArray<byte>(BufferBytes);
        _buffer = null;
        var ending = CancellationTokenSource.CreateLinkedTokenSource(ct);
        var reading = stream.ReadAsync(own.AsMemory(0, Math.Min(own.Length, buffer.Length)), ending.Token).AsTask();
        int read;
        try
        {
            read = await reading.WaitAsync(limits.Timeout, clock, ct);
        }
        catch (TimeoutException)
        {
            LeaveBehind(stream, reading, ending);
            throw owner.TooLate(limits.Timeout);
        }
        catch (OperationCanceledException)
        {
            LeaveBehind(stream, reading, ending);
            throw;
        }
        catch
        {
            ending.Dispose();
            throw;
        }
        ending.Dispose();
        own.AsSpan(0, read).CopyTo(buffer.Span);
        _buffer = own;
        return read;
    }

    private void LeaveBehind(Stream stream, Task reading, CancellationTokenSource ending)
    {
        _stream = null;
        _ = EndAsync();

        async Task EndAsync()
        {
            await ending.CancelAsync();
            await reading.ConfigureAwait(ConfigureAwaitOptions.SuppressThrowing);
            ending.Dispose();
            await stream.DisposeAsync();
        }
    }

    private async ValueTask ForgetStreamAsync()
    {
        if (_stream is { } stream) await stream.DisposeAsync();
        _stream = null;
    }
}
