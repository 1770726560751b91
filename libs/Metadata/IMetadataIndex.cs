using System.Collections.Immutable;
using DarkStorage.GrainInterfaces;
using DarkStorage.GrainInterfaces.Buckets;
using DarkStorage.GrainInterfaces.Events;
using DarkStorage.GrainInterfaces.Objects;
using DarkStorage.GrainInterfaces.Tiers;
using DarkStorage.GrainInterfaces.Uploads;

namespace DarkStorage.Metadata;

/// <summary>The object index: every fact of the cluster in one relational model. A write is durable when its task completes, and all of it or none is.</summary>
/// <remarks>Every change of an object names the revision it was decided on; where the index holds another, nothing is changed and
/// <see cref="StorageError.Conflict"/> is thrown. That, not the grain, is what makes two writers safe.
/// Any method may throw <see cref="StorageError.Unavailable"/> (the outcome is not known) or <see cref="StorageError.InsufficientStorage"/> (nothing changed).</remarks>
public interface IMetadataIndex : IIndexReader, IAsyncDisposable
{
    /// <exception cref="StorageException"><see cref="StorageError.BucketAlreadyExists"/>: whoever owns it. <see cref="StorageError.TooManyBuckets"/>.</exception>
    Task<BucketRecord> CreateBucketAsync(string name, BucketCreation creation, DateTimeOffset created, CancellationToken ct);

    /// <summary>Removes a bucket without objects and versions. Uploads under way in it end, and their parts are freed.</summary>
    /// <exception cref="StorageException"><see cref="StorageError.NoSuchBucket"/>, <see cref="StorageError.BucketNotEmpty"/>.</exception>
    Task DeleteBucketAsync(BucketId bucket, DateTimeOffset now, CancellationToken ct);

    /// <summary>Changes a bucket's record.</summary>
    /// <returns>The record as it is now.</returns>
    /// <exception cref="StorageException"><see cref="StorageError.Conflict"/>: it is at another revision. <see cref="StorageError.NoSuchBucket"/>,
    /// <see cref="StorageError.TooManySettings"/>.</exception>
    Task<BucketRecord> UpdateBucketAsync(BucketChange change, CancellationToken ct);

    /// <summary>Puts a version on top of a key's others, and writes its events. A null version takes the place of the null version there may be, and frees what it held; every other one stays.</summary>
    /// <exception cref="StorageException"><see cref="StorageError.Conflict"/>, <see cref="StorageError.NoSuchBucket"/>, <see cref="StorageError.NoSuchUpload"/>.</exception>
    Task SaveObjectAsync(ObjectChange change, CancellationToken ct);

    /// <summary>Changes a version in its place: its attributes, or where its content lies. Blobs that its manifest no longer names are freed.</summary>
    /// <param name="next">Its revision and id are those of the version; its <see cref="ObjectAttributes.Change"/> is one more than that which was decided on.</param>
    /// <param name="wish">What becomes of the wish for the version.</param>
    /// <exception cref="StorageException"><see cref="StorageError.Conflict"/>: it was changed since, or is gone. <see cref="StorageError.VersionChanged"/>: it fulfils one that is not there any more. <see cref="StorageError.NoSuchBucket"/>.</exception>
    Task UpdateVersionAsync(BucketId bucket, string key, ObjectVersion next, DateTimeOffset now, ImmutableArray<ObjectEvent> events, WishChange wish, CancellationToken ct);

    /// <summary>Removes one version for good and frees what it held. Where it was on top, the next one comes up.</summary>
    /// <returns>False where there was no such version.</returns>
    /// <exception cref="StorageException"><see cref="StorageError.Conflict"/>, <see cref="StorageError.NoSuchBucket"/>.</exception>
    Task<bool> RemoveVersionAsync(VersionRemoval removal, DateTimeOffset now, CancellationToken ct);

    /// <exception cref="StorageException"><see cref="StorageError.NoSuchBucket"/>.</exception>
    Task BeginUploadAsync(UploadRecord upload, CancellationToken ct);

    /// <summary>Keeps a part, in the place of an earlier one with its number.</summary>
    /// <exception cref="StorageException"><see cref="StorageError.NoSuchUpload"/>.</exception>
    Task SavePartAsync(UploadId upload, UploadPart part, CancellationToken ct);

    /// <summary>Removes the upload and frees its parts.</summary>
    /// <returns>Whether there was such an upload.</returns>
    Task<bool> DeleteUploadAsync(UploadId upload, DateTimeOffset now, CancellationToken ct);

    /// <summary>Enters a blob that is new, before it is put at a place outside. If no version names it by then, it is garbage.</summary>
    /// <param name="place">The name of the integration.</param>
    Task EnterPlacedBlobAsync(BlobId blob, string place, DateTimeOffset until, CancellationToken ct);

    /// <summary>Lets a blob that was entered be so for longer.</summary>
    /// <returns>False where it is no longer: it was taken as garbage, or is a version's.</returns>
    Task<bool> RenewPlacedBlobAsync(BlobId blob, DateTimeOffset until, CancellationToken ct);

    /// <summary>Takes blobs at a place outside that were freed, entered until, or taken before a time, the oldest first. From now on no version can come to name them; those that are not forgotten are taken again.</summary>
    Task<IReadOnlyList<BlobId>> TakePlacedGarbageAsync(string place, DateTimeOffset freedBefore, DateTimeOffset now, int max, CancellationToken ct);

    /// <returns>Whether there are blobs at a place outside that versions name, or may come to.</returns>
    ValueTask<bool> IsPlaceInUseAsync(string place, CancellationToken ct);

    /// <returns>Whether there is garbage at a place outside that was taken, and is not forgotten.</returns>
    ValueTask<bool> HasTakenGarbageAsync(string place, CancellationToken ct);

    /// <summary>Forgets garbage at a place that nobody can ask any more.</summary>
    /// <returns>How much: less than at most where there is no more.</returns>
    Task<long> ForgetPlaceAsync(string place, int max, CancellationToken ct);

    /// <summary>Notes wishes, each for another version, to be fulfilled at once. One for a version takes the place of another for it, unless that is for the same tier, or an operator's or a restore's and this is not; an operator's makes one that failed due again.</summary>
    /// <returns>Those that were noted: of the others there was one already.</returns>
    Task<IReadOnlyList<MoveWish>> WishMovesAsync(IReadOnlyList<MoveWish> wishes, DateTimeOffset now, CancellationToken ct);

    /// <summary>Takes wishes that are due, the longest due first: until then they are left to the caller.</summary>
    /// <param name="storageClasses">Of the tiers that are wanted; others are left alone.</param>
    Task<IReadOnlyList<Move>> TakeMovesAsync(DateTimeOffset now, DateTimeOffset until, IReadOnlyCollection<string> storageClasses, int max, CancellationToken ct);

    /// <summary>Puts a wish off, unless there is another for its version by now.</summary>
    /// <param name="failure">What became of the attempt; null leaves what is there, and an empty text takes it away.</param>
    /// <returns>False where there is another, or none.</returns>
    Task<bool> PutOffMoveAsync(Move move, DateTimeOffset due, string? failure, CancellationToken ct);

    /// <summary>Removes a wish, unless there is another for its version by now.</summary>
    Task EndMoveAsync(Move move, CancellationToken ct);

    /// <summary>Puts a wish for the same version in the place of one, due at once, unless there is another by now.</summary>
    Task ReplaceMoveAsync(Move move, MoveWish by, DateTimeOffset now, CancellationToken ct);

    /// <summary>Removes wishes for a tier; those to be restored from it stay.</summary>
    /// <returns>How many: less than at most where there are no more.</returns>
    Task<long> EndMovesAsync(string storageClass, int max, CancellationToken ct);

    /// <returns>The wish for a version, or null.</returns>
    ValueTask<Move?> FindMoveAsync(BucketId bucket, string key, VersionId version, CancellationToken ct);

    /// <summary>Wishes that are not fulfilled, the longest due first.</summary>
    ValueTask<IReadOnlyList<Move>> ListMovesAsync(int max, CancellationToken ct);

    /// <summary>Adds accesses of one day to what is known.</summary>
    /// <param name="counts">Each of another version.</param>
    Task CountAccessesAsync(DateOnly day, IReadOnlyList<AccessCount> counts, CancellationToken ct);

    /// <returns>What is known of the accesses of some versions of a bucket, in no order. Those that were never accessed are not among them.</returns>
    ValueTask<IReadOnlyList<VersionAccesses>> ListAccessesAsync(BucketId bucket, IReadOnlyList<VersionAddress> versions, CancellationToken ct);

    /// <summary>Looks at some of what is known of accesses, and forgets what nothing can turn on any more: that of versions that are gone and of buckets that do not have them counted, and how many there were on each day before one.</summary>
    /// <param name="after">Where the look before ended; null to begin.</param>
    /// <param name="max">Rows that are looked at.</param>
    /// <returns>Where it ended; null where there is no more.</returns>
    Task<AccessPlace?> ForgetAccessesAsync(AccessPlace? after, DateOnly before, int max, CancellationToken ct);

    /// <summary>Adds requests to what is known.</summary>
    /// <param name="counts">Each of another bucket, month and class. Those of buckets that are gone count too.</param>
    Task CountTrafficAsync(IReadOnlyList<TrafficCount> counts, CancellationToken ct);

    /// <summary>Puts what is known of usage in order, as far as there is anything to do: says of which class that is which was there before it was counted by class, and makes few rows of many.</summary>
    Task SortUsageAsync(DateTimeOffset now, CancellationToken ct);

    /// <summary>Blobs on the cluster's drives that were freed before a time and whose bytes may go now.</summary>
    ValueTask<IReadOnlyList<BlobId>> ListGarbageAsync(DateTimeOffset freedBefore, int max, CancellationToken ct);

    /// <summary>Forgets freed blobs, once their bytes are gone.</summary>
    Task ForgetGarbageAsync(IReadOnlyList<BlobId> blobs, CancellationToken ct);

    /// <returns>Those of the given blobs that the index has never heard of: what a crash left between bytes and facts.</returns>
    ValueTask<IReadOnlyList<BlobId>> FindUnknownBlobsAsync(IReadOnlyList<BlobId> blobs, CancellationToken ct);

    /// <summary>Looks whether a time that this node's clock told is right. To be asked before something is freed or removed because it is due by that time, where nothing would bring it back.</summary>
    /// <param name="now">As it was told just before.</param>
    /// <returns>What is wrong with the clock, as a sentence for who runs the node; null where it agrees with that of the index, which all nodes share.</returns>
    ValueTask<string?> CheckClockAsync(DateTimeOffset now, CancellationToken ct);

    /// <summary>Events that wait for a target, in the order of their sequence.</summary>
    /// <param name="after">Only those with a greater sequence.</param>
    ValueTask<IReadOnlyList<WaitingEvent>> ListEventsAsync(string target, long after, int max, CancellationToken ct);

    /// <summary>Ends the wait of events. They are kept to be sent again, until they are forgotten.</summary>
    Task EndEventsAsync(IReadOnlyList<long> sequences, EventEnd end, DateTimeOffset now, CancellationToken ct);

    /// <summary>Makes a target's events that ended wait again.</summary>
    /// <param name="since">Only those that occurred then or later.</param>
    /// <returns>How many.</returns>
    Task<long> ReplayEventsAsync(string target, DateTimeOffset since, CancellationToken ct);

    ValueTask<EventCounts> CountEventsAsync(string target, CancellationToken ct);

    /// <summary>Removes events of a target: those that ended before a time, or all.</summary>
    /// <param name="endedBefore">Null removes those that wait too.</param>
    /// <returns>How many, at most <paramref name="max"/>.</returns>
    Task<long> ForgetEventsAsync(string target, DateTimeOffset? endedBefore, int max, CancellationToken ct);

    ValueTask<GrainStateRecord?> ReadGrainStateAsync(string stateName, string grain, CancellationToken ct);

    /// <summary>The grains that have a state of that name, in their order.</summary>
    /// <param name="after">Only grains greater than this one; empty for the first page.</param>
    ValueTask<IReadOnlyList<string>> ListGrainStatesAsync(string stateName, string after, int max, CancellationToken ct);

    /// <summary>Writes a grain's state.</summary>
    /// <param name="expectedETag">The etag that was read, or null where there was no record.</param>
    /// <returns>The new etag, or null where another etag was found and nothing was written.</returns>
    Task<string?> WriteGrainStateAsync(string stateName, string grain, ReadOnlyMemory<byte> state, string? expectedETag, CancellationToken ct);

    /// <returns>False where another etag was found and nothing was removed.</returns>
    Task<bool> ClearGrainStateAsync(string stateName, string grain, string? expectedETag, CancellationToken ct);

    ValueTask<IReadOnlyList<ReminderRecord>> ReadRemindersAsync(string grain, CancellationToken ct);

    /// <summary>Reminders whose grain's hash is in the ring range (begin, end]; where begin is not less than end the range wraps around.</summary>
    ValueTask<IReadOnlyList<ReminderRecord>> ReadRemindersAsync(uint begin, uint end, CancellationToken ct);

    /// <returns>The new etag.</returns>
    Task<string> SaveReminderAsync(ReminderRecord reminder, CancellationToken ct);

    /// <returns>False where there is none with that etag.</returns>
    Task<bool> DeleteReminderAsync(string grain, string name, string etag, CancellationToken ct);

    Task ClearRemindersAsync(CancellationToken ct);

    /// <summary>What runs underneath, for the start-up line and <c>/health</c>: "SQLite 3.40.1".</summary>
    string Description { get; }
}

/// <summary>A decided change of one key.</summary>
/// <param name="ExpectedRevision">The revision of the latest version, delete markers included, that was decided on; 0 where there was none. Null where nothing of it was decided on: then it may be
/// any other version than <paramref name="Next"/> whose revision is lower.</param>
/// <param name="Next">The version that comes on top. Its revision is greater than the expected one.</param>
public sealed record ObjectChange(BucketId Bucket, string Key, long? ExpectedRevision, ObjectVersion Next)
{
    /// <summary>The revision of the bucket's record that was decided on: another versioning decides otherwise. Null does not ask.</summary>
    public long? BucketRevision { get; init; }

    /// <summary>What is to be told of it, and to whom.</summary>
    public ImmutableArray<ObjectEvent> Events { get; init; } = [];

    /// <summary>The version is wished to be in the tier of its storage class from then on.</summary>
    public bool WishesMove { get; init; }
}

/// <summary>What a change of a version means to the wish that there may be for it.</summary>
public enum WishChange
{
    /// <summary>Nothing.</summary>
    None,

    /// <summary>It does what was wished for: that the version has the storage class that it has now. The wish goes with the change.</summary>
    Fulfils,

    /// <summary>The version is wished to be restored where it is, from now on.</summary>
    Restores,
}

/// <summary>The decided end of one version.</summary>
/// <param name="ExpectedRevision">The version's revision, and</param>
/// <param name="ExpectedChange">its count of changes that were decided on.</param>
public sealed record VersionRemoval(BucketId Bucket, string Key, VersionName Version, long ExpectedRevision, long ExpectedChange)
{
    /// <summary>Whether it was on top; null where the decision did not turn on that.</summary>
    public bool? ExpectedLatest { get; init; }

    /// <summary>The revision of the bucket's record that was decided on. Null does not ask.</summary>
    public long? BucketRevision { get; init; }

    /// <summary>What is to be told of it, and to whom.</summary>
    public ImmutableArray<ObjectEvent> Events { get; init; } = [];
}

/// <summary>A decided change of a bucket's record.</summary>
/// <param name="Versioning">Null leaves it.</param>
/// <param name="Setting">Null leaves them all.</param>
public sealed record BucketChange(BucketId Bucket, long ExpectedRevision, BucketVersioning? Versioning, BucketSettingChange? Setting);

/// <summary>Accesses of a version on one day.</summary>
/// <param name="Last">When the last of them was.</param>
public readonly record struct AccessCount(BucketId Bucket, string Key, VersionId Version, long Count, DateTimeOffset Last);

/// <summary>Requests of one month.</summary>
public readonly record struct TrafficCount(BucketId Bucket, UsageMonth Month, string StorageClass, Traffic Traffic);

/// <summary>A place among all that is known of accesses.</summary>
public sealed record AccessPlace(BucketId Bucket, string Key, VersionId Version, int Day);

/// <summary>What is known of a version's accesses.</summary>
/// <param name="Total">All there were since they are counted, on days that are forgotten too.</param>
/// <param name="Days">Those that had accesses, in UTC, the oldest first.</param>
public sealed record VersionAccesses(string Key, VersionId Version, long Total, DateTimeOffset Last, ImmutableArray<KeyValuePair<DateOnly, long>> Days);

public sealed record GrainStateRecord(ImmutableArray<byte> State, string ETag);

/// <param name="Start">UTC.</param>
public sealed record ReminderRecord(string Grain, uint GrainHash, string Name, DateTime Start, TimeSpan Period, string ETag);
