using System.Collections.Immutable;
using System.Globalization;
using DarkStorage.GrainInterfaces.Buckets;
using DarkStorage.Rules.Acls;
using DarkStorage.Rules.Buckets;

namespace DarkStorage.Rules.Logging;

/// <summary>Whether the requests of a bucket are written down.</summary>
/// <param name="Enabled">Null where they are not.</param>
public sealed record LoggingConfiguration(LogTarget? Enabled);

/// <summary>How the objects that logs are delivered in are named.</summary>
public enum LogKeyFormat
{
    /// <summary><c>PREFIX2026-02-06-00-00-38-UNIQUE</c>, of the time of delivery.</summary>
    Simple,

    /// <summary><c>PREFIXaccount/region/bucket/2026/02/06/2026-02-06-00-00-00-UNIQUE</c>, of the day of the requests: an object is of one day.</summary>
    PartitionedByEventTime,

    /// <summary>The same, of the time of delivery.</summary>
    PartitionedByDeliveryTime,
}

/// <summary>What is wrong with a bucket that logs are to be delivered to.</summary>
public enum LogTargetProblem
{
    None,
    Missing,
    OtherOwner,
    OtherRegion,

    /// <summary>What is delivered would be kept from whoever is to tidy it up.</summary>
    RetainsByDefault,
    RequesterPays,
}

/// <summary>Where the logs of a bucket go.</summary>
/// <param name="Grants">On each object that is delivered, besides the owner's own.</param>
/// <param name="KeyFormat">Null where the client did not say, which is <see cref="LogKeyFormat.Simple"/>.</param>
public sealed record LogTarget(string Bucket, string Prefix, ImmutableArray<Grant> Grants, LogKeyFormat? KeyFormat)
{
    /// <summary>Characters of the part of a name that makes it one of a kind.</summary>
    public const int UniqueLength = 16;

    /// <summary>Whether logs of one bucket may be delivered into another. Asked when the setting is made, and again at each delivery.</summary>
    /// <param name="owner">Of the bucket that is logged, as is <paramref name="region"/>.</param>
    /// <param name="target">Null where there is none of the name.</param>
    public static LogTargetProblem ProblemOf(string owner, string region, BucketRecord? target)
    {
        if (target is null) return LogTargetProblem.Missing;
        if (target.Owner != owner) return LogTargetProblem.OtherOwner;
        if (target.Region != region) return LogTargetProblem.OtherRegion;
        var rules = BucketRules.Of(target);
        if (rules.ObjectLock?.Default is not null) return LogTargetProblem.RetainsByDefault;
        return rules.Payer == Payer.Requester ? LogTargetProblem.RequesterPays : LogTargetProblem.None;
    }

    /// <summary>The key of an object of logs.</summary>
    /// <param name="source">The bucket that is logged.</param>
    /// <param name="time">Of the delivery; for <see cref="LogKeyFormat.PartitionedByEventTime"/> the day of the requests.</param>
    /// <param name="unique"><see cref="UniqueLength"/> characters.</param>
    public static string KeyOf(LogKeyFormat format, string prefix, string account, string region, string source, DateTimeOffset time, string unique)
    {
        if (format == LogKeyFormat.PartitionedByEventTime) time = new(time.UtcDateTime.Date, TimeSpan.Zero);
        var folder = format == LogKeyFormat.Simple ? "" : string.Create(CultureInfo.InvariantCulture, $"{account}/{region}/{source}/{time.UtcDateTime:yyyy'/'MM'/'dd}/");
        return string.Create(CultureInfo.InvariantCulture, $"{prefix}{folder}{time.UtcDateTime:yyyy-MM-dd-HH-mm-ss}-{unique}");
    }
}
