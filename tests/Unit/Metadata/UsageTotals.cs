using DarkStorage.GrainInterfaces;
using DarkStorage.Metadata;

namespace DarkStorage.Unit.Metadata;

internal static class UsageTotals
{
    /// <returns>What a bucket holds.</returns>
    public static async Task<(long Objects, long Bytes)> GetUsageAsync(this IMetadataIndex index, BucketId bucket, CancellationToken ct)
    {
        var changes = await index.ListUsageAsync(bucket, ct);
        return (changes.Sum(c => c.Objects), changes.Sum(c => c.Bytes));
    }
}
