using System.Diagnostics;
using System.IO.Pipelines;
using DarkStorage.GrainInterfaces;
using DarkStorage.GrainInterfaces.Objects;
using DarkStorage.GrainInterfaces.Tiers;
using Microsoft.AspNetCore.Http;
using Microsoft.AspNetCore.Http.Features;

namespace DarkStorage.ClientApi.S3;

/// <summary>What a request is counted for: the bucket that it was allowed in, the storage class that it reads or writes, and the bytes of its answer's body, counted on their way to the server.</summary>
internal sealed class RequestTraffic : PipeWriter, IHttpResponseBodyFeature
{
    private readonly IHttpResponseBodyFeature _inner;
    private Stream? _stream;
    private BucketId? _bucket;
    private long? _announced;
    private string _storageClass = Tier.Hot.StorageClass;

    private RequestTraffic(IHttpResponseBodyFeature inner) => _inner = inner;

    /// <summary>Bytes so far.</summary>
    public long Sent { get; private set; }

    /// <summary>When the first of them was there, as <see cref="Stopwatch"/> has it; 0 before.</summary>
    public long Begun { get; private set; }

    public static RequestTraffic Begin(HttpContext http)
    {
        var traffic = new RequestTraffic(http.Features.GetRequiredFeature<IHttpResponseBodyFeature>());
        http.Features.Set<IHttpResponseBodyFeature>(traffic);
        return traffic;
    }

    public static RequestTraffic Of(HttpContext http) => (RequestTraffic)http.Features.GetRequiredFeature<IHttpResponseBodyFeature>();

    /// <summary>The request was allowed in its bucket.</summary>
    public void Concerns(BucketId bucket) => _bucket = bucket;

    public void Concerns(string storageClass) => _storageClass = storageClass;

    /// <param name="announced">Bytes that it brings, without what their transfer adds; a request that succeeds has brought them.</param>
    public void Brings(long announced) => _announced = announced;

    /// <summary>It is not to be paid: it was not allowed after all, or failed by our fault.</summary>
    public void Forget() => _bucket = null;

    /// <summary>The answer is complete, or broke off.</summary>
    public void End(S3Operation? operation, HttpContext http, ITrafficCounter counter)
    {
        if (_bucket is not { } bucket || operation is null) return;
        // What was refused may have been so before its body was read.
        var received = http.Response.StatusCode < StatusCodes.Status400BadRequest ? _announced ?? http.Request.ContentLength ?? 0 : 0;
        counter.Count(bucket, _storageClass, operation.CountedAs(http.Request.Method) switch
        {
            RequestKind.Read => new(1, 0, 0, received, Sent),
            RequestKind.Write => new(0, 1, 0, received, Sent),
            _ => new(0, 0, 1, received, Sent),
        });
    }

    public PipeWriter Writer => this;
    public Stream Stream => _stream ??= AsStream(leaveOpen: true);
    public void DisableBuffering() => _inner.DisableBuffering();
    public Task StartAsync(CancellationToken cancellationToken = default) => _inner.StartAsync(cancellationToken);
    public Task CompleteAsync() => _inner.CompleteAsync();

    public async Task SendFileAsync(string path, long offset, long? count, CancellationToken cancellationToken = default)
    {
        Count(count ?? new FileInfo(path).Length - offset);
        await _inner.SendFileAsync(path, offset, count, cancellationToken);
    }

    public override bool CanGetUnflushedBytes => _inner.Writer.CanGetUnflushedBytes;
    public override long UnflushedBytes => _inner.Writer.UnflushedBytes;
    public override Memory<byte> GetMemory(int sizeHint = 0) => _inner.Writer.GetMemory(sizeHint);
    public override Span<byte> GetSpan(int sizeHint = 0) => _inner.Writer.GetSpan(sizeHint);
    public override void CancelPendingFlush() => _inner.Writer.CancelPendingFlush();
    public override void Complete(Exception? exception = null) => _inner.Writer.Complete(exception);
    public override ValueTask<FlushResult> FlushAsync(CancellationToken cancellationToken = default) => _inner.Writer.FlushAsync(cancellationToken);

    public override void Advance(int bytes)
    {
        Count(bytes);
        _inner.Writer.Advance(bytes);
    }

    public override ValueTask<FlushResult> WriteAsync(ReadOnlyMemory<byte> source, CancellationToken cancellationToken = default)
    {
        Count(source.Length);
        return _inner.Writer.WriteAsync(source, cancellationToken);
    }

    private void Count(long bytes)
    {
        if (Begun == 0) Begun = Stopwatch.GetTimestamp();
        Sent += bytes;
    }
}

/// <summary>What providers charge alike for.</summary>
internal enum RequestKind
{
    Read,

    /// <summary>Or list.</summary>
    Write,

    Delete,
}
