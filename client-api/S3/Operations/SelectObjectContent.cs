using System.Globalization;
using System.IO.Pipelines;
using System.Net;
using System.Runtime.InteropServices;
using System.Text;
using DarkStorage.GrainInterfaces.Buckets;
using DarkStorage.GrainInterfaces.Objects;
using DarkStorage.Select;
using DarkStorage.Storage;
using DarkStorage.Storage.Encryption;

namespace DarkStorage.ClientApi.S3.Operations;

/// <summary>Answers a query over the records of one object (S3 Select; docs/SELECT.md).</summary>
internal static class SelectObjectContent
{
    public static async Task HandleAsync(S3Request s3, CancellationToken ct)
    {
        // AWS has no anonymous queries: they cost more than what they read.
        if (s3.Caller.IsAnonymous) throw new S3Exception(S3Error.AccessDenied);
        var (bucket, version) = await s3.AuthorizeObjectAsync(GetObject.ReadAction(s3), ct);
        RequestEncryption.RefuseOfRead(s3);
        if (s3.Query.Find("select-type") is var type && type != "2") throw S3Exception.InvalidArgument("The select-type parameter must be 2.", "select-type", type ?? "");
        if (s3.Headers.Range.Count > 0) throw ToS3(new("UnsupportedRangeHeader", "Range header is not supported for this operation."));
        using var key = await RequestEncryption.OpenAsync(s3, version.Encryption, CustomerKeyHeaders.OfRequest, ct);
        SelectAnswer? answer = null;
        try
        {
            var request = SelectObjectContentRequest.Parse(await s3.ReadDocumentAsync(SelectObjectContentRequest.BytesMax, ct));
            var run = SelectRun.Prepare(request.Query, s3.Clock);
            if (!await s3.QueryPlaces.WaitAsync(s3.Options.QueryWait, ct)) throw new SelectException("Busy", "The service is unavailable. Please retry the request.");
            try
            {
                answer = new(s3, request.Progress);
                var done = await run.ExecuteAsync(new Source(s3, bucket, version, key), answer, ct);
                await answer.FinishAsync(done, ct);
            }
            finally
            {
                s3.QueryPlaces.Release();
            }
        }
        catch (SelectException refused) when (s3.Response.HasStarted)
        {
            await answer!.FailAsync(refused, ct);
        }
        catch (SelectException refused)
        {
            throw ToS3(refused);
        }
    }

    private static S3Exception ToS3(SelectException refused) =>
        new(new(refused.Code, refused.Code == "Busy" ? HttpStatusCode.ServiceUnavailable : HttpStatusCode.BadRequest, refused.Message), null, refused);

    /// <summary>The stored content, opened under its key, as a stream.</summary>
    private sealed class Source(S3Request s3, BucketRecord bucket, ObjectVersion version, DataKey? key) : ISelectSource
    {
        private bool _isCounted;

        public long Length => version.Manifest.Length;

        public async ValueTask<Stream> OpenAsync(long first, CancellationToken ct)
        {
            var manifest = version.Manifest;
            var isInline = key is null && !manifest.Inline.IsDefaultOrEmpty;
            var read = isInline || first >= manifest.Length ? null : await ObjectContent.OpenAsync(s3, bucket.Id, s3.Key, version, new(first, manifest.Length - 1), key, ct);
            // A query may begin anew, and is one access.
            if (!_isCounted) s3.CountAccess(bucket, s3.Key, version);
            _isCounted = true;
            if (read is not null) return BlobStream.Start(read, ct);
            if (first >= manifest.Length) return Stream.Null;
            var content = ImmutableCollectionsMarshal.AsArray(manifest.Inline)!;
            return new MemoryStream(content, (int)first, content.Length - (int)first, writable: false);
        }
    }

    /// <summary>A read of the blob store as a stream that may be left before its end.</summary>
    private sealed class BlobStream : Stream
    {
        /// <summary>Bytes between the store and the query at the most.</summary>
        private const int InFlightBytes = 1 << 20;

        private readonly Pipe _pipe = new(new PipeOptions(pauseWriterThreshold: InFlightBytes, resumeWriterThreshold: InFlightBytes / 2, useSynchronizationContext: false));
        private readonly CancellationTokenSource _left;
        private readonly Stream _stream;
        private readonly Task _feeding;

        private BlobStream(IBlobRead read, CancellationToken ct)
        {
            _left = CancellationTokenSource.CreateLinkedTokenSource(ct);
            _stream = _pipe.Reader.AsStream(leaveOpen: true);
            _feeding = FeedAsync(read, _pipe.Writer, _left.Token);
        }

        public static BlobStream Start(IBlobRead read, CancellationToken ct) => new(read, ct);

        public override bool CanRead => true;
        public override bool CanSeek => false;
        public override bool CanWrite => false;
        public override long Length => throw new NotSupportedException();
        public override long Position { get => throw new NotSupportedException(); set => throw new NotSupportedException(); }

        public override ValueTask<int> ReadAsync(Memory<byte> buffer, CancellationToken cancellationToken = default) => _stream.ReadAsync(buffer, cancellationToken);

        public override Task<int> ReadAsync(byte[] buffer, int offset, int count, CancellationToken cancellationToken) => _stream.ReadAsync(buffer, offset, count, cancellationToken);

        public override int Read(byte[] buffer, int offset, int count) => _stream.Read(buffer, offset, count);

        public override void Flush()
        {
        }

        public override long Seek(long offset, SeekOrigin origin) => throw new NotSupportedException();
        public override void SetLength(long value) => throw new NotSupportedException();
        public override void Write(byte[] buffer, int offset, int count) => throw new NotSupportedException();

        public override async ValueTask DisposeAsync()
        {
            await _left.CancelAsync();
            await _pipe.Reader.CompleteAsync();
            await _feeding;
            _left.Dispose();
            await base.DisposeAsync();
        }

        /// <summary>Never throws: what goes wrong reaches the reader as the end of its pipe.</summary>
        private static async Task FeedAsync(IBlobRead read, PipeWriter writer, CancellationToken ct)
        {
            await using (read)
            {
                try
                {
                    await read.CopyToAsync(writer, ct);
                    await writer.CompleteAsync();
                }
                catch (Exception e)
                {
                    await writer.CompleteAsync(e);
                }
            }
        }
    }

    /// <summary>The answer as a stream of messages. It begins with the first: until then what goes wrong is an error with a status of its own.</summary>
    private sealed class SelectAnswer(S3Request s3, bool wantsProgress) : ISelectSink
    {
        /// <summary>AWS's payloads are no larger.</summary>
        private const int PayloadBytesMax = 1 << 20;

        private static readonly TimeSpan ProgressEach = TimeSpan.FromSeconds(1);

        /// <summary>Silence of a minute makes SDKs and proxies give up.</summary>
        private static readonly TimeSpan ContinueEach = TimeSpan.FromSeconds(5);

        private long _lastMessage = s3.Clock.GetTimestamp();
        private long _lastProgress = s3.Clock.GetTimestamp();

        public async ValueTask WriteRecordsAsync(ReadOnlyMemory<byte> records, CancellationToken ct)
        {
            for (; records.Length > 0; records = records[Math.Min(records.Length, PayloadBytesMax)..])
                await SendAsync("Records", "application/octet-stream", records[..Math.Min(records.Length, PayloadBytesMax)], ct);
        }

        public async ValueTask ReportAsync(SelectProgress progress, CancellationToken ct)
        {
            if (wantsProgress && s3.Clock.GetElapsedTime(_lastProgress) >= ProgressEach) await SendProgressAsync(progress, ct);
            else if (s3.Clock.GetElapsedTime(_lastMessage) >= ContinueEach) await SendAsync("Cont", null, default, ct);
        }

        public async Task FinishAsync(SelectProgress done, CancellationToken ct)
        {
            if (wantsProgress) await SendProgressAsync(done, ct);
            await SendAsync("Stats", "text/xml", Xml("Stats", done), ct);
            await SendAsync("End", null, default, ct);
        }

        public async Task FailAsync(SelectException refused, CancellationToken ct)
        {
            using var message = new PooledBuffer(1024);
            EventStream.WriteError(message, refused.Code, refused.Message);
            await s3.Response.BodyWriter.WriteAsync(message.WrittenMemory, ct);
        }

        private async ValueTask SendProgressAsync(SelectProgress progress, CancellationToken ct)
        {
            _lastProgress = s3.Clock.GetTimestamp();
            await SendAsync("Progress", "text/xml", Xml("Progress", progress), ct);
        }

        private async ValueTask SendAsync(string type, string? contentType, ReadOnlyMemory<byte> payload, CancellationToken ct)
        {
            _lastMessage = s3.Clock.GetTimestamp();
            if (!s3.Response.HasStarted) s3.Response.ContentType = EventStream.ContentType;
            using var message = new PooledBuffer(payload.Length + 256);
            EventStream.WriteEvent(message, type, contentType, payload.Span);
            await s3.Response.BodyWriter.WriteAsync(message.WrittenMemory, ct);
        }

        private static byte[] Xml(string name, SelectProgress progress) => Encoding.UTF8.GetBytes(string.Create(CultureInfo.InvariantCulture,
            $"<{name} xmlns=\"\"><BytesScanned>{progress.Scanned}</BytesScanned><BytesProcessed>{progress.Processed}</BytesProcessed><BytesReturned>{progress.Returned}</BytesReturned></{name}>"));
    }
}
