using DarkStorage.GrainInterfaces.Buckets;
using DarkStorage.GrainInterfaces.Objects;
using Orleans;

namespace DarkStorage.GrainInterfaces.Tiers;

/// <summary>A wish for a version's bytes to be in another tier.</summary>
/// <param name="Version">Its id, the null version's too.</param>
/// <param name="StorageClass">Whose tier is wanted.</param>
[GenerateSerializer, Immutable, Alias("move-wish")]
public sealed record MoveWish(BucketId Bucket, string Key, VersionId Version, string StorageClass, MoveOrigin Origin);

/// <summary>A version of a bucket.</summary>
/// <param name="Version">Its id, the null version's too.</param>
[GenerateSerializer, Immutable, Alias("version-address")]
public sealed record VersionAddress(string Key, VersionId Version);

/// <summary>A wish that is not fulfilled yet.</summary>
/// <param name="BucketName">Null where the bucket is gone.</param>
/// <param name="Due">Not before; while somebody works on it, until when it is left to them.</param>
/// <param name="Attempts">That were begun.</param>
/// <param name="Failure">What became of the last one that ended; null where none has failed.</param>
[GenerateSerializer, Immutable, Alias("move")]
public sealed record Move(MoveWish Wish, string? BucketName, DateTimeOffset Asked, DateTimeOffset Due, int Attempts, string? Failure);

/// <summary>Who wants a move.</summary>
public enum MoveOrigin : byte
{
    /// <summary>An operator, of this very version.</summary>
    Operator = 1,

    /// <summary>A rule of the bucket's lifecycle.</summary>
    Lifecycle = 2,

    /// <summary>Whoever wrote it, with the storage class that they gave it.</summary>
    Writer = 3,

    /// <summary>Whoever asked for an archived version to be readable for a time: it is to stay where it is. While that is wanted no rule moves it.</summary>
    Restore = 4,
}
