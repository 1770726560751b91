using System.Collections.Immutable;
using System.Text.Json;
using DarkStorage.GrainInterfaces;
using DarkStorage.GrainInterfaces.Integrations;
using DarkStorage.GrainInterfaces.Objects;
using DarkStorage.Grains.Integrations;
using DarkStorage.Metadata;
using DarkStorage.Storage.Backends;
using DarkStorage.Storage.Secrets;
using DarkStorage.TestKit;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.Options;
using Xunit;

namespace DarkStorage.Unit.Grains;

/// <summary>Two activations of an integration for a moment, here and there, over one index: there it leaves its place, and here movers ask for it, who have entered before what they are about to put.</summary>
public sealed class IntegrationLeavingTests : IAsyncLifetime
{
    private static readonly CancellationToken Ct = TestContext.Current.CancellationToken;

    private static readonly ImmutableDictionary<string, string> ToB = ImmutableDictionary<string, string>.Empty.Add("path", "b");

    private readonly IntegrationGrainTests.Places _places = new();
    private readonly Gate _gate = new();
    private GrainHost _here = null!;
    private GrainHost _there = null!;

    public async ValueTask InitializeAsync()
    {
        _here = await GrainHost.StartAsync(Configure);
        _there = await GrainHost.StartAsync(Configure, other: _here);
        await Here.AddAsync("folder", null, ImmutableDictionary<string, string>.Empty.Add("path", "a"), Ct);

        void Configure(IServiceCollection services) => services
            .AddSingleton<ISecretBox>(new MasterKeyBox(new byte[MasterKeyBox.KeyLength]))
            .AddSingleton<IConnectors>(_places)
            .AddSingleton(Options.Create(new IntegrationOptions { HealthPeriod = TimeSpan.FromDays(1) }));
    }

    public async ValueTask DisposeAsync()
    {
        _gate.Open();
        await _there.DisposeAsync();
        await _here.DisposeAsync();
    }

    [Theory, InlineData(false), InlineData(true)]
    public async Task While_there_a_place_is_left_nobody_gets_it_here(bool isForGood)
    {
        var leaving = await BeginToLeaveAsync(isForGood);
        var blob = await EnterAsync();
        await RequireRefusedAsync();
        Assert.False((await There.FindSettingsForWritingAsync(Ct))!.IsEnabled);
        await _here.Index.ForgetGarbageAsync([blob], Ct);
        _gate.Open();
        await leaving;
        if (isForGood)
        {
            Assert.Null(await Here.FindSettingsForWritingAsync(Ct));
            return;
        }
        await RequireGivenAsync(There, "b");
        await RequireGivenAsync(Here, "b");
    }

    /// <remarks>As if that silo were frozen: the grain was woken here anew, and finds what it wrote.</remarks>
    [Theory, InlineData(false), InlineData(true)]
    public async Task A_place_that_is_given_out_here_after_there_it_was_looked_at_is_not_left(bool isForGood)
    {
        var leaving = await BeginToLeaveAsync(isForGood);
        await EnterAsync();
        await RequireRefusedAsync();
        await RequireGivenAsync(Here, "a");
        _gate.Open();
        Assert.Equal(StorageError.Conflict, (await Assert.ThrowsAsync<StorageException>(() => leaving)).Error);
        await RequireGivenAsync(Here, "a");
        await RequireGivenAsync(There, "a");
    }

    [Fact]
    public async Task A_place_that_was_given_out_here_is_not_left_there_and_is_given_out_again()
    {
        var blob = await EnterAsync();
        await RequireGivenAsync(Here, "a");
        Assert.Equal(StorageError.Conflict, (await Assert.ThrowsAsync<StorageException>(() => There.ChangeAsync(ToB, Ct))).Error);
        Assert.Equal(StorageError.Conflict, (await Assert.ThrowsAsync<StorageException>(() => There.RemoveAsync(Ct))).Error);
        Assert.False(await IsLeavingAsync());
        await RequireGivenAsync(There, "a");
        await RequireRefusedAsync();
        await RequireGivenAsync(Here, "a");
        await _here.Index.ForgetGarbageAsync([blob], Ct);
        Assert.True(await There.RemoveAsync(Ct));
    }

    [Fact]
    public async Task A_change_that_could_not_be_kept_is_kept_by_nothing_else_and_the_place_is_given_out_again()
    {
        Task<IntegrationSettings?>? asked = null;
        _there.WriteRefused = () =>
        {
            _there.RefusesWrites = false;
            // What is remembered now was never kept.
            asked = There.FindSettingsForWritingAsync(Ct);
        };
        _places.Preparing = path =>
        {
            // The one write that comes now.
            _there.RefusesWrites = path == "b";
            return Task.CompletedTask;
        };
        Assert.NotNull(await Record.ExceptionAsync(() => There.ChangeAsync(ToB, Ct)));
        Assert.Equal(StorageError.Unavailable, (await Assert.ThrowsAsync<StorageException>(() => asked!)).Error);
        // As one that died leaves it.
        Assert.True(await IsLeavingAsync());
        await RequireGivenAsync(There, "a");
        Assert.False(await IsLeavingAsync());
        await RequireRefusedAsync();
        await RequireGivenAsync(Here, "a");
        _places.Preparing = static _ => Task.CompletedTask;
        await There.ChangeAsync(ToB, Ct);
        await RequireGivenAsync(There, "b");
    }

    private IIntegrationGrain Here => _here.Grains.GetGrain<IIntegrationGrain>("nas");

    private IIntegrationGrain There => _there.Grains.GetGrain<IIntegrationGrain>("nas");

    /// <returns>What is under way there, at the gate: the place was looked at, and nothing is there.</returns>
    /// <param name="isForGood">By a removal, and not by a change.</param>
    private async Task<Task> BeginToLeaveAsync(bool isForGood)
    {
        if (isForGood) _there.After = _ => _gate.PassAsync();
        else _places.Preparing = path => path == "b" ? _gate.PassAsync() : Task.CompletedTask;
        Task leaving = isForGood ? There.RemoveAsync(Ct) : There.ChangeAsync(ToB, Ct);
        await _gate.ReachedAsync(leaving);
        return leaving;
    }

    private async Task<BlobId> EnterAsync()
    {
        var blob = BlobId.New(TimeProvider.System);
        await _here.Index.EnterPlacedBlobAsync(blob, "nas", DateTimeOffset.UtcNow.AddMinutes(5), Ct);
        return blob;
    }

    /// <summary>The activation here knows what was before, and may give nothing out.</summary>
    private async Task RequireRefusedAsync() => Assert.Equal(StorageError.Unavailable, (await Assert.ThrowsAsync<StorageException>(() => Here.FindSettingsForWritingAsync(Ct))).Error);

    /// <summary>A mover who tries again gets the place.</summary>
    private static async Task RequireGivenAsync(IIntegrationGrain integration, string path)
    {
        IntegrationSettings? given = null;
        await Eventually.HoldsAsync("the place is given out", async () =>
        {
            try
            {
                given = await integration.FindSettingsForWritingAsync(Ct);
            }
            catch (StorageException e) when (e.Error is StorageError.Unavailable)
            {
                // It ends, and the next one reads what is kept.
            }
            return given is { IsEnabled: true };
        });
        Assert.Equal(path, given!.Settings["path"]);
    }

    private async Task<bool> IsLeavingAsync()
    {
        var grain = Assert.Single(await _here.Index.ListGrainStatesAsync(IntegrationState.Name, "", 10, Ct));
        return JsonSerializer.Deserialize<IntegrationState>((await _here.Index.ReadGrainStateAsync(IntegrationState.Name, grain, Ct))!.State.AsSpan())!.IsLeaving;
    }

    private sealed class Gate
    {
        private readonly TaskCompletionSource _reached = new(TaskCreationOptions.RunContinuationsAsynchronously);
        private readonly TaskCompletionSource _opened = new(TaskCreationOptions.RunContinuationsAsynchronously);

        public Task PassAsync()
        {
            _reached.TrySetResult();
            return _opened.Task;
        }

        /// <param name="coming">Fails where it ends instead of coming here.</param>
        public async Task ReachedAsync(Task coming)
        {
            if (await Task.WhenAny(_reached.Task, coming).WaitAsync(Eventually.HangsAfter, Ct) == coming) await coming;
            Assert.True(_reached.Task.IsCompleted);
        }

        public void Open() => _opened.TrySetResult();
    }
}
