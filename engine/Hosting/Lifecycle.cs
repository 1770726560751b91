using System.Runtime.ExceptionServices;
using Orleans.Runtime;

namespace Orleans
{
    /// <summary>When things of a silo start; they stop in the reverse order.</summary>
    public static class ServiceLifecycleStage
    {
        public const int First = int.MinValue;
        public const int RuntimeInitialize = 2_000;
        public const int RuntimeServices = 4_000;
        public const int RuntimeStorageServices = 6_000;
        public const int RuntimeGrainServices = 8_000;
        public const int ApplicationServices = 10_000;
        public const int BecomeActive = Active - 1;
        public const int Active = 20_000;
        public const int Last = int.MaxValue;
    }

    public interface ILifecycleObserver
    {
        Task OnStart(CancellationToken cancellationToken = default);

        Task OnStop(CancellationToken cancellationToken = default);
    }

    public interface ILifecycleObservable
    {
        IDisposable Subscribe(string observerName, int stage, ILifecycleObserver observer);
    }

    /// <summary>Registered in DI: takes part in the start and stop of the silo.</summary>
    public interface ILifecycleParticipant<TLifecycleObservable> where TLifecycleObservable : ILifecycleObservable
    {
        void Participate(TLifecycleObservable lifecycle);
    }

    public static class LifecycleExtensions
    {
        public static IDisposable Subscribe(
            this ILifecycleObservable observable, string observerName, int stage,
            Func<CancellationToken, Task> onStart, Func<CancellationToken, Task> onStop) =>
            observable.Subscribe(observerName, stage, new Observer(onStart, onStop));

        public static IDisposable Subscribe(
            this ILifecycleObservable observable, string observerName, int stage, Func<CancellationToken, Task> onStart) =>
            observable.Subscribe(observerName, stage, new Observer(onStart, _ => Task.CompletedTask));

        private sealed class Observer(Func<CancellationToken, Task> onStart, Func<CancellationToken, Task> onStop) : ILifecycleObserver
        {
            public Task OnStart(CancellationToken cancellationToken) => onStart(cancellationToken);

            public Task OnStop(CancellationToken cancellationToken) => onStop(cancellationToken);
        }
    }
}

namespace Orleans.Runtime
{
    public interface ISiloLifecycle : ILifecycleObservable
    {
        int HighestCompletedStage { get; }

        int LowestStoppedStage { get; }
    }

    /// <summary>Runs once, when the silo is active.</summary>
    public interface IStartupTask
    {
        Task Execute(CancellationToken cancellationToken);
    }

    public interface ILocalSiloDetails
    {
        string Name { get; }

        string ClusterId { get; }

        string DnsHostName { get; }

        SiloAddress SiloAddress { get; }

        SiloAddress GatewayAddress { get; }
    }
}

namespace DarkStorage.Engine
{
    using Orleans;

    /// <summary>Observers of one stage start together; a stage begins when the one before it is done.</summary>
    internal sealed class SiloLifecycle : ISiloLifecycle
    {
        private readonly List<Subscription> _subscriptions = [];

        public int HighestCompletedStage { get; private set; } = int.MinValue;

        public int LowestStoppedStage { get; private set; } = int.MaxValue;

        public IDisposable Subscribe(string observerName, int stage, ILifecycleObserver observer)
        {
            var subscription = new Subscription(this, stage, observer);
            lock (_subscriptions) _subscriptions.Add(subscription);
            return subscription;
        }

        public async Task StartAsync(CancellationToken ct)
        {
            foreach (var stage in ByStage())
            {
                ct.ThrowIfCancellationRequested();
                await Task.WhenAll(stage.Select(s => Task.Run(() => s.Observer.OnStart(ct), ct)));
                HighestCompletedStage = stage.Key;
            }
        }

        /// <summary>Every stage that started is stopped, whatever an earlier one throws; the first failure is thrown at the end.</summary>
        public async Task StopAsync(CancellationToken ct)
        {
            Exception? failure = null;
            foreach (var stage in ByStage().AsEnumerable().Reverse().Where(stage => stage.Key <= HighestCompletedStage))
            {
                try
                {
                    await Task.WhenAll(stage.Select(s => Task.Run(() => s.Observer.OnStop(ct), CancellationToken.None)));
                }
                catch (Exception error)
                {
                    // Thrown below.
                    failure ??= error;
                }

                LowestStoppedStage = stage.Key;
            }

            if (failure is not null) ExceptionDispatchInfo.Throw(failure);
        }

        private List<IGrouping<int, Subscription>> ByStage()
        {
            lock (_subscriptions) return [.. _subscriptions.GroupBy(s => s.Stage).OrderBy(g => g.Key)];
        }

        private sealed class Subscription(SiloLifecycle lifecycle, int stage, ILifecycleObserver observer) : IDisposable
        {
            public int Stage => stage;

            public ILifecycleObserver Observer => observer;

            public void Dispose()
            {
                lock (lifecycle._subscriptions) lifecycle._subscriptions.Remove(this);
            }
        }
    }
}
