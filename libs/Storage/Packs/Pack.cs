namespace DarkStorage.Storage.Packs;

internal enum PackState
{
    /// <summary>A lane appends to it.</summary>
    Active,
    /// <summary>Its last byte is written; its index is being made.</summary>
    Sealing,
    /// <summary>Whole and indexed: it may be compacted.</summary>
    Sealed,
    /// <summary>Unlinked. Readers that hold it still can read.</summary>
    Retired,
}

/// <summary>One pack file in use. Its file stays open until the pack is retired and the last reader has left.</summary>
internal sealed class Pack(uint number, ulong salt, IPackFile file, long capacity)
{
    private long _liveBytes;
    private int _references = 1;

    public uint Number { get; } = number;
    public ulong Salt { get; } = salt;
    public IPackFile File { get; } = file;

    /// <summary>Bytes that the file may hold.</summary>
    public long Capacity { get; } = capacity;

    /// <summary>Where the next frame goes; in a sealed pack the end. Only the lane that owns the pack moves it.</summary>
    public long Position { get; set; } = PackFormat.HeaderBytes;

    /// <summary>All before this place is on the medium.</summary>
    public long DurableThrough
    {
        get => Interlocked.Read(ref field);
        set => Interlocked.Exchange(ref field, value);
    }

    /// <summary>A write or a sync failed: nothing past <see cref="DurableThrough"/> is believed, and nothing more is written.</summary>
    public bool Failed
    {
        get => Volatile.Read(ref field);
        set => Volatile.Write(ref field, value);
    }

    /// <summary>The start met places that could not be read: there may be more in it than was found, so it is not cut and not unlinked for being empty.</summary>
    public bool Doubtful { get; set; }

    public PackState State
    {
        get => (PackState)Volatile.Read(ref _state);
        set => Volatile.Write(ref _state, (int)value);
    }
    private int _state;

    /// <summary>Bytes of the frames that the location table points to.</summary>
    public long LiveBytes => Interlocked.Read(ref _liveBytes);

    /// <summary>What was appended, for the index; dropped once that is written.</summary>
    public List<PackEntry>? Entries { get; set; }

    public string Name => NameOf(Number);
    public string IndexName => IndexNameOf(Number);

    public static string NameOf(uint number) => $"{number:x16}.pack";
    public static string IndexNameOf(uint number) => $"{number:x16}.idx";

    public static bool TryParseName(string name, out uint number)
    {
        number = 0;
        return name.Length == 21 && name.EndsWith(".pack", StringComparison.Ordinal)
            && ulong.TryParse(name.AsSpan(0, 16), System.Globalization.NumberStyles.AllowHexSpecifier, null, out var wide)
            && wide is > 0 and <= uint.MaxValue && (number = (uint)wide) > 0;
    }

    public long AddLive(long bytes) => Interlocked.Add(ref _liveBytes, bytes);

    /// <summary>Keeps the file open. False where it is closed already: the chunk is elsewhere by now, ask the table again.</summary>
    public bool TryAcquire()
    {
        for (var now = Volatile.Read(ref _references); now > 0;)
        {
            var seen = Interlocked.CompareExchange(ref _references, now + 1, now);
            if (seen == now) return true;
            now = seen;
        }
        return false;
    }

    /// <summary>True for the one caller that takes a sealed pack out of use.</summary>
    public bool TryRetire() => Interlocked.CompareExchange(ref _state, (int)PackState.Retired, (int)PackState.Sealed) == (int)PackState.Sealed;

    public void Release()
    {
        if (Interlocked.Decrement(ref _references) == 0) File.Dispose();
    }
}
