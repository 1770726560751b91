using System.Collections.Concurrent;
using System.Globalization;
using System.Text.Json;
using System.Text.Json.Nodes;
using Microsoft.AspNetCore.Http;
using Microsoft.AspNetCore.WebUtilities;
using Microsoft.Net.Http.Headers;

namespace DarkStorage.Connectors.Google;

/// <summary>Uploads: in one request, and resumable ones.</summary>
public abstract partial class GoogleServer
{
    private const int ChunkUnit = 256 << 10;

    private readonly ConcurrentDictionary<string, Session> _sessions = new();

    /// <summary>What happens to chunks, one after the other, as they come. Those beyond are well.</summary>
    public ConcurrentQueue<ChunkFault> ChunkFaults { get; } = new();

    /// <summary>Flips a bit of the next content that comes, before it is looked at.</summary>
    public bool CorruptsUpload { get; set; }

    /// <summary>Takes the next content, and ends the connection in place of an answer.</summary>
    public bool LosesAnswer { get; set; }

    /// <summary>Of those that were begun and neither finished nor cancelled.</summary>
    public int OpenUploads => _sessions.Values.Count(s => s is { Made: null, IsCancelled: false });

    public int CancelledUploads => _sessions.Values.Count(s => s.IsCancelled);

    /// <summary>Ends all of them, as after a week.</summary>
    public void ForgetUploads() => _sessions.Clear();

    /// <summary>Reads a content and what is said of it, in one request.</summary>
    private protected async Task PutAtOnceAsync(HttpContext http, Dictionary<string, string> query, Func<JsonObject, byte[], HttpRequest, JsonObject> store)
    {
        var type = MediaTypeHeaderValue.Parse(http.Request.ContentType);
        if (type.MediaType != "multipart/related") throw new ApiException(400, "badContent", $"Unsupported content with type: {type.MediaType}");
        var reader = new MultipartReader(HeaderUtilities.RemoveQuotes(type.Boundary).ToString(), http.Request.Body) { BodyLengthLimit = null };
        var metadata = await MetadataAsync((await reader.ReadNextSectionAsync())!.Body);
        using var content = new MemoryStream();
        await (await reader.ReadNextSectionAsync())!.Body.CopyToAsync(content);
        if (await reader.ReadNextSectionAsync() is not null) throw new ApiException(400, "badRequest", "There are two parts.");
        await FinishAsync(http, query, store(metadata, Arrived(content.ToArray()), http.Request));
    }

    /// <param name="check">Throws where nothing of this kind can be put.</param>
    /// <param name="store">Makes something of the content, when it is there, and tells of it.</param>
    private protected async Task BeginUploadAsync(HttpContext http, Dictionary<string, string> query, Action<JsonObject> check, Func<JsonObject, byte[], HttpRequest, JsonObject> store)
    {
        var metadata = await MetadataAsync(http.Request.Body);
        check(metadata);
        var id = $"{Guid.NewGuid():N}{Guid.NewGuid():N}";
        _sessions[id] = new(metadata, query, long.Parse(http.Request.Headers["X-Upload-Content-Length"].ToString(), CultureInfo.InvariantCulture), store);
        http.Response.Headers.Location = $"{Url}{http.Request.Path}?uploadType=resumable&upload_id={id}";
        http.Response.Headers["X-GUploader-UploadID"] = id;
    }

    private protected static async Task<JsonObject> MetadataAsync(Stream body) => await JsonSerializer.DeserializeAsync<JsonObject>(body) ?? throw new ApiException(400, "parseError", "Parse Error");

    private async Task PutChunkAsync(HttpContext http, string id)
    {
        if (!_sessions.TryGetValue(id, out var session)) throw new ApiException(404, "notFound", "Not Found");
        if (session.IsCancelled) throw new ApiException(499, "cancelled", "The upload was cancelled.");
        await session.Turn.WaitAsync();
        try
        {
            var range = ContentRangeHeaderValue.Parse(http.Request.Headers.ContentRange.ToString());
            if (session.Made is not null)
            {
                await JsonAsync(http, session.Made, session.Query);
                return;
            }
            if (range.Length != session.Length) throw new ApiException(400, "badRequest", "Invalid request. The total is not what was said.");
            if (range.From is { } from && !await TakeAsync(http, session, from, range.To!.Value)) return;
            if (session.Content.Length < session.Length)
            {
                // No Location: it is no redirect. No Range where nothing is there.
                http.Response.StatusCode = 308;
                if (session.Content.Length > 0) http.Response.Headers.Range = $"bytes=0-{session.Content.Length - 1}";
                return;
            }
            try
            {
                session.Made = session.Store(session.Metadata, Arrived(session.Content.ToArray()), http.Request);
            }
            catch (ApiException e) when (e.Status == 400)
            {
                // What is there is wrong, and can't be taken back.
                _sessions.TryRemove(id, out _);
                throw;
            }
            await FinishAsync(http, session.Query, session.Made);
        }
        finally
        {
            session.Turn.Release();
        }
    }

    /// <summary>Takes a chunk, and does with it what it is told to.</summary>
    /// <returns>False where it has answered.</returns>
    private async Task<bool> TakeAsync(HttpContext http, Session session, long from, long to)
    {
        if (from > session.Content.Length) throw new ApiException(400, "badRequest", "Invalid request. There is a gap.");
        if (to + 1 < session.Length && (to + 1 - from) % ChunkUnit != 0) throw new ApiException(400, "badRequest", "Invalid request. A chunk but the last has a multiple of 262144 bytes.");
        if (http.Request.ContentLength != to + 1 - from) throw new ApiException(400, "badRequest", "Invalid request. The length is not that of the range.");
        var fault = ChunkFaults.TryDequeue(out var next) ? next : null;
        using var chunk = new MemoryStream();
        var buffer = new byte[64 << 10];
        for (int read; (read = await http.Request.Body.ReadAsync(buffer)) > 0;)
        {
            chunk.Write(buffer, 0, read);
            if (fault?.Kind == ChunkFaultKind.Cut && chunk.Length >= fault.Bytes) break;
        }
        // What it had of it before is left as it is.
        var bytes = chunk.ToArray().AsMemory((int)Math.Min(chunk.Length, session.Content.Length - from));
        var isLast = to + 1 == session.Length;
        var kept = fault is null || fault.Kind == ChunkFaultKind.LosesAnswer ? bytes.Length : Math.Min(bytes.Length, fault.Bytes / ChunkUnit * ChunkUnit);
        session.Content.Write(bytes.Span[..kept]);
        switch (fault?.Kind)
        {
            case ChunkFaultKind.Cut:
                http.Abort();
                return false;
            case ChunkFaultKind.LosesAnswer when !isLast:
                http.Abort();
                return false;
            case ChunkFaultKind.Fails:
                if (fault.RetryAfter > 0) http.Response.Headers.RetryAfter = fault.RetryAfter.ToString(CultureInfo.InvariantCulture);
                await FailAsync(http, fault.Status, fault.Status == 429 ? "rateLimitExceeded" : "backendError");
                return false;
            default:
                return true;
        }
    }

    private void CancelUpload(HttpContext http, string id)
    {
        if (!_sessions.TryGetValue(id, out var session)) throw new ApiException(404, "notFound", "Not Found");
        session.IsCancelled = session.Made is null;
        http.Response.StatusCode = 499;
    }

    private protected async Task FinishAsync(HttpContext http, Dictionary<string, string> query, JsonObject made)
    {
        if (LosesAnswer)
        {
            LosesAnswer = false;
            http.Abort();
            return;
        }
        await JsonAsync(http, made, query);
    }

    private byte[] Arrived(byte[] content)
    {
        if (CorruptsUpload && content.Length > 0) content[content.Length / 2] ^= 1;
        CorruptsUpload = false;
        return content;
    }

    private sealed class Session(JsonObject metadata, Dictionary<string, string> query, long length, Func<JsonObject, byte[], HttpRequest, JsonObject> store)
    {
        public JsonObject Metadata => metadata;

        public Dictionary<string, string> Query => query;

        public long Length => length;

        public Func<JsonObject, byte[], HttpRequest, JsonObject> Store => store;

        public MemoryStream Content { get; } = new();

        public SemaphoreSlim Turn { get; } = new(1);

        public JsonObject? Made { get; set; }

        public bool IsCancelled { get; set; }
    }
}

/// <param name="Bytes">Of the chunk, that the server takes before; it keeps whole units of 256 KiB of them.</param>
public sealed record ChunkFault(ChunkFaultKind Kind, int Bytes, int Status = 503, int RetryAfter = 0);

public enum ChunkFaultKind
{
    /// <summary>Ends the connection in the middle.</summary>
    Cut,

    /// <summary>Answers with an error.</summary>
    Fails,

    /// <summary>Says that it has less than it was sent.</summary>
    KeepsLess,

    /// <summary>Takes all, and ends the connection in place of an answer.</summary>
    LosesAnswer,
}
