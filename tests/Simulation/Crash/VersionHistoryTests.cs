using Xunit;

namespace DarkStorage.Simulation.Crash;

/// <summary>The judge of the versions, judged: each case is one that it must let pass, or one that it must not.</summary>
public sealed class VersionHistoryTests
{
    private static readonly Made A = new(Content.Of("first"u8), "a");
    private static readonly Made B = new(Content.Of("second"u8), "b");
    private readonly VersionHistory _key = new();

    [Fact]
    public void All_that_was_acknowledged_is_there_in_its_order()
    {
        Acknowledged("1", A, 1, 2);
        Acknowledged("2", B, 3, 4);
        Assert.Empty(Explain(("2", B), ("1", A)));
        Assert.Contains("newer", Assert.Single(Explain(("1", A), ("2", B))), StringComparison.Ordinal);
    }

    [Fact]
    public void A_lost_version_is_noticed()
    {
        Acknowledged("1", A, 1, 2);
        Acknowledged("2", B, 3, 4);
        Assert.Contains("lost", Assert.Single(Explain(("2", B))), StringComparison.Ordinal);
    }

    [Fact]
    public void A_lost_delete_marker_is_noticed()
    {
        Acknowledged("1", A, 1, 2);
        Acknowledged("2", Made.Marker, 3, 4);
        Assert.Empty(Explain(("2", Made.Marker), ("1", A)));
        Assert.Single(Explain(("1", A)));
    }

    [Fact]
    public void A_version_whose_removal_had_no_answer_may_be_there_or_not()
    {
        Acknowledged("1", A, 1, 2).Removing = true;
        Assert.Empty(Explain(("1", A)));
        Assert.Empty(Explain());
    }

    [Fact]
    public void A_removed_version_that_comes_back_is_noticed()
    {
        _key.Forget(Acknowledged("1", A, 1, 2));
        Assert.Single(Explain(("1", A)));
        Assert.Empty(Explain());
    }

    [Fact]
    public void What_had_no_answer_is_there_whole_or_not_at_all_and_once()
    {
        _key.Begin("put", 1, A);
        Assert.Empty(Explain());
        Assert.Empty(Explain(("9", A)));
        Assert.Single(Explain(("9", A with { Content = A.Content with { Length = 3 } })));
        Assert.Single(Explain(("9", A), ("8", A)));
        Assert.Single(Explain(("9", Made.Marker)));
    }

    [Fact]
    public void What_was_begun_after_another_had_ended_is_newer_than_that_even_without_an_answer()
    {
        Acknowledged("1", A, 1, 2);
        _key.Begin("put", 3, B);
        Assert.Empty(Explain(("9", B), ("1", A)));
        Assert.Single(Explain(("1", A), ("9", B)));
    }

    [Fact]
    public void Two_that_overlapped_may_be_in_either_order()
    {
        Acknowledged("1", A, 1, 4);
        Acknowledged("2", B, 2, 3);
        Assert.Empty(Explain(("1", A), ("2", B)));
        Assert.Empty(Explain(("2", B), ("1", A)));
    }

    [Fact]
    public void Another_content_under_an_acknowledged_id_is_noticed()
    {
        Acknowledged("1", A, 1, 2);
        Assert.Single(Explain(("1", B)));
        Assert.Single(Explain(("1", Made.Marker)));
    }

    [Fact]
    public void Only_the_newest_is_the_latest()
    {
        Acknowledged("1", A, 1, 2);
        Assert.Single(_key.Explain([new("1", false, A.Content.Length, A.ETag, IsLatest: false)]));
    }

    [Fact]
    public void What_was_found_after_a_crash_must_be_found_in_that_order_after_the_next()
    {
        var time = 10L;
        _key.Begin("put", 1, A);
        _key.Begin("put", 2, B);
        _key.Settle([("9", A), ("8", B)], () => ++time);
        Assert.Empty(Explain(("9", A), ("8", B)));
        Assert.Single(Explain(("8", B), ("9", A)));
        Assert.Single(Explain(("9", A)));
    }

    private KnownVersion Acknowledged(string id, Made made, long begun, long ended)
    {
        var version = _key.Begin("put", begun, made);
        version.Acknowledge(ended, id);
        return version;
    }

    private IEnumerable<string> Explain(params (string Id, Made Made)[] listed) =>
        _key.Explain([.. listed.Select((l, i) => new ListedVersion(l.Id, l.Made == Made.Marker, Math.Max(0, l.Made.Content.Length), l.Made.ETag, i == 0))]);
}
