using System.Collections.Concurrent;
using System.Collections.Immutable;
using System.Security.Cryptography;
using DarkStorage.GrainInterfaces.Integrations;
using DarkStorage.GrainInterfaces.Objects;
using DarkStorage.Grains.Integrations;
using DarkStorage.Storage;
using DarkStorage.Storage.Backends;
using DarkStorage.Storage.Secrets;
using DarkStorage.TestKit;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.Logging;
using Microsoft.Extensions.Options;
using Xunit;

namespace DarkStorage.Unit.Grains;

/// <summary>The daily cleaning of a place, which takes as long as it takes and keeps nobody waiting.</summary>
public sealed class IntegrationCleaningTests : IAsyncLifetime
{
    private static readonly CancellationToken Ct = TestContext.Current.CancellationToken;

    private readonly LaterTime _clock = new();
    private readonly Places _places = new();
    private readonly KeptWarnings _warnings = new();
    private GrainHost _host = null!;
    private bool _isStopped;

    private IIntegrationGrain Integration => _host.Grains.GetGrain<IIntegrationGrain>("place");

    public async ValueTask InitializeAsync()
    {
        _host = await GrainHost.StartAsync(services => services
            .AddSingleton<TimeProvider>(_clock)
            .AddSingleton<ISecretBox>(new MasterKeyBox(RandomNumberGenerator.GetBytes(MasterKeyBox.KeyLength)))
            .AddSingleton<IConnectors>(_places)
            .AddSingleton<ILoggerProvider>(_warnings)
            .AddSingleton(Options.Create(new IntegrationOptions { HealthPeriod = TimeSpan.FromMilliseconds(20) })));
        await Integration.AddAsync("shelf", null, ImmutableDictionary<string, string>.Empty.Add("board", "a"), Ct);
    }

    public async ValueTask DisposeAsync()
    {
        if (!_isStopped) await _host.DisposeAsync();
    }

    [Fact]
    public async Task A_cleaning_of_hours_comes_to_its_end_once_and_the_place_is_asked_for_its_health_meanwhile()
    {
        var first = await BegunAsync();
        await SomeHealthAsync();
        // More than a call of the grain may take, and another day: it is not begun beside itself.
        _clock.Later += TimeSpan.FromDays(1);
        await SomeHealthAsync();
        Assert.Equal(1, _places.Cleanings);
        Assert.False(first.Stopped.IsCancellationRequested);
        first.Ends.SetResult();
        await SomeHealthAsync();
        Assert.Equal(1, _places.Cleanings);
        // The next is a day after its end.
        _clock.Later += TimeSpan.FromDays(1);
        (await NextAsync()).Ends.SetResult();
        Assert.Equal(2, _places.Cleanings);
        Assert.Empty(_warnings.All);
    }

    [Fact]
    public async Task A_cleaning_that_fails_is_told_of_and_made_again_a_day_later()
    {
        (await BegunAsync()).Ends.SetException(new BackendException(BackendError.AccessDenied, "Nothing may be deleted here."));
        await Eventually.HoldsAsync("it was told of", () => !_warnings.All.IsEmpty);
        Assert.Equal("The place of the integration place was not cleaned of what crashes may have left: Nothing may be deleted here.", Assert.Single(_warnings.All));
        await SomeHealthAsync();
        Assert.Equal(1, _places.Cleanings);
        Assert.True((await Integration.FindAsync(Ct))!.Health!.IsHealthy);
        _clock.Later += TimeSpan.FromDays(1);
        (await NextAsync()).Ends.SetResult();
    }

    [Fact]
    public async Task A_cleaning_is_stopped_with_its_integration_disabled_and_begun_again_when_it_is_enabled()
    {
        var first = await BegunAsync();
        await Integration.SetEnabledAsync(false, Ct);
        await first.Stopped.WaitAsync();
        await Integration.SetEnabledAsync(true, Ct);
        var second = await NextAsync();
        Assert.False(second.Stopped.IsCancellationRequested);
        await Integration.ChangeAsync(ImmutableDictionary<string, string>.Empty.Add("label", "x"), Ct);
        await second.Stopped.WaitAsync();
        var third = await NextAsync();
        await Integration.RemoveAsync(Ct);
        await third.Stopped.WaitAsync();
        Assert.Empty(_warnings.All);
    }

    [Fact]
    public async Task A_cleaning_ends_with_its_silo()
    {
        var first = await BegunAsync();
        _isStopped = true;
        await _host.DisposeAsync();
        await first.Stopped.WaitAsync();
        Assert.Empty(_warnings.All);
    }

    private Task<Cleaning> BegunAsync()
    {
        _clock.Later += TimeSpan.FromDays(1);
        return NextAsync();
    }

    private async Task<Cleaning> NextAsync()
    {
        Cleaning? begun = null;
        await Eventually.HoldsAsync("a cleaning was begun", () => _places.Begun.TryDequeue(out begun));
        return begun!;
    }

    /// <summary>Some rounds: the last began after whatever was there before this.</summary>
    private async Task SomeHealthAsync()
    {
        var before = _places.Asked;
        await Eventually.HoldsAsync("its health was asked for", () => _places.Asked >= before + 3);
    }

    private sealed class LaterTime : TimeProvider
    {
        public TimeSpan Later { get; set; }

        public override DateTimeOffset GetUtcNow() => base.GetUtcNow() + Later;
    }

    private sealed record Cleaning(CancellationToken Token)
    {
        public TaskCompletionSource Ends { get; } = new(TaskCreationOptions.RunContinuationsAsynchronously);

        public StoppedToken Stopped => new(Token);
    }

    private readonly record struct StoppedToken(CancellationToken Token)
    {
        public bool IsCancellationRequested => Token.IsCancellationRequested;

        public async Task WaitAsync()
        {
            var stopped = new TaskCompletionSource(TaskCreationOptions.RunContinuationsAsynchronously);
            await using var registration = Token.Register(stopped.SetResult);
            await stopped.Task.WaitAsync(Eventually.HangsAfter, Ct);
        }
    }

    private sealed class Places : IConnectors
    {
        private int _asked;
        private int _cleanings;

        public ImmutableArray<ConnectorType> Types { get; } = [new("shelf", "A shelf", "For tests.", [new("board", "It.", IsPlace: true), new("label", "It.")], [])];

        public ConcurrentQueue<Cleaning> Begun { get; } = new();

        public int Asked => Volatile.Read(ref _asked);

        public int Cleanings => Volatile.Read(ref _cleanings);

        public IMeteredBackend Open(string name, string type, IReadOnlyDictionary<string, string> settings, IAccessTokens? tokens = null) => new Place(this);

        private sealed class Place(Places places) : IMeteredBackend
        {
            public BackendTraits Traits => throw new NotSupportedException();

            public BackendUsage TakeUsage() => BackendUsage.None;

            public Task PrepareAsync(CancellationToken ct) => Task.CompletedTask;

            public async Task CleanAsync(CancellationToken ct)
            {
                var cleaning = new Cleaning(ct);
                Interlocked.Increment(ref places._cleanings);
                places.Begun.Enqueue(cleaning);
                await cleaning.Ends.Task.WaitAsync(ct);
            }

            public Task<BackendBlob?> StatAsync(BlobName blob, CancellationToken ct)
            {
                Interlocked.Increment(ref places._asked);
                return Task.FromResult<BackendBlob?>(null);
            }

            public Task<BackendBlob> PutAsync(BlobName blob, BlobSource content, CancellationToken ct) => throw new NotSupportedException();

            public Task<Stream> OpenAsync(BlobName blob, ByteRange range, CancellationToken ct) => throw new NotSupportedException();

            public Task DeleteAsync(BlobName blob, CancellationToken ct) => throw new NotSupportedException();

            public IAsyncEnumerable<BackendBlob> ListAsync(string prefix, CancellationToken ct) => throw new NotSupportedException();

            public Task<BackendBlob> CopyAsync(BlobName from, BlobName to, CancellationToken ct) => throw new NotSupportedException();

            public ValueTask DisposeAsync() => ValueTask.CompletedTask;
        }
    }

    private sealed class KeptWarnings : ILoggerProvider, ILogger
    {
        public ConcurrentQueue<string> All { get; } = new();

        public ILogger CreateLogger(string categoryName) => categoryName == "DarkStorage.Grains.Integrations.IntegrationGrain" ? this : Microsoft.Extensions.Logging.Abstractions.NullLogger.Instance;

        public IDisposable? BeginScope<TState>(TState state)
            where TState : notnull => null;

        public bool IsEnabled(LogLevel logLevel) => true;

        public void Log<TState>(LogLevel logLevel, EventId eventId, TState state, Exception? exception, Func<TState, Exception?, string> formatter) => All.Enqueue(formatter(state, exception));

        public void Dispose()
        {
        }
    }
}
