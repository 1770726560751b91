using System.Text;
using DarkStorage.GrainInterfaces;
using DarkStorage.GrainInterfaces.Objects;
using DarkStorage.GrainInterfaces.Uploads;
using Npgsql;

namespace DarkStorage.Metadata.Postgres;

public sealed partial class PostgresIndex
{
    public Task BeginUploadAsync(UploadRecord upload, CancellationToken ct)
    {
        var detail = DetailCodec.Encode(upload);
        return WriteAsync(LockOf("upload", upload.Id.ToString()), "SELECT begin_upload($1, $2, $3, $4)",
            (p, _) => p.Uuid(upload.Id.ToGuid()).Long(upload.Bucket.Value).Key(upload.Key).Bytes(detail), OutcomeOf, ct);
    }

    public Task SavePartAsync(UploadId upload, UploadPart part, CancellationToken ct)
    {
        var detail = DetailCodec.Encode(part.Part);
        return WriteAsync(LockOf("upload", upload.ToString()), "SELECT save_part($1, $2, $3, $4, $5)",
            (p, _) => p.Uuid(upload.ToGuid()).Int(part.Part.Number).Time(part.Modified).Uuid(part.Part.Blob.ToGuid()).Bytes(detail), OutcomeOf, ct);
    }

    public Task<bool> DeleteUploadAsync(UploadId upload, DateTimeOffset now, CancellationToken ct) =>
        WriteAsync(LockOf("upload", upload.ToString()), "SELECT end_upload($1, '{}', $2)", (p, _) => p.Uuid(upload.ToGuid()).Time(now), static row => row.GetString(0) == "", ct);

    public ValueTask<UploadRecord?> FindUploadAsync(UploadId upload, CancellationToken ct) =>
        ReadFirstAsync("SELECT upload, bucket, key, detail FROM uploads WHERE upload = $1", p => p.Uuid(upload.ToGuid()), static row =>
            DetailCodec.DecodeUpload(row.GetFieldValue<byte[]>(3), row.GetGuid(0).ToUpload(), new(row.GetInt64(1)), Encoding.UTF8.GetString(row.GetFieldValue<byte[]>(2))), ct);

    public async ValueTask<IReadOnlyList<UploadPart>> ListPartsAsync(UploadId upload, int afterNumber, int max, CancellationToken ct) =>
        await ReadRowsAsync("SELECT modified, detail FROM parts WHERE upload = $1 AND number > $2 ORDER BY number LIMIT $3", p => p.Uuid(upload.ToGuid()).Int(afterNumber).Long(max),
            static row => new UploadPart(DetailCodec.DecodePart(row.GetFieldValue<byte[]>(1)), DateTimeOffset.FromUnixTimeMilliseconds(row.GetInt64(0))), ct);

    public async ValueTask<UploadPage> ListUploadsAsync(BucketId bucket, string prefix, string? delimiter, string afterKey, UploadId? afterUpload, int max, CancellationToken ct)
    {
        var (uploads, folders) = (new List<UploadRecord>(), new List<string>());
        if (max == 0) return new(uploads, folders, null, null);
        var walk = new Walk(prefix, delimiter, afterKey);
        var after = walk.GoesOnAmidAKey ? afterUpload?.ToGuid() : null;
        return await ReadAsync("SELECT key, is_prefix, upload, detail FROM list_uploads($1, $2, $3, $4, $5, $6, $7)",
            p => p.Long(bucket.Value).Bytes(walk.Start).Bytes(walk.After).Uuid(after).Bytes(walk.Prefix).Bytes(walk.Delimiter).Int(max), async (rows, ct) =>
            {
                var (lastKey, lastUpload) = ("", (UploadId?)null);
                while (await rows.ReadAsync(ct))
                {
                    if (uploads.Count + folders.Count == max) return new UploadPage(uploads, folders, lastKey, lastUpload);
                    lastKey = Encoding.UTF8.GetString(rows.GetFieldValue<byte[]>(0));
                    lastUpload = rows.GetBoolean(1) ? null : rows.GetGuid(2).ToUpload();
                    if (lastUpload is { } upload) uploads.Add(DetailCodec.DecodeUpload(rows.GetFieldValue<byte[]>(3), upload, bucket, lastKey));
                    else folders.Add(lastKey);
                }
                return new UploadPage(uploads, folders, null, null);
            }, ct);
    }
}
