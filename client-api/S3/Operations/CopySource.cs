using System.IO.Pipelines;
using System.Buffers;
using System.Runtime.InteropServices;
using DarkStorage.GrainInterfaces.Buckets;
using DarkStorage.GrainInterfaces.Objects;
using DarkStorage.Rules.Logging;
using DarkStorage.Storage;
using DarkStorage.Storage.Encryption;

namespace DarkStorage.ClientApi.S3.Operations;

/// <summary>The object that CopyObject and UploadPartCopy read from.</summary>
/// <param name="Named">The version that the client named, or null where it named none.</param>
internal sealed record CopySource(BucketRecord Bucket, string Key, VersionName? Named, ObjectVersion Version)
{
    /// <summary>Bytes on their way from the read to the write at the most.</summary>
    private const int InFlightBytes = 4 << 20;

    /// <exception cref="S3Exception"><c>InvalidArgument</c>, <c>NoSuchBucket</c>, <c>NoSuchKey</c>, <c>AccessDenied</c>, <c>PreconditionFailed</c>.</exception>
    public static async Task<CopySource> FindAsync(S3Request s3, CancellationToken ct)
    {
        var named = S3Target.ParseCopySource(s3.Headers["x-amz-copy-source"].ToString());
        var key = named.Key ?? throw S3Exception.InvalidArgument("Copy Source must mention the source bucket and key: sourcebucket/sourcekey", "x-amz-copy-source", named.RawPath);
        var name = S3Request.ParseVersion(named.Query);
        await s3.LogSourceAsync(s3.Query.Has("uploadId") ? AccessLogOperations.CopyPartSource : AccessLogOperations.CopySource, named.Bucket!, key, name);
        var (bucket, version) = await FindAsync(s3, named.Bucket!, key, name, ct);
        if (RequestConditions.OfCopySource(s3.Headers).EvaluateForCopy(version.Manifest.ETag, version.Modified) != ConditionOutcome.Ok)
            throw new S3Exception(S3Error.PreconditionFailed);
        if (bucket.Versioning != BucketVersioning.Off) s3.Response.Headers["x-amz-copy-source-version-id"] = version.Name.ToString();
        return new(bucket, key, name, version);
    }

    private static async Task<(BucketRecord, ObjectVersion)> FindAsync(S3Request s3, string bucket, string key, VersionName? name, CancellationToken ct)
    {
        try
        {
            return await s3.AuthorizeObjectAsync(name is null ? S3Action.GetObject : S3Action.GetObjectVersion, bucket, key, name, ct);
        }
        catch (S3Exception e) when (e.Error == S3Error.MethodNotAllowed)
        {
            throw new S3Exception(S3Error.InvalidRequest, "The source of a copy request may not specifically refer to a delete marker by version id.", e);
        }
    }

    /// <summary>Streams a range of the source into a write.</summary>
    /// <param name="key">What the source opens with; null where it lies open.</param>
    public async Task<BlobContent> CopyToAsync(S3Request s3, IBlobWrite write, ByteRange range, DataKey? key, CancellationToken ct)
    {
        var manifest = Version.Manifest;
        if (range.Length == 0 || (key is null && !manifest.Inline.IsDefaultOrEmpty))
        {
            s3.CountAccess(Bucket, Key, Version);
            var content = range.Length == 0 ? default : ImmutableCollectionsMarshal.AsArray(manifest.Inline).AsMemory((int)range.First, (int)range.Length);
            return await write.CopyFromAsync(PipeReader.Create(new ReadOnlySequence<byte>(content)), ct);
        }
        await using var read = await ObjectContent.OpenAsync(s3, Bucket.Id, Key, Version, range, key, ct);
        s3.CountAccess(Bucket, Key, Version);
        var pipe = new Pipe(new PipeOptions(pauseWriterThreshold: InFlightBytes, resumeWriterThreshold: InFlightBytes / 2, useSynchronizationContext: false));
        var reading = FeedAsync(read, pipe.Writer, ct);
        try
        {
            return await write.CopyFromAsync(pipe.Reader, ct);
        }
        finally
        {
            await pipe.Reader.CompleteAsync();
            await reading;
        }
    }

    /// <summary>Never throws: what goes wrong reaches the writer as the end of its pipe.</summary>
    private static async Task FeedAsync(IBlobRead read, PipeWriter writer, CancellationToken ct)
    {
        try
        {
            await read.CopyToAsync(writer, ct);
            await writer.CompleteAsync();
        }
        catch (Exception e)
        {
            await writer.CompleteAsync(e);
        }
    }
}
