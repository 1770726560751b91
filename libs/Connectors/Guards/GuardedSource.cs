using DarkStorage.Storage.Backends;

namespace DarkStorage.Connectors.Guards;

/// <summary>Content on its way out: each read is counted and paced, and shows that the put goes on.</summary>
internal sealed class GuardedSource(BlobSource inner, GuardedBackend owner, IdleWatch watch) : BlobSource
{
    public override long Length => inner.Length;

    public override async ValueTask<Stream> OpenAsync(long offset, CancellationToken ct) => new Passing(await inner.OpenAsync(offset, ct), owner, watch);

    private sealed class Passing(Stream inner, GuardedBackend owner, IdleWatch watch) : ReadOnlyStream
    {
        public override async ValueTask<int> ReadAsync(Memory<byte> buffer, CancellationToken cancellationToken = default)
        {
            // A source that is slow is not the backend's fault.
            watch.Pause();
            var read = await inner.ReadAsync(buffer, cancellationToken);
            await owner.PassedAsync(read, isWrite: true, cancellationToken);
            watch.Touch();
            return read;
        }

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
