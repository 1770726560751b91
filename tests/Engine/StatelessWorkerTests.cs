namespace DarkStorage.Engine.Tests;

public interface IWorkerGrain : IGrainWithStringKey
{
    Task<Guid> Work(string gate);

    Task<Guid> Touch();
}

[StatelessWorker(3)]
public sealed class WorkerGrain : Grain, IWorkerGrain
{
    private readonly Guid _worker = Guid.NewGuid();

    public async Task<Guid> Work(string gate)
    {
        await Gate.Named(gate).PassAsync();
        return _worker;
    }

    public Task<Guid> Touch() => Task.FromResult(_worker);
}

public sealed class StatelessWorkerTests(ClusterFixture fixture) : IClassFixture<ClusterFixture>
{
    [Fact]
    public async Task Workers_are_added_under_load_up_to_their_maximum()
    {
        var grain = fixture.Cluster.Grain<IWorkerGrain>();
        var gates = Enumerable.Range(0, 5).Select(_ => Gate.New()).ToArray();
        var work = gates[..3].Select(gate => grain.Work(gate.Name)).ToList();
        foreach (var gate in gates[..3]) await gate.Reached;

        work.AddRange(gates[3..].Select(gate => grain.Work(gate.Name)));   // these two must wait
        foreach (var gate in gates) gate.Open();
        var workers = await Task.WhenAll(work);
        Assert.Equal(3, workers.Distinct().Count());
    }

    [Fact]
    public async Task A_worker_that_is_idle_is_used_again()
    {
        var grain = fixture.Cluster.Grain<IWorkerGrain>();
        var first = await grain.Touch();
        for (var i = 0; i < 10; i++) Assert.Equal(first, await grain.Touch());
    }
}
