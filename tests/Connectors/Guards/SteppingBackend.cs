using System.Runtime.CompilerServices;
using DarkStorage.Storage;
using DarkStorage.Storage.Backends;

namespace DarkStorage.Connectors.Guards;

/// <summary>A backend whose lists have one name, after ten steps without.</summary>
internal sealed class SteppingBackend(Action step) : IListsInSteps
{
    public BackendTraits Traits { get; } = new(1);

    public async IAsyncEnumerable<BackendBlob?> ListInStepsAsync(string prefix, [EnumeratorCancellation] CancellationToken ct)
    {
        for (var i = 0; i < 10; i++)
        {
            step();
            await Task.Yield();
            ct.ThrowIfCancellationRequested();
            yield return null;
        }
        yield return new(BlobName.Parse("found"), 1, default);
    }

    public IAsyncEnumerable<BackendBlob> ListAsync(string prefix, CancellationToken ct) => throw new NotSupportedException();

    public Task PrepareAsync(CancellationToken ct) => throw new NotSupportedException();

    public Task<BackendBlob> PutAsync(BlobName name, BlobSource content, CancellationToken ct) => throw new NotSupportedException();

    public Task<Stream> OpenAsync(BlobName name, ByteRange range, CancellationToken ct) => throw new NotSupportedException();

    public Task<BackendBlob?> StatAsync(BlobName name, CancellationToken ct) => throw new NotSupportedException();

    public Task DeleteAsync(BlobName name, CancellationToken ct) => throw new NotSupportedException();

    public Task<BackendBlob> CopyAsync(BlobName from, BlobName to, CancellationToken ct) => throw new NotSupportedException();

    public ValueTask DisposeAsync() => ValueTask.CompletedTask;
}
