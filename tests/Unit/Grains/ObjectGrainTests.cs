using DarkStorage.GrainInterfaces;
using DarkStorage.GrainInterfaces.Buckets;
using DarkStorage.GrainInterfaces.Objects;
using DarkStorage.GrainInterfaces.Tiers;
using Xunit;

namespace DarkStorage.Unit.Grains;

/// <summary>What a key's grain decides where no client can see it alone: calls that come twice, clocks that go back, states that only races make.</summary>
public sealed class ObjectGrainTests : IAsyncLifetime
{
    private const string Name = "bucket";
    private static readonly CancellationToken Ct = TestContext.Current.CancellationToken;
    private static readonly ChangeOrigin Origin = new(ChangeMeans.Request, "owner", null, "id");

    private GrainHost _host = null!;

    public async ValueTask InitializeAsync() => _host = await GrainHost.StartAsync();

    public ValueTask DisposeAsync() => _host.DisposeAsync();

    [Fact]
    public async Task A_commit_that_comes_twice_makes_one_version_even_where_its_condition_no_longer_holds()
    {
        var bucket = await NewBucketAsync(BucketVersioning.Enabled);
        var commit = Commit(bucket) with { Condition = WriteCondition.None with { IfNoneMatch = WriteCondition.Any } };
        var first = await Grain.CommitAsync(commit, Ct);
        var second = await Grain.CommitAsync(commit, Ct);
        Assert.Equal(first.Revision, second.Revision);
        Assert.Equal(first.Revision, (await _host.Index.FindLatestAsync(bucket, "key", Ct))!.Revision);
    }

    [Fact]
    public async Task A_commit_that_another_activation_made_gets_its_answer_and_one_of_a_key_that_is_not_remembered_goes_on_top()
    {
        var bucket = await NewBucketAsync(BucketVersioning.Enabled);
        var commit = Commit(bucket);
        var there = new ObjectVersion(commit.Manifest, ObjectMetadata.Default, DateTimeOffset.UtcNow, 7, false, "STANDARD", null, "owner", ObjectAttributes.None);
        await _host.Index.SaveObjectAsync(new(bucket, "key", 0, there), Ct);
        Assert.Equal(7, (await Grain.CommitAsync(commit, Ct)).Revision);

        var other = _host.Grains.GetGrain<IObjectGrain>(new ObjectId(Name, "other").ToString());
        await _host.Index.SaveObjectAsync(new(bucket, "other", 0, there with { Manifest = Commit(bucket).Manifest }), Ct);
        var next = await other.CommitAsync(Commit(bucket), Ct);
        Assert.Equal(next.Revision, (await _host.Index.FindObjectAsync(bucket, "other", Ct))!.Revision);
        Assert.True(next.Revision > 7);
        // And from then on it is remembered.
        await _host.Index.SaveObjectAsync(new(bucket, "other", null, there with { Manifest = Commit(bucket).Manifest, Revision = long.MaxValue / 2 }), Ct);
        Assert.Equal((long.MaxValue / 2) + 1, (await other.CommitAsync(Commit(bucket), Ct)).Revision);
    }

    [Fact]
    public async Task What_was_written_is_not_sent_back()
    {
        var bucket = await NewBucketAsync(BucketVersioning.Off);
        var commit = Commit(bucket);
        Assert.NotEmpty(commit.Manifest.Inline);
        var version = await Grain.CommitAsync(commit, Ct);
        Assert.Empty(version.Manifest.Inline);
        Assert.Empty((await Grain.UpdateAsync(new(bucket, null, new(version.Revision), Origin, LegalHold: true), Ct)).Manifest.Inline);
        Assert.Equal(commit.Manifest.Inline, (await _host.Index.FindObjectAsync(bucket, "key", Ct))!.Manifest.Inline);
    }

    [Fact]
    public async Task A_move_that_comes_twice_is_done_once_and_refused_to_nobody()
    {
        var bucket = await NewBucketAsync(BucketVersioning.Off);
        var part = new ManifestPart(1, BlobId.New(TimeProvider.System), 5, "etag", null, [new(1, 5)]);
        var version = await Grain.CommitAsync(Commit(bucket) with { Manifest = Commit(bucket).Manifest with { Length = 5, Inline = [], Parts = [part] } }, Ct);
        var outside = new ContentPlace("nas", BlobId.New(TimeProvider.System));
        await _host.Index.EnterPlacedBlobAsync(outside.Blob, outside.Integration, DateTimeOffset.UtcNow.AddHours(1), Ct);
        var back = part with { Blob = BlobId.New(TimeProvider.System), SealedAs = part.Blob };

        foreach (var (storageClass, move) in new[] { ("GLACIER", new ContentMove(null, outside, [part])), ("STANDARD", new ContentMove(outside, null, [back])) })
        {
            await _host.Index.WishMovesAsync([new(bucket, "key", version.Manifest.Version, storageClass, MoveOrigin.Operator)], DateTimeOffset.UtcNow, Ct);
            for (var round = 0; round < 2; round++)
            {
                var moved = await Grain.UpdateAsync(new(bucket, version.Name, new(version.Revision), Origin, StorageClass: storageClass, Move: move, FulfilsWish: true), Ct);
                Assert.Equal((storageClass, move.To), (moved.StorageClass, moved.Manifest.Place));
            }
            Assert.Equal(move.To?.Blob ?? back.Blob, Assert.Single((await _host.Index.FindObjectAsync(bucket, "key", Ct))!.Manifest.Blobs));
        }

        // One that was made of what is not there any more is another.
        var late = new ContentMove(outside, null, [part with { Blob = BlobId.New(TimeProvider.System) }]);
        Assert.Equal(StorageError.VersionChanged, (await Assert.ThrowsAsync<StorageException>(() => Grain.UpdateAsync(new(bucket, version.Name, new(version.Revision), Origin, StorageClass: "STANDARD", Move: late, FulfilsWish: true), Ct))).Error);
    }

    [Fact]
    public async Task What_is_archived_is_asked_for_is_there_and_is_over_each_in_its_turn()
    {
        var bucket = await NewBucketAsync(BucketVersioning.Off);
        var part = new ManifestPart(1, BlobId.New(TimeProvider.System), 5, "etag", null, [new(1, 5)]);
        var version = await Grain.CommitAsync(Commit(bucket) with { Manifest = Commit(bucket).Manifest with { Length = 5, Inline = [], Parts = [part] } }, Ct);
        Assert.Equal(StorageError.ObjectNotArchived, await RefusedAsync(new(RestoreStep.Asked, 1)));
        var outside = new ContentPlace("nas", BlobId.New(TimeProvider.System));
        await _host.Index.EnterPlacedBlobAsync(outside.Blob, outside.Integration, DateTimeOffset.UtcNow.AddHours(1), Ct);
        await Grain.UpdateAsync(new(bucket, version.Name, new(version.Revision), Origin, StorageClass: "GLACIER", Move: new(null, outside, [part])), Ct);

        Assert.Equal(StorageError.InvalidArgument, await RefusedAsync(new(RestoreStep.Asked, 0)));
        Assert.Equal(new ArchiveRestore(3, WarmUpSpeed.Bulk), (await StepAsync(new(RestoreStep.Asked, 3, WarmUpSpeed.Bulk))).Restore);
        Assert.Equal(StorageError.RestoreInProgress, await RefusedAsync(new(RestoreStep.Asked, 3)));
        // Unless there is nobody any more who is at it.
        await _host.Index.EndMoveAsync((await _host.Index.FindMoveAsync(bucket, "key", version.Manifest.Version, Ct))!, Ct);
        Assert.Equal(4, (await StepAsync(new(RestoreStep.Asked, 4))).Restore!.Days);
        Assert.NotNull(await _host.Index.FindMoveAsync(bucket, "key", version.Manifest.Version, Ct));

        var before = DateTimeOffset.UtcNow;
        var done = await StepAsync(new(RestoreStep.Done));
        Assert.InRange(done.Restore!.Until!.Value, before.AddSeconds(4).AddMilliseconds(-1), DateTimeOffset.UtcNow.AddSeconds(4)); // a day is a second here
        var kept = done.Restore with { Until = DateTimeOffset.FromUnixTimeMilliseconds(done.Restore.Until.Value.ToUnixTimeMilliseconds()) }; // as the index has it
        Assert.Equal(kept, (await StepAsync(new(RestoreStep.Done))).Restore);
        Assert.Equal(done.Attributes.Change, (await StepAsync(new(RestoreStep.Done))).Attributes.Change); // and nothing is written
        // Another change leaves it, one of the place ends it.
        Assert.Equal(kept, (await Grain.UpdateAsync(new(bucket, version.Name, new(version.Revision), Origin, LegalHold: true), Ct)).Restore);
        Assert.Null((await StepAsync(new(RestoreStep.Over))).Restore);
        // An operator's word that came to nothing, and that would leave it archived, gives way to who asks again.
        await StepAsync(new(RestoreStep.Asked, 1));
        var wish = new MoveWish(bucket, "key", version.Manifest.Version, "DEEP_ARCHIVE", MoveOrigin.Operator);
        await _host.Index.WishMovesAsync([wish], DateTimeOffset.UtcNow, Ct);
        await StepAsync(new(RestoreStep.Asked, 2));
        Assert.Equal(MoveOrigin.Restore, (await _host.Index.FindMoveAsync(bucket, "key", version.Manifest.Version, Ct))!.Wish.Origin);

        // No rule, and no move that was under way, takes it elsewhere; an operator's word does, which ends the restore.
        var back = new ContentMove(outside, null, [part with { Blob = BlobId.New(TimeProvider.System), SealedAs = part.Blob }]);
        var further = new ContentPlace("other", BlobId.New(TimeProvider.System));
        await _host.Index.EnterPlacedBlobAsync(further.Blob, further.Integration, DateTimeOffset.UtcNow.AddHours(1), Ct);
        foreach (var update in (ObjectUpdate[])
        [
            new(bucket, version.Name, new(version.Revision), Origin, StorageClass: "DEEP_ARCHIVE"),
            new(bucket, version.Name, new(version.Revision), Origin, StorageClass: "GLACIER", Move: new(outside, further, [part]), FulfilsWish: true),
        ])
        {
            Assert.Equal(StorageError.VersionChanged, (await Assert.ThrowsAsync<StorageException>(() => Grain.UpdateAsync(update, Ct))).Error);
        }
        await _host.Index.WishMovesAsync([wish with { StorageClass = "STANDARD" }], DateTimeOffset.UtcNow, Ct);
        Assert.Null((await Grain.UpdateAsync(new(bucket, version.Name, new(version.Revision), Origin, StorageClass: "STANDARD", Move: back, FulfilsWish: true), Ct)).Restore);

        Task<ObjectVersion> StepAsync(RestoreChange step) => Grain.UpdateAsync(new(bucket, version.Name, new(version.Revision), Origin, Restore: step), Ct);
        async Task<StorageError> RefusedAsync(RestoreChange step) => (await Assert.ThrowsAsync<StorageException>(() => StepAsync(step))).Error;
    }

    [Fact]
    public async Task What_is_in_an_archive_is_not_made_readable_by_another_class_alone()
    {
        var bucket = await NewBucketAsync(BucketVersioning.Off);
        var part = new ManifestPart(1, BlobId.New(TimeProvider.System), 5, "etag", null, [new(1, 5)]);
        var version = await Grain.CommitAsync(Commit(bucket) with { Manifest = Commit(bucket).Manifest with { Length = 5, Inline = [], Parts = [part] } }, Ct);
        var outside = new ContentPlace("nas", BlobId.New(TimeProvider.System));
        await _host.Index.EnterPlacedBlobAsync(outside.Blob, outside.Integration, DateTimeOffset.UtcNow.AddHours(1), Ct);
        await Grain.UpdateAsync(new(bucket, version.Name, new(version.Revision), Origin, StorageClass: "GLACIER", Move: new(null, outside, [part])), Ct);
        Assert.Equal(StorageError.VersionChanged, (await Assert.ThrowsAsync<StorageException>(() => ClassAsync("STANDARD_IA"))).Error);
        Assert.Equal("DEEP_ARCHIVE", (await ClassAsync("DEEP_ARCHIVE")).StorageClass);

        Task<ObjectVersion> ClassAsync(string storageClass) => Grain.UpdateAsync(new(bucket, version.Name, new(version.Revision), Origin, StorageClass: storageClass), Ct);
    }

    [Fact]
    public async Task A_deletion_that_comes_twice_makes_one_marker()
    {
        var bucket = await NewBucketAsync(BucketVersioning.Enabled);
        await Grain.CommitAsync(Commit(bucket), Ct);
        var deletion = Deletion(bucket, null);
        var first = await Grain.DeleteAsync(deletion, Ct);
        var revision = (await _host.Index.FindLatestAsync(bucket, "key", Ct))!.Revision;
        Assert.Equal(first, await Grain.DeleteAsync(deletion, Ct));
        Assert.Equal(revision, (await _host.Index.FindLatestAsync(bucket, "key", Ct))!.Revision);
    }

    [Fact]
    public async Task A_version_is_newer_than_the_one_before_it_also_where_that_is_of_a_later_time()
    {
        var bucket = await NewBucketAsync(BucketVersioning.Enabled);
        var future = new ObjectVersion(Commit(bucket).Manifest, ObjectMetadata.Default, DateTimeOffset.UtcNow, long.MaxValue / 2, false, "STANDARD", null, "owner", ObjectAttributes.None);
        await _host.Index.SaveObjectAsync(new(bucket, "key", 0, future), Ct);
        var next = await Grain.CommitAsync(Commit(bucket), Ct);
        Assert.Equal(future.Revision + 1, next.Revision);
        Assert.Equal(next.Name, (await _host.Index.FindObjectAsync(bucket, "key", Ct))!.Name);
    }

    // Two activations of a key can exist for a moment: what another one wrote is written here past the grain.

    [Fact]
    public async Task A_grain_that_remembers_nothing_deletes_what_another_activation_wrote()
    {
        var bucket = await NewBucketAsync(BucketVersioning.Off);
        await Grain.DeleteAsync(Deletion(bucket, null), Ct);
        await WriteElsewhereAsync(bucket, 0);
        await Grain.DeleteAsync(Deletion(bucket, null), Ct);
        Assert.Null(await _host.Index.FindObjectAsync(bucket, "key", Ct));
    }

    [Fact]
    public async Task A_grain_refuses_only_on_what_the_index_says_and_not_on_what_it_remembers()
    {
        var bucket = await NewBucketAsync(BucketVersioning.Off);
        var first = await Grain.CommitAsync(Commit(bucket), Ct);
        var other = await WriteElsewhereAsync(bucket, first.Revision);
        var next = await Grain.CommitAsync(Commit(bucket) with { Condition = WriteCondition.None with { IfMatch = other.Manifest.ETag } }, Ct);
        Assert.Equal(next.Revision, (await _host.Index.FindObjectAsync(bucket, "key", Ct))!.Revision);
        Assert.Equal(StorageError.PreconditionFailed, (await RefusedAsync(Grain.CommitAsync(Commit(bucket) with { Condition = WriteCondition.None with { IfMatch = other.Manifest.ETag } }, Ct))).Error);
    }

    [Fact]
    public async Task A_version_that_came_up_unseen_is_not_removed_as_a_noncurrent_one()
    {
        var bucket = await NewBucketAsync(BucketVersioning.Enabled);
        var old = await Grain.CommitAsync(Commit(bucket), Ct);
        var top = await Grain.CommitAsync(Commit(bucket), Ct);
        await _host.Index.RemoveVersionAsync(new(bucket, "key", top.Name, top.Revision, 0), DateTimeOffset.UtcNow, Ct);
        var refused = await RefusedAsync(Grain.DeleteAsync(Deletion(bucket, old.Name) with { Expected = new(old.Revision, IsLatest: false) }, Ct));
        Assert.Equal(StorageError.VersionChanged, refused.Error);
        Assert.Equal(old.Revision, (await _host.Index.FindObjectAsync(bucket, "key", Ct))!.Revision);
    }

    [Fact]
    public async Task A_delete_marker_has_no_attributes_to_change()
    {
        var bucket = await NewBucketAsync(BucketVersioning.Enabled);
        var marker = (await Grain.DeleteAsync(Deletion(bucket, null), Ct)).Version;
        var revision = (await _host.Index.FindLatestAsync(bucket, "key", Ct))!.Revision;
        Assert.Equal(StorageError.IsDeleteMarker, (await RefusedAsync(Grain.UpdateAsync(new(bucket, marker, new(revision), Origin, LegalHold: true), Ct))).Error);
        Assert.Equal(StorageError.NoSuchKey, (await RefusedAsync(Grain.UpdateAsync(new(bucket, null, new(revision), Origin, LegalHold: true), Ct))).Error);
    }

    [Fact]
    public async Task A_null_marker_does_not_take_the_place_of_a_null_version_that_is_kept()
    {
        var bucket = await NewBucketAsync(BucketVersioning.Suspended);
        var version = await Grain.CommitAsync(Commit(bucket) with { Attributes = ObjectAttributes.None with { LegalHold = true } }, Ct);
        Assert.Equal(StorageError.ObjectLocked, (await RefusedAsync(Grain.DeleteAsync(Deletion(bucket, null), Ct))).Error);
        Assert.Equal(version.Revision, (await _host.Index.FindObjectAsync(bucket, "key", Ct))!.Revision);
    }

    [Fact]
    public async Task What_was_decided_on_other_attributes_is_refused()
    {
        var bucket = await NewBucketAsync(BucketVersioning.Enabled);
        var version = await Grain.CommitAsync(Commit(bucket), Ct);
        await Grain.UpdateAsync(new(bucket, version.Name, new(version.Revision), Origin, Tags: [new("k", "v")]), Ct);
        Assert.Equal(StorageError.VersionChanged, (await RefusedAsync(Grain.DeleteAsync(Deletion(bucket, version.Name) with { Expected = new(version.Revision, true, 0) }, Ct))).Error);
        Assert.Equal(StorageError.VersionChanged, (await RefusedAsync(Grain.DeleteAsync(Deletion(bucket, version.Name) with { Expected = new(version.Revision, false, 1) }, Ct))).Error);
        Assert.Equal(version.Name, (await Grain.DeleteAsync(Deletion(bucket, version.Name) with { Expected = new(version.Revision, true, 1) }, Ct)).Version);
    }

    private IObjectGrain Grain => _host.Grains.GetGrain<IObjectGrain>(new ObjectId(Name, "key").ToString());

    private async Task<BucketId> NewBucketAsync(BucketVersioning versioning) =>
        (await _host.Index.CreateBucketAsync(Name, new("owner", "r", versioning, []), DateTimeOffset.UtcNow, Ct)).Id;

    private async Task<ObjectVersion> WriteElsewhereAsync(BucketId bucket, long expectedRevision)
    {
        var version = new ObjectVersion(Commit(bucket).Manifest with { ETag = "of-another" }, ObjectMetadata.Default, DateTimeOffset.UtcNow, expectedRevision + 1, true, "STANDARD", null, "owner", ObjectAttributes.None);
        await _host.Index.SaveObjectAsync(new(bucket, "key", expectedRevision, version), Ct);
        return version;
    }

    private static ObjectCommit Commit(BucketId bucket) => new(bucket, new(VersionId.Of(BlobId.New(TimeProvider.System)), 1, "etag", null, [], [1]),
        ObjectMetadata.Default, "STANDARD", "owner", ObjectAttributes.None, WriteCondition.None, null, null, Origin);

    private static ObjectDeletion Deletion(BucketId bucket, VersionName? version) =>
        new(bucket, version, VersionId.Of(BlobId.New(TimeProvider.System)), "owner", WriteCondition.None, BypassGovernance: false, Origin);

    private static Task<StorageException> RefusedAsync(Task call) => Assert.ThrowsAsync<StorageException>(() => call);
}
