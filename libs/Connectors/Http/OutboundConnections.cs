using System.Net;
using System.Net.Http;
using System.Net.Sockets;

namespace DarkStorage.Connectors.Http;

/// <summary>Connections to addresses that an administrator names: private networks are fine. Link-local ones never are: what answers there hands out the machine's own credentials.</summary>
internal static class OutboundConnections
{
    /// <summary>A client to no forbidden address, past no proxy, that follows nothing. How long it waits is its user's to bound.</summary>
    public static HttpClient NewClient() => new(new SocketsHttpHandler
    {
        AllowAutoRedirect = false,
        // A proxy would look the address up, and not the check.
        UseProxy = false,
        UseCookies = false,
        PooledConnectionLifetime = TimeSpan.FromMinutes(5),
        ConnectCallback = ConnectAsync,
    })
    {
        Timeout = Timeout.InfiniteTimeSpan,
    };

    /// <summary>The name is looked up here, once, so that what was checked is what is connected to.</summary>
    public static ValueTask<Stream> ConnectAsync(SocketsHttpConnectionContext context, CancellationToken ct) => ConnectAsync(context.DnsEndPoint, ct);

    /// <returns>A <see cref="NetworkStream"/> that has its socket.</returns>
    public static async ValueTask<Stream> ConnectAsync(DnsEndPoint target, CancellationToken ct)
    {
        var allowed = await AllowedAddressesAsync(target.Host, ct);
        var socket = new Socket(SocketType.Stream, ProtocolType.Tcp) { NoDelay = true };
        try
        {
            await socket.ConnectAsync(allowed, target.Port, ct);
            return new NetworkStream(socket, ownsSocket: true);
        }
        catch
        {
            socket.Dispose();
            throw;
        }
    }

    /// <summary>For who connects itself, to any address of a name: what it leads to may change between this look and that.</summary>
    /// <exception cref="ForbiddenAddressException">It leads to one that may not be connected to.</exception>
    public static async Task RequireAllAllowedAsync(string host, CancellationToken ct)
    {
        if (Array.Exists(await Dns.GetHostAddressesAsync(host, ct), IsForbidden)) throw new ForbiddenAddressException();
    }

    private static async Task<IPAddress[]> AllowedAddressesAsync(string host, CancellationToken ct)
    {
        var addresses = await Dns.GetHostAddressesAsync(host, ct);
        var allowed = Array.FindAll(addresses, a => !IsForbidden(a));
        if (allowed.Length == 0) throw addresses.Length == 0 ? new SocketException((int)SocketError.HostNotFound) : new ForbiddenAddressException();
        return allowed;
    }

    private static bool IsForbidden(IPAddress address)
    {
        if (address.IsIPv4MappedToIPv6) address = address.MapToIPv4();
        var bytes = address.GetAddressBytes();
        if (address.AddressFamily == AddressFamily.InterNetworkV6)
        {
            if (address.IsIPv6LinkLocal || address.IsIPv6Multicast || address.Equals(IPAddress.IPv6Any) || address.Equals(IPAddress.Parse("fd00:ec2::254"))) return true;
            if (address.Equals(IPAddress.IPv6Loopback)) return false;
            // Gateways turn these into the address of IPv4 that they hold: 64:ff9b::/96 (RFC 6052), ::/96 and 2002::/16 (RFC 4291 and 3056).
            if (bytes is [0x00, 0x64, 0xff, 0x9b, 0, 0, 0, 0, 0, 0, 0, 0, ..] or [0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, ..]) bytes = bytes[12..];
            else if (bytes is [0x20, 0x02, ..]) bytes = bytes[2..6];
            else return false;
        }
        return bytes is [169, 254, ..] or [0, ..] or [>= 224, ..];
    }
}

/// <summary>The address is one that nothing is sent to.</summary>
internal sealed class ForbiddenAddressException() : IOException("Its address is link-local, which is not allowed.");
