using System.Collections.Immutable;
using System.Globalization;
using System.Text.Json;
using DarkStorage.GrainInterfaces.Buckets;
using DarkStorage.GrainInterfaces.Events;
using DarkStorage.GrainInterfaces.Objects;
using DarkStorage.Rules.Buckets;

namespace DarkStorage.Rules.Notifications;

/// <summary>Which events a change makes, and what they say: S3's message, version 2.1 (Amazon S3 user guide, "Event message structure").</summary>
public static class BucketEvents
{
    public static ImmutableArray<ObjectEvent> OfCommit(BucketRecord bucket, string key, ObjectVersion version, ChangeOrigin origin) => Of(bucket, key, version, origin, version.Modified,
        version.IsDeleteMarker
            ? origin.Means == ChangeMeans.Lifecycle ? EventNames.LifecycleMarker : EventNames.RemovedMarker
            : origin.Means switch
            {
                ChangeMeans.Post => EventNames.CreatedPost,
                ChangeMeans.Copy => EventNames.CreatedCopy,
                ChangeMeans.Multipart => EventNames.CreatedMultipart,
                _ => EventNames.CreatedPut,
            });

    public static ImmutableArray<ObjectEvent> OfRemoval(BucketRecord bucket, string key, ObjectVersion version, ChangeOrigin origin, DateTimeOffset now) =>
        Of(bucket, key, version, origin, now, origin.Means == ChangeMeans.Lifecycle ? EventNames.LifecycleDelete : EventNames.RemovedDelete);

    /// <param name="next">The version as it is to be.</param>
    public static ImmutableArray<ObjectEvent> OfUpdate(BucketRecord bucket, string key, ObjectUpdate update, ObjectVersion next, DateTimeOffset now) => update switch
    {
        { Tags: { } tags } => Of(bucket, key, next, update.Origin, now, tags.IsEmpty ? EventNames.TaggingDelete : EventNames.TaggingPut),
        { Acl: not null } => Of(bucket, key, next, update.Origin, now, EventNames.AclPut),
        { Restore.Step: RestoreStep.Asked } =>
        [
            .. Of(bucket, key, next, update.Origin, now, EventNames.RestorePost),
            .. next.Restore is { Until: not null } ? Of(bucket, key, next, update.Origin, now, EventNames.RestoreCompleted) : [],
        ],
        { Restore: { Step: var step } } => Of(bucket, key, next, update.Origin, now, step == RestoreStep.Done ? EventNames.RestoreCompleted : EventNames.RestoreDelete),
        { StorageClass: not null } => Of(bucket, key, next, update.Origin, now, EventNames.LifecycleTransition),
        _ => [], // S3 has no events of locks
    };

    /// <summary>The message that a target gets when a configuration names it.</summary>
    public static ImmutableArray<byte> Test(string bucket, string requestId, DateTimeOffset now) => [.. Write(json =>
    {
        json.WriteString("Service", "Amazon S3");
        json.WriteString("Event", "s3:TestEvent");
        json.WriteString("Time", TimeOf(now));
        json.WriteString("Bucket", bucket);
        json.WriteString("RequestId", requestId);
        json.WriteString("HostId", "");
    })];

    private static ImmutableArray<ObjectEvent> Of(BucketRecord bucket, string key, ObjectVersion version, ChangeOrigin origin, DateTimeOffset now, string name) =>
        BucketRules.Of(bucket).Notifications is { Rules.IsEmpty: false } configuration
            ? [.. configuration.Match(name, key).Select(rule => new ObjectEvent(rule.TargetName, Describe(bucket, key, version, origin, now, name, rule.Id)))]
            : [];

    private static byte[] Describe(BucketRecord bucket, string key, ObjectVersion version, ChangeOrigin origin, DateTimeOffset now, string name, string rule) => Write(json =>
    {
        json.WriteStartArray("Records");
        json.WriteStartObject();
        json.WriteString("eventVersion", "2.1");
        json.WriteString("eventSource", "aws:s3");
        json.WriteString("awsRegion", bucket.Region);
        json.WriteString("eventTime", TimeOf(now));
        json.WriteString("eventName", name["s3:".Length..]);
        WriteObject(json, "userIdentity", "principalId", origin.Principal);
        WriteObject(json, "requestParameters", "sourceIPAddress", origin.Address ?? "");
        WriteObject(json, "responseElements", "x-amz-request-id", origin.RequestId);
        json.WriteStartObject("s3");
        json.WriteString("s3SchemaVersion", "1.0");
        json.WriteString("configurationId", rule);
        json.WriteStartObject("bucket");
        json.WriteString("name", bucket.Name);
        WriteObject(json, "ownerIdentity", "principalId", bucket.Owner);
        json.WriteString("arn", $"arn:aws:s3:::{bucket.Name}");
        json.WriteEndObject();
        json.WriteStartObject("object");
        json.WriteString("key", Encode(key));
        if (!version.IsDeleteMarker && !name.StartsWith("s3:ObjectRemoved", StringComparison.Ordinal) && !name.StartsWith("s3:LifecycleExpiration", StringComparison.Ordinal))
        {
            json.WriteNumber("size", version.Manifest.Length);
            json.WriteString("eTag", version.Manifest.ETag);
        }
        if (bucket.Versioning != BucketVersioning.Off) json.WriteString("versionId", version.Name.ToString());
        json.WriteString("sequencer", Sequencer(version, now));
        json.WriteEndObject();
        json.WriteEndObject();
        if (name == EventNames.RestoreCompleted && version.Restore?.Until is { } until) WriteRestore(json, until, version.StorageClass);
        json.WriteEndObject();
        json.WriteEndArray();
    });

    /// <summary>Of one key the later change has the greater one. Texts of one length, so that comparing them compares the numbers.</summary>
    private static string Sequencer(ObjectVersion version, DateTimeOffset now) =>
        Math.Max(version.Revision + version.Attributes.Change, (now.UtcTicks - DateTime.UnixEpoch.Ticks) / TimeSpan.TicksPerMicrosecond).ToString("X16", CultureInfo.InvariantCulture);

    private static void WriteRestore(Utf8JsonWriter json, DateTimeOffset until, string storageClass)
    {
        json.WriteStartObject("glacierEventData");
        json.WriteStartObject("restoreEventData");
        json.WriteString("lifecycleRestorationExpiryTime", TimeOf(until));
        json.WriteString("lifecycleRestoreStorageClass", storageClass);
        json.WriteEndObject();
        json.WriteEndObject();
    }

    private static void WriteObject(Utf8JsonWriter json, string name, string member, string value)
    {
        json.WriteStartObject(name);
        json.WriteString(member, value);
        json.WriteEndObject();
    }

    private static byte[] Write(Action<Utf8JsonWriter> write)
    {
        using var memory = new MemoryStream(1024);
        using (var json = new Utf8JsonWriter(memory))
        {
            json.WriteStartObject();
            write(json);
            json.WriteEndObject();
        }
        return memory.ToArray();
    }

    /// <summary>As a form has it, which is how S3 writes keys here: a space is a plus, and slashes stay.</summary>
    private static string Encode(string key) => Uri.EscapeDataString(key).Replace("%20", "+", StringComparison.Ordinal).Replace("%2F", "/", StringComparison.Ordinal);

    private static string TimeOf(DateTimeOffset time) => time.UtcDateTime.ToString("yyyy-MM-dd'T'HH:mm:ss.fff'Z'", CultureInfo.InvariantCulture);
}
