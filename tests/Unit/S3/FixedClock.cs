namespace DarkStorage.Unit.S3;

internal sealed class FixedClock(DateTimeOffset now) : TimeProvider
{
    /// <summary>When AWS's documentation signs its examples.</summary>
    public static readonly DateTimeOffset ExampleTime = new(2013, 5, 24, 0, 0, 0, TimeSpan.Zero);

    public override DateTimeOffset GetUtcNow() => now;
}
