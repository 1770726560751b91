using System.Security.Cryptography;
using System.Security.Cryptography.X509Certificates;
using System.Text;
using Microsoft.Extensions.Logging;

namespace DarkStorage.Storage.Peers;

/// <summary>A node's certificate, its key and its authority in three files, read again when they change.</summary>
/// <remarks>Invariant: what is in use was once good: files that can't be used, or a certificate that the authority did not sign or that is not valid now, leave what was there before.
/// They are told by what is in them and not by their times: an orchestrator exchanges a folder under the names, and a time may be kept.</remarks>
internal sealed partial class CertificateFiles : IDisposable
{
    /// <summary>Bytes of a file.</summary>
    private const int FileBytesMax = 1 << 20;

    /// <summary>Before the end of a certificate its operator is reminded of it, once.</summary>
    private static readonly TimeSpan Reminder = TimeSpan.FromDays(7);

    private readonly PeerIdentityOptions _options;
    private readonly TimeProvider _clock;
    private readonly ILogger _log;
    private readonly Lock _looking = new();
    private readonly ITimer _timer;
    private byte[] _seen;               // a digest of the three files as they were last looked at
    private string? _complaint;         // what is wrong with them
    private Content? _remindedOf;
    private volatile Content _current;

    private CertificateFiles(PeerIdentityOptions options, TimeProvider clock, ILogger log, byte[] seen, Content current)
    {
        (_options, _clock, _log, _seen, _current) = (options, clock, log, seen, current);
        _timer = clock.CreateTimer(static me => ((CertificateFiles)me!).Look(), this, options.CertificateInterval, options.CertificateInterval);
    }

    /// <summary>What new connections are made with.</summary>
    public Content Current => _current;

    /// <exception cref="StorageStartupException">The files can't be used.</exception>
    public static CertificateFiles Open(PeerIdentityOptions options, TimeProvider clock, ILogger log)
    {
        try
        {
            var files = Read(options);
            return new(options, clock, log, DigestOf(files), Load(options, files, clock.GetUtcNow()));
        }
        catch (Exception e) when (IsUnusable(e))
        {
            throw new StorageStartupException($"The cluster's certificates can't be used: {e.Message}", e);
        }
    }

    /// <summary>Takes the files over if they changed. Called by the timer.</summary>
    public void Look()
    {
        lock (_looking)
        {
            try
            {
                var files = Read(_options);
                var digest = DigestOf(files);
                // Files that could not be used are tried again: a certificate may begin to be valid.
                if (_complaint is null && digest.AsSpan().SequenceEqual(_seen))
                {
                    Remind();
                    return;
                }
                var next = Load(_options, files, _clock.GetUtcNow());
                // What is not in use any more is left to the collector: a handshake may be amid it.
                (_current, _seen, _complaint) = (next, digest, null);
                LogTaken(_log, next.Certificate.NotAfter.ToUniversalTime());
            }
            catch (Exception e)         // whatever it is: on a timer it would end the program
            {
                if (_complaint != e.Message) LogKept(_log, e.Message, _current.Certificate.NotAfter.ToUniversalTime());
                _complaint = e.Message;
            }
        }
    }

    public void Dispose() => _timer.Dispose();

    private void Remind()
    {
        if (_clock.GetUtcNow() + Reminder < _current.Certificate.NotAfter || ReferenceEquals(_remindedOf, _current)) return;
        _remindedOf = _current;
        LogEnds(_log, _current.Certificate.NotAfter.ToUniversalTime());
    }

    /// <summary>A certificate with its key in a form that every system's TLS takes.</summary>
    public static X509Certificate2 ForTls(X509Certificate2 made) =>
        X509CertificateLoader.LoadPkcs12(made.Export(X509ContentType.Pkcs12), null, OperatingSystem.IsWindows() ? X509KeyStorageFlags.DefaultKeySet : X509KeyStorageFlags.EphemeralKeySet);

    private static bool IsUnusable(Exception e) => e is CryptographicException or ArgumentException or IOException or UnauthorizedAccessException or InvalidDataException;

    private static byte[][] Read(PeerIdentityOptions options) => [ReadFile(options.CertificateFile), ReadFile(options.KeyFile), ReadFile(options.AuthorityFile)];

    private static byte[] ReadFile(string path)
    {
        using var file = File.OpenRead(path);
        if (file.Length > FileBytesMax) throw new InvalidDataException($"{path} has {file.Length} bytes, and may have {FileBytesMax}.");
        var content = new byte[file.Length];
        file.ReadExactly(content);
        return content;
    }

    private static byte[] DigestOf(byte[][] files) => SHA256.HashData((byte[])[.. files.SelectMany(static f => SHA256.HashData(f))]);

    private static Content Load(PeerIdentityOptions options, byte[][] files, DateTimeOffset now)
    {
        var texts = files.Select(static f => Encoding.UTF8.GetString(f)).ToArray();
        var (chain, roots) = (new X509Certificate2Collection(), new X509Certificate2Collection());
        chain.ImportFromPem(texts[0]);
        if (chain.Count == 0) throw new InvalidDataException($"{options.CertificateFile} has no certificate.");
        roots.ImportFromPem(texts[2]);
        if (roots.Count == 0) throw new InvalidDataException($"{options.AuthorityFile} has no certificate.");
        using var made = X509Certificate2.CreateFromPem(texts[0], texts[1]);
        chain.RemoveAt(0);
        var content = new Content(ForTls(made), chain, roots);
        if (now < made.NotBefore || now > made.NotAfter)
            throw new InvalidDataException($"The certificate in {options.CertificateFile} is valid from {made.NotBefore.ToUniversalTime():u} to {made.NotAfter.ToUniversalTime():u} only.");
        if (!content.Signs(content.Certificate, null)) throw new InvalidDataException($"The certificate in {options.CertificateFile} is not signed by an authority in {options.AuthorityFile}.");
        return content;
    }

    /// <param name="Between">Certificates between this node's and the authority. The others of the cluster have the same, or send theirs.</param>
    internal sealed record Content(X509Certificate2 Certificate, X509Certificate2Collection Between, X509Certificate2Collection Roots)
    {
        /// <summary>Whether the authority signed a certificate, and it is valid now.</summary>
        /// <param name="sent">What came with it; null for nothing.</param>
        public bool Signs(X509Certificate2 presented, X509Chain? sent)
        {
            using var own = new X509Chain();
            own.ChainPolicy.TrustMode = X509ChainTrustMode.CustomRootTrust;
            own.ChainPolicy.CustomTrustStore.AddRange(Roots);
            own.ChainPolicy.RevocationMode = X509RevocationMode.NoCheck;
            own.ChainPolicy.DisableCertificateDownloads = true;
            own.ChainPolicy.ExtraStore.AddRange(Between);
            foreach (var element in sent?.ChainElements ?? Enumerable.Empty<X509ChainElement>()) own.ChainPolicy.ExtraStore.Add(element.Certificate);
            return own.Build(presented);
        }
    }

    [LoggerMessage(LogLevel.Information, "The cluster's certificate was renewed, and is valid until {Until:u}; new connections are made with it")]
    private static partial void LogTaken(ILogger log, DateTime until);

    [LoggerMessage(LogLevel.Warning, "The cluster's certificate is valid until {Until:u}, and was not renewed: then the other nodes refuse this one")]
    private static partial void LogEnds(ILogger log, DateTime until);

    [LoggerMessage(LogLevel.Warning, "The files of the cluster's certificate can't be used, and the one before stays, which is valid until {Until:u}: {Why}")]
    private static partial void LogKept(ILogger log, string why, DateTime until);
}
