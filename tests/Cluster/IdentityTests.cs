using System.Diagnostics;
using System.Net.Security;
using System.Net.Sockets;
using System.Security.Cryptography;
using System.Security.Cryptography.X509Certificates;

namespace DarkStorage.Cluster;

/// <summary>What the nodes of a cluster prove themselves by is changed node by node, while they serve.</summary>
public sealed class IdentityTests
{
    private const string Variable = "DARKSTORAGE_CLUSTER_SECRET";
    private const string Old = "the secret that the cluster was begun with";
    private const string New = "the secret that it is to have from now on";
    private const string OldFirst = $"{Old}\n{New}";
    private const string NewFirst = $"{New}\n{Old}\n";

    /// <summary>After a node began to stop, and again after it is back.</summary>
    private static readonly TimeSpan FailuresMax = TimeSpan.FromSeconds(10);

    [Fact]
    public async Task The_secret_is_changed_node_by_node_under_load_and_the_old_one_opens_nothing_any_more()
    {
        await using var cluster = await TestCluster.StartAsync(3, new() { Secret = Old });
        var nodes = cluster.Nodes;
        var users = new List<TestUser> { await nodes[0].NewUserAsync(null, "readwrite") };
        using (var target = await nodes[0].AdminAsync(HttpMethod.Post, "/v1/event-targets", new { name = "target", url = "http://127.0.0.1:1/", secret = "of the target" })) Assert.True(target.IsSuccessStatusCode);
        var bucket = await nodes[0].S3(users[0]).NewBucketAsync();
        await PutAsync(nodes, users[0], bucket, "before");
        await using var load = await Load.StartAsync(nodes, clients: 2);
        await load.ProgressAsync(20);
        var away = new List<(NodeProcess Node, long From, long To)>();

        await RestartAsync(nodes[0], OldFirst, refused: (NewFirst, "is not known there"));
        await RestartAsync(nodes[1], OldFirst);
        await RestartAsync(nodes[2], OldFirst);

        await RestartAsync(nodes[0], NewFirst, refused: (New, "not the one that everything is sealed under yet"));
        // Sealed at nodes of either order, and opened at all.
        await PutAsync(nodes, users[0], bucket, "between");
        foreach (var node in nodes) users.Add(await node.NewUserAsync(null, "readwrite"));
        await ReadAsync(nodes, users, bucket, "before", "between");
        await RestartAsync(nodes[1], NewFirst, refused: (New, "is being changed"));
        Assert.Equal(2, await nodes[2].MetricAsync("darkstorage_cluster_secrets"));
        await RestartAsync(nodes[2], NewFirst);
        foreach (var node in nodes) await TestCluster.UntilAsync(async () => await node.MetricAsync("darkstorage_cluster_secrets") == 1, Explain);

        foreach (var node in nodes) await RestartAsync(node, New);
        await load.ProgressAsync(20, away[^1].To);
        await load.StopAsync();
        await cluster.SettledAsync();
        await ReadAsync(nodes, users, bucket, "before", "between");
        await load.VerifyAsync(nodes, Explain);
        var longest = load.FailuresEndWithin(FailuresMax, [.. away.SelectMany(a => (long[])[a.From, a.To])], f => !IsAway(f), Explain);
        var reads = load.Failures.Where(f => !IsAway(f) && f.What.StartsWith("Get", StringComparison.Ordinal)).ToList();
        Assert.True(reads.Count == 0, $"Reads failed at nodes that were there:\n{string.Join('\n', reads.Take(20))}\n{Explain()}");

        Assert.Contains("had before", await JoinTests.RefusedAsync(cluster.SettingsOf("stranger", secret: Old)), StringComparison.Ordinal);
        Assert.Equal(3, (await cluster.DescribeAsync())["nodes"]!.AsArray().Count);
        TestContext.Current.TestOutputHelper?.WriteLine($"{load}; through the other nodes for {longest.TotalSeconds:0.0} s at most; away {string.Join(", ", away.Select(a => $"{Stopwatch.GetElapsedTime(a.From, a.To).TotalSeconds:0.0} s"))}.");

        async Task RestartAsync(NodeProcess node, string secret, params (string Secret, string Why)[] refused)
        {
            var from = Stopwatch.GetTimestamp();
            load.Use(nodes.Where(n => n != node));
            Assert.Equal(0, await node.TerminateAsync());
            foreach (var (wrong, why) in refused)
            {
                node.Environment = new Dictionary<string, string> { [Variable] = wrong };
                await Assert.ThrowsAsync<InvalidOperationException>(node.RestartAsync);
                var refusal = node.Output.TrimEnd().Split('\n')[^1];
                Assert.Contains(why, refusal, StringComparison.Ordinal);
                Assert.DoesNotContain(New, refusal, StringComparison.Ordinal);
            }
            node.Environment = new Dictionary<string, string> { [Variable] = secret };
            await node.RestartAsync();
            await cluster.ReadyAsync(node);
            away.Add((node, from, Stopwatch.GetTimestamp()));
            load.Use(nodes);
        }

        bool IsAway(Failure f) => away.Any(a => a.Node == f.Node && f.End >= a.From && f.Start <= a.To);

        string Explain() => string.Join('\n', nodes.Select(n => $"== {TestCluster.NameOf(n)}\n{n.Output}"));
    }

    [Fact]
    public async Task Certificates_of_the_operators_own_are_renewed_while_nodes_run_and_another_authority_lets_nobody_in()
    {
        using var ours = new Authority("ours");
        using var theirs = new Authority("theirs");
        await using var cluster = await TestCluster.StartAsync(2, new() { Copies = 2, EnvironmentOf = ours.EnvironmentOf });
        var nodes = cluster.Nodes;
        using var s3 = nodes[0].S3();
        var bucket = await s3.NewBucketAsync();
        var content = S3Clients.Content(300_000);
        await s3.PutBytesAsync(bucket, "before", content);

        var (node, name) = (nodes[0], TestCluster.NameOf(nodes[0]));
        var first = await ShownAsync(node, ours);
        var renewed = node.NextLineAsync("was renewed");
        ours.Issue(name);
        await renewed;
        var second = await ShownAsync(node, ours);
        Assert.All(first, shown => Assert.NotEqual(ours.HashOf(name), shown));
        Assert.All(second, shown => Assert.Equal(ours.HashOf(name), shown));
        var kept = node.NextLineAsync("can't be used");
        theirs.Issue(name, ours.Folder);
        await kept;
        Assert.Equal(second, await ShownAsync(node, ours));

        // Who comes now meets the renewed certificate on all connections, and the other node comes back by it.
        Assert.Equal(0, await nodes[1].TerminateAsync());
        await nodes[1].RestartAsync();
        await cluster.ReadyAsync(nodes[1]);
        await s3.PutBytesAsync(bucket, "after", content);
        foreach (var key in (string[])["before", "after"]) Assert.Equal(content, await nodes[1].S3().GetBytesAsync(bucket, key));

        await using var stranger = await NodeProcess.StartUntilAsync(Of(cluster.SettingsOf("stranger"), theirs), "can't reach");
        // The secret, which both have, is not enough.
        await using var withSecret = await NodeProcess.StartUntilAsync(Of(cluster.SettingsOf("with-secret"), null), "can't reach");
        foreach (var member in nodes) Assert.Equal(2, await member.MetricAsync("darkstorage_cluster_members"));
        await TestCluster.UntilAsync(async () => (await cluster.DescribeAsync())["nodes"]!.AsArray().Count(n => n!["state"]!.GetValue<string>() == "active") == 2, () => node.Output);
        foreach (var outsider in (NodeProcess[])[stranger, withSecret]) Assert.False(outsider.HasEnded);
    }

    private static NodeSettings Of(NodeSettings settings, Authority? authority) => settings with
    {
        Environment = settings.Environment.Where(v => !v.Key.Contains("Peers__", StringComparison.Ordinal))
            .Concat(authority?.EnvironmentOf("stranger") ?? new Dictionary<string, string>()).ToDictionary(v => v.Key, v => v.Value, StringComparer.Ordinal),
    };

    /// <summary>An object in the index and one in packs, sealed with a key of the ring, through each node.</summary>
    private static async Task PutAsync(IEnumerable<NodeProcess> nodes, TestUser user, string bucket, string when)
    {
        foreach (var (i, node) in nodes.Index())
        {
            using var s3 = node.S3(user);
            foreach (var length in Lengths)
            {
                await TestCluster.UntilAsync(async () => (await s3.PutObjectAsync(new()
                {
                    BucketName = bucket,
                    Key = $"{when}-{i}-{length}",
                    InputStream = new MemoryStream(S3Clients.Content(length)),
                    ServerSideEncryptionMethod = ServerSideEncryptionMethod.AES256,
                })).HttpStatusCode == HttpStatusCode.OK);
            }
        }
    }

    /// <summary>Each user reads through each node what another node took.</summary>
    private static async Task ReadAsync(IReadOnlyList<NodeProcess> nodes, IEnumerable<TestUser> users, string bucket, params string[] whens)
    {
        foreach (var (user, (i, node)) in users.SelectMany(u => nodes.Index().Select(n => (u, n))))
        {
            using var s3 = node.S3(user);
            foreach (var when in whens)
                await TestCluster.UntilAsync(async () => (await s3.GetBytesAsync(bucket, $"{when}-{(i + 1) % nodes.Count}-{Lengths[^1]}")).AsSpan().SequenceEqual(S3Clients.Content(Lengths[^1])));
        }
    }

    private static readonly int[] Lengths = [100, 100_000];

    /// <summary>The certificates that a node shows at its two private ports to one of the cluster.</summary>
    private static async Task<List<string>> ShownAsync(NodeProcess node, Authority by)
    {
        var url = new Uri(node.Settings.Flags[node.Settings.Flags.ToList().IndexOf("--peer-url") + 1]);
        var shown = new List<string>();
        foreach (var port in (int[])[url.Port, url.Port + 1])
        {
            using var certificate = by.Certificate("stranger");
            using var socket = new TcpClient();
            await socket.ConnectAsync(IPAddress.Loopback, port);
            await using var stream = new SslStream(socket.GetStream());
            await stream.AuthenticateAsClientAsync(new SslClientAuthenticationOptions
            {
                TargetHost = "x",
                ClientCertificates = [certificate],
                // Who calls looks by his own authority.
                RemoteCertificateValidationCallback = (_, theirs, _, _) => by.Signed(theirs!),
            });
            shown.Add(stream.RemoteCertificate!.GetCertHashString());
        }
        return shown;
    }

    /// <summary>An authority with a folder, in which are its certificate and those that it issued.</summary>
    private sealed class Authority : IDisposable
    {
        private readonly X509Certificate2 _root;

        public Authority(string name)
        {
            var request = new CertificateRequest($"CN={name}", ECDsa.Create(ECCurve.NamedCurves.nistP256), HashAlgorithmName.SHA256);
            request.CertificateExtensions.Add(new X509BasicConstraintsExtension(true, false, 0, true));
            _root = request.CreateSelfSigned(DateTimeOffset.UtcNow.AddDays(-1), DateTimeOffset.UtcNow.AddDays(10));
            File.WriteAllText(AuthorityFile, _root.ExportCertificatePem());
            Issue("stranger");
        }

        public string Folder { get; } = Directory.CreateTempSubdirectory("darkstorage-authority-").FullName;

        private string AuthorityFile => Path.Combine(Folder, "authority.pem");

        /// <summary>The settings of a node, with a certificate of its own.</summary>
        public Dictionary<string, string> EnvironmentOf(string node)
        {
            if (!File.Exists(PathOf(node))) Issue(node);
            return new()
            {
                ["DARKSTORAGE_Peers__CertificateFile"] = PathOf(node),
                ["DARKSTORAGE_Peers__KeyFile"] = PathOf(node) + ".key",
                ["DARKSTORAGE_Peers__AuthorityFile"] = AuthorityFile,
                ["DARKSTORAGE_Peers__CertificateInterval"] = "00:00:00.100",
            };
        }

        /// <param name="folder">Where to; null for its own.</param>
        public void Issue(string node, string? folder = null)
        {
            using var key = ECDsa.Create(ECCurve.NamedCurves.nistP256);
            var request = new CertificateRequest($"CN={node}", key, HashAlgorithmName.SHA256);
            using var certificate = request.Create(_root, DateTimeOffset.UtcNow.AddHours(-1), DateTimeOffset.UtcNow.AddDays(9), RandomNumberGenerator.GetBytes(8));
            // The two files of a pair are exchanged one after the other, as programs that renew certificates do.
            File.WriteAllText(PathOf(node, folder) + ".key", key.ExportPkcs8PrivateKeyPem());
            File.WriteAllText(PathOf(node, folder), certificate.ExportCertificatePem());
        }

        public X509Certificate2 Certificate(string node)
        {
            using var made = X509Certificate2.CreateFromPemFile(PathOf(node), PathOf(node) + ".key");
            return X509CertificateLoader.LoadPkcs12(made.Export(X509ContentType.Pkcs12), null);
        }

        public string HashOf(string node)
        {
            using var certificate = Certificate(node);
            return certificate.GetCertHashString();
        }

        public bool Signed(X509Certificate certificate)
        {
            using var chain = new X509Chain();
            chain.ChainPolicy.TrustMode = X509ChainTrustMode.CustomRootTrust;
            chain.ChainPolicy.CustomTrustStore.Add(_root);
            chain.ChainPolicy.RevocationMode = X509RevocationMode.NoCheck;
            using var shown = new X509Certificate2(certificate);
            return chain.Build(shown);
        }

        public void Dispose()
        {
            _root.Dispose();
            Directory.Delete(Folder, recursive: true);
        }

        private string PathOf(string node, string? folder = null) => Path.Combine(folder ?? Folder, node + ".pem");
    }
}
