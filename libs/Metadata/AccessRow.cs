using System.Collections.Immutable;
using DarkStorage.GrainInterfaces.Buckets;
using DarkStorage.GrainInterfaces.Objects;

namespace DarkStorage.Metadata;

/// <summary>A row of accesses: of a version, on one day or, as day 0, on all together.</summary>
/// <param name="Last">Milliseconds of Unix.</param>
internal readonly record struct AccessRow(string Key, VersionId Version, int Day, long Count, long Last)
{
    /// <summary>Of a row <c>a</c>, with the day before which days are forgotten: whether nothing can turn on it any more. Either database understands it.</summary>
    public static string IsStale(string before) => $"""
        (a.day > 0 AND a.day < {before}
        OR NOT EXISTS (SELECT 1 FROM bucket_settings s WHERE s.bucket = a.bucket AND s.kind = '{BucketSettings.AccessCounting}' AND s.id = '')
        OR NOT EXISTS (SELECT 1 FROM objects o WHERE o.bucket = a.bucket AND o.key = a.key AND o.version = a.version)
        AND NOT EXISTS (SELECT 1 FROM versions v WHERE v.bucket = a.bucket AND v.key = a.key AND v.version = a.version))
        """;

    /// <param name="rows">Those of a version one after another, in the order of their days.</param>
    public static List<VersionAccesses> Gather(IEnumerable<AccessRow> rows)
    {
        var versions = new List<VersionAccesses>();
        var days = ImmutableArray.CreateBuilder<KeyValuePair<DateOnly, long>>();
        AccessRow? first = null;
        foreach (var row in rows)
        {
            if (first is { } begun && (begun.Version != row.Version || begun.Key != row.Key)) End();
            first ??= row;
            if (row.Day > 0) days.Add(new(DateOnly.FromDayNumber(row.Day), row.Count));
        }
        End();
        return versions;

        void End()
        {
            // Where all together are forgotten already, and days are not, the first day stands for them.
            if (first is { } all) versions.Add(new(all.Key, all.Version, all.Count, DateTimeOffset.FromUnixTimeMilliseconds(all.Last), days.DrainToImmutable()));
            first = null;
        }
    }
}
