using System.Net.Security;
using System.Net.Sockets;
using System.Security.Authentication;
using System.Security.Cryptography;
using System.Security.Cryptography.X509Certificates;
using DarkStorage.GrainInterfaces;
using DarkStorage.Storage;
using DarkStorage.Storage.Peers;
using Microsoft.Extensions.Logging;
using Microsoft.Extensions.Logging.Abstractions;
using Xunit;

namespace DarkStorage.Unit.Storage.Peers;

/// <summary>Who is of the cluster: whoever knows its secret, or has a certificate that its authority signed.</summary>
public sealed class ClusterIdentityTests
{
    [Fact]
    public void The_same_secret_gives_the_same_key_everywhere_and_another_secret_another()
    {
        using var one = ClusterIdentity.FromSecret(PeerNode.Secret);
        using var same = ClusterIdentity.FromSecret(PeerNode.Secret + "\n");
        using var other = ClusterIdentity.FromSecret(PeerNode.Secret.ToUpperInvariant());
        Assert.True(one.Accepts(this, same.Certificate, null, SslPolicyErrors.RemoteCertificateChainErrors));
        Assert.False(one.Accepts(this, other.Certificate, null, SslPolicyErrors.None));
        Assert.False(one.Accepts(this, null, null, SslPolicyErrors.None));
        // As docs/FORMATS.md derives it: a change of the way would part old nodes from new ones. Worked out with Python's hmac and a curve of one's own.
        Assert.Equal(KnownPoint, Convert.ToHexStringLower(one.Certificate.PublicKey.EncodedKeyValue.RawData));
    }

    private const string KnownPoint = "0466b185045f2cd444bacbc8d125291b78df29eafcebe4c708150ea529bc66f60c1b62d4bbfe9f28a094737dc9f2033421194babfd8e3eb37554498d9d4e84338e";

    [Theory, InlineData(""), InlineData("31 characters are not enough xx"), InlineData("   short between white space                       ")]
    public void A_secret_that_is_too_short_is_refused_and_not_repeated(string secret)
    {
        var e = Assert.Throws<StorageStartupException>(() => ClusterIdentity.FromSecret(secret));
        if (secret.Length > 0) Assert.DoesNotContain(secret.Trim(), e.Message, StringComparison.Ordinal);
    }

    [Fact]
    public async Task Of_several_secrets_the_first_is_shown_and_all_are_accepted()
    {
        const string Newer = "another secret of the tests, long enough too";
        using var old = ClusterIdentity.FromSecret(PeerNode.Secret);
        using var oldFirst = ClusterIdentity.FromSecret($"{PeerNode.Secret}\n{Newer}\n");
        using var newFirst = ClusterIdentity.FromSecret($"\r\n{Newer}\r\n\r\n  {PeerNode.Secret}");
        using var newer = ClusterIdentity.FromSecret(Newer);
        Assert.Equal(old.Certificate.GetPublicKeyString(), oldFirst.Certificate.GetPublicKeyString());
        Assert.Equal(newer.Certificate.GetPublicKeyString(), newFirst.Certificate.GetPublicKeyString());
        ClusterIdentity[] all = [old, oldFirst, newFirst, newer];
        bool[][] meets = [[true, true, false, false], [true, true, true, false], [false, true, true, true], [false, false, true, true]];
        foreach (var (i, server) in all.Index())
        {
            await using var node = new PeerNode(server);
            foreach (var (j, client) in all.Index())
            {
                await using var peer = new PeerStore(node.Id, node.EndPoint, PeerNode.Cluster, client, PeerNode.Limits, TimeProvider.System);
                Assert.True(meets[i][j] == await IsMetAsync(peer), $"{j} calls {i}");
            }
        }
    }

    [Theory, InlineData("{0}\n{1}\n{2}\n{3}\n{4}", "5 secrets"), InlineData("{0}\n{1}\n{0}", "twice"), InlineData("{0}\nshort", "32")]
    public void Secrets_that_can_not_be_are_refused_and_not_repeated(string text, string why)
    {
        object[] secrets = [.. Enumerable.Range(0, 5).Select(i => new string((char)('a' + i), 40))];
        var e = Assert.Throws<StorageStartupException>(() => ClusterIdentity.SecretsIn(string.Format(null, text, secrets), "THE_NAME"));
        Assert.Contains("THE_NAME", e.Message, StringComparison.Ordinal);
        Assert.Contains(why, e.Message, StringComparison.Ordinal);
        Assert.DoesNotContain("aaa", e.Message, StringComparison.Ordinal);
    }

    [Fact]
    public async Task Certificates_of_one_authority_know_each_other_and_no_other_ones()
    {
        using var folder = new ScratchDirectory();
        using var ours = new Authority(folder.Path, "ours");
        using var theirs = new Authority(folder.Path, "theirs");
        using var a = ours.Issue("a").Open();
        using var b = ours.Issue("b").Open();
        using var stranger = theirs.Issue("c").Open();
        Assert.True(a.Accepts(this, b.Certificate, null, SslPolicyErrors.RemoteCertificateNameMismatch));
        Assert.False(a.Accepts(this, stranger.Certificate, null, SslPolicyErrors.None));
        using var secret = ClusterIdentity.FromSecret(PeerNode.Secret);
        Assert.False(a.Accepts(this, secret.Certificate, null, SslPolicyErrors.None));
        await using var node = new PeerNode(a);
        Assert.True(await MeetsAsync(node, b));
        Assert.False(await MeetsAsync(node, stranger));
        Assert.False(await MeetsAsync(node, secret));
    }

    [Fact]
    public async Task A_peer_whose_certificate_is_over_or_has_not_begun_is_refused()
    {
        using var folder = new ScratchDirectory();
        using var ours = new Authority(folder.Path, "ours");
        await using var node = new PeerNode(ours.Issue("a").Open());
        var now = DateTimeOffset.UtcNow;
        foreach (var (from, until) in ((DateTimeOffset, DateTimeOffset)[])[(now.AddHours(-3), now.AddHours(-1)), (now.AddHours(1), now.AddHours(3))])
        {
            var other = ours.Issue("b", from, until);
            // It refuses to start with one: the call is made by who does not look.
            Assert.Contains("valid from", Assert.Throws<StorageStartupException>(() => other.Open()).Message, StringComparison.Ordinal);
            using var certificate = other.Certificate();
            Assert.False(node.Identity.Accepts(this, certificate, null, SslPolicyErrors.None));
            await Assert.ThrowsAnyAsync<Exception>(() => GreetAsync(node, certificate));
        }
        using var good = ours.Issue("c").Certificate();
        await GreetAsync(node, good);
    }

    [Fact]
    public void A_certificate_between_that_and_the_authority_comes_with_the_file()
    {
        using var folder = new ScratchDirectory();
        using var ours = new Authority(folder.Path, "ours");
        using var between = new Authority(folder.Path, "between", ours);
        using var a = between.Issue("a", authority: "ours", behind: "between").Open();
        using var b = between.Issue("b", authority: "ours", behind: "between").Open();
        using var c = ours.Issue("c").Open();
        Assert.True(a.Accepts(this, b.Certificate, null, SslPolicyErrors.RemoteCertificateChainErrors));
        Assert.True(a.Accepts(this, c.Certificate, null, SslPolicyErrors.RemoteCertificateChainErrors));
        Assert.False(c.Accepts(this, b.Certificate, null, SslPolicyErrors.RemoteCertificateChainErrors));
    }

    [Fact]
    public async Task A_renewed_certificate_is_shown_and_one_that_can_not_be_used_is_not()
    {
        using var folder = new ScratchDirectory();
        using var ours = new Authority(folder.Path, "ours");
        using var theirs = new Authority(folder.Path, "theirs");
        var log = new KeptLog();
        var clock = new HandClock();
        var files = ours.Issue("a");
        using var identity = files.Open(clock: clock, log: log);
        using var peer = ours.Issue("b").Open();
        await using var node = new PeerNode(identity);
        var first = await ShownAsync(node, peer);

        clock.Tick();
        Assert.Equal(first, await ShownAsync(node, peer));
        Assert.Empty(log.Lines);
        ours.Issue("a");
        Assert.Equal(first, await ShownAsync(node, peer));
        clock.Tick();
        var second = await ShownAsync(node, peer);
        Assert.NotEqual(first, second);
        Assert.Contains("renewed", Assert.Single(log.Lines), StringComparison.Ordinal);

        foreach (var spoil in (Action[])[
            () => File.WriteAllText(files.Options.CertificateFile, "nothing"),
            () => File.Delete(files.Options.CertificateFile),
            () => theirs.Issue("a", authority: "ours"),
            () => ours.Issue("a", until: DateTimeOffset.UtcNow.AddHours(-1)),
            () => File.WriteAllText(files.Options.KeyFile, File.ReadAllText(ours.Issue("c").Options.KeyFile))])
        {
            log.Lines.Clear();
            ours.Issue("a");
            clock.Tick();
            var before = await ShownAsync(node, peer);
            log.Lines.Clear();
            spoil();
            clock.Tick();
            clock.Tick();
            Assert.Equal(before, await ShownAsync(node, peer));
            Assert.Contains("can't be used", Assert.Single(log.Lines), StringComparison.Ordinal);
        }
        // And the authority may be another one from some moment on: this and the peer's.
        theirs.Issue("a");
        File.Copy(Path.Combine(folder.Path, "theirs.pem"), files.Options.AuthorityFile, overwrite: true);
        clock.Tick();
        Assert.False(await MeetsAsync(node, peer));
        using var third = theirs.Issue("d").Open();
        Assert.True(await MeetsAsync(node, third));
    }

    [Fact]
    public void An_operator_is_reminded_once_of_a_certificate_that_ends_soon()
    {
        using var folder = new ScratchDirectory();
        using var ours = new Authority(folder.Path, "ours");
        var log = new KeptLog();
        var clock = new HandClock();
        using var identity = ours.Issue("a", until: DateTimeOffset.UtcNow.AddDays(6)).Open(clock: clock, log: log);
        clock.Tick();
        clock.Tick();
        Assert.Contains("was not renewed", Assert.Single(log.Lines), StringComparison.Ordinal);
        ours.Issue("a");
        clock.Tick();
        clock.Tick();
        Assert.Equal(2, log.Lines.Count);
    }

    [Fact]
    public async Task A_cluster_changes_from_its_secret_to_certificates_node_by_node_and_its_nodes_meet_all_the_time()
    {
        using var folder = new ScratchDirectory();
        using var ours = new Authority(folder.Path, "ours");
        var files = ours.Issue("a");
        using var secret = ClusterIdentity.FromSecret(PeerNode.Secret);
        using var shows = files.Open(o => o with { Identity = PeerIdentityKind.Secret, AcceptsBoth = true });
        using var accepts = files.Open(o => o with { AcceptsBoth = true });
        using var certificate = files.Open();
        using var secretAlone = files.Open(o => o with { Identity = PeerIdentityKind.Secret });
        ClusterIdentity[] steps = [secret, shows, accepts, certificate];
        Assert.Equal(secret.Certificate.GetPublicKeyString(), shows.Certificate.GetPublicKeyString());
        Assert.NotEqual(secret.Certificate.GetPublicKeyString(), accepts.Certificate.GetPublicKeyString());
        for (var step = 0; step < steps.Length; step++)
        {
            await using var node = new PeerNode(steps[step]);
            for (var other = 0; other < steps.Length; other++) Assert.True((Math.Abs(step - other) <= 1) == await MeetsAsync(node, steps[other]), $"{other} calls {step}");
            Assert.Equal(step <= 1, await MeetsAsync(node, secretAlone));
        }
    }

    [Theory, InlineData("x", "", "", null, false, "belong together"), InlineData("", "x", "x", null, false, "belong together"), InlineData("", "", "", PeerIdentityKind.Certificate, false, "do not name one"),
        InlineData("", "", "", null, true, "name none"), InlineData("x", "x", "x", (PeerIdentityKind)7, false, "Identity")]
    public void Settings_that_do_not_go_together_are_said_so(string certificate, string key, string authority, PeerIdentityKind? identity, bool acceptsBoth, string why)
    {
        var problems = new List<System.ComponentModel.DataAnnotations.ValidationResult>();
        var options = new PeerIdentityOptions { CertificateFile = certificate, KeyFile = key, AuthorityFile = authority, Identity = identity, AcceptsBoth = acceptsBoth };
        Assert.False(System.ComponentModel.DataAnnotations.Validator.TryValidateObject(options, new(options), problems, validateAllProperties: true));
        Assert.Contains(why, Assert.Single(problems).ErrorMessage, StringComparison.Ordinal);
    }

    [Fact]
    public void A_file_that_is_missing_or_no_certificate_is_said_so()
    {
        using var folder = new ScratchDirectory();
        File.WriteAllText(Path.Combine(folder.Path, "x.pem"), "nothing");
        var x = Path.Combine(folder.Path, "x.pem");
        foreach (var certificate in (string[])[x, x + "y"])
            Assert.Contains("can't be used", Assert.Throws<StorageStartupException>(() => Open(new() { CertificateFile = certificate, KeyFile = x, AuthorityFile = x })).Message, StringComparison.Ordinal);
        using var ours = new Authority(folder.Path, "ours");
        using var theirs = new Authority(folder.Path, "theirs");
        Assert.Contains("not signed by", Assert.Throws<StorageStartupException>(() => ours.Issue("a", authority: "theirs").Open()).Message, StringComparison.Ordinal);
    }

    private static ClusterIdentity Open(PeerIdentityOptions options, TimeProvider? clock = null, ILogger? log = null) => ClusterIdentity.Open([PeerNode.Secret], options, clock ?? TimeProvider.System, log ?? NullLogger.Instance);

    private static async Task<bool> MeetsAsync(PeerNode node, ClusterIdentity caller)
    {
        await using var peer = new PeerStore(node.Id, node.EndPoint, PeerNode.Cluster, caller, PeerNode.Limits, TimeProvider.System);
        return await IsMetAsync(peer);
    }

    private static async Task<bool> IsMetAsync(PeerStore peer)
    {
        try
        {
            await peer.PingAsync(CancellationToken.None);
            return true;
        }
        catch (StorageException e) when (e.Error == StorageError.Unavailable)
        {
            return false;
        }
    }

    /// <summary>What a node shows to a caller that it accepts.</summary>
    private static async Task<string> ShownAsync(PeerNode node, ClusterIdentity caller)
    {
        using var socket = new TcpClient();
        await socket.ConnectAsync(node.EndPoint);
        await using var stream = new SslStream(socket.GetStream());
        await stream.AuthenticateAsClientAsync(caller.ClientOptions());
        return stream.RemoteCertificate!.GetCertHashString();
    }

    /// <summary>Calls a node with a certificate, taking whatever it shows, and waits for its answer.</summary>
    private static async Task GreetAsync(PeerNode node, X509Certificate2 certificate)
    {
        using var socket = new TcpClient();
        await socket.ConnectAsync(node.EndPoint);
        await using var stream = new SslStream(socket.GetStream());
        await stream.AuthenticateAsClientAsync(new SslClientAuthenticationOptions
        {
            TargetHost = "x",
            ClientCertificates = [certificate],
            EnabledSslProtocols = SslProtocols.Tls13,
            RemoteCertificateValidationCallback = static (_, theirs, _, _) => theirs is not null,
        });
        var greeting = new byte[PeerProtocol.GreetingBytes];
        new PeerProtocol.Greeting(1, 1, PeerNode.Cluster, node.Id).Write(greeting);
        await stream.WriteAsync(greeting);
        await stream.ReadExactlyAsync(greeting);
    }

    private sealed class KeptLog : ILogger
    {
        public List<string> Lines { get; } = [];

        public IDisposable? BeginScope<TState>(TState state) where TState : notnull => null;

        public bool IsEnabled(LogLevel logLevel) => true;

        public void Log<TState>(LogLevel logLevel, EventId eventId, TState state, Exception? exception, Func<TState, Exception?, string> formatter) => Lines.Add(formatter(state, exception));
    }

    /// <summary>Its timers run when the test says so.</summary>
    private sealed class HandClock : TimeProvider
    {
        private readonly List<(TimerCallback Callback, object? State)> _timers = [];

        public override ITimer CreateTimer(TimerCallback callback, object? state, TimeSpan dueTime, TimeSpan period)
        {
            _timers.Add((callback, state));
            return TimeProvider.System.CreateTimer(static _ => { }, null, Timeout.InfiniteTimeSpan, Timeout.InfiniteTimeSpan);
        }

        public void Tick() => _timers.ForEach(t => t.Callback(t.State));
    }

    /// <summary>A certificate in files.</summary>
    private sealed record Issued(PeerIdentityOptions Options)
    {
        public ClusterIdentity Open(Func<PeerIdentityOptions, PeerIdentityOptions>? with = null, TimeProvider? clock = null, ILogger? log = null) =>
            ClusterIdentityTests.Open(with is null ? Options : with(Options), clock, log);

        public X509Certificate2 Certificate()
        {
            using var made = X509Certificate2.CreateFromPemFile(Options.CertificateFile, Options.KeyFile);
            return CertificateFiles.ForTls(made);
        }
    }

    private sealed class Authority : IDisposable
    {
        private readonly string _folder;
        private readonly string _name;
        private readonly X509Certificate2 _root;

        /// <param name="above">Null for one that signs itself.</param>
        public Authority(string folder, string name, Authority? above = null)
        {
            (_folder, _name) = (folder, name);
            var key = ECDsa.Create(ECCurve.NamedCurves.nistP256);
            var request = new CertificateRequest($"CN={name}", key, HashAlgorithmName.SHA256);
            request.CertificateExtensions.Add(new X509BasicConstraintsExtension(true, false, 0, true));
            var (from, until) = (DateTimeOffset.UtcNow.AddDays(-1), DateTimeOffset.UtcNow.AddDays(100));
            _root = above is null ? request.CreateSelfSigned(from, until) : request.Create(above._root, from, until.AddDays(-1), RandomNumberGenerator.GetBytes(8)).CopyWithPrivateKey(key);
            File.WriteAllText(Path.Combine(folder, name + ".pem"), _root.ExportCertificatePem());
        }

        /// <param name="authority">Of the file that is named; null for this one.</param>
        /// <param name="behind">What comes behind the certificate in its file.</param>
        public Issued Issue(string name, DateTimeOffset? from = null, DateTimeOffset? until = null, string? authority = null, string? behind = null)
        {
            using var key = ECDsa.Create(ECCurve.NamedCurves.nistP256);
            var request = new CertificateRequest($"CN={name}", key, HashAlgorithmName.SHA256);
            using var certificate = request.Create(_root, from ?? DateTimeOffset.UtcNow.AddHours(-10), until ?? DateTimeOffset.UtcNow.AddDays(50), RandomNumberGenerator.GetBytes(8));
            var path = Path.Combine(_folder, name);
            File.WriteAllText(path + ".pem", certificate.ExportCertificatePem() + (behind is null ? "" : "\n" + File.ReadAllText(Path.Combine(_folder, behind + ".pem"))));
            File.WriteAllText(path + ".key", key.ExportPkcs8PrivateKeyPem());
            return new(new() { CertificateFile = path + ".pem", KeyFile = path + ".key", AuthorityFile = Path.Combine(_folder, (authority ?? _name) + ".pem") });
        }

        public void Dispose() => _root.Dispose();
    }
}
