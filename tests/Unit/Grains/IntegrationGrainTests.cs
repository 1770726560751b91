using System.Collections.Immutable;
using DarkStorage.GrainInterfaces.Integrations;
using DarkStorage.GrainInterfaces.Objects;
using DarkStorage.Grains.Integrations;
using DarkStorage.Storage;
using DarkStorage.Storage.Backends;
using DarkStorage.Storage.Secrets;
using DarkStorage.TestKit;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.Options;
using Xunit;

namespace DarkStorage.Unit.Grains;

/// <summary>Which place an integration is, by the id that its place has.</summary>
public sealed class IntegrationGrainTests : IAsyncLifetime
{
    private static readonly CancellationToken Ct = TestContext.Current.CancellationToken;

    private readonly Places _places = new();
    private GrainHost _host = null!;

    public async ValueTask InitializeAsync() => _host = await GrainHost.StartAsync(services => services
        .AddSingleton(TimeProvider.System)
        .AddSingleton<ISecretBox>(new MasterKeyBox(new byte[MasterKeyBox.KeyLength]))
        .AddSingleton<IConnectors>(_places)
        .AddSingleton(Options.Create(new IntegrationOptions { HealthPeriod = TimeSpan.FromDays(1) })));

    public ValueTask DisposeAsync() => _host.DisposeAsync();

    [Fact]
    public async Task The_id_of_a_place_is_kept_stays_when_others_settings_change_and_is_the_new_ones_at_another_place()
    {
        _places.Ids["a"] = "id-of-a";
        _places.Ids["b"] = "id-of-b";
        await Integration.AddAsync("folder", null, Settings(("path", "a")), Ct);
        Assert.Equal("id-of-a", await IdAsync());
        await Integration.ChangeAsync(Settings(("other", "x")), Ct);
        Assert.Equal("id-of-a", await IdAsync());
        await Integration.ChangeAsync(Settings(("path", "b")), Ct);
        Assert.Equal("id-of-b", await IdAsync());
        Assert.Equal(["a ", "a id-of-a", "b "], _places.Opened);
    }

    [Fact]
    public async Task A_place_from_before_gets_its_id_with_its_next_health_and_is_opened_with_it_then()
    {
        await Integration.AddAsync("folder", null, Settings(("path", "a")), Ct);
        Assert.Null(await IdAsync());
        _places.Ids["a"] = "id-of-a";
        await Integration.CheckSoonAsync(Ct);
        await Eventually.HoldsAsync("its id is kept", async () => await IdAsync() == "id-of-a");
        Assert.True((await Integration.FindAsync(Ct))!.Health!.IsHealthy);
        // Its id is told of while it is still being written.
        await Eventually.HoldsAsync("it is opened anew", async () =>
        {
            await Integration.TestAsync(Ct);
            return _places.Opened.Count() == 3;
        });
        Assert.Equal(["a ", "a ", "a id-of-a"], _places.Opened);
    }

    private IIntegrationGrain Integration => _host.Grains.GetGrain<IIntegrationGrain>("nas");

    private async Task<string?> IdAsync() => (await Integration.FindSettingsAsync(Ct))!.Settings.GetValueOrDefault("place-id");

    private static ImmutableDictionary<string, string> Settings(params (string Name, string Value)[] settings) => settings.ToImmutableDictionary(s => s.Name, s => s.Value);

    internal sealed class Places : IConnectors
    {
        private readonly System.Collections.Concurrent.ConcurrentQueue<string> _opened = new();

        public System.Collections.Concurrent.ConcurrentDictionary<string, string> Ids { get; } = new(StringComparer.Ordinal);

        /// <summary>Awaited before a place is ready, by its path.</summary>
        public Func<string, Task> Preparing { get; set; } = static _ => Task.CompletedTask;

        /// <summary>The path and the id of each that was opened.</summary>
        public IEnumerable<string> Opened => _opened;

        public ImmutableArray<ConnectorType> Types { get; } = [new("folder", "A folder", "For tests.", [new("path", "It.", IsPlace: true), new("other", "It.")], []) { HasPlaceId = true }];

        public IMeteredBackend Open(string name, string type, IReadOnlyDictionary<string, string> settings, IAccessTokens? tokens = null)
        {
            _opened.Enqueue($"{settings["path"]} {settings.GetValueOrDefault(ConnectorType.PlaceId)}");
            return new Place(this, settings["path"]);
        }

        private sealed class Place(Places places, string path) : IMeteredBackend
        {
            public BackendTraits Traits => throw new NotSupportedException();

            public BackendUsage TakeUsage() => BackendUsage.None;

            public Task PrepareAsync(CancellationToken ct) => places.Preparing(path);

            public Task<string?> IdentifyAsync(CancellationToken ct) => Task.FromResult(places.Ids.GetValueOrDefault(path));

            public Task<BackendBlob?> StatAsync(BlobName name, CancellationToken ct) => Task.FromResult<BackendBlob?>(null);

            public Task<BackendBlob> PutAsync(BlobName name, BlobSource content, CancellationToken ct) => Task.FromException<BackendBlob>(new BackendException(BackendError.Full, "It is full."));

            public Task<Stream> OpenAsync(BlobName name, ByteRange range, CancellationToken ct) => throw new NotSupportedException();

            public Task DeleteAsync(BlobName name, CancellationToken ct) => Task.CompletedTask;

            public IAsyncEnumerable<BackendBlob> ListAsync(string prefix, CancellationToken ct) => throw new NotSupportedException();

            public Task<BackendBlob> CopyAsync(BlobName from, BlobName to, CancellationToken ct) => throw new NotSupportedException();

            public ValueTask DisposeAsync() => ValueTask.CompletedTask;
        }
    }
}
