using System.Text;
using DarkStorage.GrainInterfaces;
using DarkStorage.GrainInterfaces.Objects;

namespace DarkStorage.Metadata.Sqlite;

public sealed partial class SqliteIndex
{
    public ValueTask<VersionListingEnd> ListVersionsAsync(VersionListing listing, IVersionListingSink sink, CancellationToken ct) =>
        ReadAsync((listing, sink), static (connection, q) => q.listing.Max == 0
            ? default
            : InOneState(connection, q, static (connection, q) => ListVersions(connection, q.listing, q.sink)), ct);

    /// <summary>Walks both tables side by side. Of one key the row of "objects" comes first: it is the newest.</summary>
    private static VersionListingEnd ListVersions(SqliteConnection connection, VersionListing listing, IVersionListingSink sink)
    {
        const string columns = "key, length, modified, etag, flags, storage_class, version, revision, owner";
        var prefix = Encoding.UTF8.GetBytes(listing.Prefix);
        var delimiter = listing.Delimiter is { Length: > 0 } d ? Encoding.UTF8.GetBytes(d) : null;
        var scan = new KeyScan(prefix, delimiter, Encoding.UTF8.GetBytes(listing.After.Key));
        var behind = BehindOf(connection, listing);
        var current = connection.Prepare($"SELECT {columns} FROM objects WHERE bucket = ?1 AND key >= ?2 ORDER BY key").Bind(1, listing.Bucket.Value);
        var others = connection.Prepare($"SELECT {columns} FROM versions WHERE bucket = ?1 AND key >= ?2 ORDER BY key, revision DESC").Bind(1, listing.Bucket.Value);
        try
        {
            var (hasCurrent, hasOther) = Seek(current, others, scan.Start, prefix);
            var seen = new byte[SqliteStatement.KeyBytesMax];
            var (seenLength, count, last) = (-1, 0, default(VersionPlace));
            while (hasCurrent || hasOther)
            {
                var takeCurrent = hasCurrent && (!hasOther || current.Bytes(0).SequenceCompareTo(others.Bytes(0)) <= 0);
                var row = takeCurrent ? current : others;
                var key = row.Bytes(0);
                var isLatest = seenLength < 0 || !key.SequenceEqual(seen.AsSpan(0, seenLength));
                key.CopyTo(seen);
                seenLength = key.Length;
                if (key.SequenceEqual(scan.Excluded) && row.Long(7) >= behind)
                {
                    Advance();
                    continue;
                }
                if (count == listing.Max) return new(last);
                count++;
                var folded = scan.Fold(key);
                if (folded == 0)
                {
                    sink.Version(ReadEntry(row, isLatest));
                    last = new(Encoding.UTF8.GetString(key), NameOf(row), row.Long(7));
                    Advance();
                }
                else
                {
                    scan.Last = key[..folded];
                    sink.CommonPrefix(scan.Last);
                    last = new(Encoding.UTF8.GetString(scan.Last), null, 0);
                    (hasCurrent, hasOther) = Seek(current, others, scan.Behind(scan.Last), prefix);
                    seenLength = -1;
                }

                void Advance()
                {
                    if (takeCurrent) hasCurrent = current.Step() && current.Bytes(0).StartsWith(prefix);
                    else hasOther = others.Step() && others.Bytes(0).StartsWith(prefix);
                }
            }
            return default;
        }
        finally
        {
            current.Reset();
            others.Reset();
        }
    }

    /// <summary>Versions of the key that the page before ended with are passed over from this revision on.</summary>
    private static long BehindOf(SqliteConnection connection, VersionListing listing)
    {
        if (listing.After.Version is not { } version) return long.MinValue;
        if (listing.After.Revision > 0) return listing.After.Revision;
        return FindHeld(connection, listing.Bucket, listing.After.Key, version)?.Held.Revision ?? long.MinValue;
    }

    private static (bool HasCurrent, bool HasOther) Seek(SqliteStatement current, SqliteStatement others, ReadOnlySpan<byte> from, ReadOnlySpan<byte> prefix)
    {
        current.Reset();
        others.Reset();
        current.Bind(2, from);
        others.Bind(2, from);
        return (current.Step() && current.Bytes(0).StartsWith(prefix), others.Step() && others.Bytes(0).StartsWith(prefix));
    }

    private static ListedObject ReadEntry(SqliteStatement row, bool isLatest)
    {
        var flags = row.Long(4);
        return new()
        {
            Key = row.Bytes(0),
            Length = row.Long(1),
            Modified = DateTimeOffset.FromUnixTimeMilliseconds(row.Long(2)),
            ETag = row.Bytes(3),
            ChecksumAlgorithm = VersionFlags.AlgorithmOf(flags),
            ChecksumType = VersionFlags.TypeOf(flags),
            StorageClass = row.IsNull(5) ? "STANDARD"u8 : row.Bytes(5),
            Version = NameOf(row),
            Id = VersionId.Read(row.Bytes(6)),
            Revision = row.Long(7),
            IsLatest = isLatest,
            IsDeleteMarker = (flags & VersionFlags.DeleteMarker) != 0,
            Owner = row.Bytes(8),
        };
    }

    private static VersionName NameOf(SqliteStatement row) => (row.Long(4) & VersionFlags.Null) != 0 ? VersionName.Null : new(VersionId.Read(row.Bytes(6)));
}
