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

/// <summary>Where this silo is heard. The embedded engine is one process: the ports only name the silo.</summary>
public class EndpointOptions
{
    public System.Net.IPAddress? AdvertisedIPAddress { get; set; }

    public int SiloPort { get; set; } = 11111;

    public int GatewayPort { get; set; } = 30000;
}

public abstract class MessagingOptions
{
    /// <summary>How long a caller waits for its answer. Default 30 s.</summary>
    public TimeSpan ResponseTimeout { get; set; } = TimeSpan.FromSeconds(30);

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
