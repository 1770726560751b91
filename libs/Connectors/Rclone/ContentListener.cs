using System.Buffers;
using System.Collections.Concurrent;
using System.Net.Sockets;
using System.Security.Cryptography;
using DarkStorage.Storage.Backends;

namespace DarkStorage.Connectors.Rclone;

/// <summary>Where rclone fetches what is to be put: each content is there once, under an address that nobody can guess.</summary>
/// <remarks>Invariant: a request that is not answered to the last byte of the said length is reset, so that what fetches can't take a part for the whole.</remarks>
internal sealed class ContentListener : LoopbackListener
{
    private readonly ConcurrentDictionary<string, ContentOffer> _offers = new();

    /// <param name="hash">Of what is sent; null for none.</param>
    /// <param name="ct">Ends the sending.</param>
    public ContentOffer Offer(BlobSource content, PlaceHash? hash, CancellationToken ct)
    {
        var token = RandomNumberGenerator.GetHexString(64, lowercase: true);
        var offer = new ContentOffer($"http://127.0.0.1:{Port}/{token}", content, hash, () => _offers.TryRemove(token, out _), ct);
        _offers[token] = offer;
        return offer;
    }

    protected override async Task AnswerAsync(Socket socket, NetworkStream stream, string head, CancellationToken ct)
    {
        // "GET /TOKEN HTTP/1.1"
        var request = head[..head.IndexOf('\r', StringComparison.Ordinal)].Split(' ');
        if (request is not ["GET", ['/', .. var token], ..] || !_offers.TryRemove(token, out var offer))
        {
            socket.LingerState = new(enable: false, seconds: 0);
            await WriteHeadAsync(stream, "HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\nConnection: close\r\n\r\n", ct);
            return;
        }
        if (!await offer.SendAsync(stream, ct)) return;
        socket.LingerState = new(enable: false, seconds: 0);
        socket.Shutdown(SocketShutdown.Send);
    }
}

/// <summary>Content that may be fetched once.</summary>
internal sealed class ContentOffer(string address, BlobSource content, PlaceHash? hash, Action withdraw, CancellationToken ct) : IAsyncDisposable
{
    private const int BufferBytes = 128 << 10;

    private readonly CancellationTokenSource _ending = CancellationTokenSource.CreateLinkedTokenSource(ct);
    private Task<bool>? _sending;

    public string Address => address;

    /// <summary>What the content itself threw.</summary>
    public Exception? Failure { get; private set; }

    public long SentBytes { get; private set; }

    /// <summary>Of what was sent, where all was.</summary>
    public string? Hash { get; private set; }

    /// <returns>Whether all of it was.</returns>
    public Task<bool> SendAsync(Stream stream, CancellationToken listening) => _sending = SendAllAsync(stream, listening);

    /// <summary>Waits for the end of what is being sent, well or not: whoever got the last byte may be through with it sooner than who sent it.</summary>
    public async Task SentAsync()
    {
        if (_sending is { } sending) await ((Task)sending).WaitAsync(_ending.Token).ConfigureAwait(ConfigureAwaitOptions.SuppressThrowing);
    }

    /// <summary>Nothing of the content is read any more when it returns: it is the caller's again.</summary>
    public async ValueTask DisposeAsync()
    {
        withdraw();
        await _ending.CancelAsync();
        if (_sending is { } sending) await ((Task)sending).ConfigureAwait(ConfigureAwaitOptions.SuppressThrowing);
        _ending.Dispose();
        hash?.Dispose();
    }

    private async Task<bool> SendAllAsync(Stream stream, CancellationToken listening)
    {
        using var either = CancellationTokenSource.CreateLinkedTokenSource(_ending.Token, listening);
        var buffer = ArrayPool<byte>.Shared.Rent(BufferBytes + 1);
        try
        {
            await using var from = await OfContentAsync(() => content.OpenAsync(0, either.Token));
            var head = $"HTTP/1.1 200 OK\r\nContent-Length: {content.Length}\r\nContent-Type: application/octet-stream\r\nConnection: close\r\n\r\n";
            await stream.WriteAsync(System.Text.Encoding.Latin1.GetBytes(head), either.Token);
            while (true)
            {
                var read = await OfContentAsync(() => from.ReadAsync(buffer.AsMemory(0, BufferBytes), either.Token));
                // Looked for behind the last byte before that goes: what has more than it said is not to be taken for whole.
                var atEnd = SentBytes + read == content.Length && (read == 0 || await OfContentAsync(() => from.ReadAsync(buffer.AsMemory(read), either.Token)) == 0);
                if (!atEnd && (read == 0 || SentBytes + read >= content.Length))
                {
                    Failure = new BackendException(BackendError.WrongLength, $"The content was to have {content.Length} bytes, and has {(read == 0 ? "fewer" : "more")}.");
                    return false;
                }
                hash?.Append(buffer.AsSpan(0, read));
                await stream.WriteAsync(buffer.AsMemory(0, read), either.Token);
                SentBytes += read;
                if (atEnd) break;
            }
            if (hash is not null) Hash = hash.Finish();
            return true;
        }
        finally
        {
            ArrayPool<byte>.Shared.Return(buffer);
        }
    }

    private async ValueTask<T> OfContentAsync<T>(Func<ValueTask<T>> read)
    {
        try
        {
            return await read();
        }
        catch (Exception e)
        {
            Failure = e;
            // For the listener, to which it is the end of the connection; who put is told what it was.
            throw new IOException("The content could not be read.", e);
        }
    }
}
