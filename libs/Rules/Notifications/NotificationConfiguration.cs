using System.Collections.Immutable;

namespace DarkStorage.Rules.Notifications;

/// <summary>Which events of a bucket go where.</summary>
/// <param name="HasEventBridge">S3's switch for another service of AWS: kept, and without effect.</param>
public sealed record NotificationConfiguration(ImmutableArray<NotificationRule> Rules, bool HasEventBridge)
{
    public static readonly NotificationConfiguration None = new([], false);

    /// <summary>Rules in one configuration: S3's bound.</summary>
    public const int RulesMax = 100;

    /// <returns>The rules that an event falls under, one for each target: a target gets an event once, however many of its rules match.</returns>
    public IEnumerable<NotificationRule> Match(string eventName, string key) =>
        Rules.Where(r => r.Matches(eventName, key)).DistinctBy(r => r.TargetName, StringComparer.Ordinal);
}

/// <summary>S3 has three kinds of targets. Here all are event targets, and the kind only says how the document has it.</summary>
public enum NotificationKind
{
    Topic,
    Queue,
    CloudFunction,
}

/// <param name="Target">The target's ARN as it was given: its last part is the name of an event target.</param>
/// <param name="Events">Of <see cref="EventNames"/>, whole or with a <c>*</c> at the end.</param>
/// <param name="Prefix">Of the key; null for all, as is the suffix.</param>
public sealed record NotificationRule(string Id, NotificationKind Kind, string Target, ImmutableArray<string> Events, string? Prefix, string? Suffix)
{
    public string TargetName => Target[(Target.LastIndexOf(':') + 1)..];

    public bool Matches(string eventName, string key) =>
        Events.Any(e => EventNames.Covers(e, eventName))
        && (Prefix is null || key.StartsWith(Prefix, StringComparison.Ordinal))
        && (Suffix is null || key.EndsWith(Suffix, StringComparison.Ordinal));
}

/// <summary>S3's events (Amazon S3 user guide, "Supported event types").</summary>
public static class EventNames
{
    public const string CreatedPut = "s3:ObjectCreated:Put";
    public const string CreatedPost = "s3:ObjectCreated:Post";
    public const string CreatedCopy = "s3:ObjectCreated:Copy";
    public const string CreatedMultipart = "s3:ObjectCreated:CompleteMultipartUpload";
    public const string RemovedDelete = "s3:ObjectRemoved:Delete";
    public const string RemovedMarker = "s3:ObjectRemoved:DeleteMarkerCreated";
    public const string TaggingPut = "s3:ObjectTagging:Put";
    public const string TaggingDelete = "s3:ObjectTagging:Delete";
    public const string AclPut = "s3:ObjectAcl:Put";
    public const string LifecycleDelete = "s3:LifecycleExpiration:Delete";
    public const string LifecycleMarker = "s3:LifecycleExpiration:DeleteMarkerCreated";
    public const string LifecycleTransition = "s3:LifecycleTransition";
    public const string RestorePost = "s3:ObjectRestore:Post";
    public const string RestoreCompleted = "s3:ObjectRestore:Completed";
    public const string RestoreDelete = "s3:ObjectRestore:Delete";

    /// <summary>What a configuration may name. Events of what a cluster does not do (reduced redundancy, replication time) never come.</summary>
    private static readonly HashSet<string> Known = new(StringComparer.Ordinal)
    {
        "s3:ObjectCreated:*", CreatedPut, CreatedPost, CreatedCopy, CreatedMultipart,
        "s3:ObjectRemoved:*", RemovedDelete, RemovedMarker,
        "s3:ObjectRestore:*", RestorePost, RestoreCompleted, RestoreDelete,
        "s3:ReducedRedundancyLostObject",
        "s3:Replication:*", "s3:Replication:OperationFailedReplication", "s3:Replication:OperationMissedThreshold",
        "s3:Replication:OperationReplicatedAfterThreshold", "s3:Replication:OperationNotTracked",
        "s3:LifecycleExpiration:*", LifecycleDelete, LifecycleMarker, LifecycleTransition,
        "s3:IntelligentTiering", "s3:ObjectAcl:Put",
        "s3:ObjectTagging:*", TaggingPut, TaggingDelete,
    };

    public static bool IsKnown(string name) => Known.Contains(name);

    /// <summary>Whether a name in a configuration stands for an event.</summary>
    public static bool Covers(string configured, string name) =>
        configured == name || (configured.EndsWith('*') && name.StartsWith(configured.AsSpan(0, configured.Length - 1), StringComparison.Ordinal));
}
