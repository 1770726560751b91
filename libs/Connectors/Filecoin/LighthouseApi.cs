using System.Net;
using System.Net.Http.Headers;
using System.Runtime.CompilerServices;
using System.Runtime.ExceptionServices;
using System.Security.Cryptography;
using System.Text;
using System.Text.Json;
using System.Text.Json.Serialization;
using DarkStorage.Connectors.Http;
using DarkStorage.Storage.Backends;

namespace DarkStorage.Connectors.Filecoin;

/// <summary>The HTTP interface of Lighthouse: takes files, lists those of an account, and deletes them.</summary>
/// <remarks>Documented is what is asked here and what is answered when it goes well, and hardly anything of what is answered when it does not.</remarks>
internal sealed class LighthouseApi(Uri upload, Uri api, string key, HttpClient http, TimeProvider clock)
{
    private const string What = "The account";

    /// <summary>Bytes above which it is waited a moment whether the service wants them.</summary>
    private const long AskedFirstFrom = 1 << 20;

    /// <summary>Of a page: two thousand files, with names of up to 1.6 KB.</summary>
    private const int AnswerBytesMax = 32 << 20;

    /// <summary>Of one list: a million files.</summary>
    private const int PagesMax = 500;

    /// <returns>All files of the account, of each page those that <paramref name="find"/> gives. Nothing is said of their order.</returns>
    public async IAsyncEnumerable<LighthouseFile> ListAsync(Func<string?, string?, string?, LighthouseFile?> find, [EnumeratorCancellation] CancellationToken ct)
    {
        var keys = new HashSet<string>(StringComparer.Ordinal);
        // As the documentation has it: the word null, and then the id of the last of the page before.
        for (var last = "null"; ;)
        {
            var from = Uri.EscapeDataString(last);
            var page = await PartAttempts.RunAsync(() => AskAsync<Page>(HttpMethod.Get, new(api, $"api/user/files_uploaded?lastKey={from}"), What, ct), clock, ct);
            if (page?.Files is not { } files) throw new BackendException(BackendError.Unavailable, $"{What}: the service listed nothing.");
            // A page with few need not be the last: that is said nowhere.
            if (files.Count == 0) yield break;
            foreach (var file in files)
            {
                if (find(file?.Name, file?.Id, file?.Cid) is { } found) yield return found;
            }
            if (files[^1]?.Id is not { Length: > 0 and <= 1024 } id || !keys.Add(id)) throw new BackendException(BackendError.Damaged, $"{What}: the service's list goes in a circle.");
            if (keys.Count == PagesMax) throw new BackendException(BackendError.Refused, $"{What} has more than {PagesMax} pages of files.");
            last = id;
        }
    }

    /// <returns>The CID that the service gave it.</returns>
    public async Task<string> UploadAsync(string what, LighthouseFile file, BlobSource content, CancellationToken ct)
    {
        try
        {
            using var request = new HttpRequestMessage(HttpMethod.Post, new Uri(upload, "api/v0/add?wrap-with-directory=false&cid-version=1")) { Content = new FileContent(file, content) };
            if (file.FileLength > AskedFirstFrom) request.Headers.ExpectContinue = true;
            var added = await AskAsync<Added>(request, what, ct);
            return LighthouseFile.IsCid(added?.Hash) ? added!.Hash! : throw new BackendException(BackendError.Unavailable, $"{what}: the service says that it has taken it, and not what it is called.");
        }
        catch (Exception e) when (SourceContent.FailureOf(e) is { } failure && !ct.IsCancellationRequested)
        {
            if (failure is EndOfStreamException) throw new BackendException(BackendError.WrongLength, $"{what}: {failure.Message}", failure);
            ExceptionDispatchInfo.Throw(failure);
            throw;
        }
        catch (BackendException e) when (e.Error is BackendError.Refused or BackendError.AccessDenied)
        {
            if (await IsFullAsync(file.FileLength, ct)) throw new BackendException(BackendError.Full, $"{e.Message} The account has no room for it left.", e);
            throw;
        }
    }

    public async Task DeleteAsync(string what, LighthouseFile file, CancellationToken ct)
    {
        using var request = new HttpRequestMessage(HttpMethod.Delete, new Uri(api, $"api/user/delete_file?id={Uri.EscapeDataString(file.Id)}"));
        using var answer = await SendAsync(request, what, ct);
        // One that is not there may be gone already. Whoever deletes looks.
        if (!answer.IsSuccessStatusCode && answer.StatusCode != HttpStatusCode.NotFound) throw await FailureOfAsync(answer, what, ct);
    }

    public static BackendError ErrorOf(int status) => status is 404 or 405 ? BackendError.PlaceMissing : HttpFailures.Of(status);

    /// <summary>No error for it is documented, but how much there is, and may be.</summary>
    private async Task<bool> IsFullAsync(long more, CancellationToken ct)
    {
        try
        {
            return await AskAsync<Usage>(HttpMethod.Get, new(api, "api/user/user_data_usage"), What, ct) is { Limit: > 0 and var limit, Used: var used } && used > limit - more;
        }
        catch (BackendException)
        {
            // What failed before is what matters.
            return false;
        }
    }

    private async Task<T?> AskAsync<T>(HttpMethod method, Uri address, string what, CancellationToken ct) where T : class
    {
        using var request = new HttpRequestMessage(method, address);
        return await AskAsync<T>(request, what, ct);
    }

    private async Task<T?> AskAsync<T>(HttpRequestMessage request, string what, CancellationToken ct) where T : class
    {
        using var answer = await SendAsync(request, what, ct);
        if (!answer.IsSuccessStatusCode) throw await FailureOfAsync(answer, what, ct);
        try
        {
            return JsonSerializer.Deserialize<T>((await BoundedBody.ReadAsync(answer, AnswerBytesMax, ct)).Span);
        }
        catch (Exception e) when (HttpFailures.IsBroken(e, ct))
        {
            throw HttpFailures.NoAnswer(what, e);
        }
    }

    private async Task<HttpResponseMessage> SendAsync(HttpRequestMessage request, string what, CancellationToken ct)
    {
        try
        {
            request.Headers.Authorization = new("Bearer", key);
            return await http.SendAsync(request, HttpCompletionOption.ResponseHeadersRead, ct);
        }
        catch (Exception e) when (SourceContent.FailureOf(e) is null && HttpFailures.IsBroken(e, ct))
        {
            throw HttpFailures.NoAnswer(what, e);
        }
    }

    private Task<BackendException> FailureOfAsync(HttpResponseMessage answer, string what, CancellationToken ct) => HttpFailures.OfAsync(answer, what, "the service", (status, _) => ErrorOf(status), HintOf, ct, key);

    private static string HintOf(BackendError error, int status) => error switch
    {
        BackendError.AccessDenied when status == 401 => ": the key is not taken",
        BackendError.PlaceMissing => ": there is no such service at that address",
        _ => "",
    };

    private sealed record Page([property: JsonPropertyName("fileList")] List<Entry?>? Files);

    private sealed record Entry([property: JsonPropertyName("fileName")] string? Name, [property: JsonPropertyName("id")] string? Id, [property: JsonPropertyName("cid")] string? Cid);

    private sealed record Added([property: JsonPropertyName("Hash")] string? Hash);

    private sealed record Usage([property: JsonPropertyName("dataLimit")] long Limit, [property: JsonPropertyName("dataUsed")] long Used);

    /// <summary>The one file of a form (multipart/form-data): a blob, and behind it some bytes by chance.</summary>
    private sealed class FileContent : HttpContent
    {
        private readonly SourceContent _blob;
        private readonly byte[] _head, _tail;
        private readonly long _length;

        public FileContent(LighthouseFile file, BlobSource content)
        {
            _blob = new(content, 0, file.Length);
            var boundary = RandomNumberGenerator.GetHexString(32, lowercase: true);
            _head = Encoding.ASCII.GetBytes($"--{boundary}\r\nContent-Disposition: form-data; name=\"file\"; filename=\"{file.FileName}\"\r\nContent-Type: application/octet-stream\r\n\r\n");
            _tail = [.. RandomNumberGenerator.GetBytes(LighthouseFile.ChanceBytes), .. Encoding.ASCII.GetBytes($"\r\n--{boundary}--\r\n")];
            _length = _head.Length + file.Length + _tail.Length;
            Headers.ContentType = MediaTypeHeaderValue.Parse($"multipart/form-data; boundary={boundary}");
        }

        protected override bool TryComputeLength(out long length)
        {
            length = _length;
            return true;
        }

        protected override Task SerializeToStreamAsync(Stream stream, TransportContext? context) => SerializeToStreamAsync(stream, context, CancellationToken.None);

        protected override async Task SerializeToStreamAsync(Stream stream, TransportContext? context, CancellationToken cancellationToken)
        {
            await stream.WriteAsync(_head, cancellationToken);
            await _blob.CopyToAsync(stream, context, cancellationToken);
            await stream.WriteAsync(_tail, cancellationToken);
        }

        protected override void Dispose(bool disposing)
        {
            if (disposing) _blob.Dispose();
            base.Dispose(disposing);
        }
    }
}
