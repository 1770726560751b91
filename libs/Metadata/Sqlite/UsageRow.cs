namespace DarkStorage.Metadata.Sqlite;

/// <summary>A row of the table of usage. Its moment is of two numbers: bytes times milliseconds are more than 64 bits hold.</summary>
internal static class UsageRow
{
    private const string ColumnNames = "month, storage_class, objects, bytes, moment_high, moment_low, reads, writes, deletes, received, sent";
    private const int LowBits = 40;
    private const long LowMask = (1L << LowBits) - 1;

    /// <summary>Adds a row that is inserted to the one that is there.</summary>
    private static readonly string AddUp = $"""
        ON CONFLICT (bucket, month, storage_class) DO UPDATE SET objects = usage.objects + excluded.objects, bytes = usage.bytes + excluded.bytes,
            moment_high = usage.moment_high + excluded.moment_high + ((usage.moment_low + excluded.moment_low) >> {LowBits}), moment_low = (usage.moment_low + excluded.moment_low) & {LowMask},
            reads = usage.reads + excluded.reads, writes = usage.writes + excluded.writes, deletes = usage.deletes + excluded.deletes, received = usage.received + excluded.received, sent = usage.sent + excluded.sent
        """;

    public static readonly string AddChange = $"INSERT INTO usage (bucket, month, storage_class, objects, bytes, moment_high, moment_low) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7) {AddUp}";

    public static readonly string AddTraffic = $"INSERT INTO usage (bucket, month, storage_class, reads, writes, deletes, received, sent) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8) {AddUp}";

    /// <summary>Adds all rows of one bucket to those of another.</summary>
    public static readonly string AddBucket = $"INSERT INTO usage (bucket, {ColumnNames}) SELECT ?2, {ColumnNames} FROM usage WHERE bucket = ?1 {AddUp}";

    public static long HighOf(Int128 moment) => (long)(moment >> LowBits);

    public static long LowOf(Int128 moment) => (long)(moment & LowMask);

    public static decimal Moment(long high, long low) => ((decimal)high * (LowMask + 1)) + low;
}
