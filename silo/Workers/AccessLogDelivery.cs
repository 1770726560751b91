using System.Diagnostics.Metrics;
using System.IO.Pipelines;
using DarkStorage.ClientApi.S3;
using DarkStorage.GrainInterfaces;
using DarkStorage.GrainInterfaces.Objects;
using DarkStorage.Rules;
using DarkStorage.Rules.Acls;
using DarkStorage.Rules.Buckets;
using DarkStorage.Rules.Logging;
using Microsoft.Extensions.Options;

namespace DarkStorage.Silo.Workers;

/// <summary>Turns the files of the spool into objects of the buckets that their logs go to.</summary>
/// <remarks>An object is named after its file and made only where there is none of the name, so a delivery that a crash interrupted is not made twice. It is no
/// request, so it is in no log: a bucket whose log goes into itself grows by what clients do, and by nothing else.</remarks>
internal sealed partial class AccessLogDelivery(
    AccessLogSpool spool, NodeObjects objects, IIndexReader index, IOptions<AccessLogOptions> options, TimeProvider clock, ILogger<AccessLogDelivery> log) : BackgroundService
{
    private const string Deliverer = "logging.s3.amazonaws.com";

    private static readonly Meter Meter = new("DarkStorage.Silo");
    private static readonly Counter<long> Delivered = Meter.CreateCounter<long>("darkstorage.access_log.objects", "{object}", "Objects of access logs delivered.");

    // With it the counter is there from the start, and not from the first delivery on.
    static AccessLogDelivery()
    {
    }

    private static readonly ObjectMetadata Metadata = ObjectMetadata.Default with { ContentType = "text/plain" };

    protected override Task ExecuteAsync(CancellationToken stoppingToken) => Task.WhenAll(FlushAsync(stoppingToken), DeliverAsync(stoppingToken));

    private async Task FlushAsync(CancellationToken ct)
    {
        using var timer = new PeriodicTimer(options.Value.FlushInterval, clock);
        while (await timer.WaitForNextTickAsync(ct)) spool.Flush();
    }

    private async Task DeliverAsync(CancellationToken ct)
    {
        await Task.Yield(); // the first pass delivers what an earlier process left; the node's start does not wait for it
        while (true)
        {
            try
            {
                foreach (var file in spool.Seal()) await DeliverAsync(file, ct);
            }
            catch (Exception e) when (e is not OperationCanceledException)
            {
                LogFailed(log, e);
            }
            if (spool.TakeDropped() is > 0 and var dropped) LogDropped(log, dropped);
            await spool.Full.WaitAsync(options.Value.Interval, ct);
        }
    }

    private async Task DeliverAsync(AccessLogFile file, CancellationToken ct)
    {
        var header = file.Header;
        try
        {
            var bucket = await index.FindBucketAsync(header.TargetBucket, ct);
            var problem = LogTarget.ProblemOf(header.Owner, header.Region, bucket);
            if (problem != LogTargetProblem.None)
            {
                GiveUpIfOld(file, problem.ToString());
                return;
            }
            var time = header.Day is { } day ? new(day, TimeOnly.MinValue, TimeSpan.Zero) : file.Sealed;
            var key = LogTarget.KeyOf(header.KeyFormat, header.TargetPrefix, objects.AccountId, header.Region, header.Bucket, time, file.Unique);
            // A list that a client could not put now is not put: the bucket may have changed since the setting was made.
            var access = BucketRules.Of(bucket!).Access;
            var acl = access.Ownership == ObjectOwnership.BucketOwnerEnforced || header.Acl is null || access.PublicAccess.Refuses(SettingJson.Read<AccessControlList>(header.Acl)) ? null : header.Acl;
            await using var content = new FileStream(file.Path, FileMode.Open, FileAccess.Read, FileShare.Read, bufferSize: 0, useAsync: true);
            content.Position = file.ContentAt;
            await objects.CreateAsync(bucket!, key, PipeReader.Create(content), file.Length, Metadata, acl, new(ChangeMeans.Request, Deliverer, null, file.Unique), ct);
            Delivered.Add(1);
        }
        catch (StorageException e) when (e.Error == StorageError.PreconditionFailed)
        {
            // Delivered before: the process ended between the delivery and the removal.
        }
        catch (Exception e) when (e is not OperationCanceledException)
        {
            LogFailed(log, e);
            GiveUpIfOld(file, "failed");
            return;
        }
        spool.Remove(file);
    }

    private void GiveUpIfOld(AccessLogFile file, string reason)
    {
        if (clock.GetUtcNow() - file.Sealed < options.Value.KeepFor) return;
        spool.Remove(file);
        LogGivenUp(log, file.Length, file.Header.Bucket, file.Header.TargetBucket, reason);
    }

    [LoggerMessage(LogLevel.Warning, "Access logs had no room: {Lines} lines were dropped")]
    private static partial void LogDropped(ILogger log, long lines);

    [LoggerMessage(LogLevel.Warning, "{Bytes} bytes of the access log of {Bucket} could not be delivered to {Target} ({Reason}) and were given up")]
    private static partial void LogGivenUp(ILogger log, long bytes, string bucket, string target, string reason);

    [LoggerMessage(LogLevel.Warning, "Delivering access logs failed; it will be tried again")]
    private static partial void LogFailed(ILogger log, Exception exception);
}
