using DarkStorage.GrainInterfaces.Cluster;

namespace DarkStorage.Rules.Buckets;

/// <summary>How a cluster keeps what is written to a bucket from now on: so many copies, or stripes. What is there stays as it is.</summary>
/// <param name="Copies">1, 2, 3 or 5, and nothing else is said.</param>
/// <param name="Data">Data shards of a stripe; with <paramref name="Parity"/>.</param>
public sealed record BucketRedundancy(int? Copies, int? Data, int? Parity)
{
    /// <returns>Why this can't be, in a sentence; null where it can.</returns>
    public string? Refusal() => (Copies, Data, Parity) switch
    {
        (1 or 2 or 3 or 5, null, null) => null,
        ({ } copies, null, null) => $"A bucket keeps 1, 2, 3 or 5 copies, not {copies}.",
        (null, { } data, { } parity) => Redundancy.OfStripe(data, parity) is not null ? null : $"There are no stripes of {data}+{parity}. There are {string.Join(", ", Redundancy.AllStripes)}.",
        _ => "Either copies are wanted, or data and parity shards.",
    };

    public Redundancy ToRedundancy() => Copies is { } copies ? Redundancy.OfCopies(copies) : Redundancy.OfStripe(Data!.Value, Parity!.Value)!.Value;
}
