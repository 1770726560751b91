using Orleans;
using Orleans.Concurrency;
using Orleans.Runtime;

namespace DarkStorage.Engine;

/// <summary>What silos ask of each other. A reference to it names the silo.</summary>
internal interface ISiloControl : IGrain
{
    /// <summary>Answers when the silo's view is of this version or a newer one.</summary>
    [AlwaysInterleave]
    Task See(long version);

    /// <summary>Answers when this silo has reached another one.</summary>
    [AlwaysInterleave]
    Task Reach(SiloAddress silo);

    /// <summary>For a silo that leaves: answers when all that was sent to it by a view before this version has reached it, and nothing more will be.</summary>
    [AlwaysInterleave]
    Task Farewell(SiloAddress leaving, long version);

    /// <summary>Answers when the silo holds no grain any more whose home, by a view of this version or a newer one, is another silo.</summary>
    [AlwaysInterleave]
    Task Settle(long version);

    /// <summary>Answers when the silo has let the grain go.</summary>
    /// <returns>False when the grain's home is this silo, by a newer view than the asker's.</returns>
    [AlwaysInterleave]
    Task<bool> GiveUp(GrainId grain, long version);

    /// <summary>Somebody changed a reminder of this grain.</summary>
    [AlwaysInterleave]
    Task ReadReminders(GrainId grain);

    [AlwaysInterleave]
    Task Collect(TimeSpan age);

    [AlwaysInterleave]
    Task<int> Count();

    [AlwaysInterleave]
    Task<bool> Holds(GrainId grain);

    /// <summary>The grain, whose home this silo is, is no longer where it was placed.</summary>
    [AlwaysInterleave]
    Task ForgetPlace(GrainId grain);
}

[GrainType(Type), Reentrant, KeepAlive]
internal sealed class SiloControl : Grain, ISiloControl
{
    public const string Type = "sys.silo";

    public static readonly GrainId Id = GrainId.Create(Type, "control");

    private Silo Silo => ((Activation)GrainContext).Silo;

    private ClusterNode Node => Silo.Cluster!;

    public Task See(long version) => Node.SeeAsync(version);

    public Task Reach(SiloAddress silo) => Node.ReachAsync(silo);

    public Task Farewell(SiloAddress leaving, long version) => Node.FarewellAsync(leaving, version);

    public Task Settle(long version) => Node.SettledAsync(version);

    public Task<bool> GiveUp(GrainId grain, long version) => Node.GiveUpAsync(grain, version);

    public Task ReadReminders(GrainId grain) => Silo.Reminders.ReadAsync(grain);

    public Task Collect(TimeSpan age) => Task.WhenAll(Silo.CollectIdle(age).Select(activation => activation.Deactivated));

    public Task<int> Count() => Task.FromResult(Silo.Catalog.Activations.Count());

    public Task ForgetPlace(GrainId grain)
    {
        Node.ForgetPlace(grain);
        return Task.CompletedTask;
    }

    public Task<bool> Holds(GrainId grain) => Task.FromResult(Silo.Catalog.Find(grain) is not null);
}
