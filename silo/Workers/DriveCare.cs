using System.ComponentModel.DataAnnotations;
using System.Diagnostics.Metrics;
using System.Text.Json;
using DarkStorage.Metadata;
using DarkStorage.Metadata.Sqlite;
using DarkStorage.Silo.Configuration;
using DarkStorage.Storage;
using DarkStorage.Storage.Packs;
using Microsoft.Extensions.Options;

namespace DarkStorage.Silo.Workers;

/// <summary>How often the drives are looked after.</summary>
internal sealed record DriveCareOptions
{
    /// <summary>Time from the begin of one scrub of everything to the begin of the next. Default 14 days: over 60 % of latent sector errors were found
    /// by a scrubber with a two-week cycle (Bairavasundaram et al., SIGMETRICS 2007).</summary>
    [Range(typeof(TimeSpan), "00:00:01", "365.00:00:00")]
    public TimeSpan ScrubPeriod { get; init; } = TimeSpan.FromDays(14);

    /// <summary>Time between two compactions. Default 1 hour.</summary>
    [Range(typeof(TimeSpan), "00:00:01", "30.00:00:00")]
    public TimeSpan CompactionInterval { get; init; } = TimeSpan.FromHours(1);

    /// <summary>Time between two looks whether the index has its reserve. Default 1 minute: a look costs one call of the system.</summary>
    [Range(typeof(TimeSpan), "00:00:00.100", "1.00:00:00")]
    public TimeSpan ReserveInterval { get; init; } = TimeSpan.FromMinutes(1);
}

/// <summary>Scrubs the packs in a slow circle and compacts them, and makes the index's reserve again once there is room. A scrub goes on after a restart where it was.</summary>
internal sealed partial class DriveCare(
    PackStore packs, IMetadataIndex index, DataDirectory data, IOptions<DriveCareOptions> options, IOptions<ScrubOptions> scrub, IOptions<CompactionOptions> compaction,
    TimeProvider clock, ILogger<DriveCare> log) : BackgroundService
{
    private static long _passBegun;
    private bool _isUnsaved;

    static DriveCare() => new Meter("DarkStorage.Silo").CreateObservableGauge("darkstorage.scrub.pass_begun.timestamp", static () => Interlocked.Read(ref _passBegun) is > 0 and var begun ? (Measurement<long>[])[new(begun)] : [], "s",
        "When the last pass over everything began: older than the period where passes fail, or take longer than that.");

    /// <summary>Where the circle is.</summary>
    private sealed record Progress(DateTimeOffset Begun, ScrubCursor Next, bool Finished);

    /// <summary>The first of them that ends for a reason of its own ends all, and the program with them: that one is missing nobody would notice.</summary>
    protected override async Task ExecuteAsync(CancellationToken stoppingToken)
    {
        using var ending = CancellationTokenSource.CreateLinkedTokenSource(stoppingToken);
        Task[] loops = [CompactAsync(ending.Token), ScrubAsync(ending.Token), KeepReserveAsync(ending.Token)];
        try
        {
            await foreach (var loop in Task.WhenEach(loops)) await loop;
        }
        finally
        {
            await ending.CancelAsync();
            await Task.WhenAll(loops).ConfigureAwait(ConfigureAwaitOptions.SuppressThrowing);
        }
    }

    private async Task CompactAsync(CancellationToken ct)
    {
        using var timer = new PeriodicTimer(options.Value.CompactionInterval, clock);
        while (await timer.WaitForNextTickAsync(ct)) await TryAsync(() => packs.CompactAsync(compaction.Value, ct));
    }

    private async Task KeepReserveAsync(CancellationToken ct)
    {
        if (index is not SqliteIndex onDrive) return; // an index elsewhere takes no room here
        using var timer = new PeriodicTimer(options.Value.ReserveInterval, clock);
        while (await timer.WaitForNextTickAsync(ct)) onDrive.KeepReserve();
    }

    private async Task ScrubAsync(CancellationToken ct)
    {
        var state = await LoadAsync(ct) ?? new(clock.GetUtcNow(), default, Finished: false);
        while (true)
        {
            if (state.Finished)
            {
                var wait = state.Begun + options.Value.ScrubPeriod - clock.GetUtcNow();
                if (wait > TimeSpan.Zero) await Task.Delay(wait, clock, ct);
                state = new(clock.GetUtcNow(), default, Finished: false);
            }
            var begun = state.Begun;
            Interlocked.Exchange(ref _passBegun, begun.ToUnixTimeSeconds());
            var failed = !await TryAsync(async () =>
            {
                var done = await packs.ScrubAsync(state.Next, scrub.Value, new Reporter(p => Save(new(begun, p.Next, p.Finished))), ct);
                state = new(begun, done.Next, done.Finished);
                LogScrubbed(log, done.Chunks, done.Bytes, done.Damaged);
            });
            if (failed) await Task.Delay(options.Value.CompactionInterval, clock, ct);
        }
    }

    private async Task<bool> TryAsync(Func<Task> work)
    {
        try
        {
            await work();
            return true;
        }
        catch (Exception e) when (e is not OperationCanceledException)
        {
            LogFailed(log, e);
            return false;
        }
    }

    private async Task<Progress?> LoadAsync(CancellationToken ct)
    {
        try
        {
            return JsonSerializer.Deserialize<Progress>(await File.ReadAllBytesAsync(data.ScrubFile, ct));
        }
        catch (FileNotFoundException)
        {
            return null; // the first pass
        }
        catch (Exception e) when (e is JsonException or IOException or UnauthorizedAccessException)
        {
            LogBeginsAnew(log, e); // which costs time, nothing else
            return null;
        }
    }

    /// <summary>A pass goes on though nobody can write down where it is: what it finds counts.</summary>
    private void Save(Progress state)
    {
        try
        {
            File.WriteAllBytes(data.ScrubFile, JsonSerializer.SerializeToUtf8Bytes(state));
            _isUnsaved = false;
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            if (!_isUnsaved) LogNotSaved(log, e);
            _isUnsaved = true;
        }
    }

    private sealed class Reporter(Action<ScrubProgress> report) : IProgress<ScrubProgress>
    {
        public void Report(ScrubProgress value) => report(value);
    }

    [LoggerMessage(LogLevel.Information, "Scrubbed {Chunks} chunks, {Bytes} bytes: {Damaged} damaged")]
    private static partial void LogScrubbed(ILogger log, long chunks, long bytes, int damaged);

    [LoggerMessage(LogLevel.Warning, "Where the last scrub was can't be read: it begins anew")]
    private static partial void LogBeginsAnew(ILogger log, Exception exception);

    [LoggerMessage(LogLevel.Warning, "Where the scrub is can't be written down: after a restart it begins anew")]
    private static partial void LogNotSaved(ILogger log, Exception exception);

    [LoggerMessage(LogLevel.Warning, "Looking after the drives failed; it will be tried again")]
    private static partial void LogFailed(ILogger log, Exception exception);
}
