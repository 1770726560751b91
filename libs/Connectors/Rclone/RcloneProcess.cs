using System.Diagnostics;
using System.Net;
using System.Net.Http;
using System.Net.Http.Headers;
using System.Net.Sockets;
using System.Security.Cryptography;
using System.Text;
using System.Text.Json;
using System.Text.Json.Nodes;
using System.Text.RegularExpressions;
using DarkStorage.Storage.Backends;

namespace DarkStorage.Connectors.Rclone;

/// <summary>One running rclone that does what it is told over HTTP (<c>rclone rcd</c>).</summary>
/// <remarks>Invariants: it ends with this program, however that ends: the system kills it when the thread that started it is gone (prctl(2), PR_SET_PDEATHSIG), which lives as long as it does.
/// No secret is on its command line or on a drive: its password comes by the environment, and the places it is to know come over the connection and stay in its memory (<c>--config ""</c>).
/// Nobody else is taken for it: whoever gets its port when it has died is not sent anything.</remarks>
internal sealed partial class RcloneProcess : IDisposable
{
    /// <summary>Bytes of an answer, but for lists.</summary>
    private const int AnswerBytesMax = 4 << 20;

    private const int LineLengthMax = 1_000;

    private static readonly TimeSpan StartTimeout = TimeSpan.FromSeconds(20);

    private readonly Process _process;
    private readonly string _folder;
    private readonly HttpClient _http;

    private RcloneProcess(Process process, string folder, string password, int port)
    {
        (_process, _folder) = (process, folder);
        _http = new(new SocketsHttpHandler { UseProxy = false, AllowAutoRedirect = false, UseCookies = false, ConnectCallback = ConnectAsync })
        {
            BaseAddress = new($"http://127.0.0.1:{port}/"),
            Timeout = Timeout.InfiniteTimeSpan,
        };
        _http.DefaultRequestHeaders.Authorization = new("Basic", Convert.ToBase64String(Encoding.ASCII.GetBytes($"{User}:{password}")));
        Exited = process.WaitForExitAsync();
    }

    private const string User = "darkstorage";

    public int Id => _process.Id;

    public Task Exited { get; }

    public bool HasExited => _process.HasExited;

    /// <summary>Only where it has exited.</summary>
    public int ExitCode => _process.ExitCode;

    /// <param name="program">A path, or a name on PATH.</param>
    /// <param name="proxy">What its HTTP goes through.</param>
    /// <exception cref="BackendException"><see cref="BackendError.PlaceMissing"/>: there is no such program.</exception>
    public static async Task<RcloneProcess> StartAsync(string program, string proxy)
    {
        var rclone = Find(program) ?? throw new BackendException(BackendError.PlaceMissing, $"There is no {program} on this node. Install rclone 1.60 or later (on Debian and Ubuntu: apt install rclone), or say where it is (Rclone:Program).");
        var setpriv = Find("setpriv") ?? throw new BackendException(BackendError.PlaceMissing, "There is no setpriv on this node, by which rclone ends with it. Install util-linux 2.33 or later.");
        var folder = Directory.CreateTempSubdirectory("darkstorage-rclone-").FullName; // 0700
        var password = RandomNumberGenerator.GetHexString(64, lowercase: true);
        Process? process = null;
        try
        {
            process = await StartOnOwnThreadAsync(StartInfo(setpriv, rclone, proxy, password));
            var port = await ReadPortAsync(process);
            // What it says may have names and addresses in it.
            foreach (var said in new[] { process.StandardOutput, process.StandardError }) _ = said.BaseStream.CopyToAsync(Stream.Null, CancellationToken.None);
            return new(process, folder, password, port);
        }
        catch
        {
            process?.Kill();
            Directory.Delete(folder, recursive: true);
            throw;
        }
    }

    /// <summary>A file that is no secret, for options of rclone that take nothing else. It goes with the process.</summary>
    public async Task<string> WriteFileAsync(string name, string content, CancellationToken ct)
    {
        var path = Path.Combine(_folder, name);
        await File.WriteAllTextAsync(path, content, ct);
        return path;
    }

    /// <exception cref="RcloneException">It says what went wrong.</exception>
    public async Task<JsonElement> CallAsync(string command, JsonObject parameters, CancellationToken ct)
    {
        using var answer = await SendAsync(command, parameters, ct);
        await using var content = await answer.Content.ReadAsStreamAsync(ct);
        return Parse(await ReadAsync(content, ct), command);
    }

    /// <summary>For answers that may be long.</summary>
    /// <returns>The caller disposes it.</returns>
    /// <exception cref="RcloneException">It says what went wrong.</exception>
    public async Task<HttpResponseMessage> SendAsync(string command, JsonObject parameters, CancellationToken ct)
    {
        using var request = new HttpRequestMessage(HttpMethod.Post, command) 
        {
            // rclone looks for this type and no other: one that says its charset it takes for a form.
            Content = new ByteArrayContent(Encoding.UTF8.GetBytes(parameters.ToJsonString())) { Headers = { ContentType = new("application/json") } },
        };
        var answer = await _http.SendAsync(request, HttpCompletionOption.ResponseHeadersRead, ct);
        if (answer.StatusCode == HttpStatusCode.OK) return answer;
        using (answer) throw await FailureAsync(answer, ct);
    }

    /// <summary>Begins to read a file, or a range of it, as rclone serves it (<c>--rc-serve</c>).</summary>
    /// <returns>The caller disposes it; whatever its status.</returns>
    public async Task<HttpResponseMessage> GetAsync(string fs, string path, long first, long last, CancellationToken ct)
    {
        var address = $"{_http.BaseAddress}{Uri.EscapeDataString($"[{fs}]")}/{Uri.EscapeDataString(path).Replace("%2F", "/", StringComparison.Ordinal)}";
        using var request = new HttpRequestMessage(HttpMethod.Get, new Uri(address, new UriCreationOptions { DangerousDisablePathAndQueryCanonicalization = true }));
        request.Headers.Range = new(first, last);
        return await _http.SendAsync(request, HttpCompletionOption.ResponseHeadersRead, ct);
    }

    public static async Task<RcloneException> FailureAsync(HttpResponseMessage answer, CancellationToken ct)
    {
        // Besides the text there is all that was asked for, secrets too, which nobody needs again.
        await using var content = await answer.Content.ReadAsStreamAsync(ct);
        var bytes = await ReadAsync(content, ct);
        string? text = null;
        try
        {
            using var json = JsonDocument.Parse(bytes);
            if (json.RootElement.ValueKind == JsonValueKind.Object && json.RootElement.TryGetProperty("error", out var error) && error.ValueKind == JsonValueKind.String) text = error.GetString();
        }
        catch (JsonException)
        {
            // The status says what is known.
        }
        return new((int)answer.StatusCode, text ?? $"rclone answered {(int)answer.StatusCode}");
    }

    public void Dispose()
    {
        try
        {
            _process.Kill();
        }
        catch (InvalidOperationException)
        {
            // It has ended.
        }
        _http.Dispose();
        try
        {
            Directory.Delete(_folder, recursive: true);
        }
        catch (IOException)
        {
            // It is in the system's folder for what is temporary, and holds no secret.
        }
    }

    private static string? Find(string program)
    {
        if (program.Contains('/', StringComparison.Ordinal)) return File.Exists(program) ? Path.GetFullPath(program) : null;
        return (Environment.GetEnvironmentVariable("PATH") ?? "").Split(':', StringSplitOptions.RemoveEmptyEntries).Select(p => Path.Combine(p, program)).FirstOrDefault(File.Exists);
    }

    private static ProcessStartInfo StartInfo(string setpriv, string rclone, string proxy, string password)
    {
        var start = new ProcessStartInfo(setpriv,
        [
            "--pdeathsig", "KILL", rclone, "rcd",
            // A port that is free; one at a time may have it, and its user and password come by the environment.
            "--rc-addr", "127.0.0.1:0", "--rc-serve", "--rc-max-header-bytes", "65536", "--rc-server-read-timeout", "168h", "--rc-server-write-timeout", "168h",
            // In memory alone.
            "--config", "",
            // Where it would spool something, that fails instead of filling a drive.
            "--temp-dir", "/dev/null/none", "--cache-dir", "/dev/null/none",
            "--buffer-size", "1Mi", "--use-mmap", "--transfers", "64", "--checkers", "1", "--multi-thread-streams", "0",
            // Attempts, and the time for them, are the caller's to bound; a few are left for what a place means to be repeated.
            "--low-level-retries", "3", "--contimeout", "15s", "--timeout", "11m",
            // A file that looks the same, by length and time, is not the same.
            "--ignore-times", "--use-server-modtime",
        ]) { RedirectStandardError = true, RedirectStandardInput = true, RedirectStandardOutput = true, WorkingDirectory = "/" };
        start.Environment.Clear();
        start.Environment["PATH"] = "/usr/local/bin:/usr/bin:/bin";
        start.Environment["HOME"] = "/nonexistent";
        start.Environment["RCLONE_RC_USER"] = User;
        start.Environment["RCLONE_RC_PASS"] = password;
        start.Environment["HTTP_PROXY"] = start.Environment["HTTPS_PROXY"] = proxy;
        // Go's collector works harder from here on: a bound that rclone's parts of uploads stay near to.
        start.Environment["GOMEMLIMIT"] = "512MiB";
        return start;
    }

    /// <summary>On a thread that lives as long as the process: the system means the thread, and not the program, by what has to be gone for the signal.</summary>
    private static Task<Process> StartOnOwnThreadAsync(ProcessStartInfo start)
    {
        var started = new TaskCompletionSource<Process>(TaskCreationOptions.RunContinuationsAsynchronously);
        new Thread(() =>
        {
            Process process;
            try
            {
                process = Process.Start(start)!;
            }
            catch (Exception e) when (e is System.ComponentModel.Win32Exception or InvalidOperationException)
            {
                started.SetException(new BackendException(BackendError.Unavailable, $"rclone could not be started: {e.Message}", e));
                return;
            }
            started.SetResult(process);
            process.WaitForExit();
        })
        { IsBackground = true, Name = "rclone" }.Start();
        return started.Task;
    }

    /// <summary>rclone says where it listens.</summary>
    private static async Task<int> ReadPortAsync(Process process)
    {
        using var patience = new CancellationTokenSource(StartTimeout);
        var last = "nothing";
        try
        {
            while (await process.StandardError.ReadLineAsync(patience.Token) is { } line)
            {
                if (ListensAt().Match(line) is { Success: true } found) return int.Parse(found.Groups[1].ValueSpan, System.Globalization.CultureInfo.InvariantCulture);
                if (line.Length > 0) last = line.Length > LineLengthMax ? line[..LineLengthMax] : line;
            }
        }
        catch (OperationCanceledException)
        {
            throw new BackendException(BackendError.Unavailable, $"rclone did not say within {StartTimeout.TotalSeconds:0} s that it listens. The last it said: {last}");
        }
        throw new BackendException(BackendError.Unavailable, $"rclone ended as it was started. The last it said: {last}");
    }

    private static async Task<byte[]> ReadAsync(Stream content, CancellationToken ct)
    {
        using var all = new MemoryStream();
        var buffer = new byte[16 << 10];
        for (int read; (read = await content.ReadAsync(buffer, ct)) > 0;)
        {
            all.Write(buffer, 0, read);
            if (all.Length > AnswerBytesMax) throw new RcloneException(0, $"rclone's answer is longer than {AnswerBytesMax} bytes");
        }
        return all.ToArray();
    }

    private static JsonElement Parse(byte[] answer, string command)
    {
        try
        {
            using var json = JsonDocument.Parse(answer);
            return json.RootElement.ValueKind == JsonValueKind.Object ? json.RootElement.Clone() : throw new RcloneException(0, $"rclone's answer to {command} makes no sense");
        }
        catch (JsonException)
        {
            throw new RcloneException(0, $"rclone's answer to {command} makes no sense");
        }
    }

    /// <summary>That it still runs when the connection is there shows that it is who answers: it had its port all the time.</summary>
    private async ValueTask<Stream> ConnectAsync(SocketsHttpConnectionContext context, CancellationToken ct)
    {
        var socket = new Socket(SocketType.Stream, ProtocolType.Tcp) { NoDelay = true };
        try
        {
            await socket.ConnectAsync(IPAddress.Loopback, context.DnsEndPoint.Port, ct);
            return HasExited ? throw new IOException("rclone has ended.") : new NetworkStream(socket, ownsSocket: true);
        }
        catch
        {
            socket.Dispose();
            throw;
        }
    }

    [GeneratedRegex(@"http://127\.0\.0\.1:(\d{1,5})/?")]
    private static partial Regex ListensAt();
}

/// <summary>What rclone said went wrong: a status of HTTP, 0 for none, and a text, in which there may be anything.</summary>
internal sealed class RcloneException(int status, string text) : Exception(text)
{
    public int Status { get; } = status;
}
