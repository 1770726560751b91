using DarkStorage.GrainInterfaces.Tiers;
using DarkStorage.Rules.Tiers;
using Xunit;

namespace DarkStorage.Unit.Tiers;

/// <summary>What is usual for a tier, and which of what was said of its costs holds.</summary>
public sealed class TierRulesTests
{
    private static readonly Tier Cold = new("cold", "GLACIER_IR", "nas");

    [Fact]
    public void What_nobody_has_said_is_what_is_usual_for_the_class()
    {
        Assert.Equal(Cold with { Latency = TierLatency.Milliseconds, CostMultiplier = 0.17m, Cost = 3.4m }, TierRules.WithUsual(Cold, 20));
        Assert.Equal((TierLatency.Hours, 0.043m, null), Traits(new("offsite", "DEEP_ARCHIVE", "nas"), null));
        Assert.Equal((TierLatency.Milliseconds, null, null), Traits(new("any", "INTELLIGENT_TIERING", "nas"), 20));
        Assert.Equal((TierLatency.Unknown, null, null), Traits(new("any", "OF_A_LATER_PROGRAM", "nas"), 20));
        Assert.Equal((TierLatency.Milliseconds, null, 20), Traits(Tier.Hot with { Cost = 20 }, 20));
    }

    [Fact]
    public void What_was_said_holds()
    {
        Assert.Equal((TierLatency.Seconds, null, 7), Traits(Cold with { Cost = 7, Latency = TierLatency.Seconds }, 20));
        Assert.Equal((TierLatency.Milliseconds, 0.5m, 10), Traits(Cold with { CostMultiplier = 0.5m }, 20));
        Assert.Equal((TierLatency.Milliseconds, 0, 0), Traits(Cold with { CostMultiplier = 0 }, 20));
    }

    [Fact]
    public void Of_a_cost_and_a_multiplier_the_one_that_was_said_last_holds_and_nothing_else_changes()
    {
        var said = new TierCosts(7, 1, 2, 3).Of(Cold);
        Assert.Equal(Cold with { Cost = 7, ReadCost = 1, WriteCost = 2, EgressCost = 3 }, said);
        said = (TierCosts.None with { Multiplier = 0.5m }).Of(said);
        Assert.Equal(Cold with { CostMultiplier = 0.5m, ReadCost = 1, WriteCost = 2, EgressCost = 3 }, said);
        Assert.Equal(said with { ReadCost = 4 }, (TierCosts.None with { Reads = 4 }).Of(said));
        Assert.Equal(said with { CostMultiplier = null, Cost = 8 }, (TierCosts.None with { Storage = 8 }).Of(said));
    }

    [Fact]
    public void Those_could_be_configured_whose_name_and_class_no_tier_has()
    {
        Assert.Equal(["warm", "cold", "archive", "offsite"], TierRules.Unconfigured([Tier.Hot]).Select(static t => t.Name));
        Assert.Equal(["warm", "offsite"], TierRules.Unconfigured([Tier.Hot, Cold, new("tapes", "GLACIER", "nas")]).Select(static t => t.Name));
        Assert.All(TierRules.Unconfigured([Tier.Hot]), static t => Assert.True(t is { Integration: null, Cost: null, CostMultiplier: not null, Latency: not TierLatency.Unknown }));
    }

    /// <summary>Each class that a tier can have was thought of.</summary>
    [Fact]
    public void Of_each_storage_class_it_is_known_how_soon_it_usually_answers() =>
        Assert.All(TierRules.StorageClasses.Where(static c => c != Tier.Hot.StorageClass), static c => Assert.NotEqual(TierLatency.Unknown, TierRules.WithUsual(new("any", c, "nas"), null).Latency));

    private static (TierLatency, decimal?, decimal?) Traits(Tier tier, decimal? hotCost) => TierRules.WithUsual(tier, hotCost) is var known ? (known.Latency, known.CostMultiplier, known.Cost) : default;
}
