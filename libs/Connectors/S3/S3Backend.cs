using System.Collections.Concurrent;
using System.Net;
using System.Runtime.CompilerServices;
using Amazon.Runtime;
using Amazon.S3;
using Amazon.S3.Model;
using DarkStorage.GrainInterfaces.Objects;
using DarkStorage.Storage.Backends;

namespace DarkStorage.Connectors.S3;

/// <summary>Blobs as objects of a bucket, over AWS's own client.</summary>
/// <remarks>An object of S3 is there whole or not at all, so a put needs nothing beside it. Long blobs go in parts; the upload of parts that is cut off is aborted, or, after a crash, by <see cref="CleanAsync"/>. That a server says it has taken a blob is not enough: it is asked what it has.</remarks>
/// <param name="http">What <paramref name="s3"/> sends over; ended with it.</param>
internal sealed class S3Backend(IAmazonS3 s3, S3Place place, TimeProvider clock, IDisposable http) : IBackend
{
    private const int PartsMax = 10_000;

    /// <summary>S3's largest object.</summary>
    private const long ObjectBytesMax = 5L << 40;

    private const int PartsAtOnce = 4;

    /// <summary>Uploads of parts that a crash cut off are aborted when they are this old: the longest put, at a rate at which anybody would make it, is over by then.</summary>
    private static readonly TimeSpan UploadLifetime = TimeSpan.FromDays(30);

    /// <summary>Uploads of parts that this program is at: however old they are, they were not cut off.</summary>
    private readonly ConcurrentDictionary<string, bool> _uploads = new(StringComparer.Ordinal);

    public BackendTraits Traits { get; } = new(ObjectBytesMax) { IsCold = place.PutClass != place.StorageClass };

    /// <summary>Asks whether the bucket is there and may be listed. None is made: that is its owner's to decide, with all that buckets have.</summary>
    public Task PrepareAsync(CancellationToken ct) => CallAsync($"The bucket {place.Bucket}", async () =>
    {
        await s3.ListObjectsV2Async(new() { BucketName = place.Bucket, Prefix = place.Prefix, MaxKeys = 1 }, ct);
        return true;
    }, ct);

    /// <summary>Where there is no prefix nothing is cleaned: uploads in the bucket may be somebody else's.</summary>
    public Task CleanAsync(CancellationToken ct) => place.Prefix.Length == 0 ? Task.CompletedTask : CallAsync($"The bucket {place.Bucket}", async () =>
    {
        for (var page = new ListMultipartUploadsRequest { BucketName = place.Bucket, Prefix = place.Prefix }; ;)
        {
            var answer = await s3.ListMultipartUploadsAsync(page, ct);
            foreach (var upload in answer.MultipartUploads ?? [])
            {
                // One whose age is not known, or that a server lists though it was not asked for, is left.
                if (upload.Initiated is not { } begun || clock.GetUtcNow() - begun < UploadLifetime || !upload.Key.StartsWith(place.Prefix, StringComparison.Ordinal) || _uploads.ContainsKey(upload.UploadId)) continue;
                await s3.AbortMultipartUploadAsync(new() { BucketName = place.Bucket, Key = upload.Key, UploadId = upload.UploadId }, ct);
            }
            if (answer.IsTruncated != true || (answer.NextKeyMarker, answer.NextUploadIdMarker) == (page.KeyMarker, page.UploadIdMarker)) return true;
            (page.KeyMarker, page.UploadIdMarker) = (answer.NextKeyMarker, answer.NextUploadIdMarker);
        }
    }, ct);

    public Task<BackendBlob> PutAsync(BlobName name, BlobSource content, CancellationToken ct) => CallAsync(name.Value, async () =>
    {
        if (content.Length > place.PartBytesMin)
        {
            await PutInPartsAsync(name, content, ct);
        }
        else
        {
            await using var stream = new SourceStream(content, 0, content.Length);
            await s3.PutObjectAsync(new()
            {
                BucketName = place.Bucket, Key = KeyOf(name), InputStream = stream, AutoCloseStream = false, StorageClass = place.PutClass, DisablePayloadSigning = place.IsUnsigned,
            }, ct);
        }
        return await RequireAsync(name, content.Length, ct);
    }, ct);

    public Task<Stream> OpenAsync(BlobName name, Storage.ByteRange range, CancellationToken ct) => CallAsync<Stream>(name.Value, async () =>
    {
        var answer = await s3.GetObjectAsync(new() { BucketName = place.Bucket, Key = KeyOf(name), ByteRange = new(range.First, range.Last) }, ct);
        if (answer.ContentLength == range.Length) return new ExactStream(answer.ResponseStream, name, range.Length, answer);
        answer.Dispose();
        throw BackendException.WrongLength(name, range.Length, answer.ContentLength);
    }, ct);

    public Task<BackendBlob?> StatAsync(BlobName name, CancellationToken ct) => CallAsync(name.Value, async () =>
    {
        if (await HeadAsync(name, ct) is { } head) return new BackendBlob(name, head.ContentLength, Utc(head.LastModified)) { Warmth = WarmthOf(head) };
        // A head has no body to say what there is none of: asked so that a bucket that is gone does not pass for one where nothing is.
        await PrepareAsync(ct);
        return null;
    }, ct);

    public Task DeleteAsync(BlobName name, CancellationToken ct) => CallAsync(name.Value, async () =>
    {
        await s3.DeleteObjectAsync(new() { BucketName = place.Bucket, Key = KeyOf(name) }, ct);
        return true;
    }, ct);

    public async IAsyncEnumerable<BackendBlob> ListAsync(string prefix, [EnumeratorCancellation] CancellationToken ct)
    {
        var wanted = place.Prefix + prefix;
        for (var page = new ListObjectsV2Request { BucketName = place.Bucket, Prefix = wanted, OptionalObjectAttributes = ["RestoreStatus"] }; ;)
        {
            var answer = await AgainAsync($"The bucket {place.Bucket}", () => s3.ListObjectsV2Async(page, ct), ct);
            foreach (var found in answer.S3Objects ?? [])
            {
                // What others put there need not be a name of a blob, and what a server lists need not be what it was asked for.
                if (!found.Key.StartsWith(wanted, StringComparison.Ordinal) || BlobName.Find(found.Key[place.Prefix.Length..]) is not { } name) continue;
                yield return new(name, found.Size ?? 0, Utc(found.LastModified))
                {
                    Warmth = WarmthOf(found.StorageClass?.Value, found.RestoreStatus?.IsRestoreInProgress == true, found.RestoreStatus?.RestoreExpiryDate is not null),
                };
            }
            if (answer.IsTruncated != true) yield break;
            if (string.IsNullOrEmpty(answer.NextContinuationToken) || answer.NextContinuationToken == page.ContinuationToken)
                throw new BackendException(BackendError.Damaged, $"The bucket {place.Bucket}: the server says that its list goes on, and not where.");
            page.ContinuationToken = answer.NextContinuationToken;
        }
    }

    public Task<BackendBlob> CopyAsync(BlobName from, BlobName to, CancellationToken ct) => CallAsync(from.Value, async () =>
    {
        if (await HeadAsync(from, ct) is not { } head)
        {
            await PrepareAsync(ct);
            throw BackendException.NotFound(from);
        }
        await CopyAsync(from, head, to, place.PutClass, ct);
        return await RequireAsync(to, head.ContentLength, ct);
    }, ct);

    /// <summary>What is put into an archive class can't be read back: it is put into the bucket's own, and goes from there when it is known to be whole.</summary>
    public async Task SettleAsync(BlobName name, CancellationToken ct)
    {
        if (place.PutClass == place.StorageClass) return;
        var head = await RequireHeadAsync(name, ct);
        if (head.StorageClass == place.StorageClass) return;
        await CallAsync(name.Value, async () =>
        {
            await CopyAsync(name, head, name, place.StorageClass, ct);
            return await RequireAsync(name, head.ContentLength, ct);
        }, ct);
    }

    public async Task WarmUpAsync(BlobName name, WarmUpSpeed speed, TimeSpan keep, CancellationToken ct)
    {
        var head = await RequireHeadAsync(name, ct);
        var isAsked = WarmthOf(head) switch
        {
            BlobWarmth.Cold => false,
            BlobWarmth.Warming => speed != WarmUpSpeed.Expedited, // it can be had sooner
            _ => head.RestoreExpiration is null, // one that is readable for a time can be so for a new one
        };
        if (!isAsked) await CallAsync(name.Value, () => AskForAsync(name, head, speed, keep, ct), ct);
    }

    private async Task<bool> AskForAsync(BlobName name, GetObjectMetadataResponse head, WarmUpSpeed speed, TimeSpan keep, CancellationToken ct)
    {
        var tier = speed switch
        {
            WarmUpSpeed.Expedited => GlacierJobTier.Expedited,
            WarmUpSpeed.Bulk => GlacierJobTier.Bulk,
            _ => GlacierJobTier.Standard,
        };
        try
        {
            // What INTELLIGENT_TIERING has archived comes back for good, and has no days.
            int? days = head.ArchiveStatus is null ? (int)Math.Max(1, Math.Ceiling(keep.TotalDays)) : null;
            await s3.RestoreObjectAsync(new() { BucketName = place.Bucket, Key = KeyOf(name), Days = days, RetrievalTier = tier }, ct);
            return true;
        }
        catch (AmazonS3Exception e) when (e.ErrorCode == "RestoreAlreadyInProgress")
        {
            return true; // somebody else asked meanwhile
        }
        catch (AmazonS3Exception e) when (speed == WarmUpSpeed.Expedited && (e.ErrorCode == "GlacierExpeditedRetrievalNotAvailable" || e.StatusCode == HttpStatusCode.BadRequest))
        {
            // DEEP_ARCHIVE has no such speed, and others not always.
            return await AskForAsync(name, head, WarmUpSpeed.Standard, keep, ct);
        }
    }

    public ValueTask DisposeAsync()
    {
        s3.Dispose();
        http.Dispose();
        return ValueTask.CompletedTask;
    }

    private string KeyOf(BlobName name) => place.Prefix + name.Value;

    private async Task<GetObjectMetadataResponse> RequireHeadAsync(BlobName name, CancellationToken ct)
    {
        if (await CallAsync(name.Value, () => HeadAsync(name, ct), ct) is { } head) return head;
        await PrepareAsync(ct);
        throw BackendException.NotFound(name);
    }

    /// <returns>Null where there is none.</returns>
    private async Task<GetObjectMetadataResponse?> HeadAsync(BlobName name, CancellationToken ct)
    {
        try
        {
            return await s3.GetObjectMetadataAsync(new() { BucketName = place.Bucket, Key = KeyOf(name) }, ct);
        }
        catch (AmazonS3Exception e) when (e.StatusCode == HttpStatusCode.NotFound)
        {
            return null;
        }
    }

    /// <returns>What the server has, which is of the length that was sent.</returns>
    private async Task<BackendBlob> RequireAsync(BlobName name, long length, CancellationToken ct)
    {
        var blob = await StatAsync(name, ct) ?? throw new BackendException(BackendError.Unavailable, $"The server said that it has taken {name}, and does not have it.");
        return blob.Length == length ? blob : throw BackendException.WrongLength(name, length, blob.Length);
    }

    private Task PutInPartsAsync(BlobName name, BlobSource content, CancellationToken ct) => InPartsAsync(name, content.Length, place.PutClass, place.PartBytesMin, async (uploadId, number, offset, bytes, partCt) =>
    {
        await using var stream = new SourceStream(content, offset, bytes);
        return new PartETag(number, (await s3.UploadPartAsync(new()
        {
            BucketName = place.Bucket, Key = KeyOf(name), UploadId = uploadId, PartNumber = number, PartSize = bytes, InputStream = stream, DisablePayloadSigning = place.IsUnsigned,
        }, partCt)).ETag);
    }, ct);

    private Task CopyAsync(BlobName from, GetObjectMetadataResponse head, BlobName to, S3StorageClass? storageClass, CancellationToken ct) => head.ContentLength > place.CopyBytesMax
        ? CopyInPartsAsync(from, head, to, storageClass, ct)
        : s3.CopyObjectAsync(new()
        {
            SourceBucket = place.Bucket, SourceKey = KeyOf(from), ETagToMatch = head.ETag, DestinationBucket = place.Bucket, DestinationKey = KeyOf(to), StorageClass = storageClass,
        }, ct);

    private Task CopyInPartsAsync(BlobName from, GetObjectMetadataResponse head, BlobName to, S3StorageClass? storageClass, CancellationToken ct) =>
        InPartsAsync(to, head.ContentLength, storageClass, place.CopyBytesMax, async (uploadId, number, offset, bytes, partCt) => new PartETag(number, (await s3.CopyPartAsync(new()
        {
            // Of one content all parts.
            SourceBucket = place.Bucket, SourceKey = KeyOf(from), ETagToMatch = [head.ETag], DestinationBucket = place.Bucket, DestinationKey = KeyOf(to), UploadId = uploadId, PartNumber = number,
            FirstByte = offset, LastByte = offset + bytes - 1,
        }, partCt)).ETag), ct);

    private delegate Task<PartETag> PartSender(string uploadId, int number, long offset, long bytes, CancellationToken ct);

    private async Task InPartsAsync(BlobName name, long length, S3StorageClass? storageClass, long partBytesMin, PartSender send, CancellationToken ct)
    {
        var partBytes = Math.Max(partBytesMin, (length + PartsMax - 1) / PartsMax);
        var upload = (await s3.InitiateMultipartUploadAsync(new InitiateMultipartUploadRequest { BucketName = place.Bucket, Key = KeyOf(name), StorageClass = storageClass }, ct)).UploadId;
        _uploads[upload] = true;
        try
        {
            var parts = new PartETag[(length + partBytes - 1) / partBytes];
            await Parallel.ForAsync(0, parts.Length, new ParallelOptions { MaxDegreeOfParallelism = PartsAtOnce, CancellationToken = ct }, async (i, partCt) =>
                parts[i] = await AgainAsync(name.Value, () => send(upload, i + 1, i * partBytes, Math.Min(partBytes, length - (i * partBytes)), partCt), partCt));
            await s3.CompleteMultipartUploadAsync(new() { BucketName = place.Bucket, Key = KeyOf(name), UploadId = upload, PartETags = [.. parts] }, ct);
        }
        catch
        {
            await AbortAsync(name, upload);
            throw;
        }
        finally
        {
            _uploads.TryRemove(upload, out _);
        }
    }

    private async Task AbortAsync(BlobName name, string upload)
    {
        try
        {
            using var bounded = new CancellationTokenSource(TimeSpan.FromSeconds(10), clock);
            await s3.AbortMultipartUploadAsync(new() { BucketName = place.Bucket, Key = KeyOf(name), UploadId = upload }, bounded.Token);
        }
        catch (Exception e) when (IsOfClient(e) || e is OperationCanceledException)
        {
            // It goes with its lifetime. What failed before is what matters.
        }
    }

    private Task<T> AgainAsync<T>(string what, Func<Task<T>> ask, CancellationToken ct) => PartAttempts.RunAsync(() => CallAsync(what, ask, ct), clock, ct);

    private static DateTimeOffset Utc(DateTime? time) => time is { } known ? new(known.ToUniversalTime()) : DateTimeOffset.UnixEpoch;

    private static BlobWarmth WarmthOf(GetObjectMetadataResponse head) =>
        WarmthOf(head.ArchiveStatus is { } archived ? archived.Value : head.StorageClass?.Value, head.RestoreInProgress == true, head.RestoreExpiration is not null);

    private static BlobWarmth WarmthOf(string? storageClass, bool isWarming, bool isWarm) => storageClass switch
    {
        // The last two are the archive of INTELLIGENT_TIERING, which has no class of its own.
        "GLACIER" or "DEEP_ARCHIVE" or "ARCHIVE_ACCESS" or "DEEP_ARCHIVE_ACCESS" => isWarming ? BlobWarmth.Warming : isWarm ? BlobWarmth.Readable : BlobWarmth.Cold,
        _ => BlobWarmth.Readable,
    };

    private static bool IsOfClient(Exception e) => e is AmazonServiceException or AmazonClientException or HttpRequestException or IOException or TimeoutException;

    /// <summary>Says in the contract's words what the client throws.</summary>
    private static async Task<T> CallAsync<T>(string what, Func<Task<T>> call, CancellationToken ct)
    {
        try
        {
            return await call();
        }
        catch (BackendException)
        {
            throw;
        }
        catch (AmazonS3Exception e)
        {
            throw S3Failures.Of(e, what);
        }
        catch (Exception e) when (IsOfClient(e) || (e is OperationCanceledException && !ct.IsCancellationRequested))
        {
            // The client's own words may hold the address and the key's id, and no secret.
            throw new BackendException(BackendError.Unavailable, $"{what}: no answer. {e.Message}", e);
        }
    }
}

/// <summary>Where in S3.</summary>
/// <param name="Prefix">Of every key; empty for none.</param>
/// <param name="StorageClass">Of what is there to stay; null for the bucket's own.</param>
/// <param name="IsUnsigned">Content goes without a signature of its own: over TLS, which guards it.</param>
internal sealed record S3Place(string Bucket, string Prefix, S3StorageClass? StorageClass, bool IsUnsigned)
{
    /// <summary>Of what is put.</summary>
    public S3StorageClass? PutClass => StorageClass?.Value is "GLACIER" or "DEEP_ARCHIVE" ? null : StorageClass;

    /// <summary>Blobs up to here go in one request, and longer ones in parts of at least this.</summary>
    public long PartBytesMin { get; init; } = 64L << 20;

    /// <summary>Blobs up to here are copied in one request, and longer ones in parts of at least this. S3 itself copies 5 GiB at once; a smaller part is done sooner.</summary>
    public long CopyBytesMax { get; init; } = 1L << 30;
}
