namespace DarkStorage.GrainInterfaces;

/// <summary>Everything that can go wrong in the domain, named once. The front end maps each member to S3's code and status.</summary>
/// <remarks>Between silos, of two versions too, a member is its number: new ones go to the end.</remarks>
public enum StorageError
{
    /// <summary>A defect of ours: the request may be right.</summary>
    Internal,
    NoSuchBucket,
    NoSuchKey,
    NoSuchVersion,
    NoSuchUpload,
    NoSuchAccessKey,
    NoSuchUser,
    NoSuchEventTarget,
    NoSuchRole,
    BucketAlreadyExists,
    BucketAlreadyOwnedByYou,
    BucketNotEmpty,
    TooManyBuckets,
    TooManySettings,
    InvalidBucketName,
    InvalidArgument,
    /// <summary>The bucket is not in the state that the change needs.</summary>
    InvalidBucketState,
    /// <summary>The version that is named is a delete marker: it has no content and no attributes.</summary>
    IsDeleteMarker,
    /// <summary>Retention or a legal hold keeps the version.</summary>
    ObjectLocked,
    InvalidRange,
    InvalidPart,
    InvalidPartOrder,
    EntityTooSmall,
    EntityTooLarge,
    /// <summary>If-Match, If-None-Match and their kin, evaluated against what the index holds.</summary>
    PreconditionFailed,
    /// <summary>Another writer changed the key while this one was deciding.</summary>
    Conflict,
    /// <summary>The version is no longer the one that the change was decided on.</summary>
    VersionChanged,
    /// <summary>The content does not have the MD5 that the client stated.</summary>
    BadDigest,
    /// <summary>The content does not have the SHA-256 that the signature covers.</summary>
    ContentSha256Mismatch,
    /// <summary>The content does not have the checksum that the client stated.</summary>
    ChecksumMismatch,
    /// <summary>Fewer bytes came than were announced.</summary>
    IncompleteBody,
    /// <summary>A stored block does not match its checksum, or does not open under its key, and there is no other copy.</summary>
    DataDamaged,
    /// <summary>The content is sealed and no key came with the request.</summary>
    EncryptionKeyRequired,
    /// <summary>The key that came with the request is not the one that the content was sealed under.</summary>
    InvalidEncryptionKey,
    /// <summary>A key came with the request, and the content is not sealed under one of the client's.</summary>
    EncryptionKeyNotApplicable,
    /// <summary>The key service knows no key of that name.</summary>
    KeyNotFound,
    /// <summary>The key service has the key and will not use it.</summary>
    KeyDisabled,
    /// <summary>The key service does not let this node use the key.</summary>
    KeyAccessDenied,
    /// <summary>The key service did not answer: the same request may be sent again.</summary>
    KeyServiceUnavailable,
    /// <summary>No drive has room for the write. Reads go on.</summary>
    InsufficientStorage,
    /// <summary>The index is away, and was not asked: the same request may be sent again in a moment.</summary>
    IndexAway,
    /// <summary>The outcome is not known or the node is busy: the same request may be sent again.</summary>
    Unavailable,
    NoSuchIntegration,
    IntegrationExists,
    /// <summary>A place outside did not answer, or refused.</summary>
    BackendFailed,
    /// <summary>The content is in cold storage: it has to be restored first.</summary>
    ObjectArchived,
    NoSuchTier,
    /// <summary>The version is not in an archive, which alone is restored from.</summary>
    ObjectNotArchived,
    /// <summary>The version is being restored already.</summary>
    RestoreInProgress,
}
