using Xunit;

namespace DarkStorage.Simulation.Crash;

/// <summary>The judge of the crash tests, judged: each case is one that it must let pass, or one that it must not.</summary>
public sealed class KeyHistoryTests
{
    private static readonly Content A = Content.Of("first"u8);
    private static readonly Content B = Content.Of("second"u8);
    private readonly KeyHistory _key = new();

    [Fact]
    public void What_was_acknowledged_last_is_found()
    {
        Acknowledged(A, 1, 2);
        Acknowledged(B, 3, 4);
        Assert.Null(_key.Explain(B, 5, 6));
    }

    [Fact]
    public void A_lost_write_is_noticed()
    {
        Acknowledged(A, 1, 2);
        Assert.NotNull(_key.Explain(Content.None, 3, 4));
    }

    [Fact]
    public void A_write_that_is_undone_by_an_older_one_is_noticed()
    {
        Acknowledged(A, 1, 2);
        Acknowledged(B, 3, 4);
        Assert.NotNull(_key.Explain(A, 5, 6));
    }

    [Fact]
    public void A_deleted_object_that_comes_back_is_noticed()
    {
        Acknowledged(A, 1, 2);
        Acknowledged(Content.None, 3, 4);
        Assert.NotNull(_key.Explain(A, 5, 6));
        Assert.Null(_key.Explain(Content.None, 5, 6));
    }

    [Fact]
    public void A_content_that_nobody_wrote_is_noticed()
    {
        Acknowledged(A, 1, 2);
        _key.Begin("put", 3, B);
        Assert.NotNull(_key.Explain(Content.Of("firsond"u8), 4, 5));
        Assert.NotNull(_key.Explain(A with { Length = 4 }, 4, 5));
    }

    [Fact]
    public void What_was_under_way_at_the_crash_may_be_there_or_not()
    {
        Acknowledged(A, 1, 2);
        _key.Begin("put", 3, B);
        Assert.Null(_key.Explain(A, 4, 5));
        Assert.Null(_key.Explain(B, 4, 5));
        Assert.NotNull(_key.Explain(Content.None, 4, 5));
    }

    [Fact]
    public void What_has_no_answer_may_happen_after_what_was_acknowledged_since()
    {
        _key.Begin("put", 1, B);
        Acknowledged(A, 2, 3);
        Assert.Null(_key.Explain(A, 4, 5));
        Assert.Null(_key.Explain(B, 4, 5));
    }

    [Fact]
    public void Of_two_that_overlap_either_may_be_the_last()
    {
        var (a, b) = (_key.Begin("put", 1, A), _key.Begin("put", 2, B));
        b.Acknowledge(3);
        a.Acknowledge(4);
        Assert.Null(_key.Explain(A, 5, 6));
        Assert.Null(_key.Explain(B, 5, 6));
        Assert.NotNull(_key.Explain(Content.None, 5, 6));
    }

    [Fact]
    public void What_was_refused_does_not_show()
    {
        Acknowledged(A, 1, 2);
        _key.Begin("put", 3, B).Refuse();
        Assert.NotNull(_key.Explain(B, 4, 5));
    }

    [Fact]
    public void A_look_during_a_write_finds_the_old_or_the_new()
    {
        Acknowledged(A, 1, 2);
        var write = _key.Begin("put", 4, B);
        write.Acknowledge(6);
        Assert.Null(_key.Explain(A, 3, 5));
        Assert.Null(_key.Explain(B, 3, 5));
        Assert.NotNull(_key.Explain(A, 7, 8));
    }

    [Fact]
    public void What_was_found_after_a_crash_is_what_must_be_found_after_the_next()
    {
        Acknowledged(A, 1, 2);
        _key.Begin("put", 3, B);
        _key.Settle(4, A);
        Assert.Null(_key.Explain(A, 5, 6));
        Assert.NotNull(_key.Explain(B, 5, 6));
    }

    [Fact]
    public void A_listing_that_differs_from_what_can_be_read_is_noticed()
    {
        CrashWorld.Listed[] read = [new("a", 1, "x"), new("b", 2, "y")];
        Assert.Empty(CrashWorld.CompareListing(read, read));
        Assert.Single(CrashWorld.CompareListing(read, [read[0]]));
        Assert.Single(CrashWorld.CompareListing(read, [.. read, new("c", 3, "z")]));
        Assert.Single(CrashWorld.CompareListing(read, [read[0], read[1] with { Length = 3 }]));
        Assert.Single(CrashWorld.CompareListing(read, [read[0], read[1] with { ETag = "x" }]));
        Assert.Single(CrashWorld.CompareListing(read, [read[1], read[0]]));
    }

    private void Acknowledged(Content content, long begun, long ended) => _key.Begin("put", begun, content).Acknowledge(ended);
}
