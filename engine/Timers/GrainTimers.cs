using System.Diagnostics.CodeAnalysis;

namespace Orleans.Runtime;

/// <summary>A running timer of an activation.</summary>
public interface IGrainTimer : IDisposable
{
    /// <summary>Starts it anew.</summary>
    /// <param name="dueTime">Time to the next tick; <see cref="Timeout.InfiniteTimeSpan"/> pauses the timer.</param>
    /// <param name="period">From the end of one tick to the next; <see cref="Timeout.InfiniteTimeSpan"/> for a single tick.</param>
    void Change(TimeSpan dueTime, TimeSpan period);
}

public readonly struct GrainTimerCreationOptions()
{
    [SetsRequiredMembers]
    public GrainTimerCreationOptions(TimeSpan dueTime, TimeSpan period) : this()
    {
        DueTime = dueTime;
        Period = period;
    }

    /// <summary>Time to the first tick; <see cref="Timeout.InfiniteTimeSpan"/> for a timer that waits for <see cref="IGrainTimer.Change"/>.</summary>
    public required TimeSpan DueTime { get; init; }

    /// <summary>From the end of one tick to the next; <see cref="Timeout.InfiniteTimeSpan"/> for a single tick.</summary>
    public required TimeSpan Period { get; init; }

    /// <summary>May ticks interleave with calls? False by default: a tick is a turn like a call.</summary>
    public bool Interleave { get; init; }

    /// <summary>Does a tick count as use, keeping the activation from idle collection? False by default.</summary>
    public bool KeepAlive { get; init; }
}
