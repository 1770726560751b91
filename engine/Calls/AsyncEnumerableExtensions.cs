using DarkStorage.Engine;

namespace Orleans.Runtime;

public static class AsyncEnumerableExtensions
{
    /// <summary>How many elements one message may carry, at most. 100 by default.</summary>
    public static IAsyncEnumerable<T> WithBatchSize<T>(this IAsyncEnumerable<T> self, int maxBatchSize)
    {
        ArgumentOutOfRangeException.ThrowIfNegativeOrZero(maxBatchSize);
        if (self is EnumerableCall<T> call) call.BatchSize = maxBatchSize;
        return self;
    }
}
