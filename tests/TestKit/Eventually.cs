using System.Diagnostics;

namespace DarkStorage.TestKit;

/// <summary>Waits for a condition by looking, with a breath between and an end: what is waited for happens in other processes, which tell nobody.</summary>
public static class Eventually
{
    /// <summary>Far beyond anything that works.</summary>
    public static readonly TimeSpan HangsAfter = TimeSpan.FromMinutes(2);

    private static readonly TimeSpan Breath = TimeSpan.FromMilliseconds(50);

    /// <param name="what">The condition in words, for who reads the failure.</param>
    /// <exception cref="TimeoutException">It did not come about.</exception>
    public static Task HoldsAsync(string what, Func<Task<bool>> condition) => HoldsAsync(condition, () => what);

    public static Task HoldsAsync(string what, Func<bool> condition) => HoldsAsync(() => Task.FromResult(condition()), () => what);

    /// <param name="seen">What was there instead, asked when it did not come about.</param>
    /// <param name="within">Of what takes longer than anything else; null for <see cref="HangsAfter"/>.</param>
    public static async Task HoldsAsync(Func<Task<bool>> condition, Func<string> seen, TimeSpan? within = null)
    {
        var patience = within ?? HangsAfter;
        for (var since = Stopwatch.StartNew(); !await condition();)
        {
            if (since.Elapsed > patience) throw new TimeoutException($"Not within {patience}: {seen()}");
            await Task.Delay(Breath);
        }
    }
}
