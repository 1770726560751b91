using DarkStorage.GrainInterfaces.Tiers;
using DarkStorage.Rules.Lifecycle;

namespace DarkStorage.Rules.Tiers;

/// <summary>Sums what versions would have been stored as, by month and storage class.</summary>
public sealed class UsageEstimate(UsageMonth from)
{
    private readonly SortedDictionary<(int Month, string StorageClass), (Int128 ByteMilliseconds, long Moves)> _sums = new(Comparer<(int Month, string StorageClass)>.Create(static (a, b) =>
        a.Month != b.Month ? a.Month.CompareTo(b.Month) : string.CompareOrdinal(a.StorageClass, b.StorageClass)));

    /// <param name="stays">Of one version, in their order.</param>
    public void Add(IEnumerable<LifecycleStay> stays, long bytes)
    {
        var isMoved = false;
        foreach (var stay in stays)
        {
            if (isMoved && stay.From >= from.Begin) Add(UsageMonth.Of(stay.From), stay.StorageClass, 0, 1);
            isMoved = true;
            for (var at = stay.From > from.Begin ? stay.From : from.Begin; at < stay.To;)
            {
                var month = UsageMonth.Of(at);
                var end = stay.To < month.End ? stay.To : month.End;
                Add(month, stay.StorageClass, (Int128)bytes * (end - at).Ticks / TimeSpan.TicksPerMillisecond, 0);
                at = end;
            }
        }
    }

    /// <returns>In the order of months and classes.</returns>
    public IEnumerable<EstimatedUsage> Months() => _sums.Select(static s => new EstimatedUsage(s.Key.Month, s.Key.StorageClass, (decimal)s.Value.ByteMilliseconds / new UsageMonth(s.Key.Month).Length, s.Value.Moves));

    private void Add(UsageMonth month, string storageClass, Int128 byteMilliseconds, long moves)
    {
        var key = (month.Number, storageClass);
        _sums.TryGetValue(key, out var sum);
        _sums[key] = (sum.ByteMilliseconds + byteMilliseconds, sum.Moves + moves);
    }
}
