#if EMBEDDED_ENGINE
using System.Collections.Immutable;
using System.Net;

namespace DarkStorage.Engine.Tests;

public sealed class ClusterViewTests
{
    public static TheoryData<int> Seeds => [.. Enumerable.Range(1, 10)];

    [Fact]
    public void A_view_is_of_another_past_if_its_version_went_back_or_says_something_else()
    {
        var view = View(5, ["a", "b"]);
        Assert.False(View(5, ["b", "a"]).IsOfAnotherPast(view));
        Assert.False(View(6, ["c"]).IsOfAnotherPast(view));
        Assert.True(View(4, ["a", "b"]).IsOfAnotherPast(view));
        Assert.True(View(5, ["a", "c"]).IsOfAnotherPast(view));
        Assert.True(View(5, ["a"]).IsOfAnotherPast(view));
    }

    [Theory]
    [MemberData(nameof(Seeds))]
    public void A_silo_that_comes_or_goes_moves_only_what_it_gets_or_had(int seed)
    {
        var random = new Random(seed);
        var silos = Enumerable.Range(0, random.Next(2, 9)).Select(i => $"silo {seed} {i}").ToArray();
        var (without, with) = (View(1, silos[..^1]), View(2, silos));
        var newcomer = Address(silos[^1]);
        for (var i = 0; i < 2000; i++)
        {
            var grain = GrainId.Create("type", $"{random.Next()}");
            var (before, after) = (without.HomeOf(grain), with.HomeOf(grain));
            Assert.True(before == after || after == newcomer, $"seed {seed}: {grain} went from {before} to {after}");
        }
    }

    [Theory]
    [MemberData(nameof(Seeds))]
    public void The_ranges_of_all_silos_are_all_hashes_and_those_of_a_silo_are_of_its_grains(int seed)
    {
        var random = new Random(seed);
        var silos = Enumerable.Range(0, random.Next(1, 9)).Select(i => $"silo {seed} {i}").ToArray();
        var view = View(1, silos);
        for (var i = 0; i < 500; i++)
        {
            var grain = GrainId.Create("type", $"{random.Next()}");
            var hash = grain.GetUniformHashCode();
            var owners = silos.Where(silo => view.RangesOf(Address(silo)).Any(range => Contains(range, hash))).Select(Address);
            Assert.Equal(view.HomeOf(grain), Assert.Single(owners));
        }

        foreach (var edge in new uint[] { 0, 1, uint.MaxValue, 1 << 24, (1 << 24) - 1 })
            Assert.Single(silos, silo => view.RangesOf(Address(silo)).Any(range => Contains(range, edge)));
    }

    [Fact]
    public void Homes_are_shared_out_evenly_and_only_among_active_silos()
    {
        var view = View(1, ["a", "b", "c", "d", "e"]);
        var shares = Enumerable.Range(0, 20_000).GroupBy(i => view.HomeOf(GrainId.Create("type", $"{i}"))).Select(group => group.Count()).ToArray();
        Assert.Equal(5, shares.Length);
        Assert.All(shares, share => Assert.InRange(share, 2000, 6500));
        Assert.Null(View(1, []).HomeOf(GrainId.Create("type", "key")));
        var leaving = new ClusterView(new(
            ImmutableDictionary<SiloAddress, ClusterMember>.Empty
                .Add(Address("a"), new(Address("a"), SiloStatus.ShuttingDown, "a")).Add(Address("b"), new(Address("b"), SiloStatus.Active, "b")),
            new(1)));
        Assert.Equal(Address("b"), leaving.HomeOf(GrainId.Create("type", "key")));
    }

    [Fact]
    public async Task A_change_of_the_membership_is_notified_and_bumps_its_version()
    {
        var server = await Postgres.GetAsync();
        var id = Guid.NewGuid().ToString("N");
        await using var table = new MembershipTable(server.ConnectionString, id, TimeSpan.FromSeconds(8));
        await table.PrepareAsync(CancellationToken.None);
        using var ending = new CancellationTokenSource();
        var heard = new SemaphoreSlim(0);
        var listening = table.ListenAsync(() => heard.Release(), ending.Token);
        Assert.True(await heard.WaitAsync(Cluster.Patience));   // it listens

        var joined = await table.JoinAsync("service", "a", Address("a"), TimeSpan.FromDays(1), CancellationToken.None);
        Assert.True(await heard.WaitAsync(Cluster.Patience));
        Assert.Equal(1, table.Read().Version);
        Assert.True(await table.SetStatusAsync(joined.Address!, SiloStatus.Active, CancellationToken.None));
        Assert.True(await heard.WaitAsync(Cluster.Patience));
        Assert.Equal(2, table.Read().Version);
        Assert.True(table.Renew(joined.Address!).IsRenewed);
        Assert.Equal(2, table.Read().Version);   // a renewal is no change

        // Status only goes forward, the dead stay dead, and their lease is not renewed.
        Assert.False(await table.SetStatusAsync(joined.Address!, SiloStatus.Joining, CancellationToken.None));
        Assert.True(await table.SetStatusAsync(joined.Address!, SiloStatus.Dead, CancellationToken.None));
        Assert.False(table.Renew(joined.Address!).IsRenewed);
        var again = await table.JoinAsync("service", "a", joined.Address!, TimeSpan.FromDays(1), CancellationToken.None);
        Assert.True(again.Address!.Generation > joined.Address!.Generation);
        await ending.CancelAsync();
        await Assert.ThrowsAnyAsync<OperationCanceledException>(() => listening);
    }

    [Fact]
    public async Task Whom_most_of_the_active_do_not_reach_is_told_to_go_and_its_lease_is_not_renewed()
    {
        await using var table = await TableAsync();
        var silos = await ActiveAsync(table, "a", "b", "c");

        // The one that is cut off reaches neither of the others: one voice of three each.
        await table.SuspectAsync(silos[1], [silos[0], silos[2]], Fresh, CancellationToken.None);
        Assert.All(silos, silo => Assert.Equal(SiloStatus.Active, StatusOf(silo)));
        await table.SuspectAsync(silos[0], [silos[1]], Fresh, CancellationToken.None);
        Assert.Equal(SiloStatus.Active, StatusOf(silos[1]));
        var before = table.Read().Version;
        await table.SuspectAsync(silos[2], [silos[1]], Fresh, CancellationToken.None);
        Assert.Equal(SiloStatus.Stopping, StatusOf(silos[1]));
        Assert.Equal(before + 1, table.Read().Version);
        Assert.False(table.Renew(silos[1]).IsRenewed);
        Assert.True(table.Renew(silos[0]).IsRenewed);

        // It says itself that it has ended: nobody has to wait for its lease.
        Assert.True(await table.SetStatusAsync(silos[1], SiloStatus.Dead, CancellationToken.None));

        SiloStatus StatusOf(SiloAddress silo) => table.Read().Snapshot.GetSiloStatus(silo);
    }

    [Fact]
    public async Task Of_two_halves_that_do_not_reach_each_other_the_one_with_the_first_name_stays()
    {
        await using var table = await TableAsync();
        var silos = await ActiveAsync(table, "a", "b");
        await table.SuspectAsync(silos[1], [silos[0]], Fresh, CancellationToken.None);
        Assert.Equal(SiloStatus.Active, table.Read().Snapshot.GetSiloStatus(silos[0]));
        await table.SuspectAsync(silos[0], [silos[1]], Fresh, CancellationToken.None);
        Assert.Equal(SiloStatus.Active, table.Read().Snapshot.GetSiloStatus(silos[0]));
        Assert.Equal(SiloStatus.Stopping, table.Read().Snapshot.GetSiloStatus(silos[1]));
    }

    [Fact]
    public async Task A_suspicion_that_was_taken_back_or_is_old_counts_no_more()
    {
        await using var table = await TableAsync();
        var silos = await ActiveAsync(table, "a", "b", "c");
        await table.SuspectAsync(silos[0], [silos[1]], Fresh, CancellationToken.None);
        await table.SuspectAsync(silos[0], [], Fresh, CancellationToken.None);
        await table.SuspectAsync(silos[2], [silos[1]], Fresh, CancellationToken.None);
        Assert.Equal(SiloStatus.Active, table.Read().Snapshot.GetSiloStatus(silos[1]));
        await table.SuspectAsync(silos[0], [silos[1]], TimeSpan.Zero, CancellationToken.None);   // by then the other's is old
        Assert.Equal(SiloStatus.Active, table.Read().Snapshot.GetSiloStatus(silos[1]));
    }

    private static readonly TimeSpan Fresh = TimeSpan.FromMinutes(1);

    private static async Task<MembershipTable> TableAsync()
    {
        var table = new MembershipTable((await Postgres.GetAsync()).ConnectionString, Guid.NewGuid().ToString("N"), TimeSpan.FromMinutes(1));
        await table.PrepareAsync(CancellationToken.None);
        return table;
    }

    private static async Task<SiloAddress[]> ActiveAsync(MembershipTable table, params string[] names)
    {
        var silos = new SiloAddress[names.Length];
        for (var i = 0; i < names.Length; i++)
        {
            silos[i] = (await table.JoinAsync("service", names[i], Address(names[i]), TimeSpan.FromDays(1), CancellationToken.None)).Address!;
            Assert.True(await table.SetStatusAsync(silos[i], SiloStatus.Active, CancellationToken.None));
        }

        return silos;
    }

    private static ClusterView View(long version, string[] active) => new(new(
        active.ToImmutableDictionary(Address, name => new ClusterMember(Address(name), SiloStatus.Active, name)), new(version)));

    private static SiloAddress Address(string name) => SiloAddress.New(IPAddress.Loopback, (int)(StableHash.ComputeHash(name) % 60_000) + 1, 1);

    private static bool Contains((uint Begin, uint End) range, uint hash) => range.Begin < range.End
        ? hash > range.Begin && hash <= range.End
        : hash > range.Begin || hash <= range.End;
}
#endif
