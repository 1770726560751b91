using System.ComponentModel.DataAnnotations;
using DarkStorage.GrainInterfaces;
using DarkStorage.GrainInterfaces.Objects;
using DarkStorage.GrainInterfaces.Uploads;
using DarkStorage.Metadata;
using Microsoft.Extensions.Logging;
using Microsoft.Extensions.Options;
using Orleans;
using Orleans.Runtime;

namespace DarkStorage.Grains.Uploads;

/// <summary>What becomes of uploads that nobody finishes.</summary>
public sealed record UploadOptions
{
    /// <summary>Time after which an upload that was neither completed nor aborted is aborted. Default 7 days: longer than any sane pause of a client,
    /// short enough that forgotten parts do not fill a drive.</summary>
    [Range(typeof(TimeSpan), "00:01:00", "365.00:00:00")]
    public TimeSpan ExpireAfter { get; init; } = TimeSpan.FromDays(7);
}

/// <summary>One multipart upload. Parts commit side by side; what they race with is decided in the index.</summary>
internal sealed partial class UploadGrain(IMetadataIndex index, TimeProvider clock, IOptions<UploadOptions> options, ILogger<UploadGrain> log)
    : Grain, IUploadGrain, IRemindable
{
    private const string ExpiryReminder = "expire";
    private const int PartsMax = 10_000;

    private UploadRecord? _upload;

    private UploadId Id => UploadId.TryParse(this.GetPrimaryKeyString(), out var id)
        ? id
        : throw new StorageException(StorageError.NoSuchUpload, "That is not an upload's id.");

    public async Task BeginAsync(UploadRecord upload, CancellationToken ct)
    {
        // The reminder first: one without an upload ends itself, an upload without one would stay for ever.
        await this.RegisterOrUpdateReminder(ExpiryReminder, options.Value.ExpireAfter, TimeSpan.FromDays(1));
        await index.BeginUploadAsync(upload, ct);
        _upload = upload;
    }

    public Task<UploadRecord> GetAsync(BucketId bucket, string key, CancellationToken ct) => RequireAsync(bucket, key, ct);

    public async Task CommitPartAsync(BucketId bucket, string key, ManifestPart part, CancellationToken ct)
    {
        await RequireAsync(bucket, key, ct);
        await index.SavePartAsync(Id, new(part, clock.GetUtcNow()), ct);
    }

    public async Task<ObjectVersion> CompleteAsync(UploadCompletion completion, CancellationToken ct)
    {
        // Not from memory: after a commit whose outcome nobody knew the upload may be gone, and the object be there.
        _upload = await index.FindUploadAsync(Id, ct);
        if (_upload is null && await FindCompletedAsync(completion, ct) is { } done) return done;
        var upload = await RequireAsync(completion.Bucket, completion.Key, ct);
        var stored = await index.ListPartsAsync(upload.Id, 0, PartsMax, ct);
        var manifest = MultipartAssembly.Assemble(upload, stored.ToDictionary(p => p.Part.Number, p => p.Part), completion);
        var version = await GrainFactory.GetGrain<IObjectGrain>(new ObjectId(upload.BucketName, upload.Key).ToString()).CommitAsync(
            new(upload.Bucket, manifest, upload.Metadata, upload.StorageClass, upload.Owner, upload.Attributes, completion.Condition, upload.Id, upload.Encryption, completion.Origin), ct);
        await EndAsync();
        LogCompleted(log, upload.Id, upload.BucketName, completion.Parts.Length, manifest.Length);
        return version;
    }

    public async Task AbortAsync(BucketId bucket, string key, CancellationToken ct)
    {
        await RequireAsync(bucket, key, ct);
        try
        {
            await index.DeleteUploadAsync(Id, clock.GetUtcNow(), ct);
        }
        finally
        {
            _upload = null;     // as above
        }
        await EndAsync();
    }

    public async Task ReceiveReminder(string reminderName, TickStatus status)
    {
        if (await FindAsync(CancellationToken.None) is { } upload)
        {
            var now = clock.GetUtcNow();
            if (now - upload.Initiated < options.Value.ExpireAfter) return;
            if (await index.CheckClockAsync(now, CancellationToken.None) is { } wrong)
            {
                LogWrongClock(log, upload.Id, upload.BucketName, wrong);
                return; // the reminder comes again
            }
            await index.DeleteUploadAsync(upload.Id, now, CancellationToken.None);
            LogExpired(log, upload.Id, upload.BucketName);
        }
        await EndAsync();
    }

    private async Task<UploadRecord?> FindAsync(CancellationToken ct) => _upload ??= await index.FindUploadAsync(Id, ct);

    /// <summary>An upload is found only by who knows its bucket and key too.</summary>
    private async Task<UploadRecord> RequireAsync(BucketId bucket, string key, CancellationToken ct)
    {
        if (await FindAsync(ct) is { } upload && upload.Bucket == bucket && upload.Key == key) return upload;
        throw new StorageException(StorageError.NoSuchUpload, $"There is no upload {this.GetPrimaryKeyString()} of that key.");
    }

    /// <summary>A Complete that is sent again after it succeeded finds the version it made, for as long as that is there.</summary>
    private async Task<ObjectVersion?> FindCompletedAsync(UploadCompletion completion, CancellationToken ct)
    {
        if (await index.FindObjectAsync(completion.Bucket, completion.Key, ct) is { } current && current.Upload == Id) return current;
        return await index.FindVersionAsync(completion.Bucket, completion.Key, new(new VersionId(Id.High, Id.Low)), ct)
            // The null version is found by no id, and may lie under newer ones.
            ?? (await index.FindVersionAsync(completion.Bucket, completion.Key, VersionName.Null, ct) is { } unversioned && unversioned.Upload == Id ? unversioned : null);
    }

    private async Task EndAsync()
    {
        _upload = null;
        if (await this.GetReminder(ExpiryReminder) is { } reminder) await this.UnregisterReminder(reminder);
        DeactivateOnIdle();
    }

    [LoggerMessage(LogLevel.Debug, "Completed upload {Upload} in {Bucket}: {Parts} parts, {Length} bytes")]
    private static partial void LogCompleted(ILogger log, UploadId upload, string bucket, int parts, long length);

    [LoggerMessage(LogLevel.Warning, "Upload {Upload} in {Bucket} is not aborted, though it is old enough by this node's clock: {Why}")]
    private static partial void LogWrongClock(ILogger log, UploadId upload, string bucket, string why);

    [LoggerMessage(LogLevel.Information, "Upload {Upload} in {Bucket} was never finished and has been aborted")]
    private static partial void LogExpired(ILogger log, UploadId upload, string bucket);
}
