namespace DarkStorage.Storage.Backends;

/// <summary>What went wrong outside, as far as somebody who calls can act on it.</summary>
public enum BackendError : byte
{
    /// <summary>There is no such blob.</summary>
    NotFound,

    /// <summary>It is in cold storage: warm it up, and come back.</summary>
    Cold,

    /// <summary>The credentials are wrong, have expired or may not do this, or the place is read-only.</summary>
    AccessDenied,

    /// <summary>No room, or past the account's quota.</summary>
    Full,

    /// <summary>The name, or a blob of that length, is more than this backend can have.</summary>
    Refused,

    /// <summary>There were fewer or more bytes than the backend said, or than it was given.</summary>
    WrongLength,

    /// <summary>The bytes are not those that were stored: the backend says so itself, or they do not match their content's id.</summary>
    Damaged,

    /// <summary>The place itself is not there (a bucket, a mount).</summary>
    PlaceMissing,

    /// <summary>It does not answer, or says that it can't now.</summary>
    Unavailable,

    /// <summary>It says that it was asked too often.</summary>
    Throttled,
}

/// <summary>What became of a call to a backend. The message is for an operator, and holds no secret.</summary>
public sealed class BackendException(BackendError error, string message, Exception? inner = null) : IOException(Plain(message), inner)
{
    /// <summary>Characters of a message. What a server says of itself is a part of it, and goes to logs and terminals.</summary>
    private const int MessageLengthMax = 1_000;

    public BackendError Error { get; } = error;

    /// <summary>When the backend wants to be asked again, where it says so.</summary>
    public TimeSpan? RetryAfter { get; init; }

    /// <summary>The same call may do better in a moment: nothing about it, and nothing that somebody would have to mend, was refused. Fewer bytes than promised are mostly a connection that broke.</summary>
    public bool IsTransient => Error is BackendError.Unavailable or BackendError.Throttled or BackendError.WrongLength;

    private static string Plain(string message) =>
        string.Create(Math.Min(message.Length, MessageLengthMax), message, static (plain, message) =>
        {
            for (var i = 0; i < plain.Length; i++) plain[i] = char.IsControl(message[i]) ? ' ' : message[i];
        });

    public static BackendException NotFound(BlobName name) => new(BackendError.NotFound, $"There is no {name}.");

    public static BackendException WrongLength(BlobName name, long expected, long actual, Exception? inner = null) =>
        new(BackendError.WrongLength, $"{name}: {expected} bytes were to come, and there were {actual}.", inner);
}
