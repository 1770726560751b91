using System.Text;
using DarkStorage.GrainInterfaces;
using DarkStorage.GrainInterfaces.Objects;

namespace DarkStorage.Metadata.Sqlite;

public sealed partial class SqliteIndex
{
    public ValueTask<ListingEnd> ListObjectsAsync(ObjectListing listing, IObjectListingSink sink, CancellationToken ct) =>
        ReadAsync((listing, sink), static (connection, q) => List(connection, q.listing, q.sink), ct);

    /// <summary>Walks the keys in order. Where a key folds into a prefix, it goes on behind that prefix with one seek, however many keys have it.</summary>
    private static ListingEnd List(SqliteConnection connection, ObjectListing listing, IObjectListingSink sink)
    {
        if (listing.Max == 0) return default;
        var prefix = Encoding.UTF8.GetBytes(listing.Prefix);
        var delimiter = listing.Delimiter is { Length: > 0 } d ? Encoding.UTF8.GetBytes(d) : null;
        var scan = new KeyScan(prefix, delimiter, Encoding.UTF8.GetBytes(listing.After));

        var rows = connection.Prepare("""
            SELECT key, length, modified, etag, flags, storage_class FROM objects WHERE bucket = ?1 AND key >= ?2 ORDER BY key
            """).Bind(1, listing.Bucket.Value);
        // A read transaction keeps all seeks of the page on one state of the bucket.
        connection.Execute("BEGIN");
        try
        {
            var count = 0;
            rows.Bind(2, scan.Start);
            while (rows.Step())
            {
                var key = rows.Bytes(0);
                if (!key.StartsWith(prefix)) break;
                if (key.SequenceEqual(scan.Excluded)) continue;
                var folded = scan.Fold(key);
                if (count == listing.Max)
                {
                    return new(Encoding.UTF8.GetString(scan.Last));
                }
                count++;
                if (folded == 0)
                {
                    scan.Last = key;
                    var flags = rows.Long(4);
                    sink.Object(new()
                    {
                        Key = key,
                        Length = rows.Long(1),
                        Modified = DateTimeOffset.FromUnixTimeMilliseconds(rows.Long(2)),
                        ETag = rows.Bytes(3),
                        ChecksumAlgorithm = VersionFlags.AlgorithmOf(flags),
                        ChecksumType = VersionFlags.TypeOf(flags),
                        StorageClass = rows.IsNull(5) ? "STANDARD"u8 : rows.Bytes(5),
                    });
                }
                else
                {
                    scan.Last = key[..folded];
                    sink.CommonPrefix(scan.Last);
                    rows.Reset();
                    rows.Bind(2, scan.Behind(scan.Last));
                }
            }
            return default;
        }
        finally
        {
            rows.Reset();
            connection.Execute("COMMIT");
        }
    }
}
