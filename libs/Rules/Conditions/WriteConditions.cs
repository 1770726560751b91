using DarkStorage.GrainInterfaces;
using DarkStorage.GrainInterfaces.Objects;

namespace DarkStorage.Rules.Conditions;

/// <summary>Whether a conditional write may happen (RFC 9110, section 13.1; S3's conditional writes).</summary>
public static class WriteConditions
{
    /// <param name="current">The key's current version, or null where it has none.</param>
    /// <exception cref="StorageException"><see cref="StorageError.NoSuchKey"/>: If-Match on a key without a version, as S3 answers it;
    /// <see cref="StorageError.PreconditionFailed"/>.</exception>
    public static void ThrowIfUnmet(this WriteCondition condition, ObjectVersion? current)
    {
        if (condition.IfMatch is { } wanted)
        {
            if (current is null) throw new StorageException(StorageError.NoSuchKey, "If-Match was given, and there is no object.");
            if (wanted != WriteCondition.Any && wanted != current.Manifest.ETag)
                throw new StorageException(StorageError.PreconditionFailed, $"If-Match names {wanted}; the object is {current.Manifest.ETag}.");
        }
        if (condition.IfNoneMatch is { } unwanted && current is not null && (unwanted == WriteCondition.Any || unwanted == current.Manifest.ETag))
            throw new StorageException(StorageError.PreconditionFailed, $"If-None-Match names {unwanted}; the object is {current.Manifest.ETag}.");
        // These two are of deletes alone, and to delete what is not there is done already.
        if (current is null) return;
        if (condition.IfModified is { } time && current.Modified.ToUnixTimeSeconds() != time.ToUnixTimeSeconds())
            throw new StorageException(StorageError.PreconditionFailed, $"The condition names the time {time:O}; the object is of {current.Modified:O}.");
        if (condition.IfSize is { } size && current.Manifest.Length != size)
            throw new StorageException(StorageError.PreconditionFailed, $"The condition names {size} bytes; the object has {current.Manifest.Length}.");
    }
}
