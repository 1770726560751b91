using DarkStorage.GrainInterfaces;
using DarkStorage.Storage;

namespace DarkStorage.ClientApi.S3.Operations;

/// <summary>Ties the bytes of a write to the commit of its facts: the blob is kept unless it is certain that nothing was committed.</summary>
internal static class BlobCommit
{
    /// <summary>Commits, and keeps the blob where the commit happened or may have happened. What it may have left, the collector finds.</summary>
    /// <param name="commit">Not cancelled when the client goes away: the bytes are there, and half an answer helps nobody.</param>
    public static async Task<T> CommitAsync<T>(this IBlobWrite write, Func<CancellationToken, Task<T>> commit)
    {
        try
        {
            var result = await commit(CancellationToken.None);
            write.Keep();
            return result;
        }
        catch (Exception e)
        {
            if (!NothingHappened(e)) write.Keep();
            throw;
        }
    }

    /// <summary>Errors that a grain answers with before it writes, or that the index answers having written nothing. That the index is away may have been found after the commit.</summary>
    private static bool NothingHappened(Exception exception) => exception is StorageException
    {
        Error: not (StorageError.Unavailable or StorageError.IndexAway or StorageError.Internal)
    };
}
