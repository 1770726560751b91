using System.ComponentModel.DataAnnotations;
using System.Security.Cryptography;
using System.Security.Cryptography.X509Certificates;
using System.Text;
using DarkStorage.Connectors.Keys;
using DarkStorage.GrainInterfaces;
using DarkStorage.Storage.Encryption;
using DarkStorage.Unit.Storage;
using Xunit;

namespace DarkStorage.Unit.Encryption;

/// <summary>The key services outside, against <see cref="KeyServer"/>.</summary>
public sealed class KeyServiceTests : IAsyncLifetime
{
    private static readonly CancellationToken Ct = CancellationToken.None;
    private static readonly KeyContext Context = KeyContext.Parse("""{"b":"2","a":"1"}""");

    private KeyServer _server = null!;

    public static TheoryData<string> Services => ["vault", "aws"];

    public async ValueTask InitializeAsync()
    {
        _server = await KeyServer.StartAsync();
        _server.AddKey("one");
        _server.AddKey("two");
    }

    public ValueTask DisposeAsync() => _server.DisposeAsync();

    private static VaultOptions VaultAt(Uri url) =>
        new() { Url = url, Token = "hvs.right", DefaultKey = "one", RetryDelay = TimeSpan.FromMilliseconds(10), CacheLifetime = TimeSpan.Zero };

    private CachingKeyService Open(string service) => service == "vault"
        ? KeyServices.Vault(VaultAt(_server.Url), TimeProvider.System)
        : KeyServices.AwsKms(
            new() { Url = _server.Url, AccessKey = "a", SecretKey = "s", Region = "eu-west-1", DefaultKey = "one", RetryDelay = TimeSpan.FromMilliseconds(10), CacheLifetime = TimeSpan.Zero },
            TimeProvider.System);

    [Theory, MemberData(nameof(Services))]
    public async Task A_data_key_opens_again_under_its_key_and_context_alone(string service)
    {
        using var keys = Open(service);
        var (key, wrapped) = await keys.GenerateAsync("one", Context, Ct);
        using var again = await keys.DecryptAsync("one", wrapped, Context, Ct);
        Assert.Equal(key.Bytes, again.Bytes);
        Assert.Equal(StorageError.DataDamaged, await KeyRingTests.ErrorOfAsync(() => keys.DecryptAsync("two", wrapped, Context, Ct)));
        Assert.Equal(StorageError.DataDamaged, await KeyRingTests.ErrorOfAsync(() => keys.DecryptAsync("one", wrapped, KeyContext.Empty, Ct)));
        _server.Rotate();
        using var afterwards = await keys.DecryptAsync("one", wrapped, Context, Ct);
        Assert.Equal(key.Bytes, afterwards.Bytes);
    }

    [Theory, MemberData(nameof(Services))]
    public async Task A_key_that_is_not_there_is_not_found(string service)
    {
        using var keys = Open(service);
        Assert.Equal(StorageError.KeyNotFound, await KeyRingTests.ErrorOfAsync(() => keys.GenerateAsync("none", KeyContext.Empty, Ct)));
        Assert.Null(await keys.DescribeAsync("none", Ct));
        Assert.True((await keys.DescribeAsync("one", Ct))!.Enabled);
    }

    [Theory, MemberData(nameof(Services))]
    public async Task A_service_that_stumbles_is_asked_again_and_one_that_is_down_is_not_asked_for_ever(string service)
    {
        using var keys = Open(service);
        _server.Failures.Enqueue(503);
        _server.Failures.Enqueue(500);
        (await keys.GenerateAsync("one", KeyContext.Empty, Ct)).Key.Dispose();
        Assert.Equal(3, _server.Requests.Count);
        for (var i = 0; i < 10; i++) _server.Failures.Enqueue(503);
        Assert.Equal(StorageError.KeyServiceUnavailable, await KeyRingTests.ErrorOfAsync(() => keys.GenerateAsync("one", KeyContext.Empty, Ct)));
        Assert.Equal(6, _server.Requests.Count);
    }

    [Fact]
    public async Task A_key_that_aws_has_disabled_is_disabled()
    {
        using var keys = Open("aws");
        _server.Disable("two");
        Assert.Equal(StorageError.KeyDisabled, await KeyRingTests.ErrorOfAsync(() => keys.GenerateAsync("two", KeyContext.Empty, Ct)));
        Assert.False((await keys.DescribeAsync("two", Ct))!.Enabled);
    }

    [Fact]
    public async Task Aws_is_asked_with_a_signature_and_the_context_as_pairs()
    {
        using var keys = Open("aws");
        (await keys.GenerateAsync("one", Context, Ct)).Key.Dispose();
        Assert.True(_server.Requests.TryDequeue(out var request));
        Assert.Equal("TrentService.GenerateDataKey", request.What);
        Assert.StartsWith("AWS4-HMAC-SHA256 Credential=a/", request.Headers.Authorization.ToString(), StringComparison.Ordinal);
        Assert.Contains("/eu-west-1/kms/aws4_request", request.Headers.Authorization.ToString(), StringComparison.Ordinal);
        Assert.Contains("\"EncryptionContext\":{\"a\":\"1\",\"b\":\"2\"}", request.Body, StringComparison.Ordinal);
    }

    [Fact]
    public async Task Vault_is_asked_with_token_namespace_and_context()
    {
        using var keys = KeyServices.Vault(VaultAt(_server.Url) with { Namespace = "team" }, TimeProvider.System);
        (await keys.GenerateAsync("one", Context, Ct)).Key.Dispose();
        Assert.True(_server.Requests.TryDequeue(out var request));
        Assert.Equal("POST /v1/transit/datakey/plaintext/one", request.What);
        Assert.Equal("hvs.right", request.Headers["X-Vault-Token"]);
        Assert.Equal("team", request.Headers["X-Vault-Namespace"]);
        Assert.Contains(Convert.ToBase64String("""{"a":"1","b":"2"}"""u8), request.Body, StringComparison.Ordinal);
    }

    [Theory, InlineData("../../sys/seal"), InlineData("a/b"), InlineData(""), InlineData(".."), InlineData("a b")]
    public async Task A_name_that_would_lead_elsewhere_in_vault_is_not_sent(string name)
    {
        using var keys = Open("vault");
        Assert.Equal(StorageError.KeyNotFound, await KeyRingTests.ErrorOfAsync(() => keys.GenerateAsync(name, KeyContext.Empty, Ct)));
        Assert.Empty(_server.Requests);
    }

    [Fact]
    public async Task A_token_is_read_anew_from_its_file_and_is_in_no_message()
    {
        using var scratch = new ScratchDirectory();
        var file = Path.Combine(scratch.Path, "token");
        await File.WriteAllTextAsync(file, "hvs.wrong\n", Ct);
        var options = VaultAt(_server.Url) with { Token = "", TokenFile = file };
        using var keys = KeyServices.Vault(options, TimeProvider.System);
        var refused = await Assert.ThrowsAsync<StorageException>(async () => await keys.GenerateAsync("one", KeyContext.Empty, Ct));
        Assert.Equal(StorageError.KeyAccessDenied, refused.Error);
        Assert.DoesNotContain("hvs.", refused.ToString(), StringComparison.Ordinal);
        Assert.DoesNotContain("hvs.", VaultAt(_server.Url).ToString(), StringComparison.Ordinal);
        await File.WriteAllTextAsync(file, "hvs.right\n", Ct);
        (await keys.GenerateAsync("one", KeyContext.Empty, Ct)).Key.Dispose();
    }

    [Theory, MemberData(nameof(Services))]
    public async Task A_service_that_does_not_answer_in_time_is_unavailable(string service)
    {
        _server.Stalled = new(TaskCreationOptions.RunContinuationsAsynchronously);
        using var keys = service == "vault"
            ? KeyServices.Vault(VaultAt(_server.Url) with { Timeout = TimeSpan.FromMilliseconds(200), AttemptsMax = 1 }, TimeProvider.System)
            : KeyServices.AwsKms(new() { Url = _server.Url, AccessKey = "a", SecretKey = "s", Timeout = TimeSpan.FromMilliseconds(200), AttemptsMax = 1 }, TimeProvider.System);
        Assert.Equal(StorageError.KeyServiceUnavailable, await KeyRingTests.ErrorOfAsync(() => keys.GenerateAsync("one", KeyContext.Empty, Ct)));
    }

    [Fact]
    public async Task Vault_over_tls_is_trusted_by_the_certificates_that_are_named_alone()
    {
        using var scratch = new ScratchDirectory();
        using var rsa = RSA.Create(2048);
        var request = new CertificateRequest("CN=localhost", rsa, HashAlgorithmName.SHA256, RSASignaturePadding.Pkcs1);
        var names = new SubjectAlternativeNameBuilder();
        names.AddIpAddress(System.Net.IPAddress.Loopback);
        request.CertificateExtensions.Add(names.Build());
        using var certificate = request.CreateSelfSigned(DateTimeOffset.UtcNow.AddHours(-1), DateTimeOffset.UtcNow.AddHours(1));
        await using var server = await KeyServer.StartAsync(X509CertificateLoader.LoadPkcs12(certificate.Export(X509ContentType.Pfx), null));
        server.AddKey("one");
        var ca = Path.Combine(scratch.Path, "ca.pem");
        await File.WriteAllTextAsync(ca, certificate.ExportCertificatePem(), Ct);
        using var trusting = KeyServices.Vault(VaultAt(server.Url) with { CaFile = ca }, TimeProvider.System);
        (await trusting.GenerateAsync("one", KeyContext.Empty, Ct)).Key.Dispose();
        using var careful = KeyServices.Vault(VaultAt(server.Url) with { AttemptsMax = 1 }, TimeProvider.System);
        Assert.Equal(StorageError.KeyServiceUnavailable, await KeyRingTests.ErrorOfAsync(() => careful.GenerateAsync("one", KeyContext.Empty, Ct)));
    }

    [Fact]
    public void Options_out_of_bounds_are_refused()
    {
        var good = VaultAt(_server.Url);
        foreach (var bad in new[]
        {
            good with { Url = null! }, good with { Token = "" }, good with { TokenFile = "x" }, good with { Timeout = TimeSpan.FromHours(1) }, good with { Mount = "../sys" },
            good with { CacheLifetime = TimeSpan.FromMinutes(6) }, good with { CacheEntriesMax = 1001 }, good with { AttemptsMax = 0 }, good with { Url = new("ftp://x") },
        })
            Assert.Throws<ValidationException>(() => KeyServices.Vault(bad, TimeProvider.System));
        Assert.Throws<ValidationException>(() => KeyServices.AwsKms(new() { AccessKey = "a" }, TimeProvider.System));
    }

    [Fact]
    public async Task A_data_key_that_was_opened_is_remembered_for_five_minutes_and_no_longer()
    {
        var clock = new ManualClock();
        var inner = new CountingKeys();
        using var cache = new CachingKeyService(inner, new(), clock);
        for (var i = 0; i < 3; i++) (await cache.DecryptAsync("k", new byte[] { 1 }, KeyContext.Empty, Ct)).Dispose();
        Assert.Equal(1, inner.Decrypted);
        // Another key, other bytes and another context are other keys.
        (await cache.DecryptAsync("l", new byte[] { 1 }, KeyContext.Empty, Ct)).Dispose();
        (await cache.DecryptAsync("k", new byte[] { 2 }, KeyContext.Empty, Ct)).Dispose();
        (await cache.DecryptAsync("k", new byte[] { 1 }, Context, Ct)).Dispose();
        Assert.Equal(4, inner.Decrypted);
        Assert.Equal(4, cache.Count);
        clock.Advance(TimeSpan.FromMinutes(5));
        Assert.Equal(0, cache.Count);       // by the timer: nobody asked
        (await cache.DecryptAsync("k", new byte[] { 1 }, KeyContext.Empty, Ct)).Dispose();
        Assert.Equal(5, inner.Decrypted);
    }

    [Fact]
    public async Task A_thousand_data_keys_are_remembered_and_no_more()
    {
        var inner = new CountingKeys();
        using var cache = new CachingKeyService(inner, new(), new ManualClock());
        for (var i = 0; i < 1200; i++) (await cache.DecryptAsync("k", BitConverter.GetBytes(i), KeyContext.Empty, Ct)).Dispose();
        Assert.Equal(1000, cache.Count);
        using var newest = await cache.DecryptAsync("k", BitConverter.GetBytes(1199), KeyContext.Empty, Ct);
        Assert.Equal(1200, inner.Decrypted);
        Assert.Equal(1199, BitConverter.ToInt32(newest.Bytes));
        (await cache.DecryptAsync("k", BitConverter.GetBytes(0), KeyContext.Empty, Ct)).Dispose();
        Assert.Equal(1201, inner.Decrypted);
    }

    /// <summary>Opens any bytes to a key that begins with them.</summary>
    private sealed class CountingKeys : IKeyService
    {
        public int Decrypted { get; private set; }

        public string DefaultKeyId => "k";

        public ValueTask<DataKey> DecryptAsync(string keyId, ReadOnlyMemory<byte> wrapped, KeyContext context, CancellationToken ct)
        {
            Decrypted++;
            var bytes = new byte[32];
            wrapped.CopyTo(bytes);
            return new(new DataKey(bytes));
        }

        public ValueTask<GeneratedKey> GenerateAsync(string keyId, KeyContext context, CancellationToken ct) => throw new NotSupportedException();

            public ValueTask<KeyDescription?> DescribeAsync(string keyId, CancellationToken ct) => throw new NotSupportedException();
    }

    /// <summary>Time that passes when it is told to; its timers fire on the thread that tells it.</summary>
    private sealed class ManualClock : TimeProvider
    {
        private readonly List<ManualTimer> _timers = [];
        private TimeSpan _now;

        public override long TimestampFrequency => TimeSpan.TicksPerSecond;

        public override long GetTimestamp() => _now.Ticks;

        public override ITimer CreateTimer(TimerCallback callback, object? state, TimeSpan dueTime, TimeSpan period)
        {
            var timer = new ManualTimer(this, () => callback(state));
            timer.Change(dueTime, period);
            _timers.Add(timer);
            return timer;
        }

        public void Advance(TimeSpan by)
        {
            _now += by;
            foreach (var timer in _timers.Where(t => t.Due <= _now).ToList()) timer.Fire();
        }

        private sealed class ManualTimer(ManualClock clock, Action fire) : ITimer
        {
            public TimeSpan Due { get; private set; } = TimeSpan.MaxValue;

            public void Fire()
            {
                Due = TimeSpan.MaxValue;
                fire();
            }

            public bool Change(TimeSpan dueTime, TimeSpan period)
            {
                Due = dueTime == Timeout.InfiniteTimeSpan ? TimeSpan.MaxValue : clock._now + dueTime;
                return true;
            }

            public void Dispose() => Due = TimeSpan.MaxValue;

            public ValueTask DisposeAsync()
            {
                Dispose();
                return ValueTask.CompletedTask;
            }
        }
    }
}
