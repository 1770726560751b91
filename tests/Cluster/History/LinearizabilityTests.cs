namespace DarkStorage.Cluster.History;

/// <summary>The checker itself: what it must accept, and what it must not.</summary>
public sealed class LinearizabilityTests
{
    [Fact]
    public void What_one_client_does_one_thing_after_another_is_linearizable() =>
        Accepts(Get(null, 0, 1), Put("a", 2, 3), Get("a", 4, 5), Swap("a", "b", 6, 7), Get("b", 8, 9), Delete(10, 11), Get(null, 12, 13));

    [Fact]
    public void A_read_that_overlaps_a_write_may_see_either() =>
        Accepts(Put("a", 0, 1), Put("b", 2, 10), Get("a", 3, 4), Get("b", 5, 6));

    [Fact]
    public void A_read_after_a_write_was_acknowledged_sees_it() => Refuses(Put("a", 0, 1), Put("b", 2, 3), Get("a", 4, 5));

    [Fact]
    public void Reads_do_not_go_back_in_time() => Refuses(Put("a", 0, 1), Put("b", 2, 20), Get("b", 3, 4), Get("a", 5, 6));

    [Fact]
    public void What_was_acknowledged_is_not_lost() => Refuses(Put("a", 0, 1), Get(null, 2, 3));

    [Fact]
    public void A_write_that_was_never_answered_may_take_effect_late_or_never()
    {
        Accepts(Put("a", 0, 1), Unknown("b", 2), Get("a", 3, 4), Get("a", 5, 6));
        Accepts(Put("a", 0, 1), Unknown("b", 2), Get("a", 3, 4), Get("b", 5, 6), Get("b", 7, 8));
        Refuses(Put("a", 0, 1), Unknown("b", 2), Get("b", 3, 4), Get("a", 5, 6));
    }

    [Fact]
    public void Of_two_that_swap_the_same_value_one_is_refused()
    {
        Accepts(Put("a", 0, 1), Swap("a", "b", 2, 10), Swap("a", "c", 3, 9, Outcome.Refused), Get("b", 11, 12));
        Refuses(Put("a", 0, 1), Swap("a", "b", 2, 10), Swap("a", "c", 3, 9));
        Refuses(Put("a", 0, 1), Swap("a", "b", 2, 3, Outcome.Refused));
    }

    [Theory, MemberData(nameof(Seeds))]
    public void Histories_of_a_real_register_are_accepted_and_with_one_old_read_in_them_are_not(int seed)
    {
        var random = new Random(seed);
        var (history, value, time) = (new List<Operation>(), (string?)null, 0L);
        var values = new List<string?>();
        for (var i = 0; i < 400; i++)
        {
            // Each takes effect at its own time, and begins and ends around that: so neighbours overlap.
            time += 10;
            var (start, end) = (time - random.Next(30), time + random.Next(30));
            switch (random.Next(4))
            {
                case 0:
                    history.Add(Put(value = $"v{i}", start, end));
                    values.Add(value);
                    break;
                case 1:
                    var expected = random.Next(2) == 0 ? value : $"v{random.Next(400)}x";
                    history.Add(Swap(expected, $"v{i}", start, end, expected == value ? Outcome.Done : Outcome.Refused));
                    if (expected == value) values.Add(value = $"v{i}");
                    break;
                default:
                    history.Add(Get(value, start, end));
                    break;
            }
        }
        Accepts([.. history]);
        time += 1_000;
        Refuses([.. history, Get(values[^5], time, time + 1)]);
    }

    public static TheoryData<int> Seeds => [.. Enumerable.Range(1, 20)];

    private static void Accepts(params Operation[] history) => Assert.Null(Linearizability.FindViolation(history));

    private static void Refuses(params Operation[] history) => Assert.NotNull(Linearizability.FindViolation(history));

    private static Operation Put(string value, long start, long end) => new(OperationKind.Put, value, null, Outcome.Done, start, end);

    private static Operation Unknown(string value, long start) => new(OperationKind.Put, value, null, Outcome.Unknown, start, 0);

    private static Operation Swap(string? expected, string value, long start, long end, Outcome outcome = Outcome.Done) => new(OperationKind.Swap, value, expected, outcome, start, end);

    private static Operation Delete(long start, long end) => new(OperationKind.Delete, null, null, Outcome.Done, start, end);

    private static Operation Get(string? value, long start, long end) => new(OperationKind.Get, value, null, Outcome.Done, start, end);
}
