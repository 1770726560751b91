using System.Collections.Concurrent;
using System.Globalization;
using System.Net;
using System.Text.Json.Nodes;
using Microsoft.AspNetCore.Builder;
using Microsoft.AspNetCore.Hosting;
using Microsoft.AspNetCore.Http;
using Microsoft.AspNetCore.Http.Features;
using Microsoft.AspNetCore.WebUtilities;
using Microsoft.Extensions.Logging;

namespace DarkStorage.Connectors.Google;

/// <summary>What servers that stand in for Google's have in common: tokens of service accounts, errors in Google's words, partial responses, and uploads. It shares nothing with the product. What it does wrong, it is told to.</summary>
/// <remarks>Stricter than what others stand in with: <c>fields</c> may name nothing that there is not, chunks have to be multiples of 256 KiB, tokens and assertions are verified.</remarks>
public abstract partial class GoogleServer : IAsyncLifetime
{
    private WebApplication _app = null!;

    public string Url { get; private set; } = "";

    public IPEndPoint EndPoint => new(IPAddress.Loopback, new Uri(Url).Port);

    /// <summary>Method, path and query of each request so far, as it was sent.</summary>
    public ConcurrentQueue<string> Requests { get; } = new();

    /// <summary>Asked for each request first. True where it has answered.</summary>
    public Func<HttpContext, Task<bool>> Answers { get; set; } = _ => Task.FromResult(false);

    /// <summary>Connections of reads that are cut off, from now on, each after <see cref="CutsReadsAfter"/> bytes.</summary>
    public int CutsReads { get; set; }

    public int CutsReadsAfter { get; set; }

    /// <summary>Flips a bit of each content that is read, from now on.</summary>
    public bool CorruptsReads { get; set; }

    /// <summary>Of partial responses.</summary>
    protected abstract IReadOnlySet<string> KnownFields { get; }

    public async ValueTask InitializeAsync()
    {
        var builder = WebApplication.CreateSlimBuilder();
        builder.Logging.ClearProviders();
        builder.WebHost.UseKestrelCore().ConfigureKestrel(k =>
        {
            k.Listen(IPAddress.Loopback, 0);
            k.Limits.MaxRequestBodySize = null;
        });
        _app = builder.Build();
        _app.Run(AnswerAsync);
        await _app.StartAsync();
        Url = _app.Urls.Single();
    }

    public async ValueTask DisposeAsync()
    {
        await _app.DisposeAsync();
        GC.SuppressFinalize(this);
    }

    /// <summary>An error as Google says it.</summary>
    public static async Task<bool> FailAsync(HttpContext http, int status, string reason, string message = "It went wrong.")
    {
        http.Response.StatusCode = status;
        http.Response.ContentType = "application/json; charset=UTF-8";
        await http.Response.WriteAsync(new JsonObject
        {
            ["error"] = new JsonObject { ["code"] = status, ["message"] = message, ["errors"] = new JsonArray(new JsonObject { ["message"] = message, ["domain"] = "global", ["reason"] = reason }) },
        }.ToJsonString());
        return true;
    }

    /// <summary>As <see cref="FailAsync"/>, and reads what was sent before: a server that ends a connection with unread content in it resets it.</summary>
    public static async Task<bool> FailAfterReadingAsync(HttpContext http, int status, string reason)
    {
        await http.Request.Body.CopyToAsync(Stream.Null);
        return await FailAsync(http, status, reason);
    }

    /// <summary>Answers a request whose token is good.</summary>
    /// <param name="path">Each segment unescaped.</param>
    private protected abstract Task RouteAsync(HttpContext http, string[] path, Dictionary<string, string> query);

    private protected Task JsonAsync(HttpContext http, JsonObject body, Dictionary<string, string> query)
    {
        http.Response.ContentType = "application/json; charset=UTF-8";
        return http.Response.WriteAsync(Select(body, query.GetValueOrDefault("fields")).ToJsonString());
    }

    /// <summary>Sends a range of a content, as the request wants it.</summary>
    /// <param name="length">As it is said to be.</param>
    private protected async Task SendContentAsync(HttpContext http, byte[] content, long length)
    {
        var (first, last) = (0L, content.Length - 1L);
        if (Microsoft.Net.Http.Headers.RangeHeaderValue.TryParse(http.Request.Headers.Range.ToString(), out var range))
        {
            (first, last) = (range.Ranges.Single().From!.Value, Math.Min(range.Ranges.Single().To!.Value, last));
            if (first >= content.Length)
            {
                http.Response.StatusCode = 416;
                http.Response.Headers.ContentRange = $"bytes */{content.Length}";
                await http.Response.WriteAsync("The requested range cannot be satisfied.");
                return;
            }
            http.Response.StatusCode = 206;
            http.Response.Headers.ContentRange = $"bytes {first}-{last}/{length}";
        }
        http.Response.ContentLength = last - first + 1;
        var bytes = content[(int)first..((int)last + 1)];
        if (CorruptsReads) bytes[bytes.Length / 2] ^= 1;
        if (CutsReads > 0 && bytes.Length > CutsReadsAfter)
        {
            CutsReads--;
            await http.Response.Body.WriteAsync(bytes.AsMemory(0, CutsReadsAfter));
            await http.Response.Body.FlushAsync();
            http.Abort();
            return;
        }
        await http.Response.Body.WriteAsync(bytes);
    }

    private protected static long? Number(Dictionary<string, string> query, string name) => query.TryGetValue(name, out var text) ? long.Parse(text, CultureInfo.InvariantCulture) : null;

    private async Task AnswerAsync(HttpContext http)
    {
        var target = http.Features.GetRequiredFeature<IHttpRequestFeature>().RawTarget;
        Requests.Enqueue($"{http.Request.Method} {target}");
        if (await Answers(http)) return;
        try
        {
            if (target == "/token")
            {
                await GiveTokenAsync(http);
                return;
            }
            var (path, query) = target.Split('?', 2) is [var p, var q] ? (p, QueryHelpers.ParseQuery(q).ToDictionary(v => v.Key, v => v.Value.ToString())) : (target, []);
            // A session's address shows by itself who may.
            if (!query.ContainsKey("upload_id") || http.Request.Headers.Authorization.Count > 0) await AuthorizeAsync(http);
            if (path.StartsWith("/upload/", StringComparison.Ordinal) && query.TryGetValue("upload_id", out var id) && HttpMethods.IsPut(http.Request.Method)) await PutChunkAsync(http, id);
            else if (path.StartsWith("/upload/", StringComparison.Ordinal) && query.TryGetValue("upload_id", out id) && HttpMethods.IsDelete(http.Request.Method)) CancelUpload(http, id);
            else await RouteAsync(http, [.. path.Split('/')[1..].Select(Uri.UnescapeDataString)], query);
        }
        catch (ApiException e)
        {
            await FailAsync(http, e.Status, e.Reason, e.Message);
        }
        catch (Exception e) when (e is IOException or OperationCanceledException)
        {
            // The client has gone.
            http.Abort();
        }
    }

    /// <summary>Partial responses: <c>a,b,c(d,e)</c>.</summary>
    private JsonObject Select(JsonObject whole, string? fields)
    {
        if (fields is null) return whole;
        var at = 0;
        var part = SelectHere(whole, fields, ref at);
        if (at != fields.Length) throw InvalidFields(fields);
        return part;
    }

    private JsonObject SelectHere(JsonObject? whole, string fields, ref int at)
    {
        var part = new JsonObject();
        while (true)
        {
            var begin = at;
            while (at < fields.Length && char.IsAsciiLetterOrDigit(fields[at])) at++;
            var name = fields[begin..at];
            if (!KnownFields.Contains(name)) throw InvalidFields(fields);
            var value = whole?[name];
            if (at < fields.Length && fields[at] == '(')
            {
                var inside = ++at;
                if (value is JsonArray items)
                {
                    part[name] = new JsonArray([.. items.Select(i => SelectAt(i!.AsObject(), inside))]);
                    value = null;
                }
                var one = SelectHere(value as JsonObject, fields, ref at);
                if (value is not null) part[name] = one;
                if (at >= fields.Length || fields[at++] != ')') throw InvalidFields(fields);
            }
            else if (value is not null)
            {
                part[name] = value.DeepClone();
            }
            if (at == fields.Length || fields[at] != ',') return part;
            at++;
        }

        JsonNode SelectAt(JsonObject item, int inside) => SelectHere(item, fields, ref inside);
    }

    private static ApiException InvalidFields(string fields) => new(400, "invalidParameter", $"Invalid field selection {fields}");

    private protected sealed class ApiException(int status, string reason, string message) : Exception(message)
    {
        public int Status => status;

        public string Reason => reason;
    }
}
