using System.Text;
using DarkStorage.GrainInterfaces;
using DarkStorage.GrainInterfaces.Objects;
using DarkStorage.GrainInterfaces.Uploads;

namespace DarkStorage.Metadata.Sqlite;

public sealed partial class SqliteIndex
{
    public Task BeginUploadAsync(UploadRecord upload, CancellationToken ct)
    {
        var detail = DetailCodec.Encode(upload);
        return _writer.WriteAsync(session =>
        {
            session.RequireBucket(upload.Bucket);
            Span<byte> id = stackalloc byte[BlobId.ByteLength];
            upload.Id.Write(id);
            session.Connection.Prepare("INSERT INTO uploads (upload, bucket, key, detail) VALUES (?1, ?2, ?3, ?4)")
                .Bind(1, id).Bind(2, upload.Bucket.Value).BindKey(3, upload.Key).Bind(4, detail).Run();
            return true;
        }, ct);
    }

    public Task SavePartAsync(UploadId upload, UploadPart part, CancellationToken ct)
    {
        var detail = DetailCodec.Encode(part.Part);
        return _writer.WriteAsync(session =>
        {
            RequireUpload(session, upload);
            Span<byte> id = stackalloc byte[BlobId.ByteLength];
            upload.Write(id);
            var earlier = session.Connection.Prepare("SELECT detail FROM parts WHERE upload = ?1 AND number = ?2").Bind(1, id).Bind(2, part.Part.Number);
            BlobId? replaced = null;
            if (earlier.Step())
            {
                replaced = DetailCodec.DecodePart(earlier.Bytes(0)).Blob;
                earlier.Reset();
            }
            session.AddBlob(part.Part.Blob);
            if (replaced is { } blob) session.FreeBlob(blob, part.Modified);
            session.Connection.Prepare("INSERT OR REPLACE INTO parts (upload, number, modified, detail) VALUES (?1, ?2, ?3, ?4)")
                .Bind(1, id).Bind(2, part.Part.Number).Bind(3, part.Modified.ToUnixTimeMilliseconds()).Bind(4, detail).Run();
            return true;
        }, ct);
    }

    public Task<bool> DeleteUploadAsync(UploadId upload, DateTimeOffset now, CancellationToken ct) =>
        _writer.RemoveAsync(session => UploadExists(session, upload) && RemoveUpload(session, upload, keep: [], now), ct);

    public ValueTask<UploadRecord?> FindUploadAsync(UploadId upload, CancellationToken ct) =>
        ReadAsync(upload, static (connection, upload) =>
        {
            Span<byte> id = stackalloc byte[BlobId.ByteLength];
            upload.Write(id);
            var query = connection.Prepare("SELECT upload, bucket, key, detail FROM uploads WHERE upload = ?1").Bind(1, id);
            if (!query.Step()) return null;
            var record = ReadUpload(query);
            query.Reset();
            return record;
        }, ct);

    public ValueTask<IReadOnlyList<UploadPart>> ListPartsAsync(UploadId upload, int afterNumber, int max, CancellationToken ct) =>
        ReadAsync((upload, afterNumber, max), static (connection, q) =>
        {
            Span<byte> id = stackalloc byte[BlobId.ByteLength];
            q.upload.Write(id);
            var query = connection.Prepare("SELECT modified, detail FROM parts WHERE upload = ?1 AND number > ?2 ORDER BY number LIMIT ?3")
                .Bind(1, id).Bind(2, q.afterNumber).Bind(3, q.max);
            var parts = new List<UploadPart>();
            while (query.Step()) parts.Add(new(DetailCodec.DecodePart(query.Bytes(1)), DateTimeOffset.FromUnixTimeMilliseconds(query.Long(0))));
            return (IReadOnlyList<UploadPart>)parts;
        }, ct);

    public ValueTask<UploadPage> ListUploadsAsync(BucketId bucket, string prefix, string? delimiter, string afterKey, UploadId? afterUpload, int max, CancellationToken ct) =>
        ReadAsync((bucket, prefix, delimiter, afterKey, afterUpload, max), static (connection, q) =>
            ListUploads(connection, q.bucket, q.prefix, q.delimiter, q.afterKey, q.afterUpload, q.max), ct);

    private static UploadPage ListUploads(
        SqliteConnection connection, BucketId bucket, string prefix, string? delimiter, string afterKey, UploadId? afterUpload, int max)
    {
        var (uploads, folders) = (new List<UploadRecord>(), new List<string>());
        if (max == 0) return new(uploads, folders, null, null);
        var prefixBytes = Encoding.UTF8.GetBytes(prefix);
        var scan = new KeyScan(prefixBytes, string.IsNullOrEmpty(delimiter) ? null : Encoding.UTF8.GetBytes(delimiter), Encoding.UTF8.GetBytes(afterKey));
        Span<byte> after = stackalloc byte[BlobId.ByteLength];
        afterUpload?.Write(after);

        var rows = connection.Prepare("""
            SELECT upload, bucket, key, detail FROM uploads WHERE bucket = ?1 AND key >= ?2 ORDER BY key, upload
            """).Bind(1, bucket.Value).Bind(2, scan.Start);
        connection.Execute("BEGIN");
        try
        {
            UploadId? last = null;
            while (rows.Step())
            {
                var key = rows.Bytes(2);
                if (!key.StartsWith(prefixBytes)) break;
                if (key.SequenceEqual(scan.Excluded) && (afterUpload is null || rows.Bytes(0).SequenceCompareTo(after) <= 0)) continue;
                var folded = scan.Fold(key);
                if (uploads.Count + folders.Count == max) return new(uploads, folders, Encoding.UTF8.GetString(scan.Last), last);
                if (folded == 0)
                {
                    var upload = ReadUpload(rows);
                    uploads.Add(upload);
                    scan.Last = key;
                    last = upload.Id;
                }
                else
                {
                    scan.Last = key[..folded];
                    last = null;
                    folders.Add(Encoding.UTF8.GetString(scan.Last));
                    rows.Reset();
                    rows.Bind(2, scan.Behind(scan.Last));
                }
            }
            return new(uploads, folders, null, null);
        }
        finally
        {
            rows.Reset();
            connection.Execute("COMMIT");
        }
    }

    /// <summary>Ends an upload whose object is about to be saved; throws before it writes.</summary>
    private static void EndUpload(WriteSession session, UploadId upload, ObjectVersion made)
    {
        RequireUpload(session, upload);
        RemoveUpload(session, upload, made.Manifest.Parts.Select(p => p.Blob).ToHashSet(), made.Modified);
    }

    private static bool RemoveUpload(WriteSession session, UploadId upload, HashSet<BlobId> keep, DateTimeOffset now)
    {
        Span<byte> id = stackalloc byte[BlobId.ByteLength];
        upload.Write(id);
        var parts = session.Connection.Prepare("SELECT detail FROM parts WHERE upload = ?1").Bind(1, id);
        var unused = new List<BlobId>();
        while (parts.Step())
        {
            var blob = DetailCodec.DecodePart(parts.Bytes(0)).Blob;
            if (!keep.Remove(blob)) unused.Add(blob);
        }
        if (keep.Count > 0) throw new StorageException(StorageError.InvalidPart, "A part was replaced while the upload was being completed.");
        foreach (var blob in unused) session.FreeBlob(blob, now);
        session.Connection.Prepare("DELETE FROM parts WHERE upload = ?1").Bind(1, id).Run();
        session.Connection.Prepare("DELETE FROM uploads WHERE upload = ?1").Bind(1, id).Run();
        return true;
    }

    private static void RequireUpload(WriteSession session, UploadId upload)
    {
        if (!UploadExists(session, upload)) throw new StorageException(StorageError.NoSuchUpload, $"There is no upload {upload}.");
    }

    private static bool UploadExists(WriteSession session, UploadId upload)
    {
        Span<byte> id = stackalloc byte[BlobId.ByteLength];
        upload.Write(id);
        var query = session.Connection.Prepare("SELECT 1 FROM uploads WHERE upload = ?1").Bind(1, id);
        if (!query.Step()) return false;
        query.Reset();
        return true;
    }

    private static UploadRecord ReadUpload(SqliteStatement row) =>
        DetailCodec.DecodeUpload(row.Bytes(3), UploadId.Read(row.Bytes(0)), new(row.Long(1)), Encoding.UTF8.GetString(row.Bytes(2)));
}
