using DarkStorage.GrainInterfaces;
using DarkStorage.GrainInterfaces.Buckets;

namespace DarkStorage.ClientApi.S3.Settings;

/// <summary>Changes of a bucket that turn on what else it says.</summary>
internal static class BucketDecision
{
    /// <summary>As many may change one bucket at one time.</summary>
    private const int DecisionsMax = 8;

    /// <summary>Has it decided on the bucket as it is, anew where somebody changed that meanwhile.</summary>
    /// <param name="bucket">As it was read.</param>
    /// <param name="decide">Says the bucket's revision with what it changes (<see cref="BucketSettingChange.Revision"/>).</param>
    /// <exception cref="StorageException"><see cref="StorageError.Conflict"/>, and what else <paramref name="decide"/> throws; <see cref="StorageError.NoSuchBucket"/>.</exception>
    public static async Task<T> DecideAsync<T>(this IBucketGrain grain, BucketRecord bucket, Func<BucketRecord, Task<T>> decide, CancellationToken ct)
    {
        for (var decision = 1; ; decision++)
        {
            try
            {
                return await decide(bucket);
            }
            catch (StorageException e) when (e.Error is StorageError.Conflict && decision < DecisionsMax)
            {
                // A node may remember a bucket for a moment as it was: its grain is who changes it.
                var now = await grain.FindAsync(ct);
                if (now?.Id != bucket.Id) throw new StorageException(StorageError.NoSuchBucket, $"There is no bucket {bucket.Name}.");
                if (now.Revision == bucket.Revision) throw;
                bucket = now;
            }
        }
    }
}
