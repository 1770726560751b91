using DarkStorage.GrainInterfaces.Buckets;

namespace DarkStorage.Rules.Logging;

/// <summary>Takes the lines of access logs. Best effort, as in AWS: a line may be lost, and a request never waits or fails for it.</summary>
public interface IAccessLog
{
    /// <param name="bucket">The bucket that is logged.</param>
    /// <param name="target">Of its setting.</param>
    void Write(BucketRecord bucket, LogTarget target, AccessLogEntry entry);
}
