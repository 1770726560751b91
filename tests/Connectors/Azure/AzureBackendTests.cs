using Azure.Storage.Blobs.Models;
using Azure.Storage.Blobs.Specialized;
using Azure.Storage.Sas;
using DarkStorage.Storage;
using DarkStorage.GrainInterfaces.Objects;
using DarkStorage.Storage.Backends;
using DarkStorage.TestKit;
using Microsoft.AspNetCore.Http;

namespace DarkStorage.Connectors.Azure;

/// <summary>Containers of Azurite, with the account's key.</summary>
public sealed class AzureBackendTests(AzuriteServer azurite, ITestOutputHelper output) : BackendConformance(output), IClassFixture<AzuriteServer>
{
    private const string WrongKey = "d3Jvbmctc2VjcmV0";

    private static readonly ConnectorType Type = AzureConnector.Connector.Type;

    private protected override async Task<IBackend> NewAsync() => Open((await azurite.NewContainerAsync()).Name);

    private IBackend Open(string container, params (string Name, string Value)[] more)
    {
        var settings = new Dictionary<string, string> { ["endpoint"] = azurite.Url, ["account"] = AzuriteServer.Account, ["container"] = container, ["account-key"] = azurite.Key };
        foreach (var (name, value) in more) settings[name] = value;
        return AzureConnector.Connector.Open(Type.Complete("azurite", settings), TimeProvider.System);
    }

    /// <summary>With blocks and pages that are small.</summary>
    private AzureBackend OpenSmall(string container, string? url = null, AccessTier? tier = null) =>
        new(AzureClients.WithKey(AzuriteServer.Account, azurite.Key), new(url ?? azurite.Url, container, "", tier) { BlockBytesMin = 1 << 20, PageBlobsMax = 7 }, TimeProvider.System);

    [Fact]
    public async Task A_prefix_keeps_places_of_one_container_apart()
    {
        var container = (await azurite.NewContainerAsync()).Name;
        await using var one = Open(container, ("prefix", "one/"));
        await using var two = Open(container, ("prefix", "two/"));
        await AssertApartAsync(one, two);
    }

    [Fact]
    public async Task A_long_blob_goes_in_blocks_and_is_copied_and_read_whole()
    {
        var container = await azurite.NewContainerAsync();
        await using var backend = OpenSmall(container.Name);
        var (name, copy) = (BlobName.Parse("long"), BlobName.Parse("copy of it"));
        var source = new PatternSource((33L << 20) + 12_345);
        Assert.Equal(source.Length, (await backend.PutAsync(name, source, Ct)).Length);
        Assert.Equal(source.Length, (await backend.CopyAsync(name, copy, Ct)).Length);
        Assert.Equal(34, (await container.GetBlockBlobClient(name.Value).GetBlockListAsync(cancellationToken: Ct)).Value.CommittedBlocks.Count());
        foreach (var blob in new[] { name, copy })
        {
            await using var stream = await backend.OpenAsync(blob, ByteRange.All(source.Length), Ct);
            await source.AssertSameAsync(stream, Ct);
        }
    }

    [Fact]
    public async Task Of_long_puts_of_one_name_at_one_time_one_is_there_whole()
    {
        await using var backend = OpenSmall((await azurite.NewContainerAsync()).Name);
        var name = BlobName.Parse("race");
        var contents = Enumerable.Range(1, 4).Select(i => Enumerable.Repeat((byte)i, 3_000_000).ToArray()).ToList();
        // Whose blocks another's commit has thrown away is told to send them again.
        var puts = await Task.WhenAll(contents.Select(async c =>
        {
            try
            {
                await backend.PutAsync(name, BlobSource.Of(c), Ct);
                return true;
            }
            catch (BackendException e) when (e.IsTransient)
            {
                return false;
            }
        }));
        Assert.Contains(true, puts);
        var content = await ReadAsync(backend, name, ByteRange.All(3_000_000));
        Assert.Equal(contents.Single(c => c[0] == content[0]), content);
    }

    [Fact]
    public async Task Blocks_of_a_long_put_that_breaks_are_no_blob()
    {
        var container = await azurite.NewContainerAsync();
        await using var backend = OpenSmall(container.Name);
        var error = await Assert.ThrowsAnyAsync<Exception>(() => backend.PutAsync(BlobName.Parse("long"), new PatternSource(30L << 20) { BreaksAt = 20L << 20 }, Ct));
        Assert.True(error is InvalidDataException or BackendException, error.ToString());
        Assert.NotEmpty((await container.GetBlockBlobClient("long").GetBlockListAsync(BlockListTypes.Uncommitted, cancellationToken: Ct)).Value.UncommittedBlocks);
        Assert.Null(await backend.StatAsync(BlobName.Parse("long"), Ct));
        Assert.Empty(await ListAsync(backend, ""));
        await backend.PutAsync(BlobName.Parse("long"), BlobSource.Of(new byte[10]), Ct);
        Assert.Equal(10, Assert.Single(await ListAsync(backend, "")).Length);
    }

    [Fact]
    public async Task A_list_goes_on_from_page_to_page()
    {
        await using var backend = OpenSmall((await azurite.NewContainerAsync()).Name);
        for (var i = 0; i < 20; i++) await backend.PutAsync(BlobName.Parse($"blob-{i}"), BlobSource.Of(new byte[i]), Ct);
        Assert.Equal(Enumerable.Range(0, 20).Select(i => (long)i), (await ListAsync(backend, "blob-")).Select(b => b.Length).Order());
    }

    [Theory, InlineData(100_000), InlineData(3_000_000)]
    public async Task What_is_changed_on_its_way_to_the_server_is_not_taken(int length)
    {
        var container = await azurite.NewContainerAsync();
        await using var proxy = new TcpProxy(() => azurite.EndPoint);
        await using var backend = OpenSmall(container.Name, AzuriteServer.UrlAt(proxy.EndPoint));
        var (name, content) = (BlobName.Parse("changed"), Content(length));
        // Flipped from when content is on its way, and so in no head of a request.
        var error = await Record.ExceptionAsync(() => backend.PutAsync(name, new NoticedSource(content, () => proxy.FlipRequests(1)), Ct));
        if (length > 1 << 20)
        {
            // One block was sent again.
            Assert.Null(error);
            Assert.Equal(content, await ReadAsync(backend, name, ByteRange.All(length)));
            return;
        }
        Assert.Equal(BackendError.Unavailable, Assert.IsType<BackendException>(error).Error);
        Assert.Null(await backend.StatAsync(name, Ct));
    }

    [Fact]
    public async Task A_read_whose_connection_breaks_goes_on_and_is_whole()
    {
        await using var proxy = new TcpProxy(() => azurite.EndPoint);
        await using var backend = OpenSmall((await azurite.NewContainerAsync()).Name, AzuriteServer.UrlAt(proxy.EndPoint));
        var (name, source) = (BlobName.Parse("broken"), new PatternSource(40L << 20));
        await backend.PutAsync(name, source, Ct);
        await using var stream = await backend.OpenAsync(name, ByteRange.All(source.Length), Ct);
        await using var breaking = new NoticedStream(stream, 1 << 20, proxy.Reset);
        await source.AssertSameAsync(breaking, Ct);
    }

    [Fact]
    public async Task A_read_whose_connection_breaks_again_and_again_is_an_error_of_a_kind()
    {
        await using var proxy = new TcpProxy(() => azurite.EndPoint);
        await using var backend = OpenSmall((await azurite.NewContainerAsync()).Name, AzuriteServer.UrlAt(proxy.EndPoint));
        var (name, source) = (BlobName.Parse("broken"), new PatternSource(40L << 20));
        await backend.PutAsync(name, source, Ct);
        await using var stream = await backend.OpenAsync(name, ByteRange.All(source.Length), Ct);
        var error = await Assert.ThrowsAsync<BackendException>(async () =>
        {
            for (var buffer = new byte[1000]; await stream.ReadAsync(buffer, Ct) > 0;) proxy.Reset();
        });
        Assert.Equal(BackendError.Unavailable, error.Error);
    }

    [Fact]
    public async Task A_read_of_a_blob_that_is_replaced_meanwhile_is_an_error_and_no_mix()
    {
        await using var proxy = new TcpProxy(() => azurite.EndPoint);
        await using var backend = OpenSmall((await azurite.NewContainerAsync()).Name, AzuriteServer.UrlAt(proxy.EndPoint));
        var (name, source) = (BlobName.Parse("replaced"), new PatternSource(40L << 20));
        await backend.PutAsync(name, source, Ct);
        await using var stream = await backend.OpenAsync(name, ByteRange.All(source.Length), Ct);
        await stream.ReadExactlyAsync(new byte[1 << 20], Ct);
        await backend.PutAsync(name, source, Ct);
        proxy.Reset();
        Assert.Equal(BackendError.Damaged, (await Assert.ThrowsAsync<BackendException>(() => stream.CopyToAsync(Stream.Null, Ct))).Error);
    }

    [Theory]
    [InlineData("container", "no-such-container-anywhere", BackendError.PlaceMissing)]
    [InlineData("account-key", WrongKey, BackendError.AccessDenied)]
    [InlineData("endpoint", "http://127.0.0.1:1/darkstorage0", BackendError.Unavailable)]
    public async Task A_place_that_is_wrong_says_of_what_kind_it_is(string field, string value, BackendError expected)
    {
        await using var backend = Open((await azurite.NewContainerAsync()).Name, (field, value));
        await AssertAllFailAsync(backend, expected, WrongKey);
    }

    [Fact]
    public async Task Nothing_is_sent_to_an_address_that_hands_out_credentials()
    {
        await using var backend = Open((await azurite.NewContainerAsync()).Name, ("endpoint", "http://169.254.169.254/darkstorage0"));
        var error = await Assert.ThrowsAsync<BackendException>(() => backend.StatAsync(BlobName.Parse("a"), Ct));
        Assert.Equal(BackendError.Unavailable, error.Error);
        Assert.Contains("link-local, which is not allowed", error.Message, StringComparison.Ordinal);
    }

    [Theory]
    [InlineData(BlobContainerSasPermissions.All, "other-container", 60, BackendError.AccessDenied)]
    [InlineData(BlobContainerSasPermissions.All, null, -60, BackendError.AccessDenied)]
    [InlineData(BlobContainerSasPermissions.Tag, null, 60, BackendError.AccessDenied)]
    public async Task A_signature_that_does_not_allow_it_is_denied_and_not_repeated(BlobContainerSasPermissions permissions, string? of, int minutes, BackendError expected)
    {
        var container = (await azurite.NewContainerAsync()).Name;
        var signature = azurite.Sign(of ?? container, permissions, DateTimeOffset.UtcNow.AddMinutes(minutes));
        await using var backend = Open(container, ("account-key", ""), ("sas", signature));
        await AssertAllFailAsync(backend, expected, signature[signature.IndexOf("sig=", StringComparison.Ordinal)..]);
    }

    [Fact]
    public async Task A_signature_is_not_repeated_though_the_server_does()
    {
        var container = (await azurite.NewContainerAsync()).Name;
        var signature = azurite.Sign(container, BlobContainerSasPermissions.All);
        await using var proxy = await LyingProxy.StartAsync(azurite.EndPoint);
        var seen = "";
        proxy.Answers = http =>
        {
            seen = $"{http.Request.Path}{http.Request.QueryString}";
            return AzuriteServer.FailAsync(http, 400, "InvalidUri", $"There is something wrong with {seen} as it is.");
        };
        await using var backend = Open(container, ("endpoint", AzuriteServer.UrlAt(proxy.EndPoint)), ("account-key", ""), ("sas", signature));
        await AssertAllFailAsync(backend, BackendError.Refused, signature[signature.IndexOf("sig=", StringComparison.Ordinal)..]);
        Assert.Contains("sig=", seen, StringComparison.Ordinal);
    }

    [Theory]
    [InlineData(200, "text/html", "<html><body>Welcome to the hotel.")]
    [InlineData(200, "application/xml", "")]
    [InlineData(200, "application/xml", "<EnumerationResults><Blobs><Blob></Blob></Blobs></EnumerationResults>")]
    [InlineData(201, "application/json", "{}")]
    [InlineData(403, "application/xml", "<Error>")]
    [InlineData(502, "application/xml", "<html>")]
    public async Task A_server_that_makes_no_sense_is_an_error_of_a_kind(int status, string type, string text)
    {
        await using var proxy = await LyingProxy.StartAsync(azurite.EndPoint);
        proxy.Answers = async http =>
        {
            (http.Response.StatusCode, http.Response.ContentType) = (status, type);
            if (!HttpMethods.IsHead(http.Request.Method)) await http.Response.WriteAsync(text);
            return true;
        };
        await using var backend = OpenSmall((await azurite.NewContainerAsync()).Name, AzuriteServer.UrlAt(proxy.EndPoint));
        var (name, other) = (BlobName.Parse("a"), BlobName.Parse("b"));
        foreach (var call in new Func<Task>[]
        {
            () => backend.PutAsync(name, BlobSource.Of(new byte[100]), Ct), () => backend.PutAsync(name, BlobSource.Of(new byte[2 << 20]), Ct), () => ReadAsync(backend, name, new(0, 99)), () => backend.CopyAsync(name, other, Ct),
            () => ListAsync(backend, ""),
        })
        {
            var error = await Record.ExceptionAsync(call);
            Assert.True(error is BackendException, $"{error}");
            Assert.DoesNotContain("NullReference", error.Message, StringComparison.Ordinal);
        }
    }

    [Theory, InlineData("Hot"), InlineData("Cool"), InlineData("Cold")]
    public async Task What_is_put_and_copied_is_of_the_wanted_tier(string tier)
    {
        var container = await azurite.NewContainerAsync();
        await using var backend = OpenSmall(container.Name, tier: tier);
        foreach (var (name, length) in new[] { ("short", 10), ("long", 2_000_000) })
        {
            await backend.PutAsync(BlobName.Parse(name), BlobSource.Of(new byte[length]), Ct);
            await backend.CopyAsync(BlobName.Parse(name), BlobName.Parse(name + "-copy"), Ct);
            foreach (var there in new[] { name, name + "-copy" }) Assert.Equal(tier, (await container.GetBlobClient(there).GetPropertiesAsync(cancellationToken: Ct)).Value.AccessTier);
        }
        Assert.Empty((await container.GetBlockBlobClient("short").GetBlockListAsync(cancellationToken: Ct)).Value.CommittedBlocks);
    }

    [Theory, InlineData(WarmUpSpeed.Standard, "Standard"), InlineData(WarmUpSpeed.Expedited, "High"), InlineData(WarmUpSpeed.Bulk, "Standard")]
    public async Task An_archived_blob_is_cold_until_it_is_warmed_up(WarmUpSpeed speed, string priority)
    {
        await using var proxy = await LyingProxy.StartAsync(azurite.EndPoint);
        var asked = new List<string>();
        proxy.Answers = http =>
        {
            if (http.Request.Query["comp"] == "tier") asked.Add($"{http.Request.Headers["x-ms-access-tier"]} {http.Request.Headers["x-ms-rehydrate-priority"]}");
            return Task.FromResult(false);
        };
        await using var backend = OpenSmall((await azurite.NewContainerAsync()).Name, AzuriteServer.UrlAt(proxy.EndPoint), AccessTier.Archive);
        var (name, content) = (BlobName.Parse("cold"), Content(2_000));
        Assert.True(backend.Traits.IsCold);
        Assert.Equal(BlobWarmth.Readable, (await backend.PutAsync(name, BlobSource.Of(content), Ct)).Warmth);
        Assert.Equal(content, await ReadAsync(backend, name, ByteRange.All(2_000)));
        await backend.SettleAsync(name, Ct);
        await backend.SettleAsync(name, Ct);
        Assert.Equal(BlobWarmth.Cold, Assert.Single(await ListAsync(backend, "")).Warmth);
        Assert.Equal(BackendError.Cold, (await Assert.ThrowsAsync<BackendException>(() => ReadAsync(backend, name, new(0, 0)))).Error);
        Assert.Equal(BackendError.Cold, (await Assert.ThrowsAsync<BackendException>(() => backend.CopyAsync(name, BlobName.Parse("copy"), Ct))).Error);
        await backend.WarmUpAsync(name, speed, TimeSpan.FromDays(1), Ct);
        await backend.WarmUpAsync(name, speed, TimeSpan.FromDays(1), Ct);
        // Azurite does at once what takes Azure hours.
        Assert.Equal(BlobWarmth.Readable, (await backend.StatAsync(name, Ct))!.Warmth);
        Assert.Equal(content, await ReadAsync(backend, name, ByteRange.All(2_000)));
        Assert.Equal(["Archive ", "Archive ", $"Hot {priority}"], asked);
    }

    [Fact]
    public async Task A_server_that_knows_no_access_tiers_has_blobs_that_can_be_read()
    {
        await using var proxy = await LyingProxy.StartAsync(azurite.EndPoint);
        await using var backend = OpenSmall((await azurite.NewContainerAsync()).Name, AzuriteServer.UrlAt(proxy.EndPoint));
        proxy.Alters = http => http.Response.Headers.Remove("x-ms-access-tier");
        Assert.Equal(BlobWarmth.Readable, (await backend.PutAsync(BlobName.Parse("plain"), BlobSource.Of(new byte[10]), Ct)).Warmth);
    }

    [Fact]
    public async Task A_blob_that_is_being_warmed_up_is_not_asked_for_again()
    {
        await using var proxy = await LyingProxy.StartAsync(azurite.EndPoint);
        await using var backend = OpenSmall((await azurite.NewContainerAsync()).Name, AzuriteServer.UrlAt(proxy.EndPoint), AccessTier.Archive);
        var name = BlobName.Parse("warming");
        await backend.PutAsync(name, BlobSource.Of(new byte[10]), Ct);
        await backend.SettleAsync(name, Ct);
        var asked = 0;
        proxy.Answers = http => http.Request.Query["comp"] == "tier" && Interlocked.Increment(ref asked) > 0 ? AzuriteServer.FailAsync(http, 409, "BlobBeingRehydrated") : Task.FromResult(false);
        await backend.WarmUpAsync(name, WarmUpSpeed.Standard, TimeSpan.FromDays(1), Ct);
        Assert.Equal(1, asked);
        proxy.Alters = http => http.Response.Headers["x-ms-archive-status"] = "rehydrate-pending-to-hot";
        Assert.Equal(BlobWarmth.Warming, (await backend.StatAsync(name, Ct))!.Warmth);
        await backend.WarmUpAsync(name, WarmUpSpeed.Standard, TimeSpan.FromDays(1), Ct);
        Assert.Equal(1, asked);
        await backend.WarmUpAsync(name, WarmUpSpeed.Expedited, TimeSpan.FromDays(1), Ct); // sooner than it was asked for
        Assert.Equal(2, asked);
        Assert.Equal(BackendError.Cold, (await Assert.ThrowsAsync<BackendException>(() => ReadAsync(backend, name, new(0, 0)))).Error);
    }

    [Theory, InlineData(100), InlineData(2_000_000)]
    public async Task A_server_that_has_not_what_it_says_it_has_taken_is_found_out(int length)
    {
        await using var proxy = await LyingProxy.StartAsync(azurite.EndPoint);
        await using var backend = OpenSmall((await azurite.NewContainerAsync()).Name, AzuriteServer.UrlAt(proxy.EndPoint));
        var (fresh, old) = (BlobName.Parse("fresh"), BlobName.Parse("old"));
        await backend.PutAsync(old, BlobSource.Of(new byte[7]), Ct);
        proxy.Answers = async http =>
        {
            if (!HttpMethods.IsPut(http.Request.Method)) return false;
            await http.Request.Body.CopyToAsync(Stream.Null);
            (http.Response.StatusCode, http.Response.Headers.ETag, http.Response.Headers.LastModified) = (201, "\"0x1\"", "Sun, 22 Nov 2026 10:00:00 GMT");
            return true;
        };
        Assert.Equal(BackendError.Unavailable, (await Assert.ThrowsAsync<BackendException>(() => backend.PutAsync(fresh, BlobSource.Of(new byte[length]), Ct))).Error);
        Assert.Equal(BackendError.WrongLength, (await Assert.ThrowsAsync<BackendException>(() => backend.PutAsync(old, BlobSource.Of(new byte[length]), Ct))).Error);
    }

    [Fact]
    public async Task A_server_that_is_asked_too_often_says_when_to_come_back()
    {
        await using var proxy = await LyingProxy.StartAsync(azurite.EndPoint);
        var asked = 0;
        proxy.Answers = http =>
        {
            asked++;
            http.Response.Headers.RetryAfter = "7";
            return AzuriteServer.FailAsync(http, 503, "ServerBusy");
        };
        await using var backend = OpenSmall((await azurite.NewContainerAsync()).Name, AzuriteServer.UrlAt(proxy.EndPoint));
        var error = await Assert.ThrowsAsync<BackendException>(() => backend.StatAsync(BlobName.Parse("a"), Ct));
        Assert.Equal((BackendError.Throttled, TimeSpan.FromSeconds(7)), (error.Error, error.RetryAfter));
        // To ask again is the guard's.
        Assert.Equal(1, asked);
    }

    [Fact]
    public async Task A_missing_blob_in_a_container_that_is_gone_is_a_place_that_is_gone()
    {
        await using var proxy = await LyingProxy.StartAsync(azurite.EndPoint);
        // What stands between answers a head with nothing but a status.
        proxy.Alters = http =>
        {
            if (HttpMethods.IsHead(http.Request.Method)) http.Response.Headers.Remove("x-ms-error-code");
        };
        var container = await azurite.NewContainerAsync();
        await using var backend = OpenSmall(container.Name, AzuriteServer.UrlAt(proxy.EndPoint));
        Assert.Null(await backend.StatAsync(BlobName.Parse("a"), Ct));
        await container.DeleteAsync(cancellationToken: Ct);
        Assert.Equal(BackendError.PlaceMissing, (await Assert.ThrowsAsync<BackendException>(() => backend.StatAsync(BlobName.Parse("a"), Ct))).Error);
    }

    [Fact]
    public async Task A_copy_that_takes_its_time_is_no_blob_before_it_is_done()
    {
        await using var proxy = await LyingProxy.StartAsync(azurite.EndPoint);
        await using var backend = OpenSmall((await azurite.NewContainerAsync()).Name, AzuriteServer.UrlAt(proxy.EndPoint));
        var (from, to) = (BlobName.Parse("from"), BlobName.Parse("to"));
        await backend.PutAsync(from, BlobSource.Of(new byte[10]), Ct);
        var looks = 0;
        var done = new TaskCompletionSource();
        proxy.Alters = http =>
        {
            if (!http.Request.Path.Value!.EndsWith("/to", StringComparison.Ordinal) || !HttpMethods.IsHead(http.Request.Method) && !HttpMethods.IsGet(http.Request.Method) || done.Task.IsCompleted) return;
            http.Response.Headers["x-ms-copy-status"] = "pending";
            Interlocked.Increment(ref looks);
        };
        var copying = backend.CopyAsync(from, to, Ct);
        await Eventually.HoldsAsync("the copy is looked for", () => looks >= 1);
        Assert.Null(await backend.StatAsync(to, Ct));
        Assert.Equal(BackendError.NotFound, (await Assert.ThrowsAsync<BackendException>(() => ReadAsync(backend, to, new(0, 9)))).Error);
        Assert.False(copying.IsCompleted);
        done.SetResult();
        Assert.Equal(10, (await copying).Length);
    }

    [Fact]
    public async Task A_copy_is_of_the_content_that_was_looked_at()
    {
        await using var proxy = await LyingProxy.StartAsync(azurite.EndPoint);
        await using var backend = OpenSmall((await azurite.NewContainerAsync()).Name, AzuriteServer.UrlAt(proxy.EndPoint));
        var (from, to) = (BlobName.Parse("from"), BlobName.Parse("to"));
        await backend.PutAsync(from, BlobSource.Of(new byte[10]), Ct);
        // As if it had been replaced since.
        proxy.Alters = http =>
        {
            if (HttpMethods.IsHead(http.Request.Method)) http.Response.Headers.ETag = "\"0x1\"";
        };
        Assert.Equal(BackendError.Unavailable, (await Assert.ThrowsAsync<BackendException>(() => backend.CopyAsync(from, to, Ct))).Error);
        Assert.Null(await backend.StatAsync(to, Ct));
    }

    [Fact]
    public async Task A_copy_that_fails_is_an_error_and_leaves_nothing()
    {
        await using var proxy = await LyingProxy.StartAsync(azurite.EndPoint);
        var container = await azurite.NewContainerAsync();
        await using var backend = OpenSmall(container.Name, AzuriteServer.UrlAt(proxy.EndPoint));
        var (from, to) = (BlobName.Parse("from"), BlobName.Parse("to"));
        await backend.PutAsync(from, BlobSource.Of(new byte[10]), Ct);
        proxy.Answers = http => http.Request.Query["comp"] == "copy" ? Aborted(http) : Task.FromResult(false);
        proxy.Alters = http =>
        {
            if (http.Request.Path.Value!.EndsWith("/to", StringComparison.Ordinal)) (http.Response.Headers["x-ms-copy-status"], http.Response.Headers["x-ms-copy-status-description"]) = ("failed", "500 InternalServerError");
        };
        var error = await Assert.ThrowsAsync<BackendException>(() => backend.CopyAsync(from, to, Ct));
        Assert.Equal(BackendError.Unavailable, error.Error);
        Assert.Contains("500 InternalServerError", error.Message, StringComparison.Ordinal);
        Assert.False(await container.GetBlobClient("to").ExistsAsync(Ct));

        // Azurite's copies are all done at once, so it has none to abort.
        static Task<bool> Aborted(HttpContext http)
        {
            http.Response.StatusCode = 204;
            return Task.FromResult(true);
        }
    }

    private static async Task AssertAllFailAsync(IBackend backend, BackendError expected, string secret)
    {
        var name = BlobName.Parse("a");
        foreach (var call in new Func<Task>[]
        {
            () => backend.PrepareAsync(Ct), () => backend.PutAsync(name, BlobSource.Of(new byte[1]), Ct), () => ReadAsync(backend, name, new(0, 0)), () => backend.StatAsync(name, Ct), () => backend.DeleteAsync(name, Ct),
            () => ListAsync(backend, ""), () => backend.CopyAsync(name, name, Ct), () => backend.WarmUpAsync(name, WarmUpSpeed.Bulk, TimeSpan.FromDays(1), Ct),
        })
        {
            var error = await Assert.ThrowsAsync<BackendException>(call);
            Assert.Equal(expected, error.Error);
            Assert.DoesNotContain(secret, error.ToString(), StringComparison.Ordinal);
        }
    }
}
