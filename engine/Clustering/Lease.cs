using System.Diagnostics;

namespace DarkStorage.Engine;

/// <summary>
/// What this silo believes of its own lease. It is counted by the monotonic clock from before a renewal was sent, so it ends before the
/// database's does by the time of the way there, and by a margin on top: for what is under way when it ends.
/// </summary>
internal sealed class Lease(TimeSpan length)
{
    private long _validUntil;
    private int _isLost;

    public TimeSpan Length => length;

    /// <summary>An eighth: clocks of machines differ by far less, and a call that began before the end has this long to finish.</summary>
    public TimeSpan Margin => length / 8;

    public bool IsValid => Stopwatch.GetTimestamp() < Volatile.Read(ref _validUntil) && Volatile.Read(ref _isLost) == 0;

    public TimeSpan Remaining
    {
        get
        {
            var left = Stopwatch.GetElapsedTime(Stopwatch.GetTimestamp(), Volatile.Read(ref _validUntil));
            return left > TimeSpan.Zero ? left : TimeSpan.Zero;
        }
    }

    public void Renewed(long sentAt) => Volatile.Write(ref _validUntil, sentAt + (long)((length - Margin).TotalSeconds * Stopwatch.Frequency));

    /// <summary>For good: no renewal brings it back.</summary>
    public void Lose() => Volatile.Write(ref _isLost, 1);
}
