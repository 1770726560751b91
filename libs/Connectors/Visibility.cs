using DarkStorage.Storage.Backends;

namespace DarkStorage.Connectors;

/// <summary>Of places that take something and show it later.</summary>
internal static class Visibility
{
    /// <summary>Between the first looks; doubled for each one after.</summary>
    private static readonly TimeSpan LookDelay = TimeSpan.FromMilliseconds(250);

    private static readonly TimeSpan LookDelayMax = TimeSpan.FromSeconds(4);

    /// <summary>Looks again and again.</summary>
    /// <exception cref="BackendException"><see cref="BackendError.Unavailable"/>: it did not show within the time.</exception>
    public static async Task WaitAsync(Func<Task<bool>> isThere, TimeSpan within, string tooLate, TimeProvider clock, CancellationToken ct)
    {
        var began = clock.GetTimestamp();
        for (var delay = LookDelay; !await PartAttempts.RunAsync(isThere, clock, ct); delay = delay * 2 < LookDelayMax ? delay * 2 : LookDelayMax)
        {
            if (clock.GetElapsedTime(began) >= within) throw new BackendException(BackendError.Unavailable, tooLate);
            await Task.Delay(delay, clock, ct);
        }
    }
}
