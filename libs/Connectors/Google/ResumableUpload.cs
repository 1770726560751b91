using System.Globalization;
using System.Net;
using System.Net.Http.Headers;
using DarkStorage.Storage.Backends;

namespace DarkStorage.Connectors.Google;

/// <summary>A long blob, chunk by chunk, in one session of the server. Where the connection breaks, or the server can't for a while, it is asked how much it has, and gets the rest.</summary>
/// <remarks>Nobody sees anything of it before the last byte is there. The address of a session is as good as a credential: it is in no message.</remarks>
/// <typeparam name="T">What the server tells of what it has made.</typeparam>
/// <param name="target">Where an upload is begun: path and query.</param>
/// <param name="metadata">What is said of the content.</param>
/// <param name="chunkBytes">A multiple of <see cref="ResumableUpload.ChunkUnit"/>.</param>
/// <param name="already">The status of an answer that something else is there than what this is to make or replace.</param>
internal sealed class ResumableUpload<T>(GoogleClient client, string target, object metadata, BlobName name, BlobSource content, long chunkBytes, HttpStatusCode already, TimeProvider clock) where T : class
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

    /// <summary>Bytes that were sent, or may have been.</summary>
    private long _sent;

    /// <summary>Reads what is about to be sent, to before a place, where the last request is to say what all of it is.</summary>
    public Func<long, CancellationToken, Task>? ReadAhead { get; init; }

    /// <summary>What the request with the last byte says of all of them.</summary>
    public Action<HttpRequestMessage>? AddLast { get; init; }

    /// <returns>Null where there is something else than what this is to make or replace.</returns>
    public async Task<T?> RunAsync(CancellationToken ct)
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

    /// <returns>False where there is something else than what this is to make or replace.</returns>
    private async Task<bool> BeginAsync(CancellationToken ct)
    {
        using var answer = await client.SendAsync(HttpMethod.Post, target, name.Value, request =>
        {
            request.Content = GoogleClient.JsonOf(metadata);
            request.Headers.Add("X-Upload-Content-Type", GoogleClient.ContentType);
            request.Headers.Add("X-Upload-Content-Length", content.Length.ToString(CultureInfo.InvariantCulture));
        }, ct);
        if (answer.StatusCode == already) return false;
        if (!answer.IsSuccessStatusCode) throw await client.FailureOfAsync(answer, name.Value, ct);
        // Its path alone: the content, and the token, go to the endpoint and nowhere else.
        if (answer.Headers.Location is not { } location || !Uri.TryCreate(answer.RequestMessage!.RequestUri, location, out var session) || session.PathAndQuery.Length > SessionLengthMax)
            throw new BackendException(BackendError.Unavailable, $"{name}: the server began an upload, and did not say where.");
        _session = session.PathAndQuery;
        return true;
    }

    private async Task<T?> SendAsync(CancellationToken ct)
    {
        var (at, failures, isKnown) = (0L, 0, true);
        while (true)
        {
            var end = Math.Min(at + chunkBytes, content.Length);
            if (ReadAhead is not null) await ReadAhead(end, ct);
            _sent = Math.Max(_sent, end);
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
            if (step.Persisted is not { } persisted || persisted > _sent) throw new BackendException(BackendError.Unavailable, $"{name}: the server does not say how much it has, or more than the {_sent} bytes that were sent.");
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
            if (_sent == content.Length) AddLast?.Invoke(request);
        }, ct);
        return await ReadAsync(answer, ct);
    }

    /// <summary>Asks how much the server has. Where it has all, it makes of it what it is to be.</summary>
    private async Task<Step> AskAsync(CancellationToken ct)
    {
        using var answer = await client.SendAsync(HttpMethod.Put, _session, name.Value, request =>
        {
            request.Content = new ByteArrayContent([]);
            request.Content.Headers.ContentRange = new(content.Length);
            if (_sent == content.Length) AddLast?.Invoke(request);
        }, ct);
        return await ReadAsync(answer, ct);
    }

    private async Task<Step> ReadAsync(HttpResponseMessage answer, CancellationToken ct)
    {
        if (answer.StatusCode == already)
        {
            await CancelAsync();
            return new(IsDone: true, null, 0);
        }
        switch (answer.StatusCode)
        {
            case HttpStatusCode.OK or HttpStatusCode.Created:
                var made = await GoogleClient.ReadAsync<T>(answer, name.Value, ct);
                _isOver = true;
                return new(IsDone: true, made, 0);
            case HttpStatusCode.PermanentRedirect:
                return new(IsDone: false, null, PersistedOf(answer.Headers));
            case HttpStatusCode.NotFound or HttpStatusCode.Gone or (HttpStatusCode)499:
                _isOver = true;
                throw new BackendException(BackendError.Unavailable, $"{name}: the server has no such upload any more ({(int)answer.StatusCode}).");
            default:
                throw await client.FailureOfAsync(answer, name.Value, ct);
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

    /// <param name="IsDone">With what was made, or without where there is something else than what this is to make or replace.</param>
    /// <param name="Persisted">Bytes that the server has; null where it does not say.</param>
    private readonly record struct Step(bool IsDone, T? Made, long? Persisted);
}

internal static class ResumableUpload
{
    /// <summary>Bytes. Each chunk but the last has a multiple of this.</summary>
    public const long ChunkUnit = 256 << 10;
}
