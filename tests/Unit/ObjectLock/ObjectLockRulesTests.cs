using DarkStorage.GrainInterfaces;
using DarkStorage.GrainInterfaces.Objects;
using DarkStorage.Rules.ObjectLock;
using Xunit;

namespace DarkStorage.Unit.ObjectLock;

public sealed class ObjectLockRulesTests
{
    private static readonly DateTimeOffset Now = new(2026, 3, 1, 10, 30, 0, TimeSpan.Zero);

    [Theory]
    [InlineData(RetentionMode.Governance, 1, false, true)]
    [InlineData(RetentionMode.Governance, 1, true, false)]
    [InlineData(RetentionMode.Compliance, 1, false, true)]
    [InlineData(RetentionMode.Compliance, 1, true, true)]
    [InlineData(RetentionMode.Governance, 0, false, false)] // it ends with the moment it names
    [InlineData(RetentionMode.Compliance, 0, false, false)]
    public void A_retention_keeps_a_version_until_its_time_and_only_governance_can_be_bypassed(RetentionMode mode, long ticksLeft, bool bypass, bool isKept) =>
        Assert.Equal(isKept, IsRefused(() => Version(new(mode, Now.AddTicks(ticksLeft)), hold: false).ThrowIfKept(Now, bypass)));

    [Fact]
    public void A_legal_hold_keeps_a_version_whatever_its_retention_and_whoever_asks()
    {
        Assert.True(IsRefused(() => Version(null, hold: true).ThrowIfKept(Now, bypassGovernance: true)));
        Assert.True(IsRefused(() => Version(new(RetentionMode.Governance, Now.AddTicks(-1)), hold: true).ThrowIfKept(Now, bypassGovernance: true)));
        Assert.False(IsRefused(() => Version(null, hold: false).ThrowIfKept(Now, bypassGovernance: false)));
    }

    [Theory]
    [InlineData(RetentionMode.Governance, RetentionMode.Governance, 0, false, true)] // the same again
    [InlineData(RetentionMode.Governance, RetentionMode.Governance, -1, false, false)]
    [InlineData(RetentionMode.Governance, RetentionMode.Governance, -1, true, true)]
    [InlineData(RetentionMode.Governance, RetentionMode.Compliance, 0, false, true)]
    [InlineData(RetentionMode.Compliance, RetentionMode.Compliance, 1, false, true)]
    [InlineData(RetentionMode.Compliance, RetentionMode.Compliance, -1, true, false)]
    [InlineData(RetentionMode.Compliance, RetentionMode.Governance, 1, true, false)]
    public void An_active_retention_becomes_longer_or_stricter_and_otherwise_only_governance_by_bypass(RetentionMode from, RetentionMode to, int secondsLonger, bool bypass, bool isAllowed)
    {
        var active = new ObjectRetention(from, Now.AddDays(1));
        Assert.Equal(isAllowed, !IsRefused(() => new RetentionChange(new(to, active.Until.AddSeconds(secondsLonger)), bypass).ThrowIfRefused(active, Now)));
    }

    [Fact]
    public void A_retention_is_taken_away_only_by_bypass_of_governance_or_when_it_is_over()
    {
        var (governance, compliance) = (new ObjectRetention(RetentionMode.Governance, Now.AddDays(1)), new ObjectRetention(RetentionMode.Compliance, Now.AddDays(1)));
        Assert.True(IsRefused(() => new RetentionChange(null, false).ThrowIfRefused(governance, Now)));
        Assert.False(IsRefused(() => new RetentionChange(null, true).ThrowIfRefused(governance, Now)));
        Assert.True(IsRefused(() => new RetentionChange(null, true).ThrowIfRefused(compliance, Now)));
        Assert.False(IsRefused(() => new RetentionChange(null, false).ThrowIfRefused(compliance, compliance.Until)));
        Assert.False(IsRefused(() => new RetentionChange(null, false).ThrowIfRefused(null, Now)));
    }

    [Fact]
    public void A_default_retention_counts_from_the_making_of_the_version()
    {
        Assert.Equal(new(RetentionMode.Governance, Now.AddDays(3)), new DefaultRetention(RetentionMode.Governance, 3, null).From(Now));
        Assert.Equal(new(RetentionMode.Compliance, new(2028, 3, 1, 10, 30, 0, TimeSpan.Zero)), new DefaultRetention(RetentionMode.Compliance, null, 2).From(Now));
    }

    private static ObjectVersion Version(ObjectRetention? retention, bool hold) =>
        new(new(new(1, 1), 0, "etag", null, [], []), ObjectMetadata.Default, Now, 1, false, "STANDARD", null, "owner", new(0, [], null, retention, hold));

    private static bool IsRefused(Action act)
    {
        try
        {
            act();
            return false;
        }
        catch (StorageException e) when (e.Error == StorageError.ObjectLocked)
        {
            return true;
        }
    }
}
