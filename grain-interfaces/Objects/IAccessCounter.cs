namespace DarkStorage.GrainInterfaces.Objects;

/// <summary>Counts accesses: reads of a version's content, each request one. Asked only for buckets that have them counted.</summary>
public interface IAccessCounter
{
    /// <summary>Never waits, and never fails: what is counted becomes a fact of the index a little later, and a crash takes what has not by then.</summary>
    void Count(BucketId bucket, string key, VersionId version);
}
