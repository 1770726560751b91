using DarkStorage.GrainInterfaces.Objects;
using DarkStorage.Storage;
using DarkStorage.Storage.Backends;
using DarkStorage.TestKit;
using Microsoft.AspNetCore.Http;

namespace DarkStorage.Connectors.Gcs;

/// <summary>Reads and copies: of one content to their end.</summary>
public sealed partial class GcsBackendTests
{
    private const int Long = 5_000_000;

    [Fact]
    public async Task A_read_whose_connection_breaks_goes_on_and_is_whole()
    {
        await using var backend = OpenSmall();
        var (name, content) = (BlobName.Parse("broken"), Content(Long));
        await backend.PutAsync(name, BlobSource.Of(content), Ct);
        (_gcs.CutsReads, _gcs.CutsReadsAfter) = (3, 700_000);
        Assert.Equal(content, await ReadAsync(backend, name, ByteRange.All(Long)));
        _gcs.CutsReads = 2;
        Assert.Equal(content[100..^100], await ReadAsync(backend, name, new(100, Long - 101)));
        Assert.Equal(5, Count("GET", "generation=17"));
    }

    [Fact]
    public async Task A_read_whose_connection_breaks_again_and_again_is_an_error_of_a_kind()
    {
        await using var backend = OpenSmall();
        var (name, content) = (BlobName.Parse("broken"), Content(Long));
        await backend.PutAsync(name, BlobSource.Of(content), Ct);
        (_gcs.CutsReads, _gcs.CutsReadsAfter) = (4, 700_000);
        Assert.Equal(BackendError.Unavailable, (await Assert.ThrowsAsync<BackendException>(() => ReadAsync(backend, name, ByteRange.All(Long)))).Error);
    }

    [Theory]
    [InlineData(true, BackendError.Damaged)]
    [InlineData(false, BackendError.NotFound)]
    public async Task A_read_of_what_is_replaced_or_deleted_meanwhile_is_an_error_and_no_mix(bool isReplaced, BackendError expected)
    {
        await using var backend = OpenSmall();
        var (name, content) = (BlobName.Parse("replaced"), Content(Long));
        await backend.PutAsync(name, BlobSource.Of(content), Ct);
        (_gcs.CutsReads, _gcs.CutsReadsAfter) = (1, 700_000);
        await using var stream = await backend.OpenAsync(name, ByteRange.All(Long), Ct);
        await stream.ReadExactlyAsync(new byte[1000], Ct);
        if (isReplaced) await backend.PutAsync(name, BlobSource.Of(Content(Long)), Ct);
        else await backend.DeleteAsync(name, Ct);
        Assert.Equal(expected, (await Assert.ThrowsAsync<BackendException>(() => stream.CopyToAsync(Stream.Null, Ct))).Error);
    }

    [Fact]
    public async Task A_server_that_goes_on_with_another_generation_is_found_out()
    {
        await using var backend = OpenSmall();
        var name = BlobName.Parse("mixed");
        await backend.PutAsync(name, BlobSource.Of(Content(Long)), Ct);
        (_gcs.CutsReads, _gcs.CutsReadsAfter) = (1, 700_000);
        await using var stream = await backend.OpenAsync(name, ByteRange.All(Long), Ct);
        await stream.ReadExactlyAsync(new byte[1000], Ct);
        _gcs.Answers = http =>
        {
            http.Response.OnStarting(() =>
            {
                http.Response.Headers["x-goog-generation"] = "42";
                return Task.CompletedTask;
            });
            return Task.FromResult(false);
        };
        Assert.Equal(BackendError.Damaged, (await Assert.ThrowsAsync<BackendException>(() => stream.CopyToAsync(Stream.Null, Ct))).Error);
    }

    [Fact]
    public async Task Bytes_that_changed_there_or_on_their_way_are_damage_when_the_whole_is_read()
    {
        await using var backend = OpenSmall();
        foreach (var length in new[] { 1, 1000, Long })
        {
            var name = BlobName.Parse($"damaged-{length}");
            await backend.PutAsync(name, BlobSource.Of(Content(length)), Ct);
            _gcs.CorruptsReads = true;
            Assert.Equal(BackendError.Damaged, (await Assert.ThrowsAsync<BackendException>(() => ReadAsync(backend, name, ByteRange.All(length)))).Error);
            _gcs.CorruptsReads = false;
            await ReadAsync(backend, name, ByteRange.All(length));
            _gcs.Corrupt(_bucket, name.Value);
            Assert.Equal(BackendError.Damaged, (await Assert.ThrowsAsync<BackendException>(() => ReadAsync(backend, name, ByteRange.All(length)))).Error);
        }
    }

    [Theory]
    [InlineData(200, "bytes 10-19/100", 10)]
    [InlineData(206, "bytes 11-20/100", 10)]
    [InlineData(206, "bytes 10-19/100", 9)]
    [InlineData(206, null, 10)]
    [InlineData(206, "bytes 10-19/100", null)]
    public async Task An_answer_that_is_not_the_range_is_an_error_and_not_read(int status, string? range, int? length)
    {
        await using var backend = OpenSmall();
        _gcs.Answers = async http =>
        {
            if (!http.Request.Path.StartsWithSegments("/storage")) return false;
            http.Response.StatusCode = status;
            if (range is not null) http.Response.Headers.ContentRange = range;
            if (length is not null) http.Response.ContentLength = length;
            await http.Response.Body.WriteAsync(new byte[length ?? 10]);
            return true;
        };
        Assert.Equal(BackendError.WrongLength, (await Assert.ThrowsAsync<BackendException>(() => ReadAsync(backend, BlobName.Parse("a"), new(10, 19)))).Error);
    }

    [Fact]
    public async Task A_copy_whose_source_is_replaced_meanwhile_is_an_error_and_no_mix()
    {
        await using var backend = OpenSmall();
        var (from, to) = (BlobName.Parse("from"), BlobName.Parse("to"));
        await backend.PutAsync(from, BlobSource.Of(Content(9 << 20)), Ct);
        _gcs.Answers = http =>
        {
            if (Count("POST", "/rewriteTo/") == 2) _gcs.Put(_bucket, from.Value, Content(9 << 20));
            return Task.FromResult(false);
        };
        Assert.Equal(BackendError.Unavailable, (await Assert.ThrowsAsync<BackendException>(() => backend.CopyAsync(from, to, Ct))).Error);
        Assert.Null(await backend.StatAsync(to, Ct));
    }

    [Fact]
    public async Task A_step_of_a_copy_that_fails_is_made_again()
    {
        await using var backend = OpenSmall();
        var (from, to, content) = (BlobName.Parse("from"), BlobName.Parse("to"), Content(9 << 20));
        await backend.PutAsync(from, BlobSource.Of(content), Ct);
        var fails = 0;
        _gcs.Answers = http => http.Request.Query.ContainsKey("rewriteToken") && fails++ == 0 ? GcsServer.FailAsync(http, 503, "backendError") : Task.FromResult(false);
        await backend.CopyAsync(from, to, Ct);
        Assert.Equal(content, await ReadAsync(backend, to, ByteRange.All(content.Length)));
    }

    [Theory]
    [InlineData("""{"done":false,"rewriteToken":"t","totalBytesRewritten":"0"}""")]
    [InlineData("""{"done":false}""")]
    [InlineData("""{"done":true}""")]
    [InlineData("""{"done":true,"resource":{"name":"to","size":"10","generation":"5","crc32c":"AAAAAA=="}}""")]
    public async Task A_copy_that_a_server_never_ends_or_makes_of_something_else_is_an_error(string answer)
    {
        await using var backend = OpenSmall();
        await backend.PutAsync(BlobName.Parse("from"), BlobSource.Of(Content(10)), Ct);
        _gcs.Put(_bucket, "to", Content(10));
        _gcs.Answers = async http =>
        {
            if (!http.Request.Path.Value!.Contains("/rewriteTo/", StringComparison.Ordinal)) return false;
            await http.Response.WriteAsync(answer);
            return true;
        };
        Assert.Equal(BackendError.Unavailable, (await Assert.ThrowsAsync<BackendException>(() => backend.CopyAsync(BlobName.Parse("from"), BlobName.Parse("to"), Ct))).Error);
        Assert.InRange(Count("POST", "/rewriteTo/"), 1, 15);
    }

    [Fact]
    public async Task A_read_that_breaks_at_a_server_that_wants_to_be_left_for_long_waits_no_longer_than_is_sensible()
    {
        var clock = new ManualTime();
        _gcs.Clock = clock;
        await using var backend = OpenSmall(clock);
        var (name, content) = (BlobName.Parse("broken"), Content(Long));
        _gcs.Put(_bucket, name.Value, content);
        (_gcs.CutsReads, _gcs.CutsReadsAfter) = (1, 700_000);
        await using var stream = await backend.OpenAsync(name, ByteRange.All(Long), Ct);
        var refused = new TaskCompletionSource();
        _gcs.Answers = async http =>
        {
            if (refused.Task.IsCompleted) return false;
            http.Response.Headers.RetryAfter = int.MaxValue.ToString(System.Globalization.CultureInfo.InvariantCulture);
            await GcsServer.FailAsync(http, 503, "backendError");
            http.Response.OnCompleted(() =>
            {
                refused.TrySetResult();
                return Task.CompletedTask;
            });
            return true;
        };
        var read = new byte[Long];
        var reading = stream.ReadExactlyAsync(read, Ct).AsTask();
        await Eventually.HoldsAsync("it is read to its end", () =>
        {
            clock.Advance(TimeSpan.FromSeconds(1));
            return reading.IsCompleted;
        });
        await reading;
        Assert.Equal(content, read);
    }
}
