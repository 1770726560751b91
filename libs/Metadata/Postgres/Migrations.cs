using Npgsql;

namespace DarkStorage.Metadata.Postgres;

/// <summary>The numbered scripts beside this file. Each runs once, in a transaction of its own, and is never changed after a release.</summary>
/// <remarks>Nodes that start together take turns: whoever comes second finds the work done. A script may say that programs from an older format on still work with what it
/// leaves (<c>UPDATE format SET readable_from</c>), so that a cluster can be upgraded node by node; where it does not, older programs are refused.</remarks>
internal static class Migrations
{
    public const string Schema = "darkstorage";

    /// <summary>The session is good for nothing else afterwards: its locks and transactions may take as long as they like.</summary>
    /// <exception cref="InvalidDataException">A newer program wrote it, or something else did.</exception>
    public static async Task ApplyAsync(NpgsqlConnection connection, CancellationToken ct)
    {
        var scripts = MigrationScripts.Load(nameof(Postgres));
        await ExecuteAsync(connection,
            "SELECT set_config('lock_timeout', '0', false), CASE WHEN current_setting('server_version_num')::integer >= 170000 THEN set_config('transaction_timeout', '0', false) END", ct);
        await ExecuteAsync(connection, "SELECT pg_advisory_lock(x'446B0000'::integer, 0)", ct);
        try
        {
            var format = await ReadFormatAsync(connection, ct);
            var done = format.Version;
            RefuseNewer(format, scripts.Count);
            for (var number = done + 1; number <= scripts.Count; number++)
            {
                await using var transaction = await connection.BeginTransactionAsync(ct);
                await ExecuteAsync(connection, "SELECT set_config('darkstorage.readable_from', readable_from::text, true) FROM format", ct);
                await ExecuteAsync(connection, $"UPDATE format SET version = {number}, readable_from = {number}", ct);
                await ExecuteAsync(connection, scripts[number - 1], ct);
                // A script speaks for itself: whoever was kept out before it stays out.
                await ExecuteAsync(connection, "UPDATE format SET readable_from = greatest(readable_from, current_setting('darkstorage.readable_from')::integer)", ct);
                await transaction.CommitAsync(ct);
            }
        }
        finally
        {
            if (connection.State == System.Data.ConnectionState.Open) await ExecuteAsync(connection, "SELECT pg_advisory_unlock(x'446B0000'::integer, 0)", ct);
        }
    }

    /// <summary>For an index that was opened before: changes nothing.</summary>
    /// <exception cref="InvalidDataException">A newer program has written it since.</exception>
    public static async Task EnsureKnownAsync(NpgsqlConnection connection, CancellationToken ct)
    {
        await using var query = new NpgsqlCommand("SELECT version, readable_from FROM format", connection);
        await using var format = await query.ExecuteReaderAsync(ct);
        await format.ReadAsync(ct);
        RefuseNewer((format.GetInt32(0), format.GetInt32(1)), MigrationScripts.Load(nameof(Postgres)).Count);
    }

    private static void RefuseNewer((int Version, int ReadableFrom) format, int known)
    {
        if (format.Version > known && format.ReadableFrom > known)
            throw new InvalidDataException($"The index has format {format.Version}, written by a newer version of DarkStorage; this one knows formats up to {known}.");
    }

    private static async Task<(int Version, int ReadableFrom)> ReadFormatAsync(NpgsqlConnection connection, CancellationToken ct)
    {
        await using var look = new NpgsqlCommand("SELECT to_regnamespace($1) IS NOT NULL, to_regclass($1 || '.format') IS NOT NULL", connection) { Parameters = { new() { Value = Schema } } };
        await using (var found = await look.ExecuteReaderAsync(ct))
        {
            await found.ReadAsync(ct);
            if (found.GetBoolean(0) && !found.GetBoolean(1)) throw new InvalidDataException($"The database has a schema {Schema} that is not an index of DarkStorage.");
        }
        await ExecuteAsync(connection, $"""
            CREATE SCHEMA IF NOT EXISTS {Schema};
            CREATE TABLE IF NOT EXISTS {Schema}.format (only_one boolean PRIMARY KEY DEFAULT true CHECK (only_one), version integer NOT NULL, readable_from integer NOT NULL);
            INSERT INTO {Schema}.format (version, readable_from) VALUES (0, 0) ON CONFLICT DO NOTHING;
            """, ct);
        await using var query = new NpgsqlCommand("SELECT version, readable_from FROM format", connection);
        await using var format = await query.ExecuteReaderAsync(ct);
        await format.ReadAsync(ct);
        return (format.GetInt32(0), format.GetInt32(1));
    }

    private static async Task ExecuteAsync(NpgsqlConnection connection, string sql, CancellationToken ct)
    {
        // Another node's migration may take its time.
        await using var command = new NpgsqlCommand(sql, connection) { CommandTimeout = 0 };
        await command.ExecuteNonQueryAsync(ct);
    }
}
