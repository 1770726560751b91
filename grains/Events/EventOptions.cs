using System.ComponentModel.DataAnnotations;

namespace DarkStorage.Grains.Events;

/// <summary>How events are delivered.</summary>
public sealed record EventOptions
{
    /// <summary>How long an event that its target does not take is tried again. Default 3 days: a weekend.</summary>
    [Range(typeof(TimeSpan), "00:00:01", "30.00:00:00")]
    public TimeSpan RetryFor { get; init; } = TimeSpan.FromDays(3);

    /// <summary>The longest time between two attempts; the first are 1, 2, 4 … seconds apart. Default 5 minutes.</summary>
    [Range(typeof(TimeSpan), "00:00:01", "01:00:00")]
    public TimeSpan RetryDelayMax { get; init; } = TimeSpan.FromMinutes(5);

    /// <summary>How long events are kept once they were delivered or given up, to be sent again on demand. Default 7 days; each takes about 1 KiB of the index.</summary>
    [Range(typeof(TimeSpan), "00:00:00", "90.00:00:00")]
    public TimeSpan Retention { get; init; } = TimeSpan.FromDays(7);
}
