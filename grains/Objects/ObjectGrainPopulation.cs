namespace DarkStorage.Grains.Objects;

/// <summary>How many object grains are awake on this silo. Writes to ever new keys wake grains faster than idle ones are collected;
/// past a number they leave at once, so that memory follows the work under way and not the work of the last minute.</summary>
public sealed class ObjectGrainPopulation
{
    /// <summary>Awake grains that are kept for their next call. Each is 1 to 3 KiB.</summary>
    private const int KeptMax = 10_000;

    private int _awake;

    public bool IsCrowded => Volatile.Read(ref _awake) > KeptMax;

    internal void Woke() => Interlocked.Increment(ref _awake);

    internal void Left() => Interlocked.Decrement(ref _awake);
}
