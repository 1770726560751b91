using System.Collections.Immutable;
using System.Net.Security;
using System.Numerics;
using System.Security.Authentication;
using System.Security.Cryptography;
using System.Security.Cryptography.X509Certificates;
using System.Text;
using Microsoft.Extensions.Logging;

namespace DarkStorage.Storage.Peers;

/// <summary>What a silo proves to others of its cluster, and what it asks of them: for chunks and for calls between silos alike.</summary>
/// <remarks>Invariants: nobody is accepted who does not prove the possession of a private key, in either direction. Secrets are not kept, and never printed. What is shown and accepted
/// is asked for anew with each connection: certificates are renewed while the silo runs.</remarks>
public sealed class ClusterIdentity : IDisposable
{
    /// <summary>Least characters of a cluster secret.</summary>
    public const int SecretLengthMin = 32;

    /// <summary>Secrets at one time: the one that is shown, and those that are accepted beside it while it is changed.</summary>
    public const int SecretsMax = 4;

    private const int SecretLengthMax = 4096;

    private readonly X509Certificate2 _ofSecret;
    private readonly ImmutableArray<byte[]> _publicKeys;    // of all secrets
    private readonly CertificateFiles? _files;
    private readonly bool _showsFiles;
    private readonly bool _acceptsBoth;

    private ClusterIdentity(X509Certificate2 ofSecret, ImmutableArray<byte[]> publicKeys, CertificateFiles? files, bool showsFiles, bool acceptsBoth) =>
        (_ofSecret, _publicKeys, _files, _showsFiles, _acceptsBoth) = (ofSecret, publicKeys, files, showsFiles, acceptsBoth);

    /// <summary>What this silo presents now, with its private key, as a server and as a client.</summary>
    public X509Certificate2 Certificate => _showsFiles ? _files!.Current.Certificate : _ofSecret;

    /// <summary>The secrets in a text: one in each line, without the white space around it; empty lines do not count.</summary>
    /// <param name="name">What the text is, for messages.</param>
    /// <returns>None where there is no text.</returns>
    /// <exception cref="StorageStartupException">There are too many, one is there twice, or is too short or too long.</exception>
    public static ImmutableArray<string> SecretsIn(string? text, string name)
    {
        ImmutableArray<string> secrets = [.. (text ?? "").Split('\n', StringSplitOptions.TrimEntries | StringSplitOptions.RemoveEmptyEntries)];
        if (secrets.Length > SecretsMax) throw new StorageStartupException($"{name} has {secrets.Length} secrets, and may have {SecretsMax}: one in each line.");
        foreach (var secret in secrets)
        {
            if (secret.Length is < SecretLengthMin or > SecretLengthMax)
                throw new StorageStartupException($"{name}: a cluster secret has {SecretLengthMin} to {SecretLengthMax} characters; this one has {secret.Length}.");
        }
        if (secrets.Distinct(StringComparer.Ordinal).Count() < secrets.Length) throw new StorageStartupException($"{name} has a secret twice.");
        return secrets;
    }

    /// <summary>The identity that all who know the secret share: a key of the curve P-256 that follows from the secret alone (docs/FORMATS.md, "Peers").</summary>
    /// <param name="secret">At least <see cref="SecretLengthMin"/> characters. White space around it, as a file has at its end, does not count. Several, one in each line: the first is shown,
    /// all are accepted.</param>
    /// <exception cref="StorageStartupException">The secret is too short or too long.</exception>
    public static ClusterIdentity FromSecret(string secret)
    {
        const string Name = "The cluster secret";
        var secrets = SecretsIn(secret, Name);
        if (secrets.IsEmpty) throw new StorageStartupException($"{Name} is empty.");
        return new(CertificateOf(secrets[0]), PublicKeysOf(secrets), null, false, false);
    }

    /// <summary>The identity of a node as its operator wants it: of the secrets, or of certificates of the operator's own, each silo its own and all signed by the cluster's authority. Whoever
    /// has one that this authority signed is a member, so it signs for nothing else. Names in certificates are not looked at.</summary>
    /// <param name="secrets">As <see cref="SecretsIn"/> gives them; at least one.</param>
    /// <exception cref="StorageStartupException">A file can't be read; key, certificate and authority do not belong together; or the certificate is not valid now.</exception>
    public static ClusterIdentity Open(ImmutableArray<string> secrets, PeerIdentityOptions options, TimeProvider clock, ILogger log)
    {
        var files = options.NamesFiles ? CertificateFiles.Open(options, clock, log) : null;
        return new(CertificateOf(secrets[0]), PublicKeysOf(secrets), files, files is not null && options.Identity is not PeerIdentityKind.Secret, options.AcceptsBoth);
    }

    /// <summary>Whether a certificate is one of this cluster's: to be the callback of a TLS stream, on either side.</summary>
    public bool Accepts(object sender, X509Certificate? certificate, X509Chain? chain, SslPolicyErrors errors)
    {
        if (certificate is null) return false;
        using var presented = new X509Certificate2(certificate);
        if ((!_showsFiles || _acceptsBoth) && IsOfSecret(presented)) return true;
        return (_showsFiles || _acceptsBoth) && _files is not null && _files.Current.Signs(presented, chain);
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
        _ofSecret.Dispose();
        _files?.Dispose();
    }

    /// <summary>Looks at all keys whichever fits: how long it takes tells nothing.</summary>
    private bool IsOfSecret(X509Certificate2 presented)
    {
        var key = presented.PublicKey.ExportSubjectPublicKeyInfo();
        var isOne = false;
        foreach (var known in _publicKeys) isOne |= CryptographicOperations.FixedTimeEquals(key, known);
        return isOne;
    }

    private static X509Certificate2 CertificateOf(string secret)
    {
        using var key = DeriveKey(secret);
        var request = new CertificateRequest("CN=darkstorage-cluster", key, HashAlgorithmName.SHA256);
        using var made = request.CreateSelfSigned(new(2000, 1, 1, 0, 0, 0, TimeSpan.Zero), new(9999, 12, 31, 0, 0, 0, TimeSpan.Zero));
        return CertificateFiles.ForTls(made);
    }

    private static ImmutableArray<byte[]> PublicKeysOf(ImmutableArray<string> secrets) => [.. secrets.Select(static secret =>
    {
        using var key = DeriveKey(secret);
        return key.ExportSubjectPublicKeyInfo();
    })];

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
}
