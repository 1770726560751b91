#if EMBEDDED_ENGINE
using System.Diagnostics;
using System.Net;
using System.Net.Sockets;
using Npgsql;

[assembly: AssemblyFixture(typeof(DarkStorage.Engine.Tests.Postgres))]

namespace DarkStorage.Engine.Tests;

/// <summary>Tests that start many silos, or processes: after the others and one after the other, so that none is late because of them.</summary>
[CollectionDefinition(Name, DisableParallelization = true)]
public sealed class ClusterTests
{
    public const string Name = "clusters";
}

/// <summary>A PostgreSQL server for the tests that want one, in a folder of its own: started by the first, stopped after the last.</summary>
public sealed class Postgres : IAsyncDisposable
{
    private static readonly Lazy<Task<Postgres>> Started = new(StartAsync);

    private readonly string _folder;
    private readonly string _binaries;

    public Postgres() : this("", "")
    {
    }

    private Postgres(string folder, string binaries)
    {
        _folder = folder;
        _binaries = binaries;
    }

    public int Port { get; private init; }

    public string ConnectionString => ConnectionTo("postgres");

    public static Task<Postgres> GetAsync() => Started.Value;

    public string ConnectionTo(string database, int? port = null) => $"Host=127.0.0.1;Port={port ?? Port};Username=postgres;Database={database}";

    public async Task<string> CreateDatabaseAsync()
    {
        var name = $"test_{Guid.NewGuid():N}";
        await using var source = NpgsqlDataSource.Create(ConnectionString);
        await using var command = source.CreateCommand($"CREATE DATABASE {name}");
        await command.ExecuteNonQueryAsync();
        return ConnectionTo(name);
    }

    public async ValueTask DisposeAsync()
    {
        // The runner makes one of these for the assembly, whose end is the end of the server that the tests used, if any did.
        if (_folder.Length > 0 || !Started.IsValueCreated) return;
        var server = await Started.Value;
        await RunAsync(server._binaries, "pg_ctl", "-D", Path.Combine(server._folder, "data"), "-m", "immediate", "-w", "-t", "20", "stop");
        Directory.Delete(server._folder, recursive: true);
    }

    private static async Task<Postgres> StartAsync()
    {
        var binaries = Directory.GetDirectories("/usr/lib/postgresql").Select(version => Path.Combine(version, "bin"))
            .LastOrDefault(path => File.Exists(Path.Combine(path, "initdb")))
            ?? throw new InvalidOperationException("The tests of clusters need PostgreSQL: install Debian's package postgresql");
        var folder = Directory.CreateTempSubdirectory("darkstorage-engine-pg-").FullName;
        if (Environment.IsPrivilegedProcess) await StartAsync("chown", "postgres", folder);
        var port = FreePort();
        var data = Path.Combine(folder, "data");
        await RunAsync(binaries, "initdb", "-D", data, "-A", "trust", "-U", "postgres", "-N");
        var options = $"-p {port} -k {folder} -c listen_addresses=127.0.0.1 -c fsync=off -c max_connections=300";
        await RunAsync(binaries, "pg_ctl", "-D", data, "-w", "-t", "30", "-l", Path.Combine(folder, "log"), "-o", options, "start");
        return new(folder, binaries) { Port = port };
    }

    private static int FreePort()
    {
        using var listener = new TcpListener(IPAddress.Loopback, 0);
        listener.Start();
        return ((IPEndPoint)listener.LocalEndpoint).Port;
    }

    // PostgreSQL does not run as root.
    private static Task RunAsync(string binaries, string program, params string[] arguments) => Environment.IsPrivilegedProcess
        ? StartAsync("runuser", ["-u", "postgres", "--", Path.Combine(binaries, program), .. arguments])
        : StartAsync(Path.Combine(binaries, program), arguments);

    private static async Task StartAsync(string program, params string[] arguments)
    {
        // What a server keeps open of a pipe would never end, so output goes nowhere.
        var start = new ProcessStartInfo("sh", ["-c", "exec \"$0\" \"$@\" >/dev/null 2>&1 </dev/null", program, .. arguments]) { WorkingDirectory = "/tmp" };
        using var process = Process.Start(start)!;
        using var patience = new CancellationTokenSource(TimeSpan.FromSeconds(60));
        await process.WaitForExitAsync(patience.Token);
        if (process.ExitCode != 0) throw new InvalidOperationException($"{program} {string.Join(' ', arguments)} ended with {process.ExitCode}");
    }
}
#endif
