using System.Globalization;
using DarkStorage.Cluster;

namespace DarkStorage.Deploy;

/// <summary>The set-up of the database, run on a real one that asks for passwords, and nodes over it with the secrets that compose would hand them.</summary>
public sealed class PostgresTests : IAsyncLifetime
{
    private readonly string _folder = Directory.CreateTempSubdirectory("darkstorage-deploy-").FullName;
    private PostgresServer _server = null!;

    public async ValueTask InitializeAsync() => _server = await PostgresServer.StartAsync();

    public async ValueTask DisposeAsync()
    {
        await _server.DisposeAsync();
        Directory.Delete(_folder, recursive: true);
    }

    [Fact]
    public async Task Nodes_start_and_serve_with_the_role_that_the_set_up_makes_and_secrets_from_files()
    {
        await SetUpAsync();
        await SetUpAsync(); // as often as one likes
        await RequirePasswordsAsync();
        await using var node = await NodeProcess.StartAsync(Settings());
        await ReadyAsync(node);

        var bucket = await node.S3(accessKey: Secret("root-access-key"), secretKey: Secret("root-secret-key")).NewBucketAsync();
        await node.S3(accessKey: Secret("root-access-key"), secretKey: Secret("root-secret-key")).PutBytesAsync(bucket, "large", S3Clients.Content(100_000));
        foreach (var secret in Directory.GetFiles(Path.Combine(_folder, "secrets"))) Assert.DoesNotContain(Secret(Path.GetFileName(secret)), node.Output, StringComparison.Ordinal);

        // A dump is a moment that a node can go on from, in another database of the same role.
        Assert.Equal(0, await node.TerminateAsync());
        await SetUpAsync("restored");
        await PsqlAsync("restored", $"pg_dump -h 127.0.0.1 -p {_server.Port} -U postgres -Fc darkstorage | pg_restore -h 127.0.0.1 -p {_server.Port} -U postgres -d restored --exit-on-error");
        await using var again = await NodeProcess.StartAsync(Settings("restored") with { DataDirectory = node.DataDirectory });
        await ReadyAsync(again);
        Assert.Equal(S3Clients.Content(100_000), await again.S3(accessKey: Secret("root-access-key"), secretKey: Secret("root-secret-key")).GetBytesAsync(bucket, "large"));
    }

    [Fact]
    public async Task The_role_may_do_nothing_else_and_others_may_not_connect()
    {
        await SetUpAsync();
        await _server.ExecuteAsync("postgres", "CREATE ROLE stranger LOGIN");
        Assert.Contains("permission denied for database", (await PsqlAsync("darkstorage", "psql -h 127.0.0.1 -p $PORT -U stranger -d darkstorage -c 'SELECT 1'", fails: true)), StringComparison.Ordinal);
        foreach (var forbidden in (string[])["CREATE ROLE other", "CREATE DATABASE other", "CREATE TABLE public.t (x int)", "DROP DATABASE darkstorage", "COPY (SELECT 1) TO PROGRAM 'true'", "ALTER SYSTEM SET fsync = off"])
            await PsqlAsync("darkstorage", $"psql -h 127.0.0.1 -p $PORT -U darkstorage -d darkstorage -v ON_ERROR_STOP=1 -c \"{forbidden}\"", fails: true);
        Assert.Contains("25000", await PsqlAsync("darkstorage", "psql -h 127.0.0.1 -p $PORT -U darkstorage -d darkstorage -Atc \"SELECT setconfig FROM pg_db_role_setting\""), StringComparison.Ordinal);
    }

    [Fact]
    public async Task The_server_knows_every_setting_of_the_configuration_and_takes_its_value()
    {
        var settings = Tool.Read("deploy/postgres/postgresql.conf").Split('\n').Where(l => l.Contains(" = ", StringComparison.Ordinal) && !l.StartsWith("# ", StringComparison.Ordinal))
            .Select(l => l.TrimStart('#').Split(" = ")).Where(s => s[0].All(c => char.IsAsciiLetterLower(c) || c == '_')).ToList();
        Assert.Contains(settings, s => s is ["fsync", "on"]);
        Assert.Contains(settings, s => s is ["synchronous_commit", "on"]);
        foreach (var setting in settings) await _server.ExecuteAsync("postgres", $"ALTER SYSTEM SET {setting[0]} = {(setting[1][0] == '\'' ? setting[1] : $"'{setting[1]}'")}");
    }

    [Fact]
    public void There_are_connections_for_as_many_nodes_as_the_configuration_says()
    {
        // 2 beside those that read and write, and the pool of the membership.
        var options = Tool.Read("libs/Metadata/Postgres/PostgresOptions.cs");
        Assert.Contains("ReadConnectionsMax { get; init; } = 16;", options, StringComparison.Ordinal);
        Assert.Contains("WriteConnections { get; init; } = 4;", options, StringComparison.Ordinal);
        Assert.Contains("MaxPoolSize = 8;", Tool.Read("engine/Clustering/MembershipTable.cs"), StringComparison.Ordinal);
        Assert.Contains("MaxPoolSize = options.ReadConnectionsMax + (options.WriteConnections * WriteLane.UnansweredMax) + 2", Tool.Read("libs/Metadata/Postgres/Database.cs"), StringComparison.Ordinal);
        Assert.Contains("public const int UnansweredMax = 2;", Tool.Read("libs/Metadata/Postgres/WriteLane.cs"), StringComparison.Ordinal);
        Assert.Contains("max_connections = 250", Tool.Read("deploy/postgres/postgresql.conf"), StringComparison.Ordinal);
        Assert.True((6 * (16 + (4 * 2) + 2 + 8)) + 20 <= 250);
    }

    private string Secret(string name) => File.ReadAllText(Path.Combine(_folder, "secrets", name)).Trim();

    private async Task SetUpAsync(string database = "darkstorage")
    {
        var secrets = await Tool.RunAsync(Tool.PathOf("deploy/compose/make-secrets.sh"), [Path.Combine(_folder, "secrets")]);
        Assert.True(secrets.ExitCode == 0, secrets.Output);
        await PsqlAsync("postgres", $"psql -X -h 127.0.0.1 -p $PORT -U postgres -d postgres -v database={database} -v password_file={_folder}/secrets/database-password -f {Tool.PathOf("deploy/postgres/setup.sql")}");
    }

    /// <summary>From now on the role has to prove who it is.</summary>
    private async Task RequirePasswordsAsync()
    {
        await _server.ExecuteAsync("postgres", """
            COPY (VALUES ('host all postgres 127.0.0.1/32 trust'), ('host all all 127.0.0.1/32 scram-sha-256')) TO PROGRAM 'cat > pg_hba.conf'
            """);
        await _server.ExecuteAsync("postgres", "SELECT pg_reload_conf()");
        await PsqlAsync("darkstorage", "psql -w -h 127.0.0.1 -p $PORT -U darkstorage -d darkstorage -c 'SELECT 1'", fails: true);
    }

    private async Task<string> PsqlAsync(string database, string command, bool fails = false)
    {
        var run = await Tool.RunAsync("bash", ["-o", "pipefail", "-c", command], environment: new Dictionary<string, string>
        {
            ["PORT"] = _server.Port.ToString(CultureInfo.InvariantCulture), ["PGDATABASE"] = database, ["PGPASSFILE"] = "/dev/null",
        });
        Assert.True(run.ExitCode == 0 != fails, run.Output);
        return run.Output;
    }

    /// <summary>As the compose file has it: nothing secret in the environment.</summary>
    private NodeSettings Settings(string database = "darkstorage") => new()
    {
        AccessKey = "",
        SecretKey = "",
        WaitsForOthers = true,
        Flags = ["--node", "a", "--peer-url", $"https://127.0.0.1:{FreePorts.TakeTwo()}"],
        DataDirectory = Directory.CreateDirectory(Path.Combine(_folder, "data")).FullName,
        Environment = new Dictionary<string, string>
        {
            ["DARKSTORAGE_INDEX"] = string.Create(CultureInfo.InvariantCulture, $"postgres://darkstorage@127.0.0.1:{_server.Port}/{database}"),
            ["PGPASSFILE"] = Path.Combine(_folder, "secrets", "pgpass"),
            ["DARKSTORAGE_CLUSTER_SECRET_FILE"] = Path.Combine(_folder, "secrets", "cluster-secret"),
            ["DARKSTORAGE_ROOT_ACCESS_KEY_FILE"] = Path.Combine(_folder, "secrets", "root-access-key"),
            ["DARKSTORAGE_ROOT_SECRET_KEY_FILE"] = Path.Combine(_folder, "secrets", "root-secret-key"),
            ["DARKSTORAGE_Cluster__Copies"] = "1",
        },
    };

    private static async Task ReadyAsync(NodeProcess node)
    {
        // With the very check of the image.
        await Eventually.HoldsAsync("the health check says ready", async () => (await HealthAsync("ready", node.ManagementUrl.Port)).ExitCode == 0);
        Assert.Equal(0, (await HealthAsync("live", node.ManagementUrl.Port)).ExitCode);
    }

    private static Task<ToolRun> HealthAsync(string what, int port) => Tool.RunAsync(Tool.PathOf("deploy/healthcheck.sh"), [what, port.ToString(CultureInfo.InvariantCulture)]);
}
