using DarkStorage.Storage.Backends;

namespace DarkStorage.Connectors;

/// <summary>A part of something long, as a page of a list or a block of a blob: one that fails is not to cost the whole.</summary>
internal static class PartAttempts
{
    private const int AttemptsMax = 3;

    /// <summary>Wait before the second attempt; doubled for each one after.</summary>
    private static readonly TimeSpan Delay = TimeSpan.FromMilliseconds(500);

    /// <summary>The longest wait, whatever the place asks for: behind it the whole is begun again.</summary>
    private static readonly TimeSpan DelayMax = TimeSpan.FromSeconds(10);

    /// <param name="ask">Throws what is worth another attempt as a transient <see cref="BackendException"/>.</param>
    public static async Task<T> RunAsync<T>(Func<Task<T>> ask, TimeProvider clock, CancellationToken ct)
    {
        for (var attempt = 1; ; attempt++)
        {
            try
            {
                return await ask();
            }
            catch (BackendException e) when (e.IsTransient && attempt < AttemptsMax)
            {
                var wait = e.RetryAfter ?? Delay * Math.Pow(2, attempt - 1);
                await Task.Delay(wait < DelayMax ? wait : DelayMax, clock, ct);
            }
        }
    }
}
