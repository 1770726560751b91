using DarkStorage.GrainInterfaces;

namespace DarkStorage.Storage.Backends;

/// <summary>The places outside that bytes may be in, by the names of their integrations.</summary>
public interface IPlaces
{
    /// <returns>The backend, which stays the owner's to dispose. One for all callers of this node, so that its bounds hold for all together.</returns>
    /// <param name="anew">As the integration says now: what was asked before may be a little old.</param>
    /// <exception cref="StorageException"><see cref="StorageError.Unavailable"/>: the integration can't be asked, or is gone.</exception>
    ValueTask<IBackend> OpenAsync(string integration, bool anew, CancellationToken ct);

    /// <summary>As <see cref="OpenAsync"/> anew, for who is about to put there, to copy or to delete. What is to be put has been entered in the index before: either a place that is left after this is seen to have it, or this is refused.</summary>
    /// <exception cref="StorageException"><see cref="StorageError.BackendFailed"/>: the integration is disabled, or being left. <see cref="StorageError.Unavailable"/>: it can't be asked, or is gone.</exception>
    ValueTask<IBackend> OpenForWritingAsync(string integration, CancellationToken ct);
}
