using System.Globalization;
using System.Net.Http;
using System.Net.Http.Headers;
using System.Text;
using System.Text.Json;
using DarkStorage.Connectors.Http;
using DarkStorage.Storage.Backends;

namespace DarkStorage.Connectors.Ipfs;

/// <summary>The RPC of a node (https://docs.ipfs.tech/reference/kubo/rpc/): commands in the path, what they are told in the query, always POST.</summary>
/// <param name="endpoint">What is before /api/v0/, without a slash behind.</param>
/// <param name="authorization">Shown with each request; null for none.</param>
internal sealed class KuboRpc(string endpoint, AuthenticationHeaderValue? authorization) : IDisposable
{
    /// <summary>Of what is no block and no list: some words.</summary>
    private const int AnswerBytesMax = 64 << 10;

    /// <summary>Of one folder's list: some 400,000 names.</summary>
    private const int ListBytesMax = 64 << 20;

    /// <summary>Longer ones can't be had over the network either (https://docs.ipfs.tech/concepts/glossary/#block-size: "the maximum is 2 MiB").</summary>
    private const int BlockBytesMax = 2 << 20;

    /// <summary>Of what a server says when something went wrong.</summary>
    private const int MessageLengthMax = 500;

    /// <summary>What goes before content waits for a word that it is wanted, so that it is not sent to who refuses it.</summary>
    private const long ExpectContinueFrom = 1 << 20;

    private readonly HttpClient _http = OutboundConnections.NewClient();
    private readonly SemaphoreSlim _changing = new(1);

    /// <summary>Adds a file, without a name and without a pin, as <see cref="FileTree"/> cuts it.</summary>
    /// <returns>What the node calls it.</returns>
    public async Task<Cid> AddAsync(string what, AddedFile file, CancellationToken ct)
    {
        // All that changes the CID is said, whatever the node's own settings (Import) are.
        var command = new KuboCommand("add", []).With("cid-version", "1").With("hash", "sha2-256").With("raw-leaves", "true").With("chunker", string.Create(CultureInfo.InvariantCulture, $"size-{file.ChunkBytes}"))
            .With("max-file-links", string.Create(CultureInfo.InvariantCulture, $"{FileTree.LinksMax}")).With("trickle", "false").With("inline", "false").With("nocopy", "false").With("wrap-with-directory", "false")
            .With("pin", "false").With("progress", "false");
        var answer = await CallAsync(what, command, AnswerBytesMax, file, ct);
        try
        {
            // A line of JSON for each file, which is one.
            using var json = JsonDocument.Parse(answer);
            return json.RootElement.TryGetProperty("Hash", out var hash) && Cid.Find(hash.GetString()) is { } cid ? cid : throw KuboFailures.NoSense(what);
        }
        catch (Exception e) when (e is JsonException or InvalidOperationException)
        {
            throw KuboFailures.NoSense(what);
        }
    }

    /// <returns>A block's bytes, which are those that are called so.</returns>
    public async Task<ReadOnlyMemory<byte>> BlockAsync(string what, Cid cid, CancellationToken ct)
    {
        var block = await CallAsync(what, new KuboCommand("block/get", [cid.ToString()]).With("offline", "true"), BlockBytesMax, null, ct);
        return cid.IsOf(block.Span) ? block : throw new BackendException(BackendError.Damaged, $"{what}: the node gave other bytes for the block {cid}.");
    }

    public Task MakeFolderAsync(string path, CancellationToken ct) => ChangeAsync(path, new KuboCommand("files/mkdir", [path]).With("parents", "true"), ct);

    /// <summary>Gives content a name.</summary>
    /// <exception cref="BackendException"><see cref="BackendError.NotFound"/>: the folder is not there, and is not to be made.</exception>
    public Task NameAsync(string what, Cid cid, string path, bool makesFolders, CancellationToken ct) =>
        ChangeAsync(what, new KuboCommand("files/cp", [$"/ipfs/{cid}", path]).With("parents", makesFolders ? "true" : "false").With("offline", "true"), ct);

    /// <summary>Removes names, of a folder with all that is in it. Those that are not there are removed already.</summary>
    public Task UnnameAsync(string what, string path, CancellationToken ct) => UnlessMissingAsync(ChangeAsync(what, new KuboCommand("files/rm", [path]).With("recursive", "true"), ct));

    /// <summary>Has the node keep the changes below a folder, and waits for that.</summary>
    public Task FlushAsync(string what, string path, CancellationToken ct) => CallAsync(what, new("files/flush", [path]), AnswerBytesMax, null, ct);

    /// <summary>Pins content with all that is below it. The node looks at each block, and waits for a garbage collection that is under way.</summary>
    public Task PinAsync(string what, Cid cid, CancellationToken ct) => CallAsync(what, new KuboCommand("pin/add", [cid.ToString()]).With("recursive", "true").With("offline", "true"), AnswerBytesMax, null, ct);

    public Task UnpinAsync(string what, Cid cid, CancellationToken ct) => UnlessMissingAsync(CallAsync(what, new KuboCommand("pin/rm", [cid.ToString()]).With("recursive", "true"), AnswerBytesMax, null, ct));

    /// <returns>What is in a folder; null where there is none.</returns>
    /// <param name="isLong">With what each leads to, at which the node has to look.</param>
    public async Task<IReadOnlyList<KuboEntry>?> ListAsync(string what, string path, bool isLong, CancellationToken ct)
    {
        try
        {
            var answer = await CallAsync(what, new KuboCommand("files/ls", [path]).With("long", isLong ? "true" : "false").With("U", "true"), ListBytesMax, null, ct);
            var entries = JsonSerializer.Deserialize<KuboEntries>(answer.Span)?.Entries ?? [];
            return entries.All(e => e?.Name is not null) ? entries : throw KuboFailures.NoSense(what);
        }
        catch (BackendException e) when (e.Error == BackendError.NotFound)
        {
            return null;
        }
        catch (JsonException)
        {
            throw KuboFailures.NoSense(what);
        }
    }

    public void Dispose()
    {
        _http.Dispose();
        _changing.Dispose();
    }

    /// <summary>One change of the node's files at a time: it does not keep two that are made at once from each other, and one may find a folder that the other has just replaced.</summary>
    private async Task ChangeAsync(string what, KuboCommand command, CancellationToken ct)
    {
        await _changing.WaitAsync(ct);
        try
        {
            await CallAsync(what, command, AnswerBytesMax, null, ct);
        }
        finally
        {
            _changing.Release();
        }
    }

    private static async Task UnlessMissingAsync(Task call)
    {
        try
        {
            await call;
        }
        catch (BackendException e) when (e.Error == BackendError.NotFound)
        {
            // As it is to be.
        }
    }

    /// <returns>The whole answer.</returns>
    private async Task<ReadOnlyMemory<byte>> CallAsync(string what, KuboCommand command, int bytesMax, HttpContent? content, CancellationToken ct)
    {
        using var request = new HttpRequestMessage(HttpMethod.Post, command.At(endpoint)) { Content = content };
        request.Headers.Authorization = authorization;
        if (content?.Headers.ContentLength >= ExpectContinueFrom) request.Headers.ExpectContinue = true;
        try
        {
            using var answer = await _http.SendAsync(request, HttpCompletionOption.ResponseHeadersRead, ct);
            if (!answer.IsSuccessStatusCode)
            {
                var (said, _) = await ReadAsync(answer.Content, AnswerBytesMax, ct);
                throw Failure(what, command, answer, Encoding.UTF8.GetString(said.Span));
            }
            var (bytes, isWhole) = await ReadAsync(answer.Content, bytesMax, ct);
            if (!isWhole) throw new BackendException(BackendError.Damaged, $"{what}: the node's answer to {command.Name} has more than {bytesMax} bytes.");
            // What goes wrong when the answer has begun, stands behind it. Of files/rm the reason is in the answer, and what stands behind does not have it.
            if (!answer.TrailingHeaders.TryGetValues("X-Stream-Error", out var broke)) return bytes;
            throw Failure(what, command, answer, $"{string.Join(' ', broke.Select(KuboFailures.MessageOf))} {(command.Name == "files/rm" ? Encoding.UTF8.GetString(bytes.Span) : "")}");
        }
        catch (Exception e) when ((KuboFailures.IsOfClient(e) && e is not BackendException) || (e is OperationCanceledException && !ct.IsCancellationRequested))
        {
            throw KuboFailures.NoAnswer(what, e);
        }
    }

    private static async Task<(ReadOnlyMemory<byte> Bytes, bool IsWhole)> ReadAsync(HttpContent content, int bytesMax, CancellationToken ct)
    {
        await using var stream = await content.ReadAsStreamAsync(ct);
        var buffer = new byte[(int)Math.Min(bytesMax, Math.Max(content.Headers.ContentLength ?? 0, 4096)) + 1];
        for (var length = 0; ;)
        {
            var read = await stream.ReadAsync(buffer.AsMemory(length), ct);
            if (read == 0) return (buffer.AsMemory(0, length), true);
            length += read;
            if (length > bytesMax) return (buffer.AsMemory(0, bytesMax), false);
            if (length == buffer.Length) Array.Resize(ref buffer, (int)Math.Min(2L * length, bytesMax + 1));
        }
    }

    private BackendException Failure(string what, KuboCommand command, HttpResponseMessage answer, string said)
    {
        var message = KuboFailures.MessageOf(said).Trim();
        // A server may repeat what it was shown.
        if (authorization?.Parameter is { Length: > 0 } secret) message = message.Replace(secret, "…", StringComparison.Ordinal);
        var error = KuboFailures.ErrorOf(answer.StatusCode, command.Arguments.Aggregate(message, (text, argument) => text.Replace(argument, "", StringComparison.Ordinal)));
        if (message.Length > MessageLengthMax) message = message[..MessageLengthMax] + "…";
        var hint = error switch
        {
            BackendError.PlaceMissing => ": there is no RPC of an IPFS node",
            BackendError.AccessDenied when (int)answer.StatusCode is 401 or 403 => ": the authorization is missing, wrong, or may not do this",
            _ => "",
        };
        return new(error, $"{what}: the node answered {(int)answer.StatusCode} to {command.Name}{hint}. {message}") { RetryAfter = answer.Headers.RetryAfter?.Delta };
    }

    private sealed record KuboEntries(List<KuboEntry>? Entries);
}

/// <summary>What a folder has.</summary>
/// <param name="Hash">A CID; empty unless it was asked for.</param>
/// <param name="Size">Bytes of a file; 0 unless it was asked for.</param>
internal sealed record KuboEntry(string Name, string? Hash, long Size);

/// <summary>A command with what it is told.</summary>
internal sealed record KuboCommand(string Name, string[] Arguments)
{
    private string Options { get; init; } = "";

    public KuboCommand With(string option, string value) => this with { Options = $"{Options}&{option}={value}" };

    public Uri At(string endpoint) => new($"{endpoint}/api/v0/{Name}?cid-base=base32{string.Concat(Arguments.Select(a => $"&arg={Uri.EscapeDataString(a)}"))}{Options}");
}
