using System.Collections.Immutable;
using System.Text.Json;
using DarkStorage.GrainInterfaces.Buckets;
using DarkStorage.GrainInterfaces.Events;
using DarkStorage.GrainInterfaces.Objects;
using DarkStorage.Rules.Buckets;
using DarkStorage.Rules.Notifications;
using Xunit;

namespace DarkStorage.Unit.Notifications;

public sealed class BucketEventsTests
{
    private static readonly DateTimeOffset Now = new(2026, 3, 1, 10, 30, 0, TimeSpan.Zero);
    private static readonly ChangeOrigin Request = new(ChangeMeans.Request, "alice", "192.0.2.1", "id");
    private static readonly ImmutableArray<string> All = ["s3:ObjectCreated:*", "s3:ObjectRemoved:*", "s3:ObjectTagging:*", "s3:ObjectAcl:Put", "s3:LifecycleExpiration:*", "s3:LifecycleTransition", "s3:ObjectRestore:*"];

    [Fact]
    public void A_target_gets_an_event_once_however_many_of_its_rules_match()
    {
        var configuration = new NotificationConfiguration([Rule("1", "x"), Rule("2", "x"), Rule("3", "y")], false);
        Assert.Equal(["1", "3"], configuration.Match(EventNames.CreatedPut, "key").Select(r => r.Id));
    }

    [Theory]
    [InlineData("images/a.jpg", true)]
    [InlineData("images/a.png", false)]
    [InlineData("other/a.jpg", false)]
    public void A_rule_is_for_keys_with_its_prefix_and_its_suffix(string key, bool matches) =>
        Assert.Equal(matches, (Rule("1", "x") with { Prefix = "images/", Suffix = ".jpg" }).Matches(EventNames.CreatedPut, key));

    [Theory]
    [InlineData("s3:ObjectRemoved:*", EventNames.RemovedDelete, true)]
    [InlineData("s3:ObjectRemoved:Delete", EventNames.RemovedDelete, true)]
    [InlineData("s3:ObjectRemoved:Delete", EventNames.RemovedMarker, false)]
    [InlineData("s3:ObjectCreated:*", EventNames.RemovedDelete, false)]
    public void Only_a_star_stands_for_more_than_the_name_it_ends(string configured, string name, bool covers) => Assert.Equal(covers, EventNames.Covers(configured, name));

    [Fact]
    public void Who_removed_a_version_is_in_the_events_name()
    {
        Assert.Equal("ObjectRemoved:Delete", NameOf(BucketEvents.OfRemoval(Bucket(), "key", Version(), Request, Now)));
        Assert.Equal("LifecycleExpiration:Delete", NameOf(BucketEvents.OfRemoval(Bucket(), "key", Version(), ChangeOrigin.Lifecycle, Now)));
        var marker = Version() with { IsDeleteMarker = true };
        Assert.Equal("ObjectRemoved:DeleteMarkerCreated", NameOf(BucketEvents.OfCommit(Bucket(), "key", marker, Request)));
        Assert.Equal("LifecycleExpiration:DeleteMarkerCreated", NameOf(BucketEvents.OfCommit(Bucket(), "key", marker, ChangeOrigin.Lifecycle)));
    }

    [Fact]
    public void What_a_change_of_a_version_was_is_in_the_events_name()
    {
        var update = new ObjectUpdate(new(1), null, new(1), Request);
        Assert.Equal("ObjectTagging:Put", NameOf(BucketEvents.OfUpdate(Bucket(), "key", update with { Tags = [new("k", "v")] }, Version(), Now)));
        Assert.Equal("ObjectTagging:Delete", NameOf(BucketEvents.OfUpdate(Bucket(), "key", update with { Tags = [] }, Version(), Now)));
        Assert.Equal("ObjectAcl:Put", NameOf(BucketEvents.OfUpdate(Bucket(), "key", update with { Acl = "{}" }, Version(), Now)));
        Assert.Equal("LifecycleTransition", NameOf(BucketEvents.OfUpdate(Bucket(), "key", update with { StorageClass = "GLACIER" }, Version(), Now)));
        Assert.Empty(BucketEvents.OfUpdate(Bucket(), "key", update with { LegalHold = true }, Version(), Now));
    }

    [Fact]
    public void A_restore_is_told_when_it_is_asked_for_when_it_is_done_and_when_it_is_over()
    {
        var update = new ObjectUpdate(new(1), null, new(1), Request);
        var archived = Version() with { StorageClass = "GLACIER", Restore = new(3, WarmUpSpeed.Bulk) };
        var held = archived with { Restore = archived.Restore! with { Until = new(2026, 3, 6, 0, 0, 0, TimeSpan.Zero) } };
        Assert.Equal("ObjectRestore:Post", NameOf(BucketEvents.OfUpdate(Bucket(), "key", update with { Restore = new(RestoreStep.Asked, 3) }, archived, Now)));
        var done = BucketEvents.OfUpdate(Bucket(), "key", update with { Restore = new(RestoreStep.Done) }, held, Now);
        Assert.Equal("ObjectRestore:Completed", NameOf(done));
        Assert.Contains("""
            "glacierEventData":{"restoreEventData":{"lifecycleRestorationExpiryTime":"2026-03-06T00:00:00.000Z","lifecycleRestoreStorageClass":"GLACIER"}}
            """.Trim(), System.Text.Encoding.UTF8.GetString(done.Single().Document.Span), StringComparison.Ordinal);
        Assert.Equal("ObjectRestore:Delete", NameOf(BucketEvents.OfUpdate(Bucket(), "key", update with { Restore = new(RestoreStep.Over) }, Version(), Now)));
        // What was there already is both at once.
        Assert.Equal(2, BucketEvents.OfUpdate(Bucket(), "key", update with { Restore = new(RestoreStep.Asked, 3) }, held, Now).Length);
    }

    [Fact]
    public void Content_is_told_of_what_was_made_and_not_of_what_was_removed()
    {
        var made = ObjectOf(BucketEvents.OfCommit(Bucket(), "key", Version(), Request));
        Assert.Equal((5, "etag"), (made.GetProperty("size").GetInt64(), made.GetProperty("eTag").GetString()));
        foreach (var origin in new[] { Request, ChangeOrigin.Lifecycle })
        {
            var removed = ObjectOf(BucketEvents.OfRemoval(Bucket(), "key", Version(), origin, Now));
            Assert.False(removed.TryGetProperty("size", out _) || removed.TryGetProperty("eTag", out _));
        }
    }

    [Theory]
    [InlineData(BucketVersioning.Off, false)]
    [InlineData(BucketVersioning.Enabled, true)]
    [InlineData(BucketVersioning.Suspended, true)]
    public void A_version_is_named_where_the_bucket_has_or_had_versioning(BucketVersioning versioning, bool isNamed) =>
        Assert.Equal(isNamed, ObjectOf(BucketEvents.OfCommit(Bucket(versioning), "key", Version(), Request)).TryGetProperty("versionId", out _));

    [Fact]
    public void Of_one_key_the_later_change_has_the_greater_sequencer_also_when_the_clock_goes_back()
    {
        var early = Now.AddDays(-1);
        var revision = (Now.UtcTicks - DateTime.UnixEpoch.Ticks) / TimeSpan.TicksPerMicrosecond;
        var made = Version() with { Revision = revision };
        var next = Version() with { Revision = revision + 1, Modified = early };
        var first = Sequencer(BucketEvents.OfCommit(Bucket(), "key", made, Request));
        var second = Sequencer(BucketEvents.OfCommit(Bucket(), "key", next, Request));
        Assert.True(string.CompareOrdinal(first, second) < 0, $"{first} {second}");
    }

    private static NotificationRule Rule(string id, string target) => new(id, NotificationKind.Queue, $"arn:aws:sqs:us-east-1:1:{target}", All, null, null);

    private static BucketRecord Bucket(BucketVersioning versioning = BucketVersioning.Enabled) =>
        new(new(1), "bucket", "owner", "us-east-1", Now, versioning, 0, [new(BucketSettings.Notification, "", SettingJson.Write(new NotificationConfiguration([Rule("1", "x")], false)))]);

    private static ObjectVersion Version() =>
        new(new(new(1, 1), 5, "etag", null, [], []), ObjectMetadata.Default, Now, 1, false, "STANDARD", null, "owner", ObjectAttributes.None);

    private static JsonElement Record(ImmutableArray<ObjectEvent> events) => JsonDocument.Parse(Assert.Single(events).Document).RootElement.GetProperty("Records")[0];

    private static string? NameOf(ImmutableArray<ObjectEvent> events) => Record(events).GetProperty("eventName").GetString();

    private static JsonElement ObjectOf(ImmutableArray<ObjectEvent> events) => Record(events).GetProperty("s3").GetProperty("object");

    private static string? Sequencer(ImmutableArray<ObjectEvent> events) => ObjectOf(events).GetProperty("sequencer").GetString();
}
