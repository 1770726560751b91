namespace Orleans.Configuration;

/// <summary>Which cluster this silo is of.</summary>
public class ClusterOptions
{
    public string ClusterId { get; set; } = "default";

    public string ServiceId { get; set; } = "default";
}

public class SiloOptions
{
    /// <summary>By default <c>Silo_</c> and five random digits.</summary>
    public string? SiloName { get; set; }
}

/// <summary>Where this silo is heard by others. Alone (<c>UseLocalhostClustering</c>) the ports only name it, and nothing listens.</summary>
public class EndpointOptions
{
    public System.Net.IPAddress? AdvertisedIPAddress { get; set; }

    public int SiloPort { get; set; } = 11111;

    /// <summary>In the embedded engine a name only: there are no clients outside silos.</summary>
    public int GatewayPort { get; set; } = 30000;

    /// <summary>Where to listen, if not at the advertised address.</summary>
    public System.Net.IPEndPoint? SiloListeningEndpoint { get; set; }
}

/// <summary>Where the silos of a cluster find each other.</summary>
public class AdoNetClusteringSiloOptions
{
    public string ConnectionString { get; set; } = "";

    /// <summary>The embedded engine has PostgreSQL only: <c>Npgsql</c>.</summary>
    public string Invariant { get; set; } = "";
}

/// <summary>
/// How long a silo may be silent. In the embedded engine a silo has a lease of <see cref="ProbeTimeout"/> times one more than
/// <see cref="NumMissedProbesLimit"/>: 8 s by default, so that one that was killed is out of the membership within 10.
/// </summary>
public class ClusterMembershipOptions
{
    /// <summary>How often a silo renews its lease. Default 2 s: one small statement, and time for three more tries before the lease ends.</summary>
    public TimeSpan ProbeTimeout { get; set; } = TimeSpan.FromSeconds(2);

    /// <summary>How many renewals may fail in a row. Default 3.</summary>
    public int NumMissedProbesLimit { get; set; } = 3;

    /// <summary>How long the row of a dead silo is kept, for whoever wants to know what happened. Default 1 day: every change reads all rows.</summary>
    public TimeSpan DefunctSiloExpiration { get; set; } = TimeSpan.FromDays(1);
}

public abstract class MessagingOptions
{
    /// <summary>How long a caller waits for its answer. Default 30 s.</summary>
    public TimeSpan ResponseTimeout { get; set; } = TimeSpan.FromSeconds(30);

    /// <summary>The largest message between silos, in bytes. Default 100 MiB, as in Orleans: a larger call or answer fails.</summary>
    public int MaxMessageBodySize { get; set; } = 100 * 1024 * 1024;

    /// <summary>Is a call whose caller timed out cancelled? True by default.</summary>
    public bool CancelRequestOnTimeout { get; set; } = true;

    /// <summary>Does a caller that cancels wait for the grain to end? False by default: its task is cancelled at once.</summary>
    public bool WaitForCancellationAcknowledgement { get; set; }
}

public class SiloMessagingOptions : MessagingOptions
{
    /// <summary>How often a call may go on to another activation because the one it waited for ended. Default 2.</summary>
    public int MaxForwardCount { get; set; } = 2;

    /// <summary>How many calls may wait for one activation; zero, the default, for no limit.</summary>
    public int MaxEnqueuedRequestsHardLimit { get; set; }
}

/// <summary>The embedded engine's memory storage has nothing to set; the type is here for the signatures.</summary>
public class MemoryGrainStorageOptions;

/// <summary>When idle activations are let go.</summary>
public class GrainCollectionOptions
{
    /// <summary>How often idle activations are looked for. Default 1 minute.</summary>
    public TimeSpan CollectionQuantum { get; set; } = TimeSpan.FromMinutes(1);

    /// <summary>How long an activation may be idle, where its class does not say. Default 15 minutes.</summary>
    public TimeSpan CollectionAge { get; set; } = TimeSpan.FromMinutes(15);

    /// <summary>Time for <c>OnActivateAsync</c>, its state's read included. Default 30 s.</summary>
    public TimeSpan ActivationTimeout { get; set; } = TimeSpan.FromSeconds(30);

    /// <summary>Time for <c>OnDeactivateAsync</c>. Default 30 s.</summary>
    public TimeSpan DeactivationTimeout { get; set; } = TimeSpan.FromSeconds(30);
}
