using System.Globalization;
using System.Net;

namespace DarkStorage.Silo.Cluster;

/// <summary>Where a peer is, as its node entered it in the index: <c>HOST:PORT</c>.</summary>
internal static class PeerAddress
{
    /// <summary>An address that nobody has: whoever calls it is refused by his own machine.</summary>
    private static readonly IPEndPoint Nowhere = new(IPAddress.Broadcast, 9);

    /// <returns>For what is no address one that nobody answers at: a store that can't be reached is what the rest knows how to deal with.</returns>
    public static EndPoint ToEndPoint(string address)
    {
        var colon = address.LastIndexOf(':');
        if (colon < 1 || !ushort.TryParse(address.AsSpan(colon + 1), NumberStyles.None, CultureInfo.InvariantCulture, out var port) || port == 0) return Nowhere;
        if (IPEndPoint.TryParse(address, out var exact)) return exact;
        var host = address[..colon];
        return Uri.CheckHostName(host) == UriHostNameType.Dns ? new DnsEndPoint(host, port) : Nowhere;
    }
}
