using System.ComponentModel.DataAnnotations;

namespace DarkStorage.Storage.Peers;

/// <summary>Limits of the traffic of chunks between nodes.</summary>
public sealed record PeerOptions
{
    /// <summary>Time for a connection to be made, TLS included; and for one to become free where all are in use. Default 3 s: a node that is up answers in a few round trips.</summary>
    [Range(typeof(TimeSpan), "00:00:00.010", "00:10:00")]
    public TimeSpan ConnectTimeout { get; init; } = TimeSpan.FromSeconds(3);

    /// <summary>Time in which the next step of an exchange must come: an answer, an acknowledgement, the next stretch of bytes. Default 10 s: a healthy disk's slowest sync is a second.</summary>
    [Range(typeof(TimeSpan), "00:00:00.010", "00:10:00")]
    public TimeSpan StepTimeout { get; init; } = TimeSpan.FromSeconds(10);

    /// <summary>For how long a node goes on offering bytes to a peer that reads a chunk and takes none. Default 5 minutes: what a peer reads it hands to a client, who may pause, and the front
    /// end gives up one who takes less than 240 bytes a second. A machine that is gone is noticed sooner, by the system.</summary>
    [Range(typeof(TimeSpan), "00:00:00.010", "01:00:00")]
    public TimeSpan ReaderPatience { get; init; } = TimeSpan.FromMinutes(5);

    /// <summary>Connections to one peer. Each write and each read under way has one. Default 512.</summary>
    [Range(1, 10_000)]
    public int ConnectionsMax { get; init; } = 512;

    /// <summary>Connections that this node accepts from all peers together. Default 4,096.</summary>
    [Range(1, 100_000)]
    public int AcceptedMax { get; init; } = 4096;

    /// <summary>Connections that have not proved themselves yet. Default 256; past that the next ones are closed at once.</summary>
    [Range(1, 10_000)]
    public int HandshakesMax { get; init; } = 256;

    /// <summary>For how long a connection that is not in use is kept. Default 1 minute. The other side closes it after five times that.</summary>
    [Range(typeof(TimeSpan), "00:00:01", "01:00:00")]
    public TimeSpan IdleTime { get; init; } = TimeSpan.FromMinutes(1);

    /// <summary>Bytes of chunks that are being received and not written yet, of all peers together. Default 24 MiB, half of what writes have. Who comes when it is used up waits, and his sender with him.</summary>
    [Range(64 << 10, int.MaxValue)]
    public int ReceiveBytesMax { get; init; } = 24 << 20;
}
