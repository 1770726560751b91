using System.Text;
using DarkStorage.GrainInterfaces;
using DarkStorage.GrainInterfaces.Objects;
using DarkStorage.Rules.Logging;

namespace DarkStorage.ClientApi.S3.Operations;

internal static class DeleteObjects
{
    /// <summary>Deletes under way at one time: enough to fill a group commit, not enough to crowd out others.</summary>
    private const int ParallelMax = 64;

    /// <param name="Failure">Null where the object is gone.</param>
    /// <param name="Deleted">Null where it failed, or where nothing had to be done.</param>
    private readonly record struct Outcome(DeleteObjectsRequest.Entry Entry, S3Exception? Failure, ObjectDeleted? Deleted);

    public static async Task HandleAsync(S3Request s3, CancellationToken ct)
    {
        await s3.FindBucketAsync(ct);
        var request = DeleteObjectsRequest.Parse(await s3.ReadDocumentAsync(DeleteObjectsRequest.BytesMax, ct));
        var outcomes = new Outcome[request.Objects.Length];
        await Parallel.ForAsync(0, outcomes.Length, new ParallelOptions { MaxDegreeOfParallelism = ParallelMax, CancellationToken = ct },
            async (i, token) => outcomes[i] = await DeleteAsync(s3, request.Objects[i], token));

        if (s3.Log is { } log)
        {
            foreach (var (entry, failure, _) in outcomes) log.Add(AccessLogOperations.BatchDelete, entry.Key, entry.VersionId, (int?)failure?.Error.Status ?? 204, failure?.Error.Code);
        }
        await s3.WriteXmlAsync(200, xml =>
        {
            xml.StartDocument("DeleteResult"u8);
            foreach (var (entry, failure, deleted) in outcomes)
            {
                if (failure is null && request.Quiet) continue;
                ReadOnlySpan<byte> element = failure is null ? "Deleted"u8 : "Error"u8;
                xml.Start(element);
                xml.Element("Key"u8, entry.Key);
                if (entry.VersionId is not null) xml.Element("VersionId"u8, entry.VersionId);
                if (deleted is { IsDeleteMarker: true, Version: { } marker })
                {
                    xml.Element("DeleteMarker"u8, true);
                    xml.Element("DeleteMarkerVersionId"u8, marker.ToString());
                }
                if (failure is not null)
                {
                    xml.Element("Code"u8, failure.Error.Code);
                    xml.Element("Message"u8, failure.Message);
                }
                xml.End(element);
            }
            xml.End("DeleteResult"u8);
        }, ct);
    }

    private static async Task<Outcome> DeleteAsync(S3Request s3, DeleteObjectsRequest.Entry entry, CancellationToken ct)
    {
        try
        {
            if (Encoding.UTF8.GetByteCount(entry.Key) > S3Target.KeyBytesMax) throw new S3Exception(S3Error.KeyTooLong);
            VersionName? version = null;
            if (entry.VersionId is { } text) version = VersionName.TryParse(text, out var name) ? name : throw new S3Exception(S3Error.NoSuchVersion);
            // Each key is asked for by itself: a policy may allow some and not others.
            var bucket = await s3.AuthorizeAsync(version is null ? S3Action.DeleteObject : S3Action.DeleteObjectVersion, s3.BucketName, entry.Key, version, ct);
            var grain = s3.Grains.GetGrain<IObjectGrain>(new ObjectId(s3.BucketName, entry.Key).ToString());
            var condition = new WriteCondition(entry.ETag, null, entry.Modified, entry.Size);
            return new(entry, null, await grain.DeleteAsync(new(bucket.Id, version, DeleteObject.NewMarker(s3), s3.Caller.Account, condition, await s3.BypassesGovernanceAsync(entry.Key, version, ct), s3.OriginOf(ChangeMeans.Request)), ct));
        }
        catch (S3Exception e)
        {
            return new(entry, e, null);
        }
        catch (StorageException e) when (e.Error is StorageError.NoSuchKey)
        {
            // A condition on what is not there: to delete it is done already.
            return new(entry, null, null);
        }
        catch (StorageException e)
        {
            return new(entry, e.ToS3(), null);
        }
    }
}
