using System.Net;
using System.Net.Http.Headers;
using System.Runtime.ExceptionServices;
using System.Text.Json;
using System.Text.Json.Serialization;
using DarkStorage.Connectors.Http;
using DarkStorage.Storage.Backends;

namespace DarkStorage.Connectors.Google;

/// <summary>Sends requests of one of Google's JSON APIs to one endpoint, under an access token: with a token that is not taken once more, with another.</summary>
/// <remarks>What goes wrong on the way is a <see cref="BackendException"/>; an answer of any status is its caller's to look at. Tokens go to the endpoint and nowhere else: no redirect is followed, and of the address that a server gives for an upload the path alone is taken.</remarks>
/// <param name="failures">What the API's errors mean.</param>
/// <param name="owned">What the tokens are had by, where that ends with this; null where it is somebody else's.</param>
internal sealed class GoogleClient(Uri endpoint, IAccessTokens tokens, GoogleFailures failures, HttpClient http, IDisposable? owned = null) : IDisposable
{
    /// <summary>Of all that is put.</summary>
    public const string ContentType = "application/octet-stream";

    /// <summary>Of a page of a list: a thousand names, each of 1,024 bytes that JSON may make six of each.</summary>
    private const int AnswerBytesMax = 16 << 20;

    private static readonly JsonSerializerOptions Json = new(JsonSerializerDefaults.Web) { DefaultIgnoreCondition = JsonIgnoreCondition.WhenWritingNull };

    public static string Escape(string name) => Uri.EscapeDataString(name);

    /// <param name="target">Path and query.</param>
    /// <param name="fill">Gives the request what it has beside that; called for each time that it is sent.</param>
    /// <returns>The answer, its body not yet read. The caller disposes it.</returns>
    public async Task<HttpResponseMessage> SendAsync(HttpMethod method, string target, string what, Action<HttpRequestMessage>? fill, CancellationToken ct)
    {
        for (var attempt = 1; ; attempt++)
        {
            var token = await tokens.GetAsync(ct);
            using var request = new HttpRequestMessage(method, AddressOf(target));
            request.Headers.Authorization = new("Bearer", token.Text);
            fill?.Invoke(request);
            var answer = await SendOnceAsync(request, what, ct);
            if (answer.StatusCode != HttpStatusCode.Unauthorized || attempt > 1) return answer;
            answer.Dispose();
            tokens.Reject(token);
        }
    }

    /// <summary>As <see cref="SendAsync"/>, for an answer that is to be JSON.</summary>
    /// <returns>Null where the status is one of those that are an answer too.</returns>
    public async Task<T?> AskAsync<T>(HttpMethod method, string target, string what, object? body, CancellationToken ct, params HttpStatusCode[] answersToo) where T : class
    {
        using var answer = await SendAsync(method, target, what, request => request.Content = body is null ? null : JsonOf(body), ct);
        if (answersToo.Contains(answer.StatusCode)) return null;
        if (answer.StatusCode != HttpStatusCode.OK) throw await FailureOfAsync(answer, what, ct);
        return await ReadAsync<T>(answer, what, ct);
    }

    public static async Task<T> ReadAsync<T>(HttpResponseMessage answer, string what, CancellationToken ct) where T : class
    {
        try
        {
            var body = await BoundedBody.ReadAsync(answer, AnswerBytesMax, ct);
            return JsonSerializer.Deserialize<T>(body.Span, Json) ?? throw new JsonException("It is null.");
        }
        catch (Exception e) when (HttpFailures.IsBroken(e, ct))
        {
            throw HttpFailures.NoAnswer(what, e);
        }
    }

    /// <summary>What an answer that is none of those that are wanted says.</summary>
    public Task<BackendException> FailureOfAsync(HttpResponseMessage answer, string what, CancellationToken ct) => failures.OfAsync(answer, what, ct);

    public static ByteArrayContent JsonOf(object body) => new(JsonSerializer.SerializeToUtf8Bytes(body, Json)) { Headers = { ContentType = new MediaTypeHeaderValue("application/json", "utf-8") } };

    /// <summary>A content and what is said of it, in one request.</summary>
    public static MultipartContent TogetherOf(object metadata, BlobSource content) => new("related") { JsonOf(metadata), new SourceContent(content, 0, content.Length) };

    public void Dispose()
    {
        http.Dispose();
        owned?.Dispose();
    }

    /// <summary>Exactly as it was escaped: a name may look like a path that leads elsewhere.</summary>
    private Uri AddressOf(string target) => new(endpoint.GetLeftPart(UriPartial.Authority) + target, new UriCreationOptions { DangerousDisablePathAndQueryCanonicalization = true });

    private async Task<HttpResponseMessage> SendOnceAsync(HttpRequestMessage request, string what, CancellationToken ct)
    {
        try
        {
            return await http.SendAsync(request, HttpCompletionOption.ResponseHeadersRead, ct);
        }
        catch (Exception e) when (SourceContent.FailureOf(e) is { } failure && !ct.IsCancellationRequested)
        {
            if (failure is EndOfStreamException) throw new BackendException(BackendError.WrongLength, $"{what}: {failure.Message}", failure);
            ExceptionDispatchInfo.Throw(failure);
            throw;
        }
        catch (Exception e) when (HttpFailures.IsBroken(e, ct))
        {
            throw HttpFailures.NoAnswer(what, e);
        }
    }
}
