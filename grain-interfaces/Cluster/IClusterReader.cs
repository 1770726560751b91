namespace DarkStorage.GrainInterfaces.Cluster;

/// <summary>The cluster as the shared index has it: read past the grain that decides, so that a node answers in its own words while others run another version of the program.</summary>
public interface IClusterReader
{
    Task<ClusterDescription> DescribeAsync(CancellationToken ct);
}
