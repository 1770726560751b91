using DarkStorage.GrainInterfaces;
using DarkStorage.GrainInterfaces.Objects;

namespace DarkStorage.Storage.Backends;

/// <summary>Keeps blobs outside of the cluster's own drives: one place, of one connector. Used by many callers at one time.</summary>
/// <remarks>What every connector promises, and the conformance suite holds it to:
/// a blob is there whole or not at all, whatever breaks while it is put; one that was put reads back at once, byte for byte, until it is settled; a put over a blob of the same name shows the old one or
/// the new one; a stream that was opened gives exactly the bytes asked for or throws; and whatever goes wrong is a <see cref="BackendException"/> that says of what kind it is. Retries, pacing, timeouts
/// and counts are a decorator's, never the connector's own.
/// Whoever is answered with an error, or leaves, does not know what became of a put or a delete: it may still happen, a moment later too. So a name is used for one content only, and never again.</remarks>
public interface IBackend : IAsyncDisposable
{
    BackendTraits Traits { get; }

    /// <summary>Makes the place ready for its first blob: called once, when somebody says that this is the place. What is there already is left.</summary>
    Task PrepareAsync(CancellationToken ct);

    /// <summary>Says which place it is: an id by chance that lies in it, and that it gets now where it has none. Settings keep it (<see cref="ConnectorType.PlaceId"/>); a backend that is opened with one takes no place for this that has another, or none.</summary>
    /// <returns>Null where the settings alone say which place it is.</returns>
    Task<string?> IdentifyAsync(CancellationToken ct) => Task.FromResult<string?>(null);

    /// <summary>Frees what puts that a crash cut off have left there. Called now and then, beside puts under way.</summary>
    Task CleanAsync(CancellationToken ct) => Task.CompletedTask;

    /// <summary>Stores a blob, in place of one of that name. When it returns the blob is as durable as the backend makes anything.</summary>
    /// <returns>The blob as the backend has it. Its length was compared with the content's.</returns>
    Task<BackendBlob> PutAsync(BlobName name, BlobSource content, CancellationToken ct);

    /// <param name="range">Bytes of the blob, zero-based, both ends inclusive. Not empty.</param>
    /// <returns>Exactly the range's bytes: reading throws <see cref="BackendError.WrongLength"/> where there are fewer. The caller disposes the stream.</returns>
    /// <exception cref="BackendException"><see cref="BackendError.NotFound"/>; <see cref="BackendError.Cold"/>: it has to be warmed up first; <see cref="BackendError.WrongLength"/>: the blob ends before the range does.</exception>
    Task<Stream> OpenAsync(BlobName name, ByteRange range, CancellationToken ct);

    /// <returns>Null where there is no such blob.</returns>
    Task<BackendBlob?> StatAsync(BlobName name, CancellationToken ct);

    /// <summary>Deletes a blob. Deleting one that is not there succeeds.</summary>
    Task DeleteAsync(BlobName name, CancellationToken ct);

    /// <summary>Blobs whose names begin with a text, in no particular order. What was put before the call is among them, what was deleted before it is not; of changes meanwhile some show.</summary>
    /// <param name="prefix">Empty for all.</param>
    IAsyncEnumerable<BackendBlob> ListAsync(string prefix, CancellationToken ct);

    /// <summary>Makes a second blob of the same content, in place of one of that name, without the bytes passing through this machine where the backend can do that.</summary>
    Task<BackendBlob> CopyAsync(BlobName from, BlobName to, CancellationToken ct);

    /// <summary>Lets a blob go where it is to stay: one that was put can be read at once, and is to be cold only after that. Settling again succeeds.</summary>
    Task SettleAsync(BlobName name, CancellationToken ct) => Task.CompletedTask;

    /// <summary>Asks for a cold blob to be made readable. <see cref="StatAsync"/> says when it is. Asking again, or for one that is not cold, succeeds; one that is readable for a time is so for the new one.</summary>
    /// <param name="keep">For how long it is to stay readable; backends count whole days.</param>
    Task WarmUpAsync(BlobName name, WarmUpSpeed speed, TimeSpan keep, CancellationToken ct) => Task.CompletedTask;
}

/// <summary>What a backend can do.</summary>
/// <param name="BlobBytesMax">Bytes of the largest blob it takes.</param>
public sealed record BackendTraits(long BlobBytesMax)
{
    /// <summary>What is settled can't be read until it is warmed up.</summary>
    public bool IsCold { get; init; }

    /// <summary>For how long a put or a delete may wait, however little it brings, for the place to show what was done; zero where that is at once.</summary>
    public TimeSpan ShowsWithin { get; init; }
}

/// <summary>A blob as its backend tells of it.</summary>
/// <param name="Modified">When the backend got it, by the backend's clock.</param>
/// <param name="ContentId">What the backend calls the content itself, where it names things by content (a CID); else null.</param>
public sealed record BackendBlob(BlobName Name, long Length, DateTimeOffset Modified, string? ContentId = null)
{
    public BlobWarmth Warmth { get; init; }
}

/// <summary>Whether a blob can be read now.</summary>
public enum BlobWarmth : byte
{
    Readable,

    /// <summary>It has to be warmed up first.</summary>
    Cold,

    /// <summary>It was asked to be warmed up, and is not yet.</summary>
    Warming,
}
