using System.Globalization;
using System.Net;
using System.Net.Http.Headers;
using DarkStorage.Storage.Backends;

namespace DarkStorage.Connectors.Gcs;

/// <summary>A long blob, chunk by chunk, in one session of the server. Where the connection breaks, or the server can't for a while, it is asked how much it has, and gets the rest.</summary>
/// <remarks>Nobody sees anything of it before the last byte is there and the checksums of the whole, which come with that, are right. The address of a session is as good as a credential: it is in no message.</remarks>
/// <param name="replaces">The generation of what is there; 0 for nothing.</param>
/// <param name="digest">Of the content as far as it was sent: read before that, chunk by chunk, so that the last one can bring it.</param>
internal sealed class ResumableUpload(GcsClient client, GcsPlace place, string key, long replaces, BlobName name, BlobSource content, ContentDigest digest, TimeProvider clock)
{
    /// <summary>In a row, without a byte more at the server.</summary>
    private const int FailuresMax = 5;

    /// <summary>Wait after the first failure in a row; doubled for each one after.</summary>
    private static readonly TimeSpan Delay = TimeSpan.FromMilliseconds(500);

    /// <summary>The longest wait, whatever the server asks for: behind it the whole is begun again.</summary>
    private static readonly TimeSpan DelayMax = TimeSpan.FromSeconds(10);

    private static readonly TimeSpan CancelMax = TimeSpan.FromSeconds(10);

    /// <summary>Characters.</summary>
    private const int SessionLengthMax = 8 << 10;

    private string _session = "";
    private bool _isOver;

    /// <returns>Null where there is another content than the one that this is to replace.</returns>
    public async Task<GcsObject?> RunAsync(CancellationToken ct)
    {
        if (!await BeginAsync(ct)) return null;
        try
        {
            return await SendAsync(ct);
        }
        catch
        {
            if (!_isOver) await CancelAsync();
            throw;
        }
    }

    /// <returns>False where there is another content than the one that this is to replace.</returns>
    private async Task<bool> BeginAsync(CancellationToken ct)
    {
        using var answer = await client.SendAsync(HttpMethod.Post, GcsClient.Upload($"{place.ObjectsPath}?uploadType=resumable&ifGenerationMatch={replaces}&fields={GcsObject.Fields}"), name.Value, request =>
        {
            request.Content = GcsClient.JsonOf(new GcsMetadata(key, place.StorageClass));
            request.Headers.Add("X-Upload-Content-Type", GcsObject.ContentType);
            request.Headers.Add("X-Upload-Content-Length", content.Length.ToString(CultureInfo.InvariantCulture));
        }, ct);
        if (answer.StatusCode == HttpStatusCode.PreconditionFailed) return false;
        if (!answer.IsSuccessStatusCode) throw await GcsFailures.OfAsync(answer, name.Value, ct);
        // Its path alone: the content, and the token, go to the endpoint and nowhere else.
        if (answer.Headers.Location is not { } location || !Uri.TryCreate(answer.RequestMessage!.RequestUri, location, out var session) || session.PathAndQuery.Length > SessionLengthMax)
            throw new BackendException(BackendError.Unavailable, $"{name}: the server began an upload, and did not say where.");
        _session = session.PathAndQuery;
        return true;
    }

    private async Task<GcsObject?> SendAsync(CancellationToken ct)
    {
        var (at, failures, isKnown) = (0L, 0, true);
        while (true)
        {
            var end = Math.Min(at + place.ChunkBytes, content.Length);
            await digest.ReadToAsync(name, content, end, ct);
            Step step;
            // A question whose answer is that nothing more is there belongs to a failure that was counted.
            var isFirstQuestion = !isKnown && at < content.Length;
            try
            {
                step = isKnown && at < content.Length ? await SendChunkAsync(at, end, ct) : await AskAsync(ct);
                isKnown = true;
            }
            catch (BackendException e) when (e.IsTransient && !_isOver && e.Error != BackendError.WrongLength && ++failures < FailuresMax)
            {
                // How much of it got there, the server alone knows.
                isKnown = false;
                await WaitAsync(e.RetryAfter, failures, ct);
                continue;
            }
            if (step.IsDone) return step.Made;
            if (step.Persisted is not { } persisted || persisted > digest.Length) throw new BackendException(BackendError.Unavailable, $"{name}: the server does not say how much it has, or more than the {digest.Length} bytes that were sent.");
            if (persisted > at) failures = 0;
            else if (!isFirstQuestion && ++failures >= FailuresMax) throw new BackendException(BackendError.Unavailable, $"{name}: the server takes nothing behind byte {at}.");
            else if (!isFirstQuestion) await WaitAsync(null, failures, ct);
            at = persisted;
        }
    }

    private async Task<Step> SendChunkAsync(long at, long end, CancellationToken ct)
    {
        using var answer = await client.SendAsync(HttpMethod.Put, _session, name.Value, request =>
        {
            request.Content = new SourceContent(content, at, end - at);
            request.Content.Headers.ContentRange = new(at, end - 1, content.Length);
            AddDigest(request);
        }, ct);
        return await ReadAsync(answer, ct);
    }

    /// <summary>Asks how much the server has. Where it has all, it makes the object.</summary>
    private async Task<Step> AskAsync(CancellationToken ct)
    {
        using var answer = await client.SendAsync(HttpMethod.Put, _session, name.Value, request =>
        {
            request.Content = new ByteArrayContent([]);
            request.Content.Headers.ContentRange = new(content.Length);
            AddDigest(request);
        }, ct);
        return await ReadAsync(answer, ct);
    }

    /// <summary>What the server compares with what it has, before it makes an object of that.</summary>
    private void AddDigest(HttpRequestMessage request)
    {
        if (digest.Length == content.Length) request.Headers.TryAddWithoutValidation("X-Goog-Hash", $"crc32c={digest.Crc32C},md5={digest.Md5}");
    }

    private async Task<Step> ReadAsync(HttpResponseMessage answer, CancellationToken ct)
    {
        switch (answer.StatusCode)
        {
            case HttpStatusCode.OK or HttpStatusCode.Created:
                var made = await GcsClient.ReadAsync<GcsObject>(answer, name.Value, ct);
                _isOver = true;
                return new(IsDone: true, made, 0);
            case HttpStatusCode.PermanentRedirect:
                return new(IsDone: false, null, PersistedOf(answer.Headers));
            case HttpStatusCode.PreconditionFailed:
                await CancelAsync();
                return new(IsDone: true, null, 0);
            case HttpStatusCode.NotFound or HttpStatusCode.Gone or (HttpStatusCode)499:
                _isOver = true;
                throw new BackendException(BackendError.Unavailable, $"{name}: the server has no such upload any more ({(int)answer.StatusCode}).");
            default:
                throw await GcsFailures.OfAsync(answer, name.Value, ct);
        }
    }

    /// <summary><c>Range: bytes=0-41</c> for 42 bytes, and no such header for none.</summary>
    /// <returns>Null where it makes no sense.</returns>
    private static long? PersistedOf(HttpResponseHeaders headers)
    {
        if (!headers.TryGetValues("Range", out var values)) return 0;
        return RangeHeaderValue.TryParse(string.Join(',', values), out var range) && range.Unit == "bytes" && range.Ranges is { Count: 1 } && range.Ranges.Single() is { From: 0, To: { } last } ? last + 1 : null;
    }

    private Task WaitAsync(TimeSpan? wanted, int failures, CancellationToken ct)
    {
        var wait = wanted ?? Delay * Math.Pow(2, Math.Max(0, failures - 1));
        return Task.Delay(wait < DelayMax ? wait : DelayMax, clock, ct);
    }

    private async Task CancelAsync()
    {
        _isOver = true;
        try
        {
            using var bounded = new CancellationTokenSource(CancelMax, clock);
            // It answers 499, as if its client had gone.
            using var answer = await client.SendAsync(HttpMethod.Delete, _session, name.Value, null, bounded.Token);
        }
        catch (Exception e) when (e is BackendException or OperationCanceledException)
        {
            // It goes after a week. What failed before is what matters.
        }
    }

    /// <param name="IsDone">With an object, or without one where there is another content than the one that this is to replace.</param>
    /// <param name="Persisted">Bytes that the server has; null where it does not say.</param>
    private readonly record struct Step(bool IsDone, GcsObject? Made, long? Persisted);
}
