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

        public Task ForceActivationCollection(TimeSpan ageLimit) =>
            Task.WhenAll(Silo.CollectIdle(ageLimit).Select(activation => activation.Deactivated));

        public Task<int> GetTotalActivationCount() => Task.FromResult(Silo.Catalog.Activations.Count());

        public ValueTask<SiloAddress?> GetActivationAddress(IAddressable reference) =>
            new(Silo.Catalog.Find(reference.GetGrainId()) is null ? null : Silo.Address);
    }
}
