using System.Diagnostics;
using System.Globalization;
using System.Net;
using System.Net.Http.Json;
using System.Runtime.InteropServices;
using System.Text;

namespace DarkStorage.TestKit;

/// <summary>What a node is started with, besides free ports and a data folder.</summary>
public sealed record NodeSettings
{
    /// <summary>The data folder; null for a new one that the node's end deletes.</summary>
    public string? DataDirectory { get; init; }

    public string AccessKey { get; init; } = "testkit-root";

    public string SecretKey { get; init; } = "testkit-root-secret-0123456789";

    public string Region { get; init; } = "us-east-1";

    /// <summary>Base domain of virtual-host style requests; empty for none.</summary>
    public string Domain { get; init; } = "";

    /// <summary>The address that it listens on, which is one of the network it runs in.</summary>
    public string Address { get; init; } = "127.0.0.1";

    /// <summary>The command that starts the program somewhere else than here, in front of the program's own: <c>ip netns exec NAME</c>. It has to become the program.</summary>
    public IReadOnlyList<string> Launcher { get; init; } = [];

    /// <summary>The program, where it is not the one that was built with the tests: the path of another version's <c>darkstorage-silo.dll</c>.</summary>
    public string? Program { get; init; }

    /// <summary>The node is of a cluster: that it is up does not say that it can take requests.</summary>
    public bool WaitsForOthers { get; init; }

    /// <summary>More flags, as on a command line.</summary>
    public IReadOnlyList<string> Flags { get; init; } = [];

    /// <summary>More environment: <c>DARKSTORAGE_Garbage__GracePeriod</c> is the setting <c>Garbage:GracePeriod</c>.</summary>
    public IReadOnlyDictionary<string, string> Environment { get; init; } = new Dictionary<string, string>();
}

/// <summary>How a run of the program ended.</summary>
public sealed record ProgramRun(int ExitCode, string Output, string Error);

/// <summary>A node: the real program in a process of its own, on free ports.</summary>
/// <remarks>It is waited for by reading what it prints, never by sleeping. Its output is kept for whoever has to explain a failure.</remarks>
public sealed partial class NodeProcess : IAsyncDisposable
{
    private const string ProgramName = "darkstorage-silo.dll";
    private const int SigKill = 9;
    private const int SigTerm = 15;
    private const int SigCont = 18;
    private const int SigStop = 19;

    /// <summary>Far beyond any start or stop that works: what takes longer hangs.</summary>
    private static readonly TimeSpan HangsAfter = TimeSpan.FromSeconds(90);

    private readonly NodeSettings _settings;
    private readonly bool _ownsData;
    private readonly StringBuilder _output = new();
    private readonly Lock _outputLock = new();
    private readonly List<(string Text, TaskCompletionSource<string> Line)> _awaited = [];
    private Process _process = null!;
    private string? _index;
    private Task _reading = Task.CompletedTask;

    private NodeProcess(NodeSettings settings)
    {
        _settings = settings;
        _ownsData = settings.DataDirectory is null;
        Program = settings.Program ?? ProgramPath;
        DataDirectory = settings.DataDirectory ?? Directory.CreateTempSubdirectory("darkstorage-node-").FullName;
        // A node of a cluster is away for a while and comes back to its ports.
        var port = settings.WaitsForOthers ? FreePorts.TakeTwo() : 0;
        (S3Url, ManagementUrl) = (new($"http://{settings.Address}:{port}"), new($"http://{settings.Address}:{(port == 0 ? 0 : port + 1)}"));
    }

    public string DataDirectory { get; }

    /// <summary>Where S3 clients come in. The same after a restart.</summary>
    public Uri S3Url { get; private set; }

    /// <summary>Health and metrics. The same after a restart.</summary>
    public Uri ManagementUrl { get; private set; }

    public NodeSettings Settings => _settings;

    /// <summary>What the next start runs.</summary>
    public string Program { get; set; }

    /// <summary>More environment of the next start, before that of the settings.</summary>
    public IReadOnlyDictionary<string, string> Environment { get; set; } = new Dictionary<string, string>();

    public int ProcessId => _process.Id;

    public bool HasEnded => _process.HasExited;

    /// <summary>All that the program wrote to its output and error, from all its starts.</summary>
    public string Output
    {
        get
        {
            lock (_outputLock) return _output.ToString();
        }
    }

    /// <summary>The next line with this text in it that the program writes from now on. Ask before what makes it write it.</summary>
    public Task<string> NextLineAsync(string text)
    {
        var line = new TaskCompletionSource<string>(TaskCreationOptions.RunContinuationsAsynchronously);
        lock (_outputLock) _awaited.Add((text, line));
        return line.Task.WaitAsync(HangsAfter);
    }

    /// <summary>The built program, in the configuration that the tests were built in.</summary>
    public static string ProgramPath => PathOf("Silo", ProgramName);

    /// <summary>The same of the command line.</summary>
    public static string CommandLinePath => PathOf("Cli", "darkstorage.dll");

    private static string PathOf(string project, string program)
    {
        var configuration = new DirectoryInfo(AppContext.BaseDirectory.TrimEnd(Path.DirectorySeparatorChar));
        var path = Path.Combine(configuration.Parent!.Parent!.FullName, project, configuration.Name, program);
        return File.Exists(path) ? path : throw new FileNotFoundException($"The program is not built: there is no {path}.");
    }

    /// <summary>Starts a node and returns when it is ready.</summary>
    /// <exception cref="InvalidOperationException">It ended instead; with what it said.</exception>
    public static async Task<NodeProcess> StartAsync(NodeSettings? settings = null)
    {
        var node = new NodeProcess(settings ?? new());
        try
        {
            await node.LaunchAsync();
        }
        catch
        {
            await node.DisposeAsync();
            throw;
        }
        return node;
    }

    /// <summary>Starts a node that is not to become ready, and returns when it writes a line with a text in it.</summary>
    public static async Task<NodeProcess> StartUntilAsync(NodeSettings settings, string text)
    {
        var node = new NodeProcess(settings);
        try
        {
            var line = node.NextLineAsync(text);
            var launched = node.LaunchAsync();
            // It is ended before it is ready, which the launch then says to nobody.
            _ = launched.ContinueWith(static l => l.Exception, TaskScheduler.Default);
            await await Task.WhenAny(line, launched);
            await line;
        }
        catch
        {
            await node.DisposeAsync();
            throw;
        }
        return node;
    }

    /// <summary>Runs the program until it ends by itself: for what it refuses.</summary>
    public static Task<ProgramRun> RunAsync(IEnumerable<string> arguments, IReadOnlyDictionary<string, string>? environment = null) => RunAsync(ProgramPath, arguments, environment);

    /// <summary>Runs the command line against this node, with its root keys.</summary>
    /// <param name="environment">More of it, or in place of the node's own.</param>
    public Task<ProgramRun> CommandLineAsync(IEnumerable<string> arguments, IReadOnlyDictionary<string, string>? environment = null) => RunAsync(CommandLinePath, arguments,
        new Dictionary<string, string>
        {
            ["DARKSTORAGE_URL"] = ManagementUrl.GetLeftPart(UriPartial.Authority), ["DARKSTORAGE_S3_URL"] = S3Url.GetLeftPart(UriPartial.Authority), ["DARKSTORAGE_REGION"] = Settings.Region,
            ["DARKSTORAGE_ACCESS_KEY"] = Settings.AccessKey, ["DARKSTORAGE_SECRET_KEY"] = Settings.SecretKey,
        }.Concat(environment ?? new Dictionary<string, string>()).GroupBy(v => v.Key).ToDictionary(v => v.Key, v => v.Last().Value));

    private static async Task<ProgramRun> RunAsync(string program, IEnumerable<string> arguments, IReadOnlyDictionary<string, string>? environment)
    {
        using var process = Process.Start(StartInfo(program, arguments, environment ?? new Dictionary<string, string>()))!;
        var (output, error) = (process.StandardOutput.ReadToEndAsync(), process.StandardError.ReadToEndAsync());
        try
        {
            await process.WaitForExitAsync().WaitAsync(HangsAfter);
        }
        finally
        {
            if (!process.HasExited) process.Kill();
        }
        return new(process.ExitCode, await output, await error);
    }

    /// <summary>Ends the program at once, as <c>kill -9</c> does.</summary>
    public async Task KillAsync()
    {
        _ = SendSignal(_process.Id, SigKill);
        await WaitForExitAsync();
    }

    /// <summary>Stops it in its tracks: its connections stay open, and nothing is answered any more.</summary>
    public void Freeze() => _ = SendSignal(_process.Id, SigStop);

    /// <summary>Lets it go on.</summary>
    public void Thaw() => _ = SendSignal(_process.Id, SigCont);

    /// <summary>Asks the program to end, as a service manager does.</summary>
    /// <returns>Its exit code.</returns>
    public async Task<int> TerminateAsync()
    {
        _ = SendSignal(_process.Id, SigTerm);
        await WaitForExitAsync();
        return _process.ExitCode;
    }

    /// <summary>Waits until the program ends by itself.</summary>
    /// <returns>Its exit code.</returns>
    public async Task<int> EndedAsync()
    {
        await WaitForExitAsync();
        return _process.ExitCode;
    }

    /// <summary>Starts it again on the same data and the same ports. Ends it first, by <see cref="KillAsync"/>, where it still runs.</summary>
    public async Task RestartAsync()
    {
        if (!_process.HasExited) await KillAsync();
        _process.Dispose();
        await LaunchAsync();
    }

    /// <summary>Bytes of memory that the program holds now.</summary>
    public long ResidentBytes() => StatusBytes("VmRSS:");

    /// <summary>The most that it held at once since it started.</summary>
    public long ResidentBytesPeak() => StatusBytes("VmHWM:");

    private long StatusBytes(string name)
    {
        var line = File.ReadLines($"/proc/{_process.Id}/status").First(l => l.StartsWith(name, StringComparison.Ordinal));
        return 1024 * long.Parse(line.Split(' ', StringSplitOptions.RemoveEmptyEntries)[1], CultureInfo.InvariantCulture);
    }

    public async ValueTask DisposeAsync()
    {
        if (_process is not null)
        {
            if (!_process.HasExited) await KillAsync();
            _process.Dispose();
        }
        if (_ownsData) Directory.Delete(DataDirectory, recursive: true);
    }

    private async Task LaunchAsync()
    {
        var environment = new Dictionary<string, string>(_settings.Environment)
        {
            ["DARKSTORAGE_ROOT_ACCESS_KEY"] = _settings.AccessKey,
            ["DARKSTORAGE_ROOT_SECRET_KEY"] = _settings.SecretKey,
        };
        foreach (var (name, value) in Environment) environment[name] = value;
        List<string> arguments = ["--data", DataDirectory, "--s3-url", Authority(S3Url), "--management-url", Authority(ManagementUrl), "--region", _settings.Region];
        if (_settings.Domain.Length > 0) arguments.AddRange(["--domain", _settings.Domain]);
        arguments.AddRange(_settings.Flags);
        if (SharedPostgres.IsWanted && !arguments.Contains("--index")) environment["DARKSTORAGE_INDEX"] = _index ??= await SharedPostgres.NewDatabaseAsync();
        _process = Process.Start(StartInfo(Program, arguments, environment, _settings.Launcher))!;
        var started = new TaskCompletionSource(TaskCreationOptions.RunContinuationsAsynchronously);
        _reading = Task.WhenAll(ReadAsync(_process.StandardOutput, started), ReadAsync(_process.StandardError, null));
        _ = _reading.ContinueWith(_ => started.TrySetException(new InvalidOperationException($"The node ended at its start:\n{Output}")), TaskScheduler.Default);
        try
        {
            await started.Task.WaitAsync(HangsAfter);
        }
        catch (TimeoutException)
        {
            throw new InvalidOperationException($"The node did not start within {HangsAfter}:\n{Output}");
        }
        if (_settings.WaitsForOthers) return;
        using var http = new HttpClient();
        using var ready = await http.GetAsync(new Uri(ManagementUrl, "/health/ready"));
        if (ready.StatusCode != HttpStatusCode.OK) throw new InvalidOperationException($"The node says it started, and /health/ready answers {ready.StatusCode}:\n{Output}");
    }

    /// <summary>Keeps all lines. The banner's name the addresses; the region is among the last, so both are known then.</summary>
    private async Task ReadAsync(StreamReader reader, TaskCompletionSource? started)
    {
        while (await reader.ReadLineAsync() is { } line)
        {
            lock (_outputLock)
            {
                _output.Append(line).Append('\n');
                foreach (var (_, awaited) in _awaited.FindAll(a => line.Contains(a.Text, StringComparison.Ordinal))) awaited.SetResult(line);
                _awaited.RemoveAll(a => a.Line.Task.IsCompleted);
            }
            var words = line.Split(' ', StringSplitOptions.RemoveEmptyEntries);
            if (started is null || !line.StartsWith("  ", StringComparison.Ordinal) || words.Length != 2) continue;
            if (words[0] == "S3") S3Url = new(words[1]);
            if (words[0] == "management") ManagementUrl = new(words[1]);
            if (words[0] == "region") started.TrySetResult();
        }
    }

    private async Task WaitForExitAsync()
    {
        await _process.WaitForExitAsync().WaitAsync(HangsAfter);
        await _reading;
    }

    private static ProcessStartInfo StartInfo(string program, IEnumerable<string> arguments, IReadOnlyDictionary<string, string> environment, IReadOnlyList<string>? launcher = null)
    {
        List<string> command = [.. launcher ?? [], "dotnet", program, .. arguments];
        var info = new ProcessStartInfo(command[0], command[1..])
        {
            RedirectStandardOutput = true,
            RedirectStandardError = true,
            StandardOutputEncoding = Encoding.UTF8,
            StandardErrorEncoding = Encoding.UTF8,
        };
        foreach (var name in info.Environment.Keys.Where(k => k.StartsWith("DARKSTORAGE_", StringComparison.Ordinal)).ToList()) info.Environment.Remove(name);
        foreach (var (name, value) in environment) info.Environment[name] = value;
        return info;
    }

    private static string Authority(Uri url) => url.GetLeftPart(UriPartial.Authority) is var text && url.Port == 0 ? $"http://{url.Host}:0" : text;

    [LibraryImport("libc", EntryPoint = "kill")]
    private static partial int SendSignal(int process, int signal);
}
