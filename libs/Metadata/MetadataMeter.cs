using System.Diagnostics.Metrics;

namespace DarkStorage.Metadata;

/// <summary>The meter of this library.</summary>
internal static class MetadataMeter
{
    public const string Name = "DarkStorage.Metadata";

    public static readonly Meter Instance = new(Name);

    public static readonly Histogram<int> BatchSizes = Instance.CreateHistogram<int>(
        "darkstorage.index.commit.batch_size", "{change}", "Changes that shared one durable commit.",
        advice: new() { HistogramBucketBoundaries = [1, 2, 4, 8, 16, 32, 64, 128, 256, 512] });

    public static readonly Histogram<double> CommitSeconds = Instance.CreateHistogram<double>(
        "darkstorage.index.commit.duration", "s", "Time of one durable commit of the index, with its changes.",
        advice: new() { HistogramBucketBoundaries = [0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 1] });
}
