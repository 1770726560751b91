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
                        ChecksumAlgorithm = (ChecksumAlgorithm)(byte)(flags >> ChecksumAlgorithmShift),
                        ChecksumType = (ChecksumType)(byte)(flags >> ChecksumTypeShift),
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

    /// <summary>Where a walk over sorted keys begins, and how a delimiter folds them. Shared by the listings of objects and of uploads.</summary>
    private ref struct KeyScan
    {
        private readonly byte[] _prefix;
        private readonly byte[]? _delimiter;
        private readonly byte[] _last = new byte[SqliteStatement.KeyBytesMax];
        private readonly byte[] _behind;
        private int _lastLength;

        public KeyScan(byte[] prefix, byte[]? delimiter, byte[] after)
        {
            _prefix = prefix;
            _delimiter = delimiter;
            _behind = new byte[Math.Max(SqliteStatement.KeyBytesMax, after.Length)];
            Excluded = after;
            if (after.AsSpan().SequenceCompareTo(prefix) < 0) Start = prefix;
            // A page that ended with a folded prefix goes on behind all that is folded into it.
            else if (after.AsSpan().StartsWith(prefix) && after.Length > 0 && Fold(after) == after.Length) Start = Behind(after).ToArray();
            else Start = after;
        }

        /// <summary>The first key to look at.</summary>
        public ReadOnlySpan<byte> Start { get; }

        /// <summary>The entry that the page before ended with.</summary>
        public ReadOnlySpan<byte> Excluded { get; }

        /// <summary>The last entry handed out: a copy, since a row's bytes are gone with the next step.</summary>
        public ReadOnlySpan<byte> Last
        {
            readonly get => _last.AsSpan(0, _lastLength);
            set
            {
                value.CopyTo(_last);
                _lastLength = value.Length;
            }
        }

        /// <returns>The length of the prefix that a key folds into, or 0 where it stands for itself.</returns>
        public readonly int Fold(ReadOnlySpan<byte> key)
        {
            if (_delimiter is null) return 0;
            var at = key[_prefix.Length..].IndexOf(_delimiter);
            return at < 0 ? 0 : _prefix.Length + at + _delimiter.Length;
        }

        /// <summary>The least text greater than all that begin with a folded prefix: its last byte is one higher. UTF-8 has no byte 0xFF, so there always is one.</summary>
        public readonly ReadOnlySpan<byte> Behind(ReadOnlySpan<byte> folded)
        {
            folded.CopyTo(_behind);
            _behind[folded.Length - 1]++;
            return _behind.AsSpan(0, folded.Length);
        }
    }
}
