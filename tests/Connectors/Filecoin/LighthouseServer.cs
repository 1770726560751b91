using System.Collections.Concurrent;
using System.Globalization;
using System.Net;
using System.Security.Cryptography;
using System.Text;
using System.Text.Json.Nodes;
using Microsoft.AspNetCore.Builder;
using Microsoft.AspNetCore.Hosting;
using Microsoft.AspNetCore.Http;
using Microsoft.AspNetCore.Http.Features;
using Microsoft.AspNetCore.WebUtilities;
using Microsoft.Extensions.Logging;
using Microsoft.Net.Http.Headers;

namespace DarkStorage.Connectors.Filecoin;

/// <summary>Stands in for Lighthouse: one account, its files, and a gateway. It shares nothing with the product. What it does wrong, it is told to.</summary>
/// <remarks>Written after the public documentation and the published SDK, and never compared with the live service. Where these are silent it does what is worst for who relies on it: files come in no order, pages are of any size, names of files are undone as Kubo does it, a content that is there keeps its first record alone.</remarks>
public sealed class LighthouseServer : IAsyncLifetime
{
    public const string Key = "1a2b3c4d.0123456789abcdef0123456789abcdef";

    private readonly Lock _lock = new();
    private readonly List<StoredFile> _files = [];
    private readonly List<StoredFile> _deleted = [];
    private WebApplication _app = null!;

    public string Url { get; private set; } = "";

    /// <summary>Method, path and query of each request so far.</summary>
    public ConcurrentQueue<string> Requests { get; } = new();

    /// <summary>Asked for each request first. True where it has answered.</summary>
    public Func<HttpContext, Task<bool>> Answers { get; set; } = _ => Task.FromResult(false);

    /// <summary>Files on a page.</summary>
    public int PageFiles { get; set; } = 2000;

    /// <summary>Of what is taken, or deleted, from now on: first pages of lists until they show it, and requests until the gateway has it.</summary>
    public (int List, int Data) Lag { get; set; }

    /// <summary>Lists each file twice, as may happen where files come and go between pages.</summary>
    public bool ListsTwice { get; set; }

    /// <summary>Bytes that the account may have.</summary>
    public long Room { get; set; } = 5_000_000_000;

    /// <summary>Takes the next file, and ends the connection in place of an answer.</summary>
    public bool LosesAnswer { get; set; }

    /// <summary>Flips a bit of the next file on its way.</summary>
    public bool CorruptsUpload { get; set; }

    /// <summary>Connections of reads that are cut off, from now on, each after <see cref="CutsReadsAfter"/> bytes.</summary>
    public int CutsReads { get; set; }

    public int CutsReadsAfter { get; set; }

    public int Uploads => Requests.Count(r => r.StartsWith("POST ", StringComparison.Ordinal));

    public int Deletes => Requests.Count(r => r.StartsWith("DELETE ", StringComparison.Ordinal));

    /// <summary>What the account has, shown or not.</summary>
    public IReadOnlyList<(string Name, byte[] Content)> Files
    {
        get
        {
            lock (_lock) return [.. _files.Select(f => (f.Name, f.Content))];
        }
    }

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

    public ValueTask DisposeAsync() => _app.DisposeAsync();

    /// <summary>A file of somebody else who has the account, or of the time before.</summary>
    public void Add(string name, byte[] content)
    {
        lock (_lock) _files.Add(new(name, Guid.NewGuid().ToString(), CidOf(content), content, DateTimeOffset.UtcNow));
    }

    public static async Task<bool> SayAsync(HttpContext http, int status, JsonNode? body)
    {
        await http.Request.Body.CopyToAsync(Stream.Null);
        http.Response.StatusCode = status;
        http.Response.ContentType = "application/json; charset=utf-8";
        await http.Response.WriteAsync(body?.ToJsonString() ?? "null");
        return true;
    }

    private async Task AnswerAsync(HttpContext http)
    {
        var target = http.Features.GetRequiredFeature<IHttpRequestFeature>().RawTarget;
        Requests.Enqueue($"{http.Request.Method} {target}");
        if (await Answers(http)) return;
        var path = http.Request.Path.Value!;
        try
        {
            if (!path.StartsWith("/ipfs/", StringComparison.Ordinal) && http.Request.Headers.Authorization != $"Bearer {Key}")
            {
                await SayAsync(http, 401, new JsonObject { ["error"] = "Unauthorized" });
                return;
            }
            await ((http.Request.Method, path) switch
            {
                ("POST", "/up/api/v0/add") => AddAsync(http),
                ("GET", "/api/user/files_uploaded") => ListAsync(http),
                ("DELETE", "/api/user/delete_file") => DeleteAsync(http),
                ("GET", "/api/user/user_data_usage") => UsageAsync(http),
                ("GET" or "HEAD", _) when path.StartsWith("/ipfs/", StringComparison.Ordinal) => ReadAsync(http, path["/ipfs/".Length..]),
                _ => SayAsync(http, 404, new JsonObject { ["error"] = "Not Found" }),
            });
        }
        catch (Exception e) when (e is IOException or OperationCanceledException)
        {
            // The client has gone.
            http.Abort();
        }
    }

    /// <summary>What is done with a file that is posted.</summary>
    public async Task AddAsync(HttpContext http)
    {
        if (http.Request.Query["cid-version"] != "1" || http.Request.Query["wrap-with-directory"] != "false" || !MediaTypeHeaderValue.TryParse(http.Request.ContentType, out var type) || type.MediaType != "multipart/form-data" || http.Request.ContentLength is null)
        {
            await SayAsync(http, 400, new JsonObject { ["error"] = "Bad Request" });
            return;
        }
        var reader = new MultipartReader(type.Boundary.Value!, http.Request.Body) { HeadersLengthLimit = 16 << 10 };
        var part = await reader.ReadNextSectionAsync();
        if (part?.GetContentDispositionHeader() is not { } disposition || disposition.Name != "\"file\"" && disposition.Name != "file")
        {
            await SayAsync(http, 400, new JsonObject { ["error"] = "There is no file." });
            return;
        }
        using var content = new MemoryStream();
        await part.Body.CopyToAsync(content);
        if (await reader.ReadNextSectionAsync() is not null) throw new InvalidDataException("There is more than one part.");
        // Kubo undoes the escapes of a query in it, and takes folders off.
        var name = Uri.UnescapeDataString(HeaderUtilities.RemoveQuotes(disposition.FileName).Value!.Replace('+', ' ')).Split('/')[^1];
        var bytes = content.ToArray();
        if (CorruptsUpload) bytes[0] ^= 1;
        CorruptsUpload = false;
        var cid = CidOf(bytes);
        lock (_lock)
        {
            if (_files.Sum(f => (long)f.Content.Length) + bytes.Length > Room) cid = "";
            else if (!_files.Exists(f => f.Cid == cid)) _files.Add(new(name, Guid.NewGuid().ToString(), cid, bytes, DateTimeOffset.UtcNow) { Unseen = Lag.List, Unread = Lag.Data });
        }
        if (cid.Length == 0)
        {
            await SayAsync(http, 403, new JsonObject { ["error"] = "It is not allowed." });
        }
        else if (LosesAnswer)
        {
            LosesAnswer = false;
            http.Abort();
        }
        else
        {
            await SayAsync(http, 200, new JsonObject { ["Name"] = name, ["Hash"] = cid, ["Size"] = bytes.Length.ToString(CultureInfo.InvariantCulture) });
        }
    }

    private Task ListAsync(HttpContext http)
    {
        var last = http.Request.Query["lastKey"].ToString();
        lock (_lock)
        {
            // Its own order, which is that of nothing.
            var shown = _files.Concat(_deleted).OrderBy(f => f.Id, StringComparer.Ordinal).ToList();
            if (last == "null")
            {
                foreach (var file in _files.Where(f => f.Unseen > 0)) file.Unseen--;
                foreach (var file in _deleted.Where(f => f.Unseen > 0)) file.Unseen--;
                _deleted.RemoveAll(f => f.Unseen == 0);
            }
            shown = [.. shown.Where(f => (_deleted.Contains(f) || f.Unseen == 0) && (last == "null" || string.CompareOrdinal(f.Id, last) > 0)).Take(PageFiles)];
            if (ListsTwice) shown = [.. shown, .. shown];
            return SayAsync(http, 200, new JsonObject
            {
                ["fileList"] = new JsonArray([.. shown.Select(f => new JsonObject
                {
                    ["publicKey"] = "0x4e6d5be93ab7c1f75e30dd5a7f574f42f675eed3", ["fileName"] = f.Name, ["mimeType"] = "application/octet-stream", ["txHash"] = "", ["status"] = "queued", ["createdAt"] = f.Created.ToUnixTimeMilliseconds(),
                    ["fileSizeInBytes"] = f.Content.Length.ToString(CultureInfo.InvariantCulture), ["cid"] = f.Cid, ["id"] = f.Id, ["lastUpdate"] = f.Created.ToUnixTimeMilliseconds(), ["encryption"] = false,
                })]),
                ["totalFiles"] = _files.Count,
            });
        }
    }

    private Task DeleteAsync(HttpContext http)
    {
        var id = http.Request.Query["id"].ToString();
        lock (_lock)
        {
            if (_files.Find(f => f.Id == id) is not { } file) return SayAsync(http, 404, new JsonObject { ["error"] = "File not found" });
            _files.Remove(file);
            file.Unseen = Lag.List;
            if (file.Unseen > 0) _deleted.Add(file);
            return SayAsync(http, 200, new JsonObject { ["message"] = "File deleted successfully." });
        }
    }

    private Task UsageAsync(HttpContext http)
    {
        lock (_lock) return SayAsync(http, 200, new JsonObject { ["dataLimit"] = Room, ["dataUsed"] = _files.Sum(f => (long)f.Content.Length) });
    }

    private async Task ReadAsync(HttpContext http, string cid)
    {
        byte[]? content = null;
        lock (_lock)
        {
            if (_files.Find(f => f.Cid == cid) is { } file && file.Unread-- <= 0) content = file.Content;
        }
        if (content is null)
        {
            await SayAsync(http, 404, null);
            return;
        }
        var (first, last) = (0L, content.Length - 1L);
        http.Response.Headers.ETag = $"\"{cid}\"";
        if (RangeHeaderValue.TryParse(http.Request.Headers.Range.ToString(), out var range) && range.Ranges.Single() is { From: { } from, To: { } to })
        {
            (first, last) = (from, Math.Min(to, last));
            http.Response.StatusCode = 206;
            http.Response.Headers.ContentRange = string.Create(CultureInfo.InvariantCulture, $"bytes {first}-{last}/{content.Length}");
        }
        http.Response.ContentLength = last - first + 1;
        if (HttpMethods.IsHead(http.Request.Method)) return;
        var some = content.AsMemory((int)first, (int)(last - first + 1));
        if (CutsReads > 0 && some.Length > CutsReadsAfter)
        {
            CutsReads--;
            await http.Response.Body.WriteAsync(some[..CutsReadsAfter]);
            await http.Response.Body.FlushAsync();
            http.Abort();
            return;
        }
        await http.Response.Body.WriteAsync(some);
    }

    /// <summary>Of version 1 and raw: it is of its content alone, which is all that matters here.</summary>
    public static string CidOf(byte[] content)
    {
        var bytes = new byte[] { 0x01, 0x55, 0x12, 0x20 }.Concat(SHA256.HashData(content)).ToArray();
        var text = new StringBuilder("b");
        for (var bit = 0; bit < bytes.Length * 8; bit += 5)
        {
            var (value, at) = (0, bit / 8);
            value = bytes[at] << 8 | (at + 1 < bytes.Length ? bytes[at + 1] : 0);
            text.Append("abcdefghijklmnopqrstuvwxyz234567"[value >> (11 - bit % 8) & 31]);
        }
        return text.ToString();
    }

    private sealed class StoredFile(string name, string id, string cid, byte[] content, DateTimeOffset created)
    {
        public string Name => name;

        public string Id => id;

        public string Cid => cid;

        public byte[] Content => content;

        public DateTimeOffset Created => created;

        /// <summary>Lists until it shows, or until it does not any more.</summary>
        public int Unseen { get; set; }

        /// <summary>Requests until the gateway has it.</summary>
        public int Unread { get; set; }
    }
}
