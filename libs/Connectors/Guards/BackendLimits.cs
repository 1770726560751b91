using System.Globalization;
using DarkStorage.Storage.Backends;

namespace DarkStorage.Connectors.Guards;

/// <summary>How a place outside is called: each integration has its own.</summary>
public sealed record BackendLimits
{
    /// <summary>Time without an answer, and within a stream without a byte, after which a call has failed. Default 30 s: an object store takes seconds at its worst, and a client's own patience is about a minute.</summary>
    public TimeSpan Timeout { get; init; } = TimeSpan.FromSeconds(30);

    /// <summary>The longest time for the answer once the last byte of a blob was taken: a drive flushes, a server puts parts together. Default 10 min; AWS says that completing an upload "can take several minutes".</summary>
    public TimeSpan FinishTimeoutMax { get; init; } = TimeSpan.FromMinutes(10);

    /// <summary>Bytes a second that a place works through when it has taken a blob: of a small one, which the network's buffers take whole, an answer is not waited for until <see cref="FinishTimeoutMax"/>. Default 256 KiB: a slow line, whose buffers are still full when all was taken.</summary>
    public long FinishBytesPerSecondMin { get; init; } = 256 << 10;

    /// <summary>Time for a copy, or for cleaning, as a whole: nothing is heard of them on the way. Default 1 h.</summary>
    public TimeSpan LongTimeout { get; init; } = TimeSpan.FromHours(1);

    /// <summary>Calls that are made at most for one answer. Default 4.</summary>
    public int AttemptsMax { get; init; } = 4;

    /// <summary>Wait before the second attempt; longer for each one after, with chance in it, so that not all nodes come at the same moment. Default 200 ms.</summary>
    public TimeSpan RetryDelay { get; init; } = TimeSpan.FromMilliseconds(200);

    /// <summary>The longest wait before another attempt, whatever the backend asks for. Default 10 s.</summary>
    public TimeSpan RetryDelayMax { get; init; } = TimeSpan.FromSeconds(10);

    /// <summary>Attempts within <see cref="RestAfterTime"/> of which half failed, after which none is made for <see cref="Rest"/>. Default 10.</summary>
    public int RestAfterAttempts { get; init; } = 10;

    public TimeSpan RestAfterTime { get; init; } = TimeSpan.FromSeconds(30);

    /// <summary>For how long a backend that fails is left alone; then one call tries. Default 15 s.</summary>
    public TimeSpan Rest { get; init; } = TimeSpan.FromSeconds(15);

    /// <summary>Calls under way at one time, from each node. Streams that were opened do not count, nor does cleaning, which is one beside them. Default 64.</summary>
    public int CallsMax { get; init; } = 64;

    /// <summary>Bytes a second, to and from it, of each node; 0 for no bound, which is the default.</summary>
    public long BytesPerSecondMax { get; init; }

    /// <param name="length">0 for what brings nothing, and may be waited for until it shows: a delete, and a put of what is there already.</param>
    /// <returns>Time for the answer once the last byte of a blob was taken.</returns>
    public TimeSpan FinishTimeoutOf(long length, BackendTraits traits)
    {
        var wanted = Timeout + traits.ShowsWithin + TimeSpan.FromSeconds((double)length / FinishBytesPerSecondMin);
        return wanted < FinishTimeoutMax ? wanted : Timeout > FinishTimeoutMax ? Timeout : FinishTimeoutMax;
    }

    /// <summary>As the fields that every connector has say: <see cref="ConnectorCatalog.CommonFields"/>.</summary>
    public static BackendLimits From(IReadOnlyDictionary<string, string> settings)
    {
        var limits = new BackendLimits();
        if (Number(settings, ConnectorCatalog.TimeoutField) is { } seconds) limits = limits with { Timeout = TimeSpan.FromSeconds(seconds) };
        if (Number(settings, ConnectorCatalog.CallsField) is { } calls) limits = limits with { CallsMax = (int)calls };
        if (Number(settings, ConnectorCatalog.RateField) is { } mebibytes) limits = limits with { BytesPerSecondMax = mebibytes << 20 };
        return limits;
    }

    private static long? Number(IReadOnlyDictionary<string, string> settings, string field) =>
        settings.TryGetValue(field, out var text) ? long.Parse(text, CultureInfo.InvariantCulture) : null;
}
