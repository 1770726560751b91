using System.Collections.Immutable;
using System.Globalization;
using Npgsql;
using Orleans.Runtime;

namespace DarkStorage.Engine;

/// <summary>What a join found.</summary>
/// <param name="Address">The address that was taken, or null: the name or the endpoint belongs to <paramref name="Occupant"/>.</param>
/// <param name="OccupantLease">When the occupant's lease ends, and how long that is from now: both by the database's clock.</param>
internal readonly record struct JoinResult(SiloAddress? Address, string? Occupant, DateTime OccupantLease, TimeSpan OccupantRemaining);

/// <summary>What a renewal found. Times are by the database's clock.</summary>
internal readonly record struct RenewResult(bool IsRenewed, long Version, TimeSpan? EarliestOther);

/// <summary>
/// The membership in PostgreSQL, in the schema <c>darkstorage_engine</c>. Invariants: a change of membership locks the row of its cluster
/// first, bumps that row's version and notifies, all in one transaction; only the database's clock judges leases; a member that is
/// dead stays dead, and neither a lease that has ended nor that of a member which was told to go (<see cref="SiloStatus.Stopping"/>) is renewed.
/// </summary>
internal sealed class MembershipTable : IAsyncDisposable
{
    public const string Channel = "darkstorage_engine";

    private const string Schema = """
        CREATE SCHEMA IF NOT EXISTS darkstorage_engine;
        CREATE TABLE IF NOT EXISTS darkstorage_engine.cluster (
            cluster_id text PRIMARY KEY,
            service_id text NOT NULL,
            version bigint NOT NULL);
        CREATE TABLE IF NOT EXISTS darkstorage_engine.member (
            cluster_id text NOT NULL REFERENCES darkstorage_engine.cluster,
            address text NOT NULL,
            endpoint text NOT NULL,
            generation integer NOT NULL,
            name text NOT NULL,
            status smallint NOT NULL,
            lease_end timestamptz NOT NULL,
            changed_at timestamptz NOT NULL,
            PRIMARY KEY (cluster_id, address));
        CREATE TABLE IF NOT EXISTS darkstorage_engine.suspicion (
            cluster_id text NOT NULL REFERENCES darkstorage_engine.cluster,
            suspect text NOT NULL,
            voter text NOT NULL,
            at timestamptz NOT NULL,
            PRIMARY KEY (cluster_id, suspect, voter));
        CREATE UNIQUE INDEX IF NOT EXISTS member_live_name ON darkstorage_engine.member (cluster_id, name) WHERE status <> 6;
        """;

    private const string LockStatement = "SELECT FROM darkstorage_engine.cluster WHERE cluster_id = $1 FOR UPDATE";

    private const string BuryStatement =
        "UPDATE darkstorage_engine.member SET status = 6, changed_at = clock_timestamp() WHERE cluster_id = $1 AND status <> 6 AND lease_end < clock_timestamp()";

    private readonly NpgsqlDataSource _source;
    private readonly string _cluster;
    private readonly double _lease;

    public MembershipTable(string connectionString, string cluster, TimeSpan lease)
    {
        var builder = new NpgsqlConnectionStringBuilder(connectionString);
        // A renewal that hangs is worth less than the next one: both limits well within the lease, in whole seconds.
        var seconds = Math.Max(1, (int)(lease.TotalSeconds / 4));
        builder.Timeout = seconds;
        builder.CommandTimeout = seconds;
        // A statement that timed out is cancelled and not waited for. Where a synchronous standby is away, the change is then seen by all though the standby has not got it: if
        // that is promoted the version goes back, and who has seen the later one is out (ClusterNode.Membership.cs).
        builder.CancellationTimeout = -1;
        builder.MaxPoolSize = 8;
        builder.ApplicationName ??= "darkstorage silo";
        builder.KeepAlive = seconds;   // or the listener would not notice a database that has vanished
        builder.NoResetOnClose = true;   // or a session would forget what is set below
        builder.HostRecheckSeconds = 1;   // of several hosts another one may take writes a moment later
        // The server ends a session whose silo was lost amid a change, and with it the locks that the others wait for; and it waits for no lock that nobody waits for any more.
        var session = string.Create(
            CultureInfo.InvariantCulture,
            $"""
            SELECT set_config('synchronous_commit', CASE current_setting('synchronous_commit')
                WHEN 'off' THEN 'on' WHEN 'local' THEN 'on' ELSE current_setting('synchronous_commit') END, false);
            SET idle_in_transaction_session_timeout = '{seconds * 2}s'; SET lock_timeout = '{seconds}s'; SET tcp_user_timeout = '{seconds * 4}s';
            SET tcp_keepalives_idle = {seconds}; SET tcp_keepalives_interval = {seconds}; SET tcp_keepalives_count = 2
            """);
        var source = new NpgsqlDataSourceBuilder(builder.ConnectionString);
        source.UsePhysicalConnectionInitializer(
            connection => Command(connection, session).ExecuteNonQuery(),
            async connection => await ExecuteAsync(connection, session, CancellationToken.None));
        _source = source.Build();
        _cluster = cluster;
        _lease = lease.TotalSeconds;
    }

    public ValueTask DisposeAsync() => _source.DisposeAsync();

    public ValueTask<NpgsqlConnection> OpenAsync(CancellationToken ct) => _source.OpenConnectionAsync(ct);

    /// <summary>Makes the schema where it is missing. Many silos may do so at once: one after the other, by an advisory lock.</summary>
    public async Task PrepareAsync(CancellationToken ct)
    {
        await using var connection = await OpenAsync(ct);
        await using (var exists = new NpgsqlCommand("SELECT to_regclass('darkstorage_engine.suspicion') IS NOT NULL", connection))
            if (await exists.ExecuteScalarAsync(ct) is true) return;
        await using var transaction = await connection.BeginTransactionAsync(ct);
        await ExecuteAsync(connection, "SELECT pg_advisory_xact_lock(7236832016451)", ct);   // any number that others are unlikely to use
        await ExecuteAsync(connection, Schema, ct);
        await transaction.CommitAsync(ct);
    }

    /// <exception cref="OrleansConfigurationException">The cluster's id belongs to another service in this database.</exception>
    public async Task<JoinResult> JoinAsync(string service, string name, SiloAddress address, TimeSpan keepDead, CancellationToken ct)
    {
        await using var connection = await OpenAsync(ct);
        await using var transaction = await connection.BeginTransactionAsync(ct);
        await ExecuteAsync(
            connection, "INSERT INTO darkstorage_engine.cluster VALUES ($1, $2, 0) ON CONFLICT DO NOTHING", ct, _cluster, service);
        await using (var locked = Command(
            connection, "SELECT service_id FROM darkstorage_engine.cluster WHERE cluster_id = $1 FOR UPDATE", _cluster))
        {
            var owner = (string)(await locked.ExecuteScalarAsync(ct))!;
            if (owner != service)
            {
                throw new OrleansConfigurationException(
                    $"Cluster id \"{_cluster}\" belongs to the service \"{owner}\" in this database, and this silo is of \"{service}\": give it another cluster id");
            }
        }

        var died = await BuryAsync(connection, ct);
        var endpoint = address.Endpoint.ToString();
        await using (var occupants = Command(
            connection,
            """
            SELECT name || ' at ' || address, lease_end, extract(epoch FROM lease_end - clock_timestamp())::float8
            FROM darkstorage_engine.member WHERE cluster_id = $1 AND status <> 6 AND (name = $2 OR endpoint = $3) ORDER BY lease_end DESC LIMIT 1
            """,
            _cluster, name, endpoint))
        await using (var reader = await occupants.ExecuteReaderAsync(ct))
        {
            if (await reader.ReadAsync(ct))
            {
                var result = new JoinResult(null, reader.GetString(0), reader.GetDateTime(1), TimeSpan.FromSeconds(reader.GetDouble(2)));
                await reader.DisposeAsync();
                if (died > 0) await BumpAsync(connection, ct);
                await transaction.CommitAsync(ct);
                return result;
            }
        }

        // The clock that generations are taken from may stand still or go back: an address is never used twice all the same.
        await using var last = Command(
            connection, "SELECT coalesce(max(generation), 0) FROM darkstorage_engine.member WHERE cluster_id = $1 AND endpoint = $2", _cluster, endpoint);
        var generation = Math.Max(address.Generation, (int)(await last.ExecuteScalarAsync(ct))! + 1);
        var taken = SiloAddress.New(address.Endpoint, generation);
        await ExecuteAsync(
            connection,
            """
            DELETE FROM darkstorage_engine.member WHERE cluster_id = $1 AND status = 6
            AND (endpoint = $2 OR changed_at < clock_timestamp() - make_interval(secs => $3))
            """,
            ct, _cluster, endpoint, keepDead.TotalSeconds);
        await ExecuteAsync(
            connection,
            "INSERT INTO darkstorage_engine.member VALUES ($1, $2, $3, $4, $5, $6, clock_timestamp() + make_interval(secs => $7), clock_timestamp())",
            ct, _cluster, taken.ToParsableString(), endpoint, generation, name, (short)SiloStatus.Joining, _lease);
        await BumpAsync(connection, ct);
        await transaction.CommitAsync(ct);
        return new(taken, null, default, default);
    }

    /// <returns>False when this silo is no member any more.</returns>
    public async Task<bool> SetStatusAsync(SiloAddress address, SiloStatus status, CancellationToken ct)
    {
        await using var connection = await OpenAsync(ct);
        await using var transaction = await connection.BeginTransactionAsync(ct);
        await LockAsync(connection, ct);
        var changed = await ExecuteAsync(
            connection,
            """
            UPDATE darkstorage_engine.member SET status = $3, changed_at = clock_timestamp()
            WHERE cluster_id = $1 AND address = $2 AND status < $3 AND lease_end > clock_timestamp()
            """,
            ct, _cluster, address.ToParsableString(), (short)status);
        if (changed > 0) await BumpAsync(connection, ct);
        await transaction.CommitAsync(ct);
        return changed > 0;
    }

    /// <summary>
    /// Declares dead whose lease has ended. Whoever comes first does it; the others find nothing to do. Blocks, as <see cref="Renew"/> does: one
    /// round trip, since a batch is a transaction.
    /// </summary>
    public void Bury()
    {
        using var connection = _source.OpenConnection();
        using var batch = new NpgsqlBatch(connection)
        {
            BatchCommands =
            {
                new NpgsqlBatchCommand(LockStatement) { Parameters = { new() { Value = _cluster } } },
                new NpgsqlBatchCommand($"""
                    WITH buried AS ({BuryStatement} RETURNING 1),
                    bumped AS (UPDATE darkstorage_engine.cluster SET version = version + 1 WHERE cluster_id = $1 AND EXISTS (SELECT FROM buried) RETURNING 1)
                    SELECT pg_notify($2, $1) FROM bumped
                    """) { Parameters = { new() { Value = _cluster }, new() { Value = Channel } } },
            },
        };
        batch.ExecuteNonQuery();
    }

    /// <summary>
    /// What <paramref name="voter"/> does not reach, in place of what it said before. Whoever is not reached by more than half of the
    /// active silos is told to go; of two halves that do not reach each other the one with the first name stays.
    /// </summary>
    /// <param name="fresh">Votes that are older count no more.</param>
    public async Task SuspectAsync(SiloAddress voter, SiloAddress[] suspects, TimeSpan fresh, CancellationToken ct)
    {
        await using var connection = await OpenAsync(ct);
        await using var transaction = await connection.BeginTransactionAsync(ct);
        await LockAsync(connection, ct);
        await ExecuteAsync(
            connection, "DELETE FROM darkstorage_engine.suspicion WHERE cluster_id = $1 AND (voter = $2 OR at < clock_timestamp() - make_interval(secs => $3))",
            ct, _cluster, voter.ToParsableString(), fresh.TotalSeconds);
        await ExecuteAsync(
            connection, "INSERT INTO darkstorage_engine.suspicion SELECT $1, suspect, $2, clock_timestamp() FROM unnest($3) suspect",
            ct, _cluster, voter.ToParsableString(), suspects.Select(suspect => suspect.ToParsableString()).ToArray());
        var told = await ExecuteAsync(
            connection,
            """
            WITH active AS (
                SELECT address, name FROM darkstorage_engine.member WHERE cluster_id = $1 AND status = 3 AND lease_end > clock_timestamp()),
            votes AS (
                SELECT suspect, count(*) AS votes, bool_or(name = (SELECT min(name) FROM active)) AS with_first
                FROM darkstorage_engine.suspicion JOIN active ON voter = address WHERE cluster_id = $1 GROUP BY suspect)
            UPDATE darkstorage_engine.member SET status = 5, changed_at = clock_timestamp()
            FROM votes WHERE cluster_id = $1 AND address = suspect AND status = 3
            AND (votes * 2 > (SELECT count(*) FROM active) OR (votes * 2 = (SELECT count(*) FROM active) AND with_first))
            """,
            ct, _cluster);
        if (told > 0) await BumpAsync(connection, ct);
        await transaction.CommitAsync(ct);
    }

    /// <summary>Blocks: it runs on a thread of its own, which a busy thread pool cannot hold up.</summary>
    public RenewResult Renew(SiloAddress address)
    {
        using var connection = _source.OpenConnection();
        using var command = Command(
            connection,
            """
            WITH renewed AS (
                UPDATE darkstorage_engine.member SET lease_end = clock_timestamp() + make_interval(secs => $3)
                WHERE cluster_id = $1 AND address = $2 AND status < 5 AND lease_end > clock_timestamp() RETURNING 1)
            SELECT EXISTS (SELECT FROM renewed), version,
                (SELECT extract(epoch FROM min(lease_end) - clock_timestamp())::float8 FROM darkstorage_engine.member
                 WHERE cluster_id = $1 AND address <> $2 AND status <> 6)
            FROM darkstorage_engine.cluster WHERE cluster_id = $1
            """,
            _cluster, address.ToParsableString(), _lease);
        using var reader = command.ExecuteReader();
        if (!reader.Read()) return default;
        return new(reader.GetBoolean(0), reader.GetInt64(1), reader.IsDBNull(2) ? null : TimeSpan.FromSeconds(reader.GetDouble(2)));
    }

    /// <summary>Blocks, as <see cref="Renew"/> does.</summary>
    public ClusterView Read()
    {
        using var connection = _source.OpenConnection();
        using var command = Command(
            connection,
            """
            SELECT c.version, m.address, m.status, m.name
            FROM darkstorage_engine.cluster c LEFT JOIN darkstorage_engine.member m USING (cluster_id) WHERE c.cluster_id = $1
            """,
            _cluster);
        using var reader = command.ExecuteReader();
        var version = -1L;
        var members = ImmutableDictionary.CreateBuilder<SiloAddress, ClusterMember>();
        while (reader.Read())
        {
            version = reader.GetInt64(0);
            if (reader.IsDBNull(1)) continue;
            var address = SiloAddress.Parse(reader.GetString(1));
            members.Add(address, new(address, (SiloStatus)reader.GetInt16(2), reader.GetString(3)));
        }

        return new(new(members.ToImmutable(), new(version)));
    }

    /// <summary>Calls back at every change that is notified, until the connection breaks or <paramref name="ct"/> is cancelled.</summary>
    public async Task ListenAsync(Action changed, CancellationToken ct)
    {
        await using var connection = await OpenAsync(ct);
        connection.Notification += (_, notification) =>
        {
            if (notification.Payload == _cluster) changed();
        };
        await ExecuteAsync(connection, $"LISTEN {Channel}", ct);
        changed();   // what happened before
        while (true) await connection.WaitAsync(ct);
    }

    private Task<int> BuryAsync(NpgsqlConnection connection, CancellationToken ct) => ExecuteAsync(connection, BuryStatement, ct, _cluster);

    /// <summary>The first statement of each change.</summary>
    public Task<int> LockAsync(NpgsqlConnection connection, CancellationToken ct) =>
        ExecuteAsync(connection, LockStatement, ct, _cluster);

    private Task<int> BumpAsync(NpgsqlConnection connection, CancellationToken ct) => ExecuteAsync(
        connection,
        "WITH bumped AS (UPDATE darkstorage_engine.cluster SET version = version + 1 WHERE cluster_id = $1 RETURNING 1) SELECT pg_notify($2, $1) FROM bumped",
        ct, _cluster, Channel);

    private static async Task<int> ExecuteAsync(NpgsqlConnection connection, string sql, CancellationToken ct, params object[] values)
    {
        await using var command = Command(connection, sql, values);
        return await command.ExecuteNonQueryAsync(ct);
    }

    private static NpgsqlCommand Command(NpgsqlConnection connection, string sql, params object[] values)
    {
#pragma warning disable CA2100 // Every statement here is a constant.
        var command = new NpgsqlCommand(sql, connection);
#pragma warning restore CA2100
        foreach (var value in values) command.Parameters.Add(new() { Value = value });
        return command;
    }
}
