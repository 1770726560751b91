using DarkStorage.GrainInterfaces;
using DarkStorage.GrainInterfaces.Events;
using DarkStorage.GrainInterfaces.Objects;
using DarkStorage.Metadata;
using Xunit;

namespace DarkStorage.Unit.Metadata;

public abstract partial class MetadataIndexContract
{
    [Fact]
    public async Task Events_stand_where_their_changes_do_and_nowhere_else()
    {
        var bucket = await NewBucketAsync();
        var (first, second) = (Stored(1), Stored(2));
        await _index.SaveObjectAsync(new(bucket, "k", 0, first) { Events = [Event("a", "1"), Event("b", "1")] }, Ct);
        await Assert.ThrowsAsync<StorageException>(() => _index.SaveObjectAsync(new(bucket, "k", 0, second) { Events = [Event("a", "refused")] }, Ct));
        var changed = first with { Attributes = first.Attributes with { Change = 1 } };
        await _index.UpdateVersionAsync(bucket, "k", changed, Now, [Event("a", "2")], WishChange.None, Ct);
        await Assert.ThrowsAsync<StorageException>(() => _index.UpdateVersionAsync(bucket, "k", changed, Now, [Event("a", "refused")], WishChange.None, Ct));
        Assert.False(await _index.RemoveVersionAsync(new(bucket, "none", VersionName.Null, 1, 0) { Events = [Event("a", "of nothing")] }, Now, Ct));
        await _index.RemoveVersionAsync(new(bucket, "k", first.Name, 1, 1) { Events = [Event("a", "3")] }, Now, Ct);

        var waiting = await _index.ListEventsAsync("a", 0, 10, Ct);

        Assert.Equal(["1", "2", "3"], waiting.Select(TextOf));
        Assert.Equal(waiting.Select(w => w.Sequence).Order(), waiting.Select(w => w.Sequence));
        Assert.All(waiting, w => Assert.Equal((bucket, "k", Now), (w.Bucket, w.Key, w.Occurred)));
        Assert.Equal(["3"], (await _index.ListEventsAsync("a", waiting[1].Sequence, 10, Ct)).Select(TextOf));
        Assert.Equal(["1"], (await _index.ListEventsAsync("a", 0, 1, Ct)).Select(TextOf));
        Assert.Equal(["1"], (await _index.ListEventsAsync("b", 0, 10, Ct)).Select(TextOf));
        Assert.Empty(await _index.ListEventsAsync("c", 0, 10, Ct));
    }

    [Fact]
    public async Task An_event_that_ended_waits_no_more_can_be_replayed_and_is_forgotten_in_time()
    {
        var bucket = await NewBucketAsync();
        for (var i = 1; i <= 4; i++) await _index.SaveObjectAsync(new(bucket, $"k{i}", 0, Stored(1) with { Modified = Now.AddHours(i) }) { Events = [Event("a", $"{i}"), Event("b", $"{i}")] }, Ct);
        var all = await _index.ListEventsAsync("a", 0, 10, Ct);

        await _index.EndEventsAsync([all[0].Sequence, all[1].Sequence], EventEnd.Delivered, Now.AddDays(1), Ct);
        await _index.EndEventsAsync([all[2].Sequence], EventEnd.GivenUp, Now.AddDays(2), Ct);

        Assert.Equal(["4"], (await _index.ListEventsAsync("a", 0, 10, Ct)).Select(TextOf));
        Assert.Equal(new(1, Now.AddHours(4), 2, 1), await _index.CountEventsAsync("a", Ct));
        Assert.Equal(new(4, Now.AddHours(1), 0, 0), await _index.CountEventsAsync("b", Ct));
        Assert.Equal(2, await _index.ReplayEventsAsync("a", Now.AddHours(2), Ct));
        Assert.Equal(["2", "3", "4"], (await _index.ListEventsAsync("a", 0, 10, Ct)).Select(TextOf));

        Assert.Equal(0, await _index.ForgetEventsAsync("a", Now.AddDays(1), 10, Ct));
        Assert.Equal(1, await _index.ForgetEventsAsync("a", Now.AddDays(3), 10, Ct));
        Assert.Equal(new(3, Now.AddHours(2), 0, 0), await _index.CountEventsAsync("a", Ct));
        Assert.Equal(2, await _index.ForgetEventsAsync("a", null, 2, Ct));
        Assert.Equal(1, await _index.ForgetEventsAsync("a", null, 2, Ct));
        Assert.Equal(4, (await _index.CountEventsAsync("b", Ct)).Waiting);
    }

    [Fact]
    public async Task An_event_ends_once()
    {
        var bucket = await NewBucketAsync();
        await _index.SaveObjectAsync(new(bucket, "k", 0, Stored(1)) { Events = [Event("a", "1")] }, Ct);
        var sequence = (await _index.ListEventsAsync("a", 0, 10, Ct))[0].Sequence;
        await _index.EndEventsAsync([sequence], EventEnd.Delivered, Now, Ct);
        await _index.EndEventsAsync([sequence], EventEnd.GivenUp, Now.AddDays(1), Ct);
        Assert.Equal(new(0, null, 1, 0), await _index.CountEventsAsync("a", Ct));
        Assert.Equal(1, await _index.ForgetEventsAsync("a", Now.AddHours(1), 10, Ct));
    }

    private static ObjectEvent Event(string target, string text) => new(target, System.Text.Encoding.UTF8.GetBytes(text));

    private static string TextOf(WaitingEvent waiting) => System.Text.Encoding.UTF8.GetString(waiting.Document.Span);
}
