using System.Net.Security;
using System.Numerics;
using System.Security.Authentication;
using System.Security.Cryptography;
using System.Security.Cryptography.X509Certificates;
using System.Text;

namespace DarkStorage.Storage.Peers;

/// <summary>What a silo proves to others of its cluster, and what it asks of them: for chunks and for calls between silos alike.</summary>
/// <remarks>Invariants: nobody is accepted who does not prove the possession of a private key, in either direction. The secret is not kept, and never printed.</remarks>
public sealed class ClusterIdentity : IDisposable
{
    /// <summary>Least characters of a cluster secret.</summary>
    public const int SecretLengthMin = 32;

    private const int SecretLengthMax = 4096;

    private readonly byte[]? _publicKey;                    // of a cluster with a secret: the only one accepted
    private readonly X509Certificate2Collection? _roots;    // of a cluster with certificates of its own

    private ClusterIdentity(X509Certificate2 certificate, byte[]? publicKey, X509Certificate2Collection? roots) =>
        (Certificate, _publicKey, _roots) = (certificate, publicKey, roots);

    /// <summary>What this silo presents, with its private key, as a server and as a client.</summary>
    public X509Certificate2 Certificate { get; }

    /// <summary>The identity that all who know the secret share: a key of the curve P-256 that follows from the secret alone (docs/FORMATS.md, "Peers").</summary>
    /// <param name="secret">At least <see cref="SecretLengthMin"/> characters. White space around it, as a file has at its end, does not count.</param>
    /// <exception cref="StorageStartupException">The secret is too short or too long.</exception>
    public static ClusterIdentity FromSecret(string secret)
    {
        secret = secret.Trim();
        if (secret.Length is < SecretLengthMin or > SecretLengthMax)
            throw new StorageStartupException($"A cluster secret has {SecretLengthMin} to {SecretLengthMax} characters; this one has {secret.Length}.");
        using var key = DeriveKey(secret);
        var request = new CertificateRequest("CN=darkstorage-cluster", key, HashAlgorithmName.SHA256);
        using var made = request.CreateSelfSigned(new(2000, 1, 1, 0, 0, 0, TimeSpan.Zero), new(9999, 12, 31, 0, 0, 0, TimeSpan.Zero));
        var certificate = Loaded(made);
        return new(certificate, certificate.PublicKey.ExportSubjectPublicKeyInfo(), null);
    }

    /// <summary>The identity of an operator who has certificates: each silo its own, all signed by the cluster's authority. Whoever has one that this authority
    /// signed is a member, so it signs for nothing else. Names in certificates are not looked at.</summary>
    /// <param name="certificateFile">PEM, with intermediate certificates behind it where there are some.</param>
    /// <param name="keyFile">PEM, not encrypted.</param>
    /// <param name="authorityFile">PEM: one or more certificates.</param>
    /// <exception cref="StorageStartupException">A file can't be read, or key and certificate do not belong together.</exception>
    public static ClusterIdentity FromFiles(string certificateFile, string keyFile, string authorityFile)
    {
        try
        {
            using var made = X509Certificate2.CreateFromPemFile(certificateFile, keyFile);
            var roots = new X509Certificate2Collection();
            roots.ImportFromPemFile(authorityFile);
            if (roots.Count == 0) throw new StorageStartupException($"The file {authorityFile} has no certificate.");
            return new(Loaded(made), null, roots);
        }
        catch (Exception e) when (e is CryptographicException or IOException or UnauthorizedAccessException)
        {
            throw new StorageStartupException($"The cluster's certificates can't be used: {e.Message}", e);
        }
    }

    /// <summary>Whether a certificate is one of this cluster's: to be the callback of a TLS stream, on either side.</summary>
    public bool Accepts(object sender, X509Certificate? certificate, X509Chain? chain, SslPolicyErrors errors)
    {
        if (certificate is null) return false;
        using var presented = new X509Certificate2(certificate);
        if (_publicKey is not null) return CryptographicOperations.FixedTimeEquals(presented.PublicKey.ExportSubjectPublicKeyInfo(), _publicKey);
        using var own = new X509Chain();
        own.ChainPolicy.TrustMode = X509ChainTrustMode.CustomRootTrust;
        own.ChainPolicy.CustomTrustStore.AddRange(_roots!);
        own.ChainPolicy.RevocationMode = X509RevocationMode.NoCheck;
        own.ChainPolicy.DisableCertificateDownloads = true;
        foreach (var element in chain?.ChainElements ?? Enumerable.Empty<X509ChainElement>()) own.ChainPolicy.ExtraStore.Add(element.Certificate);
        return own.Build(presented);
    }

    /// <summary>How a silo receives another: TLS 1.3, and a certificate is asked for.</summary>
    public SslServerAuthenticationOptions ServerOptions() => new()
    {
        ServerCertificate = Certificate,
        ClientCertificateRequired = true,
        EnabledSslProtocols = SslProtocols.Tls13,
        CertificateRevocationCheckMode = X509RevocationMode.NoCheck,
        RemoteCertificateValidationCallback = Accepts,
        AllowTlsResume = false,
        AllowRenegotiation = false,
    };

    /// <summary>How a silo calls another: TLS 1.3, presenting the certificate.</summary>
    public SslClientAuthenticationOptions ClientOptions() => new()
    {
        TargetHost = "darkstorage-cluster",
        ClientCertificates = [Certificate],
        LocalCertificateSelectionCallback = (_, _, _, _, _) => Certificate,
        EnabledSslProtocols = SslProtocols.Tls13,
        CertificateRevocationCheckMode = X509RevocationMode.NoCheck,
        RemoteCertificateValidationCallback = Accepts,
        AllowTlsResume = false,
        AllowRenegotiation = false,
    };

    public void Dispose()
    {
        Certificate.Dispose();
        foreach (var root in _roots ?? []) root.Dispose();
    }

    /// <summary>HKDF gives 128 bits more than the curve's order has, so the remainder is even (FIPS 186-5, A.2.1).</summary>
    private static ECDsa DeriveKey(string secret)
    {
        var text = Encoding.UTF8.GetBytes(secret);
        Span<byte> derived = stackalloc byte[48];
        var scalar = new byte[32];
        try
        {
            HKDF.DeriveKey(HashAlgorithmName.SHA256, text, derived, [], "darkstorage/cluster-key/1"u8);
            var order = BigInteger.Parse("0FFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551", System.Globalization.NumberStyles.AllowHexSpecifier, null);
            var number = new BigInteger(derived, isUnsigned: true, isBigEndian: true) % (order - 1) + 1;
            number.TryWriteBytes(scalar.AsSpan(32 - number.GetByteCount(isUnsigned: true)), out _, isUnsigned: true, isBigEndian: true);
            return ECDsa.Create(new ECParameters { Curve = ECCurve.NamedCurves.nistP256, D = scalar });
        }
        finally
        {
            CryptographicOperations.ZeroMemory(text);
            CryptographicOperations.ZeroMemory(derived);
            CryptographicOperations.ZeroMemory(scalar);
        }
    }

    /// <summary>The same with its key in a form that every system's TLS takes.</summary>
    private static X509Certificate2 Loaded(X509Certificate2 made) =>
        X509CertificateLoader.LoadPkcs12(made.Export(X509ContentType.Pkcs12), null, OperatingSystem.IsWindows() ? X509KeyStorageFlags.DefaultKeySet : X509KeyStorageFlags.EphemeralKeySet);
}
