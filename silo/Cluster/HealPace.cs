using DarkStorage.GrainInterfaces;
using DarkStorage.GrainInterfaces.Cluster;
using DarkStorage.Grains.Cluster;
using DarkStorage.Metadata;
using DarkStorage.Storage;
using Microsoft.Extensions.Options;

namespace DarkStorage.Silo.Cluster;

/// <summary>What this node spends on repairs and movements: as an operator told all nodes, or else as it is configured.</summary>
internal sealed partial class HealPace : IDisposable
{
    private readonly IClusterIndex _index;
    private readonly long _configured;
    private readonly ILogger _log;
    private readonly Pace _pace;
    private volatile bool _isKnown;

    public HealPace(IClusterIndex index, IOptions<ClusterOptions> options, TimeProvider clock, ILogger<HealPace> log)
    {
        (_index, _configured, _log) = (index, (long)options.Value.HealMiBPerSecondMax << 20, log);
        _pace = new(_configured, clock);
        _index.Changed += Forget;
    }

    /// <summary>Waits as the pace asks for.</summary>
    public async ValueTask SpendAsync(long bytes, CancellationToken ct)
    {
        if (!_isKnown) await ReadAsync(ct);
        await _pace.SpendAsync(bytes, ct);
    }

    public void Dispose() => _index.Changed -= Forget;

    private void Forget(string? document)
    {
        if (document is null or ClusterDocuments.HealRate) _isKnown = false;
    }

    private async Task ReadAsync(CancellationToken ct)
    {
        _isKnown = true; // before it is read: what is told meanwhile is read next time
        try
        {
            var rate = await HealRate.ReadAsync(_index, ct) is { } told ? (long)Math.Clamp(told, IClusterGrain.HealMiBPerSecondLeast, IClusterGrain.HealMiBPerSecondMost) << 20 : _configured;
            if (rate == _pace.PerSecond) return;
            _pace.PerSecond = rate;
            LogPace(_log, rate >> 20);
        }
        catch (StorageException)
        {
            _isKnown = false; // the index is away: the pace stays as it is
        }
    }

    [LoggerMessage(LogLevel.Information, "Spends {MiB} MiB/s on repairs and movements from now on")]
    private static partial void LogPace(ILogger log, long miB);
}
