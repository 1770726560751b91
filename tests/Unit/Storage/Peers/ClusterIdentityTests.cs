using System.Net.Security;
using System.Security.Cryptography;
using System.Security.Cryptography.X509Certificates;
using DarkStorage.Storage;
using DarkStorage.Storage.Peers;
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
    public async Task Certificates_of_one_authority_know_each_other_and_no_other_ones()
    {
        using var folder = new ScratchDirectory();
        using var ours = new Authority(folder.Path, "ours");
        using var theirs = new Authority(folder.Path, "theirs");
        using var a = ours.Issue("a");
        using var b = ours.Issue("b");
        using var stranger = theirs.Issue("c");
        Assert.True(a.Accepts(this, b.Certificate, null, SslPolicyErrors.RemoteCertificateNameMismatch));
        Assert.False(a.Accepts(this, stranger.Certificate, null, SslPolicyErrors.None));
        await using var node = new PeerNode(a);
        await using var peer = new PeerStore(node.Id, node.EndPoint, PeerNode.Cluster, b, PeerNode.Limits, TimeProvider.System);
        await peer.PingAsync(CancellationToken.None);
        await using var outsider = new PeerStore(node.Id, node.EndPoint, PeerNode.Cluster, stranger, PeerNode.Limits, TimeProvider.System);
        await Assert.ThrowsAsync<DarkStorage.GrainInterfaces.StorageException>(() => outsider.PingAsync(CancellationToken.None));
    }

    [Fact]
    public void A_file_that_is_missing_or_no_certificate_is_said_so()
    {
        using var folder = new ScratchDirectory();
        File.WriteAllText(Path.Combine(folder.Path, "x.pem"), "nothing");
        var x = Path.Combine(folder.Path, "x.pem");
        Assert.Throws<StorageStartupException>(() => ClusterIdentity.FromFiles(x, x, x));
        Assert.Throws<StorageStartupException>(() => ClusterIdentity.FromFiles(x + "y", x, x));
    }

    private sealed class Authority : IDisposable
    {
        private readonly string _folder;
        private readonly string _name;
        private readonly X509Certificate2 _root;

        public Authority(string folder, string name)
        {
            (_folder, _name) = (folder, name);
            var request = new CertificateRequest($"CN={name}", ECDsa.Create(ECCurve.NamedCurves.nistP256), HashAlgorithmName.SHA256);
            request.CertificateExtensions.Add(new X509BasicConstraintsExtension(true, false, 0, true));
            _root = request.CreateSelfSigned(DateTimeOffset.UtcNow.AddDays(-1), DateTimeOffset.UtcNow.AddDays(10));
            File.WriteAllText(Path.Combine(folder, name + ".pem"), _root.ExportCertificatePem());
        }

        public ClusterIdentity Issue(string name)
        {
            using var key = ECDsa.Create(ECCurve.NamedCurves.nistP256);
            var request = new CertificateRequest($"CN={name}", key, HashAlgorithmName.SHA256);
            using var certificate = request.Create(_root, DateTimeOffset.UtcNow.AddDays(-1), DateTimeOffset.UtcNow.AddDays(5), RandomNumberGenerator.GetBytes(8));
            var path = Path.Combine(_folder, name);
            File.WriteAllText(path + ".pem", certificate.ExportCertificatePem());
            File.WriteAllText(path + ".key", key.ExportPkcs8PrivateKeyPem());
            return ClusterIdentity.FromFiles(path + ".pem", path + ".key", Path.Combine(_folder, _name + ".pem"));
        }

        public void Dispose() => _root.Dispose();
    }
}
