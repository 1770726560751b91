using DarkStorage.GrainInterfaces;
using DarkStorage.GrainInterfaces.Objects;
using DarkStorage.Rules.Tiers;
using Xunit;

namespace DarkStorage.Unit.Tiers;

public sealed class ArchiveRulesTests
{
    private static readonly DateTimeOffset Now = new(2026, 3, 1, 10, 0, 0, TimeSpan.Zero);
    private static readonly TimeSpan Day = TimeSpan.FromDays(1);
    private static readonly ContentPlace Outside = new("nas", new(1, 2));

    [Theory]
    [InlineData("GLACIER", true, null, false)]
    [InlineData("DEEP_ARCHIVE", true, null, false)]
    [InlineData("GLACIER", true, 1, true)]
    [InlineData("GLACIER", true, 0, false)] // its last moment is over
    [InlineData("GLACIER", true, -1, false)]
    [InlineData("GLACIER", false, null, true)] // it never left the drives
    [InlineData("GLACIER_IR", true, null, true)]
    [InlineData("STANDARD", true, null, true)]
    public void What_lies_in_an_archive_is_readable_while_it_is_restored(string storageClass, bool isOutside, int? restoredFor, bool isReadable)
    {
        var version = Version(storageClass, isOutside, restoredFor is { } hours ? new(1, WarmUpSpeed.Standard, Now.AddHours(hours)) : null);
        Assert.Equal(isReadable, version.IsReadable(Now));
        if (restoredFor is null) Assert.Equal(isReadable, (version with { Restore = new(1, WarmUpSpeed.Standard) }).IsReadable(Now)); // asked for is not there yet
    }

    [Fact]
    public void Asking_begins_a_restore_which_lasts_to_a_midnight()
    {
        Assert.Equal(new ArchiveRestore(2, WarmUpSpeed.Bulk), Version("GLACIER").Ask(2, WarmUpSpeed.Bulk, Now, Day));
        Assert.Equal(new(2026, 3, 4, 0, 0, 0, TimeSpan.Zero), ArchiveRules.UntilOf(2, Now, Day));
        // What is on the drives can be read from now on, as can what is restored, and that for another time.
        Assert.Equal(ArchiveRules.UntilOf(2, Now, Day), Version("GLACIER", isOutside: false).Ask(2, WarmUpSpeed.Bulk, Now, Day).Until);
        var held = new ArchiveRestore(9, WarmUpSpeed.Standard, Now.AddDays(9));
        Assert.Equal(new(1, WarmUpSpeed.Standard, ArchiveRules.UntilOf(1, Now, Day)), Version("GLACIER", restore: held).Ask(1, WarmUpSpeed.Standard, Now, Day));
        // One that is over is as none.
        Assert.Null(Version("GLACIER", restore: held with { Until = Now }).Ask(1, WarmUpSpeed.Standard, Now, Day).Until);
    }

    [Fact]
    public void A_restore_under_way_can_be_made_quicker_and_nothing_else()
    {
        var version = Version("GLACIER", restore: new(5, WarmUpSpeed.Bulk));
        Assert.Equal(new ArchiveRestore(5, WarmUpSpeed.Expedited), version.Ask(2, WarmUpSpeed.Expedited, Now, Day));
        Assert.Equal(StorageError.RestoreInProgress, ErrorOf(() => version.Ask(5, WarmUpSpeed.Standard, Now, Day)));
        Assert.Equal(StorageError.RestoreInProgress, ErrorOf(() => (version with { Restore = new(5, WarmUpSpeed.Expedited) }).Ask(5, WarmUpSpeed.Expedited, Now, Day)));
    }

    [Fact]
    public void What_needs_no_restore_and_days_that_can_not_be_are_refused()
    {
        Assert.Equal(StorageError.ObjectNotArchived, ErrorOf(() => Version("STANDARD_IA").Ask(1, WarmUpSpeed.Standard, Now, Day)));
        Assert.Equal(StorageError.InvalidArgument, ErrorOf(() => Version("DEEP_ARCHIVE").Ask(1, WarmUpSpeed.Expedited, Now, Day)));
        foreach (var days in (int[])[0, -1, 36_501, int.MaxValue]) Assert.Equal(StorageError.InvalidArgument, ErrorOf(() => Version("GLACIER").Ask(days, WarmUpSpeed.Standard, Now, Day)));
    }

    [Fact]
    public void The_header_says_what_S3_says()
    {
        Assert.Null(((ArchiveRestore?)null).Describe(Now));
        Assert.Equal("ongoing-request=\"true\"", new ArchiveRestore(1, default).Describe(Now));
        var held = new ArchiveRestore(1, default, new(2026, 3, 6, 0, 0, 0, TimeSpan.Zero));
        Assert.Equal("ongoing-request=\"false\", expiry-date=\"Fri, 06 Mar 2026 00:00:00 GMT\"", held.Describe(Now));
        Assert.Null(held.Describe(held.Until!.Value));
    }

    private static StorageError ErrorOf(Action act) => Assert.Throws<StorageException>(act).Error;

    private static ObjectVersion Version(string storageClass, bool isOutside = true, ArchiveRestore? restore = null) => new(
        new(new(1, 2), 3, "etag", null, [], [], isOutside ? Outside : null), ObjectMetadata.Default, Now, 1, true, storageClass, null, "owner", ObjectAttributes.None, Restore: restore);
}
