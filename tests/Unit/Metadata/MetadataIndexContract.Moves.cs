using DarkStorage.GrainInterfaces;
using DarkStorage.GrainInterfaces.Buckets;
using DarkStorage.GrainInterfaces.Objects;
using DarkStorage.GrainInterfaces.Tiers;
using DarkStorage.Metadata;
using Xunit;

namespace DarkStorage.Unit.Metadata;

public abstract partial class MetadataIndexContract
{
    private static readonly DateTimeOffset Later = Now.AddMinutes(5);
    private static readonly string[] Classes = ["STANDARD", "STANDARD_IA", "GLACIER"];

    [Fact]
    public async Task Bytes_that_went_outside_are_the_versions_and_those_on_the_drives_garbage()
    {
        var (bucket, stored) = await StoredAsync("k");
        var outside = await MoveAsync(stored);
        await _index.UpdateVersionAsync(bucket, "k", outside, Now, [], WishChange.None, Ct);

        Assert.Equal(outside.Manifest.Place, (await _index.FindObjectAsync(bucket, "k", Ct))!.Manifest.Place);
        Assert.Equal([Blob(stored)], await _index.ListGarbageAsync(DateTimeOffset.MaxValue, 10, Ct));
        Assert.Empty(await _index.TakePlacedGarbageAsync("nas", DateTimeOffset.MaxValue, Later, 10, Ct));
        Assert.Equal(new(1, 1_000_000), await _index.GetUsageAsync(bucket, Ct));
        Assert.False(await _index.RenewPlacedBlobAsync(outside.Manifest.Place!.Blob, Later, Ct));
        Assert.Equal((true, false), (await _index.IsPlaceInUseAsync("nas", Ct), await _index.IsPlaceInUseAsync("other", Ct)));
    }

    [Fact]
    public async Task Bytes_that_came_back_are_on_the_drives_and_those_outside_garbage_of_that_place()
    {
        var (bucket, stored) = await StoredAsync("k");
        var outside = await MoveAsync(stored);
        await _index.UpdateVersionAsync(bucket, "k", outside, Now, [], WishChange.None, Ct);
        var back = outside with { Manifest = outside.Manifest with { Place = null, Parts = [Part(1) with { SealedAs = Blob(stored) }] }, Attributes = outside.Attributes with { Change = 2 } };
        await _index.UpdateVersionAsync(bucket, "k", back, Now, [], WishChange.None, Ct);

        Assert.Equal(back.Manifest.Parts.Select(p => (p.Blob, p.SealedAs)), (await _index.FindObjectAsync(bucket, "k", Ct))!.Manifest.Parts.Select(p => (p.Blob, p.SealedAs)));
        Assert.Equal([Blob(stored)], await _index.ListGarbageAsync(DateTimeOffset.MaxValue, 10, Ct));
        Assert.Empty(await _index.TakePlacedGarbageAsync("nas", Now, Later, 10, Ct));
        Assert.Empty(await _index.TakePlacedGarbageAsync("other", Later, Later, 10, Ct));
        Assert.True(await _index.IsPlaceInUseAsync("nas", Ct));
        Assert.Equal([outside.Manifest.Place!.Blob], await _index.TakePlacedGarbageAsync("nas", Later, Later, 10, Ct));
        Assert.False(await _index.IsPlaceInUseAsync("nas", Ct));
        Assert.Empty(await _index.FindUnknownBlobsAsync([Blob(back)], Ct));
    }

    [Theory, InlineData(false), InlineData(true)]
    public async Task A_version_outside_that_is_overwritten_or_removed_is_garbage_of_its_place(bool overwrites)
    {
        var (bucket, stored) = await StoredAsync("k");
        var outside = await MoveAsync(stored);
        await _index.UpdateVersionAsync(bucket, "k", outside, Now, [], WishChange.None, Ct);

        if (overwrites) await _index.SaveObjectAsync(new(bucket, "k", 1, Stored(2)), Ct);
        else await _index.RemoveVersionAsync(new(bucket, "k", VersionName.Null, 1, 1), Now, Ct);

        Assert.Equal([outside.Manifest.Place!.Blob], await _index.TakePlacedGarbageAsync("nas", Later, Later, 10, Ct));
        Assert.Equal([Blob(stored)], await _index.ListGarbageAsync(DateTimeOffset.MaxValue, 10, Ct));
    }

    [Fact]
    public async Task A_blob_outside_that_was_taken_as_garbage_can_become_no_versions()
    {
        var (bucket, stored) = await StoredAsync("k");
        var late = await MoveAsync(stored);
        Assert.Empty(await _index.TakePlacedGarbageAsync("nas", Later, Later, 10, Ct));
        Assert.True(await _index.RenewPlacedBlobAsync(late.Manifest.Place!.Blob, Later.AddMinutes(5), Ct));
        Assert.Empty(await _index.TakePlacedGarbageAsync("nas", Later.AddMinutes(1), Later, 10, Ct));
        Assert.Equal([late.Manifest.Place.Blob], await _index.TakePlacedGarbageAsync("nas", Later.AddMinutes(6), Later, 10, Ct));

        await AssertRefusedAsync();
        await _index.ForgetGarbageAsync([late.Manifest.Place.Blob], Ct);
        await AssertRefusedAsync();

        async Task AssertRefusedAsync()
        {
            Assert.False(await _index.RenewPlacedBlobAsync(late.Manifest.Place.Blob, Later.AddHours(1), Ct));
            Assert.False(await _index.IsPlaceInUseAsync("nas", Ct));
            Assert.Equal(StorageError.Conflict, (await Assert.ThrowsAsync<StorageException>(() => _index.UpdateVersionAsync(bucket, "k", late, Now, [], WishChange.None, Ct))).Error);
            var found = await _index.FindObjectAsync(bucket, "k", Ct);
            Assert.Equal((null, 0, "STANDARD"), (found!.Manifest.Place, found.Attributes.Change, found.StorageClass));
            Assert.Empty(await _index.ListGarbageAsync(DateTimeOffset.MaxValue, 10, Ct));
            Assert.Equal(new(1, 1_000_000), await _index.GetUsageAsync(bucket, Ct));
        }
    }

    [Fact]
    public async Task Garbage_outside_that_could_not_be_deleted_is_taken_again()
    {
        var (first, second) = (BlobId.New(TimeProvider.System), BlobId.New(TimeProvider.System));
        await _index.EnterPlacedBlobAsync(first, "nas", Now, Ct);
        await _index.EnterPlacedBlobAsync(second, "nas", Now.AddSeconds(1), Ct);
        Assert.Equal((true, false), (await _index.IsPlaceInUseAsync("nas", Ct), await _index.HasTakenGarbageAsync("nas", Ct)));
        Assert.Equal([first], await _index.TakePlacedGarbageAsync("nas", Later, Later, 1, Ct));
        Assert.Equal([second], await _index.TakePlacedGarbageAsync("nas", Later, Later, 10, Ct));
        Assert.Empty(await _index.TakePlacedGarbageAsync("nas", Later, Later, 10, Ct));
        Assert.Equal((false, true, false), (await _index.IsPlaceInUseAsync("nas", Ct), await _index.HasTakenGarbageAsync("nas", Ct), await _index.HasTakenGarbageAsync("other", Ct)));
        Assert.Equal(new[] { first, second }.Order(), (await _index.TakePlacedGarbageAsync("nas", Later.AddMinutes(1), Later.AddMinutes(1), 10, Ct)).Order());
        await _index.ForgetGarbageAsync([first], Ct);
        Assert.Equal([second], await _index.TakePlacedGarbageAsync("nas", Later.AddMinutes(2), Later.AddMinutes(2), 10, Ct));
        Assert.Equal((1, 0), (await _index.ForgetPlaceAsync("nas", 10, Ct), await _index.ForgetPlaceAsync("nas", 10, Ct)));
        Assert.False(await _index.HasTakenGarbageAsync("nas", Ct));
        Assert.Empty(await _index.TakePlacedGarbageAsync("nas", Later.AddMinutes(9), Later.AddMinutes(9), 10, Ct));
    }

    [Fact]
    public async Task A_wish_is_taken_by_one_at_a_time_and_again_when_that_ones_time_is_over()
    {
        var (bucket, stored) = await StoredAsync("ü");
        var wish = new MoveWish(bucket, "ü", stored.Manifest.Version, "GLACIER", MoveOrigin.Lifecycle);
        await _index.WishMovesAsync([wish], Now, Ct);

        var taken = Assert.Single(await _index.TakeMovesAsync(Now, Later, Classes, 10, Ct));
        Assert.Equal((wish, Now, Later, 1, null), (taken.Wish, taken.Asked, taken.Due, taken.Attempts, taken.Failure));
        Assert.NotNull(taken.BucketName);
        Assert.Empty(await _index.TakeMovesAsync(Now, Later, Classes, 10, Ct));
        Assert.Equal(2, Assert.Single(await _index.TakeMovesAsync(Later, Later, Classes, 10, Ct)).Attempts);

        await _index.PutOffMoveAsync(taken, Later.AddMinutes(1), "It is full.", Ct);
        Assert.Empty(await _index.TakeMovesAsync(Later, Later, Classes, 10, Ct));
        await _index.PutOffMoveAsync(taken, Later.AddMinutes(2), failure: null, Ct);
        Assert.Equal(("It is full.", Later.AddMinutes(2)), ((await _index.FindMoveAsync(bucket, "ü", wish.Version, Ct))!.Failure, Assert.Single(await _index.ListMovesAsync(10, Ct)).Due));
        await _index.PutOffMoveAsync(taken, Later, failure: "", Ct);
        Assert.Null((await _index.FindMoveAsync(bucket, "ü", wish.Version, Ct))!.Failure);

        // Of another wish, though it is for the same: whoever has that one leaves this.
        foreach (var other in (Move[])[taken with { Asked = Now.AddMilliseconds(1) }, taken with { Wish = wish with { Origin = MoveOrigin.Writer } }, taken with { Wish = wish with { StorageClass = "STANDARD" } }])
        {
            await _index.PutOffMoveAsync(other, Later.AddMinutes(9), "late", Ct);
            await _index.EndMoveAsync(other, Ct);
        }
        Assert.Equal((Later, null), await _index.FindMoveAsync(bucket, "ü", wish.Version, Ct) is { } kept ? (kept.Due, kept.Failure) : default);

        await _index.EndMoveAsync(taken, Ct);
        Assert.Null(await _index.FindMoveAsync(bucket, "ü", wish.Version, Ct));
        Assert.Empty(await _index.ListMovesAsync(10, Ct));
    }

    [Fact]
    public async Task Wishes_of_many_takers_are_each_taken_once_the_longest_due_first()
    {
        var bucket = await NewBucketAsync();
        for (var i = 38; i < 40; i++) await _index.WishMovesAsync([new(bucket, $"k{i}", new(1, 2), "GLACIER", MoveOrigin.Lifecycle)], Now.AddSeconds(-i), Ct);
        await _index.WishMovesAsync([.. Enumerable.Range(0, 38).Select(i => new MoveWish(bucket, $"k{i}", new(1, 2), "GLACIER", MoveOrigin.Lifecycle))], Now, Ct);

        Assert.Equal(["k38", "k39"], (await _index.TakeMovesAsync(Now, Later, Classes, 2, Ct)).Select(m => m.Wish.Key).Order());
        var taken = await Task.WhenAll(Enumerable.Range(0, 8).Select(_ => _index.TakeMovesAsync(Now, Later, Classes, 10, Ct)));

        Assert.Equal(Enumerable.Range(0, 38).Select(i => $"k{i}").Order(), taken.SelectMany(t => t).Select(m => m.Wish.Key).Order());
    }

    [Fact]
    public async Task A_newer_wish_for_a_version_takes_the_place_of_the_older_which_ends_nothing_then()
    {
        var (bucket, stored) = await StoredAsync("k");
        var older = new MoveWish(bucket, "k", stored.Manifest.Version, "GLACIER", MoveOrigin.Lifecycle);
        await _index.WishMovesAsync([older], Now, Ct);
        var taken = Assert.Single(await _index.TakeMovesAsync(Now, Later, Classes, 10, Ct));
        var newer = older with { StorageClass = "STANDARD", Origin = MoveOrigin.Operator };
        await _index.WishMovesAsync([newer], Now.AddSeconds(1), Ct);

        await _index.PutOffMoveAsync(taken, Later, "late", Ct);
        await _index.EndMoveAsync(taken, Ct);

        var move = await _index.FindMoveAsync(bucket, "k", newer.Version, Ct);
        Assert.Equal((newer, Now.AddSeconds(1), Now.AddSeconds(1), 0, null), (move!.Wish, move.Asked, move.Due, move.Attempts, move.Failure));
        // A lifecycle does not undo what an operator wishes.
        await _index.WishMovesAsync([older], Now, Ct);
        Assert.Equal(newer, (await _index.FindMoveAsync(bucket, "k", newer.Version, Ct))!.Wish);
    }

    [Fact]
    public async Task The_same_wish_again_hastens_nothing_but_an_operators_one_that_had_failed()
    {
        var (bucket, stored) = await StoredAsync("k");
        var wish = new MoveWish(bucket, "k", stored.Manifest.Version, "GLACIER", MoveOrigin.Lifecycle);
        var others = new[] { "b", "z" }.Select(key => wish with { Key = key }).ToArray();
        Assert.Equal([others[1], wish], await NotedAsync([others[1], wish], Now));
        await _index.TakeMovesAsync(Now, Later, Classes, 10, Ct);

        // Of many, those are told that nobody had yet.
        Assert.Equal([others[0]], await NotedAsync([.. others, wish], Now.AddSeconds(1)));
        Assert.Empty(await NotedAsync([wish with { Origin = MoveOrigin.Operator }], Now.AddSeconds(1)));
        Assert.Equal(Later, (await _index.FindMoveAsync(bucket, "k", wish.Version, Ct))!.Due);

        await _index.PutOffMoveAsync((await _index.FindMoveAsync(bucket, "k", wish.Version, Ct))!, Later, "It is full.", Ct);
        await _index.WishMovesAsync([wish], Now.AddSeconds(1), Ct);
        Assert.Equal(Later, (await _index.FindMoveAsync(bucket, "k", wish.Version, Ct))!.Due);
        await _index.WishMovesAsync([wish with { Origin = MoveOrigin.Operator }], Now.AddSeconds(1), Ct);
        var move = await _index.FindMoveAsync(bucket, "k", wish.Version, Ct);
        Assert.Equal((Now.AddSeconds(1), 0, null), (move!.Due, move.Attempts, move.Failure));

        async Task<MoveWish[]> NotedAsync(MoveWish[] wishes, DateTimeOffset now) => [.. (await _index.WishMovesAsync(wishes, now, Ct)).OrderByDescending(w => w.Key)];
    }

    [Fact]
    public async Task A_change_that_fulfils_a_wish_takes_it_with_it_and_is_refused_where_nobody_has_it_any_more()
    {
        var (bucket, stored) = await StoredAsync("k");
        var wish = new MoveWish(bucket, "k", stored.Manifest.Version, "GLACIER", MoveOrigin.Operator);
        var outside = await MoveAsync(stored);
        await AssertRefusedAsync();
        await _index.WishMovesAsync([wish with { StorageClass = "STANDARD" }], Now, Ct);
        await AssertRefusedAsync();
        await _index.WishMovesAsync([wish], Now, Ct);

        await _index.UpdateVersionAsync(bucket, "k", outside, Now, [], WishChange.Fulfils, Ct);

        Assert.Null(await _index.FindMoveAsync(bucket, "k", wish.Version, Ct));
        Assert.Equal(outside.Manifest.Place, (await _index.FindObjectAsync(bucket, "k", Ct))!.Manifest.Place);
        // One that is refused for another reason leaves the wish.
        await _index.WishMovesAsync([wish with { StorageClass = "STANDARD" }], Now, Ct);
        var back = await MoveAsync(outside);
        Assert.Equal(StorageError.Conflict, (await Assert.ThrowsAsync<StorageException>(() => _index.UpdateVersionAsync(bucket, "k", back with { Revision = 9 }, Now, [], WishChange.Fulfils, Ct))).Error);
        Assert.NotNull(await _index.FindMoveAsync(bucket, "k", wish.Version, Ct));
        await _index.UpdateVersionAsync(bucket, "k", back, Now, [], WishChange.Fulfils, Ct);
        Assert.Null(await _index.FindMoveAsync(bucket, "k", wish.Version, Ct));
        Assert.Null((await _index.FindObjectAsync(bucket, "k", Ct))!.Manifest.Place);

        async Task AssertRefusedAsync()
        {
            Assert.Equal(StorageError.VersionChanged, (await Assert.ThrowsAsync<StorageException>(() => _index.UpdateVersionAsync(bucket, "k", outside, Now, [], WishChange.Fulfils, Ct))).Error);
            Assert.Null((await _index.FindObjectAsync(bucket, "k", Ct))!.Manifest.Place);
            // It is still the mover's.
            Assert.True(await _index.RenewPlacedBlobAsync(outside.Manifest.Place!.Blob, Later, Ct));
            Assert.Empty(await _index.ListGarbageAsync(DateTimeOffset.MaxValue, 10, Ct));
        }
    }

    [Fact]
    public async Task A_version_that_is_saved_with_a_wish_has_it_and_one_that_is_refused_leaves_none()
    {
        var bucket = await NewBucketAsync();
        var version = Stored(1) with { StorageClass = "GLACIER" };
        await _index.SaveObjectAsync(new(bucket, "k", 0, version) { WishesMove = true }, Ct);
        await Assert.ThrowsAsync<StorageException>(() => _index.SaveObjectAsync(new(bucket, "k", 0, Stored(2) with { StorageClass = "GLACIER" }) { WishesMove = true }, Ct));
        await Assert.ThrowsAsync<StorageException>(() => _index.SaveObjectAsync(new(new(999_999), "k", 0, Stored(3) with { StorageClass = "GLACIER" }) { WishesMove = true }, Ct));

        var move = Assert.Single(await _index.ListMovesAsync(10, Ct));
        Assert.Equal((new MoveWish(bucket, "k", version.Manifest.Version, "GLACIER", MoveOrigin.Writer), version.Modified, version.Modified, 0), (move.Wish, move.Asked, move.Due, move.Attempts));
    }

    [Fact]
    public async Task Wishes_of_tiers_that_nobody_asks_for_are_left_alone_and_end_together()
    {
        var bucket = await NewBucketAsync();
        await _index.WishMovesAsync([new(bucket, "a", new(1, 2), "GLACIER", MoveOrigin.Lifecycle), new(bucket, "b", new(1, 2), "STANDARD_IA", MoveOrigin.Lifecycle), new(bucket, "c", new(1, 2), "GLACIER", MoveOrigin.Lifecycle)], Now, Ct);
        Assert.Empty(await _index.TakeMovesAsync(Now, Later, ["STANDARD"], 10, Ct));
        Assert.Equal(["b"], (await _index.TakeMovesAsync(Now, Later, ["STANDARD", "STANDARD_IA"], 10, Ct)).Select(m => m.Wish.Key));
        Assert.Equal((1, 1, 0), (await _index.EndMovesAsync("GLACIER", 1, Ct), await _index.EndMovesAsync("GLACIER", 10, Ct), await _index.EndMovesAsync("GLACIER", 10, Ct)));
        Assert.Equal(["b"], (await _index.ListMovesAsync(10, Ct)).Select(m => m.Wish.Key));
    }

    [Fact]
    public async Task A_wish_in_a_bucket_that_is_gone_has_no_buckets_name()
    {
        var bucket = await NewBucketAsync();
        await _index.WishMovesAsync([new(bucket, "k", new(1, 2), "GLACIER", MoveOrigin.Lifecycle)], Now, Ct);
        await _index.DeleteBucketAsync(bucket, Now, Ct);
        Assert.Null(Assert.Single(await _index.TakeMovesAsync(Now, Later, Classes, 10, Ct)).BucketName);
    }

    [Fact]
    public async Task A_restore_is_a_wish_of_the_change_that_asks_for_it_and_no_rule_takes_its_place()
    {
        var (bucket, stored) = await StoredAsync("k");
        var asked = Changed(stored with { StorageClass = "GLACIER", Restore = new(3, WarmUpSpeed.Bulk) });
        var late = asked with { Attributes = asked.Attributes with { Change = 9 } };
        await Assert.ThrowsAsync<StorageException>(() => _index.UpdateVersionAsync(bucket, "k", late, Now, [], WishChange.Restores, Ct));
        Assert.Null(await _index.FindMoveAsync(bucket, "k", stored.Manifest.Version, Ct));

        await _index.UpdateVersionAsync(bucket, "k", asked, Now, [], WishChange.Restores, Ct);

        Assert.Equal(asked.Restore, (await _index.FindObjectAsync(bucket, "k", Ct))!.Restore);
        var wish = new MoveWish(bucket, "k", stored.Manifest.Version, "GLACIER", MoveOrigin.Restore);
        Assert.Equal(wish, Assert.Single(await _index.TakeMovesAsync(Now, Later, Classes, 10, Ct)).Wish);
        foreach (var origin in (MoveOrigin[])[MoveOrigin.Lifecycle, MoveOrigin.Writer])
        {
            await _index.WishMovesAsync([wish with { StorageClass = "STANDARD_IA", Origin = origin }], Now, Ct);
            Assert.Equal(wish, (await _index.FindMoveAsync(bucket, "k", wish.Version, Ct))!.Wish);
        }
        Assert.Equal(0, await _index.EndMovesAsync("GLACIER", 10, Ct));
        // Asked for once more it is due again.
        await _index.UpdateVersionAsync(bucket, "k", Changed(asked), Now.AddSeconds(1), [], WishChange.Restores, Ct);
        Assert.Equal((Now.AddSeconds(1), 0), await _index.FindMoveAsync(bucket, "k", wish.Version, Ct) is { } again ? (again.Due, again.Attempts) : default);
        // An operator's word holds more; where it leaves the version archived, one who asks afterwards is heard.
        foreach (var (storageClass, isHeard) in new[] { ("GLACIER", true), ("DEEP_ARCHIVE", true), ("STANDARD", false) })
        {
            var operators = wish with { StorageClass = storageClass, Origin = MoveOrigin.Operator };
            await _index.WishMovesAsync([operators], Now, Ct);
            Assert.Equal(operators, (await _index.FindMoveAsync(bucket, "k", wish.Version, Ct))!.Wish);
            await _index.WishMovesAsync([wish], Now, Ct);
            Assert.Equal(isHeard ? wish : operators, (await _index.FindMoveAsync(bucket, "k", wish.Version, Ct))!.Wish);
        }
    }

    [Fact]
    public async Task A_wish_gives_way_to_another_in_one_step_unless_it_is_another_already()
    {
        var (bucket, stored) = await StoredAsync("k");
        await _index.WishMovesAsync([new(bucket, "k", stored.Manifest.Version, "STANDARD", MoveOrigin.Operator)], Now, Ct);
        var taken = Assert.Single(await _index.TakeMovesAsync(Now, Later, Classes, 10, Ct));
        await _index.PutOffMoveAsync(taken, Later, "It is full.", Ct);
        var by = taken.Wish with { StorageClass = "GLACIER", Origin = MoveOrigin.Restore };

        await _index.ReplaceMoveAsync(taken with { Asked = Now.AddMilliseconds(1) }, by, Later, Ct);
        Assert.Equal(taken.Wish, (await _index.FindMoveAsync(bucket, "k", taken.Wish.Version, Ct))!.Wish);
        await _index.ReplaceMoveAsync(taken, by, Later, Ct);

        var move = Assert.Single(await _index.ListMovesAsync(10, Ct));
        Assert.Equal((by, Later, Later, 0, null), (move.Wish, move.Asked, move.Due, move.Attempts, move.Failure));
    }

    private static ObjectVersion Changed(ObjectVersion version) => version with { Attributes = version.Attributes with { Change = version.Attributes.Change + 1 } };

    private async Task<(BucketId Bucket, ObjectVersion Version)> StoredAsync(string key)
    {
        var (bucket, version) = (await NewBucketAsync(), Stored(1));
        await _index.SaveObjectAsync(new(bucket, key, 0, version), Ct);
        return (bucket, version);
    }

    /// <returns>The version with its bytes elsewhere: outside, or back on the drives. A blob outside was entered for it.</returns>
    private async Task<ObjectVersion> MoveAsync(ObjectVersion version)
    {
        var place = version.Manifest.Place is null ? new ContentPlace("nas", BlobId.New(TimeProvider.System)) : null;
        if (place is not null) await _index.EnterPlacedBlobAsync(place.Blob, place.Integration, Later, Ct);
        return version with
        {
            Manifest = version.Manifest with { Place = place, Parts = place is null ? [Part(1)] : version.Manifest.Parts },
            StorageClass = place is null ? "STANDARD" : "GLACIER",
            Attributes = version.Attributes with { Change = version.Attributes.Change + 1 },
        };
    }
}
