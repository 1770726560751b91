using DarkStorage.Storage.Backends;

namespace DarkStorage.Connectors.Guards;

/// <summary>Content on its way out: each read is counted and paced, and shows that the put goes on.</summary>
internal sealed class GuardedSource(BlobSource inner, GuardedBackend owner, IdleWatch watch, TimeSpan sendTimeout, TimeSpan finishTimeout) : BlobSource
{
    private long _left = inner.Length;

    public override long Length => inner.Length;

    /// <summary>What the source itself threw: not the backend's fault, whatever the connector makes of it.</summary>
    public Exception? Failure { get; private set; }

    public override async ValueTask<Stream> OpenAsync(long offset, CancellationToken ct)
    {
        if (Interlocked.Read(ref _left) > 0) watch.Allow(sendTimeout);
        return new Passing(await ReadAsync(() => inner.OpenAsync(offset, ct), ct), this, isPeek: false);
    }

    public override async ValueTask<Stream> PeekAsync(long offset, CancellationToken ct) => new Passing(await ReadAsync(() => inner.PeekAsync(offset, ct), ct), this, isPeek: true);

    private async ValueTask<int> PassAsync(Stream stream, Memory<byte> buffer, CancellationToken ct)
    {
        var read = await ReadAsync(() => stream.ReadAsync(buffer, ct), ct, taken =>
        {
            // What was sent again counts twice, and so allows more time a little early.
            if (Interlocked.Add(ref _left, -taken) <= 0) watch.Allow(finishTimeout);
            return owner.PassedAsync(taken, isWrite: true, ct);
        });
        return read;
    }

    private ValueTask<int> PeekAsync(Stream stream, Memory<byte> buffer, CancellationToken ct) => ReadAsync(() => stream.ReadAsync(buffer, ct), ct);

    private async ValueTask<T> ReadAsync<T>(Func<ValueTask<T>> read, CancellationToken ct, Func<T, ValueTask>? passed = null)
    {
        watch.Pause();
        try
        {
            var result = await read();
            if (passed is not null) await passed(result);
            return result;
        }
        catch (Exception e) when (e is not OperationCanceledException || !ct.IsCancellationRequested)
        {
            Failure ??= e;
            throw;
        }
        finally
        {
            watch.Resume();
        }
    }

    private sealed class Passing(Stream inner, GuardedSource owner, bool isPeek) : ReadOnlyStream
    {
        public override ValueTask<int> ReadAsync(Memory<byte> buffer, CancellationToken cancellationToken = default) =>
            isPeek ? owner.PeekAsync(inner, buffer, cancellationToken) : owner.PassAsync(inner, buffer, cancellationToken);

        public override async ValueTask DisposeAsync()
        {
            await inner.DisposeAsync();
            await base.DisposeAsync();
        }

        protected override void Dispose(bool disposing)
        {
            if (disposing) inner.Dispose();
            base.Dispose(disposing);
        }
    }
}
