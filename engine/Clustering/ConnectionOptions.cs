using System.Net.Security;
using System.Security.Cryptography.X509Certificates;
using Microsoft.Extensions.DependencyInjection;
using Orleans.Hosting;

namespace DarkStorage.Engine;

/// <summary>
/// How silos prove to each other who they are: TLS 1.3, with a certificate on both sides. Without it a silo listens on loopback only.
/// The embedded engine's own: Orleans' has no counterpart in the packages that this project uses.
/// </summary>
public sealed class SiloTlsOptions
{
    /// <summary>This silo's certificate, with its private key: shown when it calls another silo and when it is called.</summary>
    public X509Certificate2? Certificate { get; set; }

    /// <summary>The same where it may change while the silo runs: asked for every connection, and goes before <see cref="Certificate"/>.</summary>
    public Func<X509Certificate2>? CertificateSelector { get; set; }

    /// <summary>Says of the certificate of the other side whether it is a silo of this cluster. Called for every connection, in both directions.</summary>
    public RemoteCertificateValidationCallback? Validate { get; set; }
}

/// <summary>Bounds of the connections between silos.</summary>
public sealed class SiloConnectionOptions
{
    /// <summary>Calls that may wait to be sent to one silo; the next fails at once. Default 10,000: at 100,000 calls a second it is a tenth of a second's.</summary>
    public int QueuedMessagesMax { get; set; } = 10_000;

    /// <summary>Bytes that may wait to be sent to one silo. Default 64 MiB; a single larger call may wait alone.</summary>
    public long QueuedBytesMax { get; set; } = 64L << 20;

    /// <summary>Calls of one other silo that may be at work here; the next is refused, or dropped if it is one-way. Default 50,000.</summary>
    public int CallsMax { get; set; } = 50_000;

    /// <summary>Bytes of such calls, as they came. Default 512 MiB.</summary>
    public long CallBytesMax { get; set; } = 512L << 20;
}

public static class SiloTlsExtensions
{
    /// <summary>Calls between silos go over mutual TLS.</summary>
    public static ISiloBuilder UseSiloTls(this ISiloBuilder builder, Action<SiloTlsOptions> configure)
    {
        builder.Services.Configure(configure);
        return builder;
    }
}
