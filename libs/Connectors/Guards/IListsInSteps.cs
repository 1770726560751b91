using DarkStorage.Storage.Backends;

namespace DarkStorage.Connectors.Guards;

/// <summary>A backend that has to read much before it can name a blob: of its lists each step is an answer, and not each name alone.</summary>
internal interface IListsInSteps : IBackend
{
    /// <summary>As <see cref="IBackend.ListAsync"/>.</summary>
    /// <returns>A blob, or null: the list goes on.</returns>
    IAsyncEnumerable<BackendBlob?> ListInStepsAsync(string prefix, CancellationToken ct);
}
