using System.Diagnostics;
using System.Globalization;
using System.Net;
using System.Net.Sockets;
using Npgsql;

namespace DarkStorage.TestKit;

/// <summary>A PostgreSQL of the tests' own: a new data folder, a free port on loopback, ended with the tests.</summary>
/// <remarks>For tests it runs with <c>fsync = off</c>: they end processes, never the machine, and what a process wrote outlives it.</remarks>
public sealed partial class PostgresServer : IAsyncDisposable
{
    private const int SigQuit = 3;
    private const int SigStop = 19;
    private const int SigCont = 18;

    private static readonly TimeSpan HangsAfter = TimeSpan.FromSeconds(60);

    private readonly string _folder = Directory.CreateTempSubdirectory("darkstorage-postgres-").FullName;
    private int _databases;

    private readonly bool _fsync;

    private PostgresServer(bool fsync) => _fsync = fsync;

    public int Port { get; } = FreePort();

    /// <param name="fsync">As in production: for measurements.</param>
    public static Task<PostgresServer> StartAsync(bool fsync = false) =>
        StartAsync(new(fsync), server => RunToolAsync("initdb", "-D", server.DataFolder, "-U", "postgres", "-A", "trust", "-E", "UTF8", "--locale", "C", "--no-sync"));

    /// <summary>Starts a standby of this server. From then on nothing is committed here before it is there.</summary>
    public async Task<PostgresServer> StartStandbyAsync()
    {
        var port = Port.ToString(CultureInfo.InvariantCulture);
        var standby = await StartAsync(new(_fsync), server => RunToolAsync("pg_basebackup", "-h", "127.0.0.1", "-p", port, "-U", "postgres", "-D", server.DataFolder, "-R", "-X", "stream", "-c", "fast", "--no-sync"));
        await ExecuteAsync("postgres", "ALTER SYSTEM SET synchronous_standby_names = '*'");
        await ExecuteAsync("postgres", "SELECT pg_reload_conf()");
        return standby;
    }

    /// <summary>Starts this server, which has ended, as a standby of another one: on its old port, with the other one's data.</summary>
    public async Task StartAgainAsStandbyOfAsync(PostgresServer primary)
    {
        Directory.Delete(DataFolder, recursive: true);
        await RunToolAsync("pg_basebackup", "-h", "127.0.0.1", "-p", primary.Port.ToString(CultureInfo.InvariantCulture), "-U", "postgres", "-D", DataFolder, "-R", "-X", "stream", "-c", "fast", "--no-sync");
        await StartAgainAsync();
    }

    /// <summary>Stands still, with all its processes, until it is thawed.</summary>
    public void Freeze() => SignalAll(SigStop);

    public void Thaw() => SignalAll(SigCont);

    /// <summary>Makes a standby take writes.</summary>
    public Task PromoteAsync() => RunToolAsync("pg_ctl", "-D", DataFolder, "-w", "promote");

    private static async Task<PostgresServer> StartAsync(PostgresServer server, Func<PostgresServer, Task> make)
    {
        try
        {
            // It refuses to run as root: then the folder is given to the user that the package made.
            if (Environment.IsPrivilegedProcess) await RunAsync("chown", "postgres", server._folder);
            await make(server);
            await server.StartAgainAsync();
        }
        catch
        {
            await server.DisposeAsync();
            throw;
        }
        return server;
    }

    /// <summary>Makes an empty database.</summary>
    /// <returns>Its URL.</returns>
    public async Task<string> NewDatabaseAsync()
    {
        var name = string.Create(CultureInfo.InvariantCulture, $"test_{Interlocked.Increment(ref _databases)}");
        await ExecuteAsync("postgres", $"CREATE DATABASE {name}");
        return UrlOf(name);
    }

    public string UrlOf(string database) => string.Create(CultureInfo.InvariantCulture, $"postgres://postgres@127.0.0.1:{Port}/{database}");

    /// <summary>Runs statements past the program under test.</summary>
    public async Task ExecuteAsync(string database, string sql)
    {
        await using var connection = await OpenAsync(database);
        await using var command = new NpgsqlCommand(sql, connection);
        await command.ExecuteNonQueryAsync();
    }

    public async Task<NpgsqlConnection> OpenAsync(string database)
    {
        var connection = new NpgsqlConnection(string.Create(CultureInfo.InvariantCulture, $"Host=127.0.0.1;Port={Port};Username=postgres;Database={database};Pooling=false"));
        await connection.OpenAsync();
        return connection;
    }

    /// <summary>Starts the server after a stop, on the same port and data.</summary>
    public Task StartAgainAsync() => RunToolAsync("pg_ctl", "-D", DataFolder, "-w", "-l", Path.Combine(_folder, "log"), "-o",
        string.Create(CultureInfo.InvariantCulture, $"-p {Port} -c listen_addresses=127.0.0.1 -c unix_socket_directories= -c fsync={(_fsync ? "on" : "off")} -c max_connections=300"), "start");

    /// <summary>Ends the server as a crash does: it recovers at its next start.</summary>
    public Task CrashAsync() => RunToolAsync("pg_ctl", "-D", DataFolder, "-w", "-m", "immediate", "stop");

    public async ValueTask DisposeAsync()
    {
        if (File.Exists(Path.Combine(DataFolder, "postmaster.pid")))
        {
            Thaw();
            await CrashAsync();
        }
        Directory.Delete(_folder, recursive: true);
    }

    /// <summary>For the end of the program, which the test runner gives ten seconds: the files of some hundred databases are deleted by a process that is not waited for.</summary>
    public void EndWithProgram()
    {
        if (File.Exists(Path.Combine(DataFolder, "postmaster.pid")))
        {
            Thaw();
            SignalAll(SigQuit); // ends the server as a crash does
        }
        using var remover = System.Diagnostics.Process.Start(new System.Diagnostics.ProcessStartInfo("/bin/sh", ["-c", "while [ -d \"$0\" ] && ! rm -rf \"$0\" 2>/dev/null; do sleep 1; done", _folder]) { UseShellExecute = false });
    }

    /// <summary>The server and the processes that it started.</summary>
    private void SignalAll(int signal)
    {
        var server = File.ReadLines(Path.Combine(DataFolder, "postmaster.pid")).First();
        var children = File.ReadAllText($"/proc/{server}/task/{server}/children");
        foreach (var process in (string[])[server, .. children.Split(' ', StringSplitOptions.RemoveEmptyEntries)])
            _ = Signal(int.Parse(process, CultureInfo.InvariantCulture), signal);
    }

    [System.Runtime.InteropServices.LibraryImport("libc", EntryPoint = "kill")]
    private static partial int Signal(int process, int signal);

    private string DataFolder => Path.Combine(_folder, "data");

    private static Task RunToolAsync(string tool, params string[] arguments)
    {
        var path = Directory.Exists("/usr/lib/postgresql")
            ? Directory.GetDirectories("/usr/lib/postgresql").OrderDescending(StringComparer.Ordinal).Select(d => Path.Combine(d, "bin", tool)).FirstOrDefault(File.Exists) ?? tool
            : tool;
        return Environment.IsPrivilegedProcess ? RunAsync("runuser", ["-u", "postgres", "--", path, .. arguments]) : RunAsync(path, arguments);
    }

    private static async Task RunAsync(string program, params string[] arguments)
    {
        // Its output goes nowhere: a server that is started inherits it, and would keep a pipe open for as long as it runs.
        using var process = Process.Start(new ProcessStartInfo("/bin/sh", ["-c", "exec \"$@\" >/dev/null 2>&1", "sh", program, .. arguments]) { WorkingDirectory = "/" })!;
        using var hangs = new CancellationTokenSource(HangsAfter);
        await process.WaitForExitAsync(hangs.Token);
        if (process.ExitCode != 0) throw new InvalidOperationException($"{program} {string.Join(' ', arguments)} ended with exit code {process.ExitCode}.");
    }

    private static int FreePort()
    {
        using var listener = new TcpListener(IPAddress.Loopback, 0);
        listener.Start();
        return ((IPEndPoint)listener.LocalEndpoint).Port;
    }
}
