using System.Diagnostics;
using System.Globalization;
using System.Net;
using System.Text.Json;
using DarkStorage.TestKit;

namespace DarkStorage.Connectors.Ipfs;

/// <summary>A node of js-ipfs, which has Kubo's RPC: packages of npm, which eng/test.sh puts under artifacts/tools/.</summary>
public sealed class IpfsServer : IAsyncLifetime
{
    private readonly string _ownFolder = Directory.CreateTempSubdirectory("darkstorage-ipfs-").FullName;
    private readonly HttpClient _http = new(new SocketsHttpHandler { UseProxy = false });
    private Process? _process;

    /// <summary>Where it keeps its blocks.</summary>
    public string Folder
    {
        get => field ?? _ownFolder;
        init;
    }

    public IPEndPoint EndPoint { get; } = new(IPAddress.Loopback, FreePorts.TakeTwo());

    public string Url => $"http://{EndPoint}";

    public async ValueTask InitializeAsync() => await StartAsync();

    public async ValueTask DisposeAsync()
    {
        await KillAsync();
        Directory.Delete(_ownFolder, recursive: true);
        _http.Dispose();
    }

    /// <summary>A path in the node's files that nobody has yet.</summary>
    public static string NewPath() => $"/tests/{Guid.NewGuid():N}";

    public async Task StartAsync()
    {
        Directory.CreateDirectory(Folder);
        // A lock of one that was killed keeps others out for a while; there is no other.
        var held = Path.Combine(Folder, "repo", "repo.lock");
        if (Directory.Exists(held)) Directory.Delete(held, recursive: true);
        var root = Root();
        var modules = Directory.CreateDirectory(Path.Combine(root, "artifacts", "tools")).EnumerateDirectories("js-ipfs-*").Where(d => d.Extension != ".partial").Select(d => Path.Combine(d.FullName, "node_modules")).Order(StringComparer.Ordinal).LastOrDefault()
            ?? throw new FileNotFoundException("There is no js-ipfs in artifacts/tools. eng/test.sh installs it.");
        var start = new ProcessStartInfo("/bin/sh", ["-c", "exec node \"$@\" >\"$0\" 2>&1", Path.Combine(Folder, "log"),
            Path.Combine(root, "tests", "Connectors", "Ipfs", "js-ipfs.mjs"), modules, Path.Combine(Folder, "repo"), EndPoint.Port.ToString(CultureInfo.InvariantCulture)]);
        _process = Process.Start(start)!;
        await Eventually.HoldsAsync("js-ipfs answers", AnswersAsync);
    }

    /// <summary>As a crash would.</summary>
    public async Task KillAsync()
    {
        if (_process is not { } process) return;
        _process = null;
        if (!process.HasExited) process.Kill();
        await process.WaitForExitAsync();
        process.Dispose();
    }

    /// <summary>One command, as a person would give it.</summary>
    public async Task<string> CallAsync(string command, CancellationToken ct, HttpContent? content = null)
    {
        using var answer = await _http.PostAsync($"{Url}/api/v0/{command}", content, ct);
        var text = await answer.Content.ReadAsStringAsync(ct);
        return answer.IsSuccessStatusCode ? text : throw new InvalidOperationException($"{command}: {text}");
    }

    /// <returns>What the node calls it.</returns>
    public async Task<string> AddAsync(byte[] content, string chunker, bool isPinned, CancellationToken ct)
    {
        using var file = new ByteArrayContent(content);
        file.Headers.ContentType = new("application/octet-stream");
        using var form = new MultipartFormDataContent { { file, "file", "any" } };
        using var json = JsonDocument.Parse(await CallAsync($"add?cid-version=1&raw-leaves=true&chunker={chunker}&pin={(isPinned ? "true" : "false")}&cid-base=base32", ct, form));
        return json.RootElement.GetProperty("Hash").GetString()!;
    }

    public async Task<bool> IsPinnedAsync(string cid, CancellationToken ct)
    {
        using var json = JsonDocument.Parse(await CallAsync("pin/ls?type=recursive&cid-base=base32", ct));
        return json.RootElement.GetProperty("Keys").TryGetProperty(cid, out _);
    }

    public Task CollectGarbageAsync(CancellationToken ct) => CallAsync("repo/gc", ct);

    private async Task<bool> AnswersAsync()
    {
        if (_process!.HasExited) throw new InvalidOperationException($"js-ipfs ended with {_process.ExitCode}: {await File.ReadAllTextAsync(Path.Combine(Folder, "log"))}");
        try
        {
            await CallAsync("version", CancellationToken.None);
            return true;
        }
        catch (HttpRequestException)
        {
            return false;
        }
    }

    private static string Root()
    {
        for (var folder = AppContext.BaseDirectory; folder is not null; folder = Path.GetDirectoryName(folder))
        {
            if (File.Exists(Path.Combine(folder, "Orleans.DarkStorage.sln"))) return folder;
        }
        throw new InvalidOperationException("The tests do not run inside the repository.");
    }
}
