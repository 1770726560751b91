using System.Globalization;
using System.Net;
using System.Runtime.CompilerServices;
using Amazon.Runtime;
using Amazon.S3;
using Amazon.S3.Model;
using DarkStorage.Storage.Backends;

namespace DarkStorage.Connectors.S3;

/// <summary>Blobs as objects of a bucket, over AWS's own client.</summary>
/// <remarks>An object of S3 is there whole or not at all, so a put needs nothing beside it. Long blobs go in parts; the upload of parts that is cut off is aborted, or, after a crash, by <see cref="CleanAsync"/>.</remarks>
internal sealed class S3Backend(IAmazonS3 s3, S3Place place, TimeProvider clock) : IBackend
{
    /// <summary>Blobs up to here go in one request.</summary>
    private const long PartBytesMin = 64L << 20;

    private const int PartsMax = 10_000;

    /// <summary>S3's largest object.</summary>
    private const long ObjectBytesMax = 5L << 40;

    /// <summary>The most that S3 copies in one request, and by which longer ones are copied.</summary>
    private const long CopyBytesMax = 5L << 30;

    private const int PartsAtOnce = 4;

    /// <summary>Attempts for one part. A part that fails is not to cost the whole blob.</summary>
    private const int PartAttemptsMax = 3;

    /// <summary>Uploads of parts that a crash cut off are aborted when they are this old: no put takes as long.</summary>
    private static readonly TimeSpan UploadLifetime = TimeSpan.FromDays(7);

    public BackendTraits Traits { get; } = new(ObjectBytesMax);

    /// <summary>Asks whether the bucket is there and may be listed. None is made: that is its owner's to decide, with all that buckets have.</summary>
    public Task PrepareAsync(CancellationToken ct) => CallAsync($"The bucket {place.Bucket}", async () =>
    {
        await s3.ListObjectsV2Async(new() { BucketName = place.Bucket, Prefix = place.Prefix, MaxKeys = 1 }, ct);
        return true;
    }, ct);

    public Task CleanAsync(CancellationToken ct) => CallAsync($"The bucket {place.Bucket}", async () =>
    {
        for (var page = new ListMultipartUploadsRequest { BucketName = place.Bucket, Prefix = place.Prefix }; ;)
        {
            var answer = await s3.ListMultipartUploadsAsync(page, ct);
            foreach (var upload in answer.MultipartUploads ?? [])
            {
                if (clock.GetUtcNow() - upload.Initiated < UploadLifetime) continue;
                await s3.AbortMultipartUploadAsync(new() { BucketName = place.Bucket, Key = upload.Key, UploadId = upload.UploadId }, ct);
            }
            if (answer.IsTruncated != true) return true;
            (page.KeyMarker, page.UploadIdMarker) = (answer.NextKeyMarker, answer.NextUploadIdMarker);
        }
    }, ct);

    public Task<BackendBlob> PutAsync(BlobName name, BlobSource content, CancellationToken ct) => CallAsync(name.Value, async () =>
    {
        if (content.Length > PartBytesMin) return await PutInPartsAsync(name, content, ct);
        await using var stream = new SourceStream(content, 0, content.Length);
        await s3.PutObjectAsync(new() { BucketName = place.Bucket, Key = KeyOf(name), InputStream = stream, AutoCloseStream = false, StorageClass = place.StorageClass, UseChunkEncoding = place.HasChecksums }, ct);
        return new BackendBlob(name, content.Length, clock.GetUtcNow());
    }, ct);

    public Task<Stream> OpenAsync(BlobName name, Storage.ByteRange range, CancellationToken ct) => CallAsync<Stream>(name.Value, async () =>
    {
        var answer = await s3.GetObjectAsync(new() { BucketName = place.Bucket, Key = KeyOf(name), ByteRange = new(range.First, range.Last) }, ct);
        if (answer.ContentLength == range.Length) return new ExactStream(answer.ResponseStream, name, range.Length, answer);
        answer.Dispose();
        throw BackendException.WrongLength(name, range.Length, answer.ContentLength);
    }, ct);

    public async Task<BackendBlob?> StatAsync(BlobName name, CancellationToken ct)
    {
        try
        {
            return await CallAsync(name.Value, async () =>
            {
                var head = await s3.GetObjectMetadataAsync(new() { BucketName = place.Bucket, Key = KeyOf(name) }, ct);
                return new BackendBlob(name, head.ContentLength, Utc(head.LastModified)) { Warmth = WarmthOf(head) };
            }, ct);
        }
        catch (BackendException e) when (e.Error == BackendError.NotFound)
        {
            return null;
        }
    }

    public Task DeleteAsync(BlobName name, CancellationToken ct) => CallAsync(name.Value, async () =>
    {
        await s3.DeleteObjectAsync(new() { BucketName = place.Bucket, Key = KeyOf(name) }, ct);
        return true;
    }, ct);

    public async IAsyncEnumerable<BackendBlob> ListAsync(string prefix, [EnumeratorCancellation] CancellationToken ct)
    {
        for (var page = new ListObjectsV2Request { BucketName = place.Bucket, Prefix = place.Prefix + prefix }; ;)
        {
            var answer = await CallAsync($"The bucket {place.Bucket}", () => s3.ListObjectsV2Async(page, ct), ct);
            foreach (var found in answer.S3Objects ?? [])
            {
                // What others put there need not be a name of a blob.
                if (BlobName.Find(found.Key[place.Prefix.Length..]) is { } name) yield return new(name, found.Size ?? 0, Utc(found.LastModified)) { Warmth = WarmthOf(found.StorageClass?.Value, isWarming: false, isWarm: found.RestoreStatus?.RestoreExpiryDate is not null) };
            }
            if (answer.IsTruncated != true) yield break;
            page.ContinuationToken = answer.NextContinuationToken;
        }
    }

    public async Task<BackendBlob> CopyAsync(BlobName from, BlobName to, CancellationToken ct)
    {
        var blob = await StatAsync(from, ct) ?? throw BackendException.NotFound(from);
        return await CallAsync(from.Value, async () =>
        {
            if (blob.Length > CopyBytesMax) return await CopyInPartsAsync(blob, to, ct);
            await s3.CopyObjectAsync(new() { SourceBucket = place.Bucket, SourceKey = KeyOf(from), DestinationBucket = place.Bucket, DestinationKey = KeyOf(to), StorageClass = place.StorageClass }, ct);
            return new BackendBlob(to, blob.Length, clock.GetUtcNow());
        }, ct);
    }

    public async Task WarmUpAsync(BlobName name, WarmUpSpeed speed, TimeSpan keep, CancellationToken ct)
    {
        if (await StatAsync(name, ct) is not { } blob) throw BackendException.NotFound(name);
        if (blob.Warmth != BlobWarmth.Cold) return;
        var tier = speed switch
        {
            WarmUpSpeed.Expedited => GlacierJobTier.Expedited,
            WarmUpSpeed.Bulk => GlacierJobTier.Bulk,
            _ => GlacierJobTier.Standard,
        };
        await CallAsync(name.Value, async () =>
        {
            try
            {
                await s3.RestoreObjectAsync(new() { BucketName = place.Bucket, Key = KeyOf(name), Days = (int)Math.Max(1, Math.Ceiling(keep.TotalDays)), Tier = tier }, ct);
            }
            catch (AmazonS3Exception e) when (e.ErrorCode == "RestoreAlreadyInProgress")
            {
                // Somebody else asked meanwhile.
            }
            return true;
        }, ct);
    }

    public ValueTask DisposeAsync()
    {
        s3.Dispose();
        return ValueTask.CompletedTask;
    }

    private string KeyOf(BlobName name) => place.Prefix + name.Value;

    private async Task<BackendBlob> PutInPartsAsync(BlobName name, BlobSource content, CancellationToken ct)
    {
        var partBytes = PartBytesOf(content.Length, PartBytesMin);
        await InPartsAsync(name, content.Length, partBytes, (uploadId, number, offset, bytes, partCt) => TryPartAsync(name, async () =>
        {
            await using var stream = new SourceStream(content, offset, bytes);
            var part = await s3.UploadPartAsync(new()
            {
                BucketName = place.Bucket, Key = KeyOf(name), UploadId = uploadId, PartNumber = number, PartSize = bytes, InputStream = stream, UseChunkEncoding = place.HasChecksums,
            }, partCt);
            return new PartETag(part) { PartNumber = number };
        }, partCt), ct);
        return new(name, content.Length, clock.GetUtcNow());
    }

    private async Task<BackendBlob> CopyInPartsAsync(BackendBlob from, BlobName to, CancellationToken ct)
    {
        await InPartsAsync(to, from.Length, PartBytesOf(from.Length, CopyBytesMax / 5), (uploadId, number, offset, bytes, partCt) => TryPartAsync(to, async () =>
        {
            var part = await s3.CopyPartAsync(new()
            {
                SourceBucket = place.Bucket, SourceKey = KeyOf(from.Name), DestinationBucket = place.Bucket, DestinationKey = KeyOf(to), UploadId = uploadId, PartNumber = number,
                FirstByte = offset, LastByte = offset + bytes - 1,
            }, partCt);
            return new PartETag(number, part.ETag);
        }, partCt), ct);
        return new(to, from.Length, clock.GetUtcNow());
    }

    private static long PartBytesOf(long length, long min) => Math.Max(min, (length + PartsMax - 1) / PartsMax);

    private delegate Task<PartETag> PartSender(string uploadId, int number, long offset, long bytes, CancellationToken ct);

    private async Task InPartsAsync(BlobName name, long length, long partBytes, PartSender send, CancellationToken ct)
    {
        var begun = new InitiateMultipartUploadRequest { BucketName = place.Bucket, Key = KeyOf(name), StorageClass = place.StorageClass };
        var upload = (await s3.InitiateMultipartUploadAsync(begun, ct)).UploadId;
        try
        {
            var parts = new PartETag[(length + partBytes - 1) / partBytes];
            await Parallel.ForAsync(0, parts.Length, new ParallelOptions { MaxDegreeOfParallelism = PartsAtOnce, CancellationToken = ct }, async (i, partCt) =>
                parts[i] = await send(upload, i + 1, i * partBytes, Math.Min(partBytes, length - (i * partBytes)), partCt));
            await s3.CompleteMultipartUploadAsync(new() { BucketName = place.Bucket, Key = KeyOf(name), UploadId = upload, PartETags = [.. parts] }, ct);
        }
        catch
        {
            await AbortAsync(name, upload);
            throw;
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

    private static async Task<PartETag> TryPartAsync(BlobName name, Func<Task<PartETag>> send, CancellationToken ct)
    {
        for (var attempt = 1; ; attempt++)
        {
            try
            {
                return await CallAsync(name.Value, send, ct);
            }
            catch (BackendException e) when (e.IsTransient && attempt < PartAttemptsMax)
            {
                // Again at once: whoever called waits longer, with what is left of its patience.
            }
        }
    }

    private static DateTimeOffset Utc(DateTime? time) => time is { } known ? new(known.ToUniversalTime()) : DateTimeOffset.UnixEpoch;

    private static BlobWarmth WarmthOf(GetObjectMetadataResponse head) =>
        WarmthOf(head.StorageClass?.Value, head.RestoreInProgress == true, head.RestoreExpiration is not null);

    private static BlobWarmth WarmthOf(string? storageClass, bool isWarming, bool isWarm) => storageClass switch
    {
        "GLACIER" or "DEEP_ARCHIVE" => isWarming ? BlobWarmth.Warming : isWarm ? BlobWarmth.Readable : BlobWarmth.Cold,
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
/// <param name="StorageClass">Of what is put; null for the bucket's own.</param>
/// <param name="HasChecksums">The server takes checksums behind the content (aws-chunked), as AWS does and some others do not.</param>
internal sealed record S3Place(string Bucket, string Prefix, S3StorageClass? StorageClass, bool HasChecksums);
