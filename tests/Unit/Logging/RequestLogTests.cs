using DarkStorage.ClientApi.S3;
using DarkStorage.GrainInterfaces.Buckets;
using DarkStorage.Metadata.Sqlite;
using DarkStorage.Rules.Buckets;
using DarkStorage.Rules.Logging;
using Microsoft.AspNetCore.Http;
using Microsoft.Extensions.Logging.Abstractions;
using Xunit;

namespace DarkStorage.Unit.Logging;

/// <summary>What a request pays for access logs.</summary>
public sealed class RequestLogTests : IAsyncDisposable
{
    private readonly string _folder = Directory.CreateTempSubdirectory("darkstorage-logging-").FullName;
    private readonly SqliteIndex _index;

    public RequestLogTests() => _index = SqliteIndex.Open(Path.Combine(_folder, "index.db"), NullLogger<SqliteIndex>.Instance);

    public async ValueTask DisposeAsync()
    {
        await _index.DisposeAsync();
        Directory.Delete(_folder, recursive: true);
    }

    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public async Task A_request_of_a_bucket_without_a_log_allocates_nothing_for_it(bool hadOne)
    {
        var logging = hadOne ? SettingJson.Write(new LoggingConfiguration(null)) : null;
        var services = await ServicesAsync(logging, new Kept());
        var http = new DefaultHttpContext();
        RequestTraffic.Begin(http);
        Assert.Null(await BeginAsync(http, services));
        var before = GC.GetAllocatedBytesForCurrentThread();
        for (var i = 0; i < 1_000; i++)
        {
            var begun = RequestLog.BeginAsync(http, services, "bucket", "key", null);
            if (!begun.IsCompletedSuccessfully || RequestLog.Of(http) is not null) break;
        }
        var allocated = GC.GetAllocatedBytesForCurrentThread() - before;
#if !DEBUG
        Assert.Equal(0, allocated); // without optimisation each asynchronous method has an object of its own
#endif
        Assert.InRange(allocated, 0, 1_000_000);
    }

    [Fact]
    public async Task A_request_of_a_bucket_with_a_log_is_written_down_at_its_end()
    {
        var kept = new Kept();
        var services = await ServicesAsync(SettingJson.Write(new LoggingConfiguration(new("target", "p/", [], null))), kept);
        var http = new DefaultHttpContext();
        RequestTraffic.Begin(http);
        http.Features.Get<Microsoft.AspNetCore.Http.Features.IHttpRequestFeature>()!.RawTarget = "/bucket/key?X-Amz-Signature=secret";
        (http.Request.Method, http.Request.Protocol, http.Response.StatusCode) = ("GET", "HTTP/1.1", 200);
        var log = await BeginAsync(http, services);
        await http.Response.BodyWriter.WriteAsync(new byte[5]);
        await http.Response.Body.WriteAsync(new byte[2]);
        await http.Response.Body.FlushAsync();
        log!.End("REST.GET.OBJECT", System.Diagnostics.Stopwatch.GetTimestamp());
        var entry = Assert.Single(kept.Entries);
        Assert.Equal(("REST.GET.OBJECT", "key", 7L, "GET /bucket/key?X-Amz-Signature=REDACTED HTTP/1.1"), (entry.Operation, entry.Key, entry.BytesSent, entry.RequestLine));
    }

    private static async Task<RequestLog?> BeginAsync(HttpContext http, S3Services services)
    {
        await RequestLog.BeginAsync(http, services, "bucket", "key", null);
        return RequestLog.Of(http);
    }

    private async Task<S3Services> ServicesAsync(string? logging, IAccessLog log)
    {
        await _index.CreateBucketAsync("bucket", new("owner", "us-east-1", BucketVersioning.Off, logging is null ? [] : [new(BucketSettings.Logging, "", logging)]), DateTimeOffset.UnixEpoch, CancellationToken.None);
        return new(_index, null!, null!, null!, null!, null!, new(), TimeProvider.System, log, null!, null!, null!);
    }

    private sealed class Kept : IAccessLog
    {
        public List<AccessLogEntry> Entries { get; } = [];

        public void Write(BucketRecord bucket, LogTarget target, AccessLogEntry entry) => Entries.Add(entry);
    }
}
