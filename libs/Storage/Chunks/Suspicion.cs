namespace DarkStorage.Storage.Chunks;

/// <summary>Whether a store failed a moment ago, and not for the first time. After a failure it is not the first choice for 250 ms, and twice as long after each that follows, up to 10 s.</summary>
internal sealed class Suspicion(TimeProvider clock)
{
    private static readonly TimeSpan Time = TimeSpan.FromMilliseconds(250);
    private static readonly TimeSpan TimeMax = TimeSpan.FromSeconds(10);

    private long _until;
    private int _failures;

    public bool Is => Volatile.Read(ref _failures) > 1 && clock.GetTimestamp() < Interlocked.Read(ref _until);

    public void Failed()
    {
        var failures = Interlocked.Increment(ref _failures);
        var time = TimeSpan.FromTicks(Math.Min(TimeMax.Ticks, Time.Ticks << Math.Min(failures - 1, 10)));
        Interlocked.Exchange(ref _until, clock.GetTimestamp() + (long)(time.TotalSeconds * clock.TimestampFrequency));
    }

    public void Succeeded() => Volatile.Write(ref _failures, 0);
}
