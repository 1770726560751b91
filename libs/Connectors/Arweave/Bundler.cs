using System.Net;
using System.Net.Http.Headers;
using System.Net.Mime;
using System.Runtime.ExceptionServices;
using System.Text.Json;
using System.Text.Json.Serialization;
using DarkStorage.Connectors.Http;
using DarkStorage.Storage.Backends;

namespace DarkStorage.Connectors.Arweave;

/// <summary>Takes signed items, pays for them, and brings them into Arweave: as Turbo does, and who has the same interface.</summary>
internal sealed class Bundler(Uri address, HttpClient http)
{
    private const int AnswerBytesMax = 64 << 10;

    /// <summary>Bytes above which it is waited a moment whether the bundler wants them, for example whether they are paid for.</summary>
    private const long AskedFirstFrom = 1 << 20;

    /// <returns>True with a receipt. False where it says that it was sent this item before, which need not have come to its end.</returns>
    public async Task<bool> UploadAsync(string what, DataItem item, BlobSource data, CancellationToken ct)
    {
        try
        {
            using var request = new HttpRequestMessage(HttpMethod.Post, address) { Content = new ItemContent(item, data) };
            if (item.Length > AskedFirstFrom) request.Headers.ExpectContinue = true;
            using var answer = await http.SendAsync(request, HttpCompletionOption.ResponseHeadersRead, ct);
            if (answer.StatusCode == HttpStatusCode.Accepted) return false;
            if (answer.StatusCode is not (HttpStatusCode.OK or HttpStatusCode.Created)) throw await ArweaveFailures.OfBundlerAsync(answer, what, ct);
            var receipt = JsonSerializer.Deserialize<Receipt>((await BoundedBody.ReadAsync(answer, AnswerBytesMax, ct)).Span);
            return receipt?.Id == item.Id ? true : throw new BackendException(BackendError.Unavailable, $"{what}: the bundler gave a receipt for another item than was sent.");
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

    private sealed record Receipt([property: JsonPropertyName("id")] string? Id);

    /// <summary>An item's head and its data.</summary>
    private sealed class ItemContent : HttpContent
    {
        private readonly DataItem _item;
        private readonly SourceContent _data;

        public ItemContent(DataItem item, BlobSource data)
        {
            (_item, _data) = (item, new(data, 0, item.DataLength));
            Headers.ContentType = new MediaTypeHeaderValue(MediaTypeNames.Application.Octet);
        }

        protected override bool TryComputeLength(out long length)
        {
            length = _item.Length;
            return true;
        }

        protected override Task SerializeToStreamAsync(Stream stream, TransportContext? context) => SerializeToStreamAsync(stream, context, CancellationToken.None);

        protected override async Task SerializeToStreamAsync(Stream stream, TransportContext? context, CancellationToken cancellationToken)
        {
            await stream.WriteAsync(_item.Head, cancellationToken);
            await _data.CopyToAsync(stream, context, cancellationToken);
        }

        protected override void Dispose(bool disposing)
        {
            if (disposing) _data.Dispose();
            base.Dispose(disposing);
        }
    }
}
