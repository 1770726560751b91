using System.Diagnostics;
using DarkStorage.GrainInterfaces;

namespace DarkStorage.ClientApi.S3;

/// <summary>The domain's errors in S3's words.</summary>
internal static class StorageErrorMapping
{
    public static S3Error ToS3(this StorageError error) => error switch
    {
        StorageError.Internal => S3Error.InternalError,
        StorageError.NoSuchBucket => S3Error.NoSuchBucket,
        StorageError.NoSuchKey => S3Error.NoSuchKey,
        StorageError.NoSuchVersion => S3Error.NoSuchVersion,
        StorageError.NoSuchUpload => S3Error.NoSuchUpload,
        StorageError.NoSuchAccessKey => S3Error.InvalidAccessKeyId,
        StorageError.NoSuchUser => S3Error.InvalidAccessKeyId,
        StorageError.NoSuchEventTarget => S3Error.InvalidArgument,
        StorageError.NoSuchIntegration => S3Error.InvalidArgument,
        StorageError.IntegrationExists => S3Error.InvalidArgument,
        StorageError.NoSuchRole => S3Error.InvalidAccessKeyId,
        StorageError.TooManySettings => S3Error.TooManyConfigurations,
        StorageError.InvalidBucketState => S3Error.InvalidBucketState,
        StorageError.IsDeleteMarker => S3Error.MethodNotAllowed,
        StorageError.ObjectLocked => S3Error.AccessDenied,
        StorageError.BucketAlreadyExists => S3Error.BucketAlreadyExists,
        StorageError.BucketAlreadyOwnedByYou => S3Error.BucketAlreadyOwnedByYou,
        StorageError.BucketNotEmpty => S3Error.BucketNotEmpty,
        StorageError.TooManyBuckets => S3Error.TooManyBuckets,
        StorageError.InvalidBucketName => S3Error.InvalidBucketName,
        StorageError.InvalidArgument => S3Error.InvalidArgument,
        StorageError.InvalidRange => S3Error.InvalidRange,
        StorageError.InvalidPart => S3Error.InvalidPart,
        StorageError.InvalidPartOrder => S3Error.InvalidPartOrder,
        StorageError.EntityTooSmall => S3Error.EntityTooSmall,
        StorageError.EntityTooLarge => S3Error.EntityTooLarge,
        StorageError.PreconditionFailed => S3Error.PreconditionFailed,
        StorageError.Conflict => S3Error.ConditionalRequestConflict,
        StorageError.VersionChanged => S3Error.OperationAborted,
        StorageError.BadDigest => S3Error.BadDigest,
        StorageError.ContentSha256Mismatch => S3Error.ContentSha256Mismatch,
        StorageError.ChecksumMismatch => S3Error.BadDigest,
        StorageError.IncompleteBody => S3Error.IncompleteBody,
        StorageError.DataDamaged => S3Error.InternalError,
        StorageError.EncryptionKeyRequired => S3Error.InvalidRequest,
        StorageError.InvalidEncryptionKey => S3Error.AccessDenied,
        StorageError.EncryptionKeyNotApplicable => S3Error.InvalidRequest,
        StorageError.KeyNotFound => S3Error.KmsNotFound,
        StorageError.KeyDisabled => S3Error.KmsDisabled,
        StorageError.KeyAccessDenied => S3Error.AccessDenied,
        StorageError.KeyServiceUnavailable => S3Error.ServiceUnavailable,
        StorageError.BackendFailed => S3Error.ServiceUnavailable,
        StorageError.ObjectArchived => S3Error.InvalidObjectState,
        StorageError.NoSuchTier => S3Error.InvalidArgument,
        StorageError.ObjectNotArchived => S3Error.InvalidObjectState,
        StorageError.RestoreInProgress => S3Error.RestoreAlreadyInProgress,
        StorageError.InsufficientStorage => S3Error.InsufficientStorage,
        StorageError.IndexAway => S3Error.SlowDown,
        StorageError.Unavailable => S3Error.ServiceUnavailable,   // SDKs retry 503
        _ => throw new UnreachableException($"{error} has no S3 code"),     // a test maps every member
    };

    /// <summary>The answer to a failure of the domain. Its message reaches the client only where it says what the client did wrong
    /// and AWS has no sentence of its own for it; the others may tell of drives and nodes.</summary>
    public static S3Exception ToS3(this StorageException failure) => failure.Error switch
    {
        StorageError.InvalidArgument => new(S3Error.InvalidArgument, failure.Message, failure),
        StorageError.InvalidBucketState => new(S3Error.InvalidBucketState, failure.Message, failure),
        StorageError.ObjectLocked => new(S3Error.AccessDenied, "Access Denied because object protected by object lock.", failure),
        StorageError.ObjectNotArchived => new(S3Error.InvalidObjectState, "Restore is not allowed for the object's current storage class", failure),
        StorageError.ChecksumMismatch => new(S3Error.BadDigest, "The checksum you specified did not match the calculated checksum.", failure),
        StorageError.EncryptionKeyRequired => new(S3Error.InvalidRequest,
            "The object was stored using a form of Server Side Encryption. The correct parameters must be provided to retrieve the object.", failure),
        StorageError.EncryptionKeyNotApplicable => new(S3Error.InvalidRequest, "The encryption parameters are not applicable to this object.", failure),
        var error => new(error.ToS3(), null, failure),
    };
}
