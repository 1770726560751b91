using System.Text;
using DarkStorage.GrainInterfaces;
using DarkStorage.GrainInterfaces.Objects;
using Npgsql;

namespace DarkStorage.Metadata.Postgres;

// A page is one call of a function in the database, which folds keys where they are: a prefix with a million keys costs one seek and no row on the wire.
public sealed partial class PostgresIndex
{
    public async ValueTask<ListingEnd> ListObjectsAsync(ObjectListing listing, IObjectListingSink sink, CancellationToken ct)
    {
        if (listing.Max == 0) return default;
        var walk = new Walk(listing.Prefix, listing.Delimiter, listing.After);
        return await ReadAsync("SELECT key, is_prefix, length, modified, etag, flags, storage_class FROM list_objects($1, $2, $3, $4, $5, $6)",
            p => p.Long(listing.Bucket.Value).Bytes(walk.Start).Bytes(walk.After).Bytes(walk.Prefix).Bytes(walk.Delimiter).Int(listing.Max), async (rows, ct) =>
            {
                byte[] last = [];
                for (var count = 0; await rows.ReadAsync(ct); count++)
                {
                    if (count == listing.Max) return new ListingEnd(Encoding.UTF8.GetString(last));
                    last = rows.GetFieldValue<byte[]>(0);
                    if (rows.GetBoolean(1)) sink.CommonPrefix(last);
                    else sink.Object(ReadEntry(rows, last));
                }
                return default;
            }, ct);
    }

    public async ValueTask<VersionListingEnd> ListVersionsAsync(VersionListing listing, IVersionListingSink sink, CancellationToken ct)
    {
        if (listing.Max == 0) return default;
        var walk = new Walk(listing.Prefix, listing.Delimiter, listing.After.Key);
        var behind = walk.GoesOnAmidAKey ? await BehindOfAsync(listing, ct) : null;
        return await ReadAsync(
            "SELECT key, is_prefix, length, modified, etag, flags, storage_class, version, revision, owner, is_latest FROM list_versions($1, $2, $3, $4, $5, $6, $7)",
            p => p.Long(listing.Bucket.Value).Bytes(walk.Start).Bytes(walk.After).Long(behind).Bytes(walk.Prefix).Bytes(walk.Delimiter).Int(listing.Max), async (rows, ct) =>
            {
                var last = default(VersionPlace);
                for (var count = 0; await rows.ReadAsync(ct); count++)
                {
                    if (count == listing.Max) return new VersionListingEnd(last);
                    var key = rows.GetFieldValue<byte[]>(0);
                    if (rows.GetBoolean(1))
                    {
                        sink.CommonPrefix(key);
                        last = new(Encoding.UTF8.GetString(key), null, 0);
                        continue;
                    }
                    var entry = ReadVersionEntry(rows, key);
                    last = new(Encoding.UTF8.GetString(key), entry.Version, entry.Revision);
                    sink.Version(entry);
                }
                return default;
            }, ct);
    }

    /// <summary>Versions of the key that the page before ended with belong to this one if they are older than this revision. Null where none do.</summary>
    private async ValueTask<long?> BehindOfAsync(VersionListing listing, CancellationToken ct)
    {
        if (listing.After.Version is not { } version) return null;
        if (listing.After.Revision > 0) return listing.After.Revision;
        return (await FindVersionAsync(listing.Bucket, listing.After.Key, version, ct))?.Revision;
    }

    private static ListedObject ReadEntry(NpgsqlDataReader row, byte[] key)
    {
        var flags = row.GetInt32(5);
        return new()
        {
            Key = key,
            Length = row.GetInt64(2),
            Modified = DateTimeOffset.FromUnixTimeMilliseconds(row.GetInt64(3)),
            ETag = row.GetFieldValue<byte[]>(4),
            ChecksumAlgorithm = VersionFlags.AlgorithmOf(flags),
            ChecksumType = VersionFlags.TypeOf(flags),
            StorageClass = row.IsDBNull(6) ? "STANDARD"u8 : row.GetFieldValue<byte[]>(6),
        };
    }

    private static ListedObject ReadVersionEntry(NpgsqlDataReader row, byte[] key)
    {
        var flags = row.GetInt32(5);
        return ReadEntry(row, key) with
        {
            Id = row.GetGuid(7).ToVersion(),
            Version = (flags & VersionFlags.Null) != 0 ? VersionName.Null : new(row.GetGuid(7).ToVersion()),
            Revision = row.GetInt64(8),
            IsLatest = row.GetBoolean(10),
            IsDeleteMarker = (flags & VersionFlags.DeleteMarker) != 0,
            Owner = row.GetFieldValue<byte[]>(9),
        };
    }

    /// <summary>Where a page begins: what <see cref="KeyScan"/> says, as bytes that can wait.</summary>
    private sealed class Walk
    {
        public Walk(string prefix, string? delimiter, string after)
        {
            (Prefix, After, Delimiter) = (Encoding.UTF8.GetBytes(prefix), Encoding.UTF8.GetBytes(after), string.IsNullOrEmpty(delimiter) ? null : Encoding.UTF8.GetBytes(delimiter));
            Start = new KeyScan(Prefix, Delimiter, After).Start.ToArray();
        }

        public byte[] Prefix { get; }
        public byte[]? Delimiter { get; }
        public byte[] After { get; }
        public byte[] Start { get; }

        /// <summary>The page before ended with a key, and not with a folded prefix or before all that is listed: of that key more may follow.</summary>
        public bool GoesOnAmidAKey => After.Length > 0 && Start.AsSpan().SequenceEqual(After) && After.AsSpan().StartsWith(Prefix);
    }
}
