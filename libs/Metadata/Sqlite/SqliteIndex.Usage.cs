using DarkStorage.GrainInterfaces;
using DarkStorage.GrainInterfaces.Tiers;

namespace DarkStorage.Metadata.Sqlite;

public sealed partial class SqliteIndex
{
    public ValueTask<IReadOnlyList<UsageChange>> ListUsageAsync(BucketId? bucket, CancellationToken ct) =>
        ReadAsync(bucket, static (connection, bucket) =>
        {
            // Sums of both parts of the moments: each of the lower ones has 40 bits, so there is room for those of 8 million buckets.
            var query = connection.Prepare($"""
                SELECT month, storage_class, sum(objects), sum(bytes), sum(moment_high), sum(moment_low), sum(reads), sum(writes), sum(deletes), sum(received), sum(sent)
                FROM usage {(bucket is null ? "" : "WHERE bucket = ?1")} GROUP BY month, storage_class ORDER BY month, storage_class
                """);
            if (bucket is { } one) query.Bind(1, one.Value);
            var found = new List<UsageChange>();
            while (query.Step())
            {
                found.Add(new(new((int)query.Long(0)), query.Text(1), query.Long(2), query.Long(3), UsageRow.Moment(query.Long(4), query.Long(5)),
                    new(query.Long(6), query.Long(7), query.Long(8), query.Long(9), query.Long(10))));
            }
            return (IReadOnlyList<UsageChange>)found;
        }, ct);

    public Task CountTrafficAsync(IReadOnlyList<TrafficCount> counts, CancellationToken ct) =>
        _writer.WriteAsync(session =>
        {
            foreach (var (bucket, month, storageClass, traffic) in counts)
            {
                session.Connection.Prepare(UsageRow.AddTraffic)
                    .Bind(1, session.HasBucket(bucket) ? bucket.Value : GoneBucket).Bind(2, month.Number).BindText(3, storageClass)
                    .Bind(4, traffic.Reads).Bind(5, traffic.Writes).Bind(6, traffic.Deletes).Bind(7, traffic.Received).Bind(8, traffic.Sent).Run();
            }
            return true;
        }, ct);

    // There is one writer, and its rows are as few as can be.
    public Task SortUsageAsync(DateTimeOffset now, CancellationToken ct) => Task.CompletedTask;

    /// <summary>Stands for all that are gone.</summary>
    private const long GoneBucket = 0;

    /// <summary>What was there is still to be paid when the bucket is gone.</summary>
    private static void LeaveUsage(WriteSession session, BucketId bucket)
    {
        session.WriteUsage();
        session.Connection.Prepare(UsageRow.AddBucket).Bind(1, bucket.Value).Bind(2, GoneBucket).Run();
        session.Connection.Prepare("DELETE FROM usage WHERE bucket = ?1").Bind(1, bucket.Value).Run();
    }
}
