using System.Diagnostics;
using System.Globalization;
using System.Net;
using System.Text.Json.Nodes;
using System.Text.RegularExpressions;
using DarkStorage.TestKit;

namespace DarkStorage.Connectors.OAuth;

/// <summary>oidc-provider, an authorization server of others: a package of npm, which eng/test.sh puts under artifacts/tools/. And somebody with a browser, who gives access there.</summary>
public sealed partial class OidcProvider : IAsyncLifetime
{
    public const string ClientId = "cluster";
    public const string ClientSecret = "secret-of-the-application-0123456789";

    private readonly HttpClient _http = new();
    private readonly int _port = FreePorts.TakeTwo();
    private Process? _process;

    public string Url => $"http://127.0.0.1:{_port}";

    /// <summary>What a connector is to be told of it.</summary>
    public Dictionary<string, string> Settings => new()
    {
        ["client-id"] = ClientId, ["client-secret"] = ClientSecret, ["authorization-url"] = $"{Url}/auth", ["token-url"] = $"{Url}/token", ["device-url"] = $"{Url}/device/auth", ["scope"] = "openid",
    };

    public async ValueTask InitializeAsync()
    {
        _process = Process.Start(new ProcessStartInfo("/bin/sh", ["-c", "exec node \"$@\" >/dev/null 2>&1", "node", Script(), Tools(), _port.ToString(CultureInfo.InvariantCulture)]))!;
        await Eventually.HoldsAsync("oidc-provider answers", async () =>
        {
            if (_process.HasExited) throw new InvalidOperationException($"oidc-provider ended with {_process.ExitCode}.");
            try
            {
                return await ControlAsync("") is not null;
            }
            catch (HttpRequestException)
            {
                return false;
            }
        });
    }

    public async ValueTask DisposeAsync()
    {
        _http.Dispose();
        if (_process is not { } process) return;
        process.Kill();
        await process.WaitForExitAsync();
        process.Dispose();
    }

    /// <summary>Tells it what to do, and is told how it is.</summary>
    public async Task<JsonNode> ControlAsync(string query) => JsonNode.Parse(await _http.GetStringAsync(new Uri($"{Url}/control?{query}")))!;

    /// <summary>Whether an access token is one of its, and good.</summary>
    public async Task<bool> TakesAsync(string token) => (bool?)(await ControlAsync($"token={Uri.EscapeDataString(token)}"))["takes"] == true;

    /// <summary>Opens an address, signs in, says yes, and stops where it is sent back to.</summary>
    /// <returns>That address, of the callback.</returns>
    public static async Task<Uri> GiveAccessAsync(Uri address)
    {
        using var browser = new Browser();
        return await browser.WalkAsync(address, static at => at.AbsolutePath.EndsWith("/callback", StringComparison.Ordinal));
    }

    /// <summary>Opens the address of a device's flow, enters the code, signs in and says yes.</summary>
    public static async Task EnterAsync(Uri address, string userCode)
    {
        using var browser = new Browser();
        var page = await browser.GetAsync(address);
        var form = new Dictionary<string, string> { ["xsrf"] = Xsrf().Match(page).Groups[1].Value, ["user_code"] = userCode, ["confirm"] = "yes" };
        await browser.PostAsync(address, form);
    }

    private static string Script() => Path.Combine(Root(), "tests", "Connectors", "OAuth", "oidc-provider.mjs");

    private static string Tools()
    {
        var tools = Directory.CreateDirectory(Path.Combine(Root(), "artifacts", "tools"));
        return tools.EnumerateDirectories("oidc-provider-*").Select(d => d.FullName).Where(d => !d.EndsWith(".partial", StringComparison.Ordinal)).Order(StringComparer.Ordinal).LastOrDefault()
            ?? throw new FileNotFoundException($"There is no oidc-provider in {tools}. eng/test.sh installs it.");
    }

    private static string Root()
    {
        for (var folder = AppContext.BaseDirectory; folder is not null; folder = Path.GetDirectoryName(folder))
        {
            if (File.Exists(Path.Combine(folder, "Orleans.DarkStorage.sln"))) return folder;
        }
        throw new InvalidOperationException("The tests do not run inside the repository.");
    }

    [GeneratedRegex("name=\"xsrf\" value=\"([^\"]+)\"")]
    private static partial Regex Xsrf();

    /// <summary>Keeps cookies, and follows one step at a time.</summary>
    private sealed class Browser : IDisposable
    {
        private const int StepsMax = 20;

        private readonly HttpClient _http = new(new SocketsHttpHandler { AllowAutoRedirect = false, CookieContainer = new CookieContainer() });

        public void Dispose() => _http.Dispose();

        public async Task<Uri> WalkAsync(Uri at, Func<Uri, bool> isEnd)
        {
            for (var step = 0; step < StepsMax; step++)
            {
                if (isEnd(at)) return at;
                using var answer = await _http.GetAsync(at);
                if (answer.Headers.Location is not { } next) throw new InvalidOperationException($"{at} answered {(int)answer.StatusCode}: {await answer.Content.ReadAsStringAsync()}");
                at = new(at, next);
            }
            throw new InvalidOperationException($"After {StepsMax} steps at {at}.");
        }

        public async Task<string> GetAsync(Uri address) => await _http.GetStringAsync(address);

        public async Task PostAsync(Uri address, Dictionary<string, string> form)
        {
            using var content = new FormUrlEncodedContent(form);
            var answer = await _http.PostAsync(address, content);
            for (var (step, at) = (0, address); answer.Headers.Location is { } next && step < StepsMax; step++)
            {
                answer.Dispose();
                answer = await _http.GetAsync(at = new(at, next));
            }
            var text = await answer.Content.ReadAsStringAsync();
            if (!answer.IsSuccessStatusCode && !text.Contains("access_denied", StringComparison.Ordinal) && !text.Contains("interrupted", StringComparison.OrdinalIgnoreCase)) throw new InvalidOperationException($"It answered {(int)answer.StatusCode}: {text}");
            answer.Dispose();
        }
    }
}
