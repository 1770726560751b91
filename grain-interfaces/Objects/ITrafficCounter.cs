using DarkStorage.GrainInterfaces.Tiers;

namespace DarkStorage.GrainInterfaces.Objects;

/// <summary>Counts requests.</summary>
public interface ITrafficCounter
{
    /// <summary>Never waits, and never fails: what is counted becomes a fact of the index a little later, and a crash takes what has not by then.</summary>
    /// <param name="storageClass">Of the version that is read or written; that of the tier <c>hot</c> where there is none.</param>
    void Count(BucketId bucket, string storageClass, Traffic traffic);
}
