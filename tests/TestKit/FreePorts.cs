using System.Collections.Concurrent;
using System.Net;
using System.Net.Sockets;

namespace DarkStorage.TestKit;

/// <summary>Ports that stay free while the program that had them is away: below those that the system hands to outgoing connections, which would take them meanwhile.</summary>
public static class FreePorts
{
    private const int First = 20_000;
    private const int End = 32_000;

    /// <summary>Nobody listens on a port yet when the next ones are looked for: two of one node's were the same.</summary>
    private static readonly ConcurrentDictionary<int, bool> Taken = new();

    /// <returns>A port that nobody listens on, and so is the next. No other call gets them.</returns>
    public static int TakeTwo()
    {
        while (true)
        {
            var port = Random.Shared.Next(First / 2, End / 2) * 2;
            if (!Taken.TryAdd(port, true)) continue;
            try
            {
                using var first = new TcpListener(IPAddress.Any, port);
                first.Start();
                using var second = new TcpListener(IPAddress.Any, port + 1);
                second.Start();
                return port;
            }
            catch (SocketException)
            {
                // Another pair, then.
            }
        }
    }
}
