using Orleans.Concurrency;

namespace Orleans.Runtime
{
    /// <summary>What an operator may ask of the silo. Key 0.</summary>
    public interface IManagementGrain : IGrainWithIntegerKey
    {
        /// <summary>Deactivates what has been idle for <paramref name="ageLimit"/>.</summary>
        Task ForceActivationCollection(TimeSpan ageLimit);

        Task<int> GetTotalActivationCount();

        /// <returns>Null when the grain is not active.</returns>
        ValueTask<SiloAddress?> GetActivationAddress(IAddressable reference);
    }
}

namespace DarkStorage.Engine
{
    using Orleans;
    using Orleans.Runtime;

    [StatelessWorker(1), GrainType("sys.management")]
    internal sealed class ManagementGrain : Grain, IManagementGrain
    {
        private Silo Silo => ((Activation)GrainContext).Silo;

        public Task ForceActivationCollection(TimeSpan ageLimit) => Silo.Cluster is { } cluster
            ? Task.WhenAll(Active.Select(silo => cluster.Control(silo).Collect(ageLimit)))
            : Task.WhenAll(Silo.CollectIdle(ageLimit).Select(activation => activation.Deactivated));

        public async Task<int> GetTotalActivationCount() => Silo.Cluster is { } cluster
            ? (await Task.WhenAll(Active.Select(silo => cluster.Control(silo).Count()))).Sum()
            : Silo.Catalog.Activations.Count();

        public async ValueTask<SiloAddress?> GetActivationAddress(IAddressable reference)
        {
            var id = reference.GetGrainId();
            if (Silo.Catalog.Find(id) is not null) return Silo.Address;
            if (Silo.Cluster is not { } cluster) return null;
            var others = Active.Where(silo => silo != Silo.Address).ToArray();
            var answers = await Task.WhenAll(others.Select(silo => cluster.Control(silo).Holds(id)));
            return others.Zip(answers).FirstOrDefault(answer => answer.Second).First;
        }

        private IEnumerable<SiloAddress> Active =>
            Silo.Membership.CurrentSnapshot.Members.Values.Where(member => member.Status == SiloStatus.Active).Select(member => member.SiloAddress);
    }
}
