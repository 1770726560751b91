using DarkStorage.GrainInterfaces.Buckets;
using DarkStorage.GrainInterfaces.Objects;

namespace DarkStorage.Metadata;

/// <summary>A row of accesses: of a version, on one day or, as day 0, on all together.</summary>
/// <param name="Last">Milliseconds of Unix.</param>
internal readonly record struct AccessRow(string Key, VersionId Version, int Day, long Count, long Last)
{
    /// <summary>All buckets that there are accesses of, by a seek for each. Either database understands it.</summary>
    public const string Buckets = """
        counted (bucket) AS (
            SELECT min(bucket) FROM accesses
            UNION ALL SELECT (SELECT min(a.bucket) FROM accesses a WHERE a.bucket > c.bucket) FROM counted c WHERE c.bucket IS NOT NULL)
        """;

    /// <summary>One of them that has no accesses counted.</summary>
    public const string UncountedBucket = $"""
        SELECT c.bucket FROM counted c WHERE c.bucket IS NOT NULL
        AND NOT EXISTS (SELECT 1 FROM bucket_settings s WHERE s.bucket = c.bucket AND s.kind = '{BucketSettings.AccessCounting}' AND s.id = '') LIMIT 1
        """;

    /// <param name="rows">Those of a version one after another, in the order of their days.</param>
    public static List<VersionAccesses> Gather(IEnumerable<AccessRow> rows)
    {
        var versions = new List<VersionAccesses>();
        foreach (var row in rows)
        {
            if (versions.Count == 0 || versions[^1] is var last && (last.Version != row.Version || last.Key != row.Key))
                versions.Add(new(row.Key, row.Version, row.Count, DateTimeOffset.FromUnixTimeMilliseconds(row.Last), []));
            if (row.Day > 0) versions[^1] = versions[^1] with { Days = versions[^1].Days.Add(new(DateOnly.FromDayNumber(row.Day), row.Count)) };
        }
        return versions;
    }
}
