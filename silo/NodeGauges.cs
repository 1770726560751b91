using System.Diagnostics.Metrics;
using DarkStorage.ClientApi.Admin;
using DarkStorage.Silo.Configuration;

namespace DarkStorage.Silo;

/// <summary>What every node says of itself in metrics: what it is, and whether it takes requests.</summary>
internal static class NodeGauges
{
    private static readonly Meter Meter = new("DarkStorage.Silo");

    public static void Add(NodeOptions node, NodeStatus status)
    {
        Meter.CreateObservableGauge("darkstorage.node.ready", () => status.Ready ? 1 : 0, "{node}", "1 while the node takes requests: as /health/ready says.");
        KeyValuePair<string, object?>[] labels = [new("node", node.Node), new("zone", node.Zone), new("role", node.HasDrive ? "storage" : "gateway"), new("engine", status.Engine), new("version", status.Version)];
        Meter.CreateObservableGauge("darkstorage.node.info", () => new Measurement<int>(1, labels), "{node}", "Always 1: the labels say what the node is.");
    }
}
