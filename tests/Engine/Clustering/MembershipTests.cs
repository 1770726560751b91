#if EMBEDDED_ENGINE
using System.Net;
using System.Net.Security;
using System.Net.Sockets;
using System.Security.Cryptography;
using System.Security.Cryptography.X509Certificates;
using Microsoft.Extensions.DependencyInjection;
using Orleans.Configuration;

namespace DarkStorage.Engine.Tests;

[Collection(ClusterTests.Name)]
public sealed class MembershipTests
{
    [Fact]
    public async Task Ten_silos_start_at_once_on_an_empty_database()
    {
        var database = await (await Postgres.GetAsync()).CreateDatabaseAsync();
        var silos = await Task.WhenAll(Enumerable.Range(0, 10).Select(i => TestSilo.StartAsync("ten", $"node-{i}", database)));
        foreach (var silo in silos) await silo.SeesActive(10);
        var views = silos.Select(silo => silo.Membership.CurrentSnapshot).ToArray();
        Assert.Single(views.Select(view => view.Version).Distinct());
        Assert.Equal(20, views[0].Version.Value);   // each joined, and became active
        var places = new HashSet<string>();
        for (var i = 0; i < 200; i++) places.Add(await silos[i % 10].Grain($"ten {i}").Where());
        Assert.Equal(10, places.Count);
        await Task.WhenAll(silos.Select(silo => silo.DisposeAsync().AsTask()));
    }

    [Fact]
    public async Task A_single_silo_is_a_cluster_of_one()
    {
        await using var silos = await TestSilos.StartAsync(1);
        Assert.Equal(1, await silos[0].Grain(silos.ClusterId).Add());
        var member = Assert.Single(silos[0].Membership.CurrentSnapshot.Members.Values);
        Assert.Equal(("node-0", SiloStatus.Active, silos[0].Address), (member.Name, member.Status, member.SiloAddress));
    }

    [Fact]
    public async Task A_silo_without_clustering_has_itself_for_a_member()
    {
        await using var cluster = await Cluster.StartAsync();
        var membership = cluster.Services.GetRequiredService<IClusterMembershipService>();
        if (Environment.GetEnvironmentVariable(Cluster.SilosVariable) is null) Assert.Equal(SiloStatus.Active, Assert.Single(membership.CurrentSnapshot.Members.Values).Status);
    }

    [Fact]
    public async Task A_name_that_a_live_silo_has_is_refused()
    {
        await using var silos = await TestSilos.StartAsync(1);
        var refusal = await Assert.ThrowsAsync<OrleansConfigurationException>(() => TestSilo.StartAsync(silos.ClusterId, "node-0", silos.Database));
        Assert.Contains("\"node-0\"", refusal.Message);
        Assert.Contains("is in use", refusal.Message);
        Assert.Equal(1, await silos[0].Grain(silos.ClusterId).Add());
    }

    [Fact]
    public async Task A_silo_that_stopped_leaves_its_name_to_the_next_at_once()
    {
        await using var silos = await TestSilos.StartAsync(2);
        var first = silos[1].Address;
        await silos[1].StopAsync();
        await silos[0].Sees(view => view.GetSiloStatus(first) == SiloStatus.Dead);
        await using var next = await TestSilo.StartAsync(silos.ClusterId, "node-1", silos.Database);
        await silos[0].SeesActive(2);
        Assert.Equal(SiloStatus.Dead, silos[0].StatusOf(first));
        Assert.Equal(SiloStatus.Active, silos[0].StatusOf(next.Address));
    }

    [Fact]
    public async Task Two_services_under_one_cluster_id_are_refused()
    {
        await using var silos = await TestSilos.StartAsync(1);
        var refusal = await Assert.ThrowsAsync<OrleansConfigurationException>(() => TestSilo.StartAsync(
            silos.ClusterId, "other", silos.Database, silo => silo.Configure<ClusterOptions>(options => options.ServiceId = "other service")));
        Assert.Contains("other service", refusal.Message);
    }

    [Fact]
    public async Task A_silo_that_others_could_reach_needs_tls()
    {
        var server = await Postgres.GetAsync();
        var refusal = await Assert.ThrowsAsync<OrleansConfigurationException>(() => TestSilo.StartAsync(
            Guid.NewGuid().ToString("N"), "open", server.ConnectionString, silo => silo.ConfigureEndpoints(IPAddress.Loopback, 0, 0, listenOnAnyHostAddress: true)));
        Assert.Contains(nameof(SiloTlsOptions), refusal.Message);
    }

    [Fact]
    public async Task With_tls_silos_talk_and_a_stranger_is_not_heard()
    {
        using var authority = Certificate("silo");
        using var stranger = Certificate("stranger");
        await using var silos = await TestSilos.StartAsync(2, silo => silo.UseSiloTls(options =>
        {
            options.Certificate = authority;
            options.Validate = (_, certificate, _, _) => certificate is X509Certificate2 shown && shown.Thumbprint == authority.Thumbprint;
        }));
        var key = await silos.KeyAtAsync(silos[1]);
        Assert.Equal(silos[1].Address.ToString(), await silos[0].Grain(key).Where());

        // With another certificate, with none, and without TLS: the connection ends, and says nothing.
        foreach (var shown in new[] { stranger, null })
        {
            using var client = new TcpClient();
            await client.ConnectAsync(silos[0].Address.Endpoint);
            using var secure = new SslStream(client.GetStream());
            await Assert.ThrowsAnyAsync<Exception>(async () =>
            {
#pragma warning disable CA5359 // This client is the one that must not be trusted.
                await secure.AuthenticateAsClientAsync(new SslClientAuthenticationOptions
                {
                    TargetHost = "127.0.0.1",
                    ClientCertificates = shown is null ? null : [shown],
                    RemoteCertificateValidationCallback = (_, _, _, _) => true,
                });
#pragma warning restore CA5359
                await secure.WriteAsync(Hello(silos, silos[1].Address, silos[0].Address));
                await secure.ReadExactlyAsync(new byte[5]).AsTask().WaitAsync(Cluster.Patience);
            });
        }

        Assert.Empty(await AnswerToAsync(silos[0].Address, Hello(silos, silos[1].Address, silos[0].Address)));
        Assert.Equal(1, await silos[0].Grain(key).Add());
    }

    [Fact]
    public async Task Whoever_is_no_live_member_of_this_run_is_refused()
    {
        await using var silos = await TestSilos.StartAsync(2);
        var (here, other) = (silos[0].Address, silos[1].Address);
        var earlier = SiloAddress.New(other.Endpoint, other.Generation - 1);
        var unknown = SiloAddress.New(IPAddress.Loopback, 9, 9);
        Assert.Contains("no live member", Text(await AnswerToAsync(here, Hello(silos, earlier, here))));
        Assert.Contains("no live member", Text(await AnswerToAsync(here, Hello(silos, unknown, here))));
        Assert.Contains("later run", Text(await AnswerToAsync(here, Hello(silos, other, SiloAddress.New(here.Endpoint, here.Generation - 1)))));
        Assert.Contains("another cluster", Text(await AnswerToAsync(here, Hello("other", other, here))));
        Assert.Equal((byte)FrameKind.Welcome, (await AnswerToAsync(here, Hello(silos, other, here)))[4]);
    }

    [Theory]
    [InlineData(1)]
    [InlineData(2)]
    [InlineData(3)]
    public async Task Hostile_bytes_at_the_port_harm_nobody(int seed)
    {
        var random = new Random(seed);
        await using var silos = await TestSilos.StartAsync(2);
        var key = await silos.KeyAtAsync(silos[1]);
        var hello = Hello(silos, silos[0].Address, silos[1].Address);
        for (var i = 0; i < 40; i++)
        {
            // Half of them get past the greeting, as only a silo can where there is TLS.
            var bytes = new byte[random.Next(1, 3000)];
            random.NextBytes(bytes);
            if (i % 4 == 0) bytes = [0xFF, 0xFF, 0xFF, 0x7F, .. bytes];
            if (i % 4 == 1) bytes = [.. BitConverter.GetBytes(bytes.Length), .. bytes];
            if (i % 4 == 2) bytes = [.. BitConverter.GetBytes(bytes.Length), (byte)FrameKind.Request, .. bytes[1..]];
            await AnswerToAsync(silos[1].Address, i % 2 == 0 ? [.. hello, .. bytes] : bytes);
        }

        Assert.Equal(silos[1].Address.ToString(), await silos[0].Grain(key).Where());
    }

    private static byte[] Hello(TestSilos silos, SiloAddress from, SiloAddress to) => Hello(silos.ClusterId, from, to);

    private static byte[] Hello(string cluster, SiloAddress from, SiloAddress to)
    {
        var frame = Frames.Hello(cluster, "tests", from, to, 1);
        return frame.Buffer[..frame.Length];
    }

    private static string Text(byte[] bytes) => System.Text.Encoding.UTF8.GetString(bytes);

    /// <summary>Sends, says that no more comes, and takes what is answered until the silo closes.</summary>
    private static async Task<byte[]> AnswerToAsync(SiloAddress silo, byte[] bytes)
    {
        using var client = new TcpClient();
        await client.ConnectAsync(silo.Endpoint);
        using var answer = new MemoryStream();
        try
        {
            var stream = client.GetStream();
            await stream.WriteAsync(bytes);
            client.Client.Shutdown(SocketShutdown.Send);
            using var patience = new CancellationTokenSource(Cluster.Patience);
            await stream.CopyToAsync(answer, patience.Token);
        }
        catch (Exception error) when (error is IOException or SocketException)
        {
            // Closed in the middle of it.
        }

        return answer.ToArray();
    }

    private static X509Certificate2 Certificate(string name)
    {
        using var key = ECDsa.Create(ECCurve.NamedCurves.nistP256);
        var request = new CertificateRequest($"CN={name}", key, HashAlgorithmName.SHA256);
        using var certificate = request.CreateSelfSigned(DateTimeOffset.UtcNow.AddDays(-1), DateTimeOffset.UtcNow.AddDays(1));
        return X509CertificateLoader.LoadPkcs12(certificate.Export(X509ContentType.Pfx), null);
    }
}
#endif
