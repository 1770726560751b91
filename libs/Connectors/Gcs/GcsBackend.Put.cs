using System.Net;
using DarkStorage.Connectors.Google;
using DarkStorage.Storage.Backends;

namespace DarkStorage.Connectors.Gcs;

internal sealed partial class GcsBackend
{
    /// <summary>Of one put, when others put the same name at the same time.</summary>
    private const int PutAttemptsMax = 16;

    /// <summary>Each put says what it is to replace: nothing, at first, since names are used once. Where there is something it is looked at: the same content is that of an earlier attempt whose answer was lost, and is not sent again.</summary>
    public async Task<BackendBlob> PutAsync(BlobName name, BlobSource content, CancellationToken ct)
    {
        var key = place.KeyOf(name);
        var isLong = content.Length > place.ChunkBytes;
        // Before much is sent for nothing. A short one shows when it is refused.
        var there = isLong ? await FindAsync(name, ct) : null;
        for (var attempt = 1; ; attempt++)
        {
            if (there is not null && await HasAsync(there, name, content, ct)) return there.ToBlob(name);
            using var digest = new ContentDigest();
            GcsObject? made;
            try
            {
                var replaces = there?.Generation ?? 0;
                made = isLong ? await PutLongAsync(key, replaces, name, content, digest, ct) : await PutAtOnceAsync(key, replaces, name, content, digest, ct);
            }
            catch (BackendException e) when (e.Error == BackendError.AccessDenied && there is null)
            {
                // What is held can't be replaced, by the same content neither.
                if (await FindAsync(name, ct) is { } held && await HasAsync(held, name, content, ct)) return held.ToBlob(name);
                throw;
            }
            if (made is not null) return await TakenAsync(name, made, content.Length, digest, ct);
            if (attempt == PutAttemptsMax) throw new BackendException(BackendError.Unavailable, $"{name} is replaced by others again and again.");
            there = await FindAsync(name, ct);
        }
    }

    /// <returns>Null where there is another content than the one that this is to replace.</returns>
    private async Task<GcsObject?> PutAtOnceAsync(string key, long replaces, BlobName name, BlobSource content, ContentDigest digest, CancellationToken ct)
    {
        await digest.ReadToAsync(name, content, content.Length, ct);
        var metadata = new GcsMetadata(key, place.StorageClass, digest.Crc32C, digest.Md5);
        using var answer = await client.SendAsync(HttpMethod.Post, UploadTarget("multipart", replaces), name.Value, request => request.Content = GoogleClient.TogetherOf(metadata, content), ct);
        return answer.StatusCode switch
        {
            HttpStatusCode.OK or HttpStatusCode.Created => await GoogleClient.ReadAsync<GcsObject>(answer, name.Value, ct),
            HttpStatusCode.PreconditionFailed => null,
            HttpStatusCode.NotFound => throw await MissingAsync(answer, name, ct),
            _ => throw await client.FailureOfAsync(answer, name.Value, ct),
        };
    }

    /// <summary>Chunk by chunk, each read before it is sent, so that the last one brings the checksums of all: the server compares them before it makes an object.</summary>
    /// <returns>Null where there is another content than the one that this is to replace.</returns>
    private Task<GcsObject?> PutLongAsync(string key, long replaces, BlobName name, BlobSource content, ContentDigest digest, CancellationToken ct) =>
        new ResumableUpload<GcsObject>(client, UploadTarget("resumable", replaces), new GcsMetadata(key, place.StorageClass), name, content, place.ChunkBytes, HttpStatusCode.PreconditionFailed, clock)
        {
            ReadAhead = (end, ct) => digest.ReadToAsync(name, content, end, ct),
            AddLast = request => request.Headers.TryAddWithoutValidation("X-Goog-Hash", $"crc32c={digest.Crc32C},md5={digest.Md5}"),
        }.RunAsync(ct);

    private string UploadTarget(string type, long replaces) => $"{place.UploadPath}?uploadType={type}&ifGenerationMatch={replaces}&fields={GcsObject.Fields}";

    /// <summary>Compares what the server says that it has made of it with the content.</summary>
    private async Task<BackendBlob> TakenAsync(BlobName name, GcsObject made, long length, ContentDigest digest, CancellationToken ct)
    {
        // A server may say that it is done before it was sent all.
        if (digest.Length == length && digest.Matches(made)) return await RequireAsync(name, made, ct);
        await TakeBackAsync(name, made);
        if (made.Size != length) throw BackendException.WrongLength(name, length, made.Size ?? -1);
        throw new BackendException(BackendError.Unavailable, $"{name} has another checksum there than was sent.");
    }

    /// <summary>Whether an object has a content already, as it would be put.</summary>
    private async Task<bool> HasAsync(GcsObject found, BlobName name, BlobSource content, CancellationToken ct)
    {
        if (found.Size != content.Length || (place.StorageClass is { } wanted && found.StorageClass != wanted)) return false;
        using var digest = new ContentDigest();
        await digest.ReadToAsync(name, content, content.Length, ct);
        return digest.Matches(found);
    }

    /// <summary>Nothing is missing to a put but its bucket.</summary>
    private async Task<BackendException> MissingAsync(HttpResponseMessage answer, BlobName name, CancellationToken ct)
    {
        await PrepareAsync(ct);
        var failure = await client.FailureOfAsync(answer, name.Value, ct);
        return new(BackendError.Unavailable, failure.Message);
    }
}
