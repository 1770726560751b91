using DarkStorage.GrainInterfaces.Integrations;
using DarkStorage.GrainInterfaces.Objects;
using DarkStorage.Storage;
using DarkStorage.Storage.Backends;

namespace DarkStorage.Connectors.Guards;

/// <summary>A place that is read and never changed: for a node that is a copy of another, whose content is there.</summary>
internal sealed class ReadOnlyBackend(IMeteredBackend inner) : IMeteredBackend
{
    private static BackendException Refused => new(BackendError.AccessDenied, "Nothing is put, copied, restored or deleted at places outside by this node: Integrations:ReadOnly is set.");

    public BackendTraits Traits => inner.Traits;

    public Task PrepareAsync(CancellationToken ct) => Task.FromException(Refused);

    /// <summary>One that has no id is not to get one.</summary>
    public Task<string?> IdentifyAsync(CancellationToken ct) => Task.FromResult<string?>(null);

    /// <summary>Cleans nothing. It is done now and then, and nobody asked for it.</summary>
    public Task CleanAsync(CancellationToken ct) => Task.CompletedTask;

    public Task<BackendBlob> PutAsync(BlobName name, BlobSource content, CancellationToken ct) => Task.FromException<BackendBlob>(Refused);

    public Task<Stream> OpenAsync(BlobName name, ByteRange range, CancellationToken ct) => inner.OpenAsync(name, range, ct);

    public Task<BackendBlob?> StatAsync(BlobName name, CancellationToken ct) => inner.StatAsync(name, ct);

    public Task DeleteAsync(BlobName name, CancellationToken ct) => Task.FromException(Refused);

    public IAsyncEnumerable<BackendBlob> ListAsync(string prefix, CancellationToken ct) => inner.ListAsync(prefix, ct);

    public Task<BackendBlob> CopyAsync(BlobName from, BlobName to, CancellationToken ct) => Task.FromException<BackendBlob>(Refused);

    public Task SettleAsync(BlobName name, CancellationToken ct) => Task.FromException(Refused);

    /// <summary>Its place would make a copy, or forget until when it has one.</summary>
    public Task WarmUpAsync(BlobName name, WarmUpSpeed speed, TimeSpan keep, CancellationToken ct) => Task.FromException(Refused);

    public BackendUsage TakeUsage() => inner.TakeUsage();

    public ValueTask DisposeAsync() => inner.DisposeAsync();
}
