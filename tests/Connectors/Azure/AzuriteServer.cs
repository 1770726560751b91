using System.Diagnostics;
using System.Globalization;
using System.Net;
using System.Security.Cryptography;
using Azure;
using Azure.Storage;
using Azure.Storage.Blobs;
using Azure.Storage.Sas;
using DarkStorage.TestKit;
using Microsoft.AspNetCore.Http;

namespace DarkStorage.Connectors.Azure;

/// <summary>Azurite, Azure's own emulator: a package of npm, which eng/test.sh puts under artifacts/tools/.</summary>
public sealed class AzuriteServer : IAsyncLifetime
{
    public const string Account = "darkstorage0";

    private readonly string _folder = Directory.CreateTempSubdirectory("darkstorage-azurite-").FullName;
    private Process? _process;

    public string Key { get; } = Convert.ToBase64String(RandomNumberGenerator.GetBytes(64));

    public IPEndPoint EndPoint { get; } = new(IPAddress.Loopback, FreePorts.TakeTwo());

    /// <summary>Of the account.</summary>
    public string Url => UrlAt(EndPoint);

    /// <summary>The SDK with all its defaults, and the account's key.</summary>
    public BlobServiceClient Client => field ??= new(new Uri(Url), new StorageSharedKeyCredential(Account, Key));

    /// <summary>Of the account, where something that passes on to it listens.</summary>
    public static string UrlAt(IPEndPoint endPoint) => $"http://{endPoint}/{Account}";

    public async ValueTask InitializeAsync() => await StartAsync();

    public async ValueTask DisposeAsync()
    {
        await KillAsync();
        Directory.Delete(_folder, recursive: true);
    }

    public async Task<BlobContainerClient> NewContainerAsync() => await Client.CreateBlobContainerAsync($"test-{Guid.NewGuid():N}");

    /// <summary>What is behind the question mark.</summary>
    public string Sign(string container, BlobContainerSasPermissions permissions, DateTimeOffset? until = null) =>
        new BlobSasBuilder(permissions, until ?? DateTimeOffset.UtcNow.AddHours(1)) { BlobContainerName = container }.ToSasQueryParameters(new(Account, Key)).ToString();

    /// <summary>An error as Azure says it.</summary>
    public static async Task<bool> FailAsync(HttpContext http, int status, string code, string message = "It went wrong.")
    {
        http.Response.StatusCode = status;
        http.Response.Headers["x-ms-error-code"] = code;
        if (HttpMethods.IsHead(http.Request.Method)) return true;
        http.Response.ContentType = "application/xml";
        await http.Response.WriteAsync($"<?xml version=\"1.0\" encoding=\"utf-8\"?><Error><Code>{code}</Code><Message>{WebUtility.HtmlEncode(message)}</Message></Error>");
        return true;
    }

    public async Task StartAsync()
    {
        var start = new ProcessStartInfo("/bin/sh", ["-c", "exec node \"$@\" >/dev/null 2>&1", "node",
            Program(), "--skipApiVersionCheck", "--silent", "--disableTelemetry", "--location", _folder, "--blobHost", "127.0.0.1", "--blobPort", EndPoint.Port.ToString(CultureInfo.InvariantCulture)]);
        start.Environment["AZURITE_ACCOUNTS"] = $"{Account}:{Key}";
        _process = Process.Start(start)!;
        await Eventually.HoldsAsync("Azurite answers", AnswersAsync);
    }

    /// <summary>As a crash would. What it was told in the last seconds is lost: it writes down what there is now and then.</summary>
    public async Task KillAsync()
    {
        if (_process is not { } process) return;
        _process = null;
        if (!process.HasExited) process.Kill();
        await process.WaitForExitAsync();
        process.Dispose();
    }

    /// <summary>Lets it write down what there is, and end.</summary>
    public async Task StopAsync()
    {
        using (var kill = Process.Start("kill", ["-TERM", _process!.Id.ToString(CultureInfo.InvariantCulture)])) await kill.WaitForExitAsync();
        await _process.WaitForExitAsync().WaitAsync(Eventually.HangsAfter);
        await KillAsync();
    }

    private async Task<bool> AnswersAsync()
    {
        if (_process!.HasExited) throw new InvalidOperationException($"Azurite ended with {_process.ExitCode}.");
        try
        {
            await Client.GetPropertiesAsync();
            return true;
        }
        // The SDK gives up with all its attempts at once.
        catch (Exception e) when (e is RequestFailedException or AggregateException)
        {
            return false;
        }
    }

    private static string Program()
    {
        for (var folder = AppContext.BaseDirectory; folder is not null; folder = Path.GetDirectoryName(folder))
        {
            if (!File.Exists(Path.Combine(folder, "Orleans.DarkStorage.sln"))) continue;
            var tools = Directory.CreateDirectory(Path.Combine(folder, "artifacts", "tools"));
            return tools.EnumerateDirectories("azurite-*").Select(d => Path.Combine(d.FullName, "node_modules", "azurite", "dist", "src", "blob", "main.js")).Where(File.Exists).Order(StringComparer.Ordinal).LastOrDefault()
                ?? throw new FileNotFoundException($"There is no Azurite in {tools}. eng/test.sh installs it.");
        }
        throw new InvalidOperationException("The tests do not run inside the repository.");
    }
}
