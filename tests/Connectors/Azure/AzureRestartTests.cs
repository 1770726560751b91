using DarkStorage.Connectors.Guards;
using DarkStorage.Storage;
using DarkStorage.Storage.Backends;

namespace DarkStorage.Connectors.Azure;

/// <summary>A server that dies and comes back: one for each test.</summary>
public sealed class AzureRestartTests : IAsyncLifetime
{
    private readonly AzuriteServer _azurite = new();

    private static CancellationToken Ct => TestContext.Current.CancellationToken;

    public ValueTask InitializeAsync() => _azurite.InitializeAsync();

    public ValueTask DisposeAsync() => _azurite.DisposeAsync();

    [Fact]
    public async Task A_read_goes_on_when_the_server_was_killed_in_its_middle_and_is_back()
    {
        await using var inner = await OpenAsync();
        // Nobody knows how long a start takes.
        await using var backend = new GuardedBackend(inner, "azurite", new() { AttemptsMax = 100, RetryDelayMax = TimeSpan.FromMilliseconds(500), RestAfterAttempts = 1_000 }, TimeProvider.System);
        var (name, source) = (BlobName.Parse("long"), new PatternSource(40L << 20));
        await backend.PutAsync(name, source, Ct);
        await _azurite.StopAsync();
        await _azurite.StartAsync();
        await using var stream = await backend.OpenAsync(name, ByteRange.All(source.Length), Ct);
        var beginning = new byte[1 << 20];
        await stream.ReadExactlyAsync(beginning, Ct);
        await _azurite.KillAsync();
        Assert.Equal(BackendError.Unavailable, (await Assert.ThrowsAsync<BackendException>(() => inner.StatAsync(name, Ct))).Error);
        // What is still on the wire comes, and then what the server says that is not there yet.
        await using var reading = new MemoryStream();
        await reading.WriteAsync(beginning, Ct);
        var rest = stream.CopyToAsync(reading, Ct);
        await _azurite.StartAsync();
        await rest;
        reading.Position = 0;
        await source.AssertSameAsync(reading, Ct);
    }

    [Fact]
    public async Task A_read_from_a_server_that_stays_away_is_an_error_of_a_kind()
    {
        await using var backend = await OpenAsync();
        var (name, source) = (BlobName.Parse("long"), new PatternSource(40L << 20));
        await backend.PutAsync(name, source, Ct);
        await using var stream = await backend.OpenAsync(name, ByteRange.All(source.Length), Ct);
        await stream.ReadExactlyAsync(new byte[1 << 20], Ct);
        await _azurite.KillAsync();
        Assert.Equal(BackendError.Unavailable, (await Assert.ThrowsAsync<BackendException>(() => stream.CopyToAsync(Stream.Null, Ct))).Error);
        Assert.Equal(BackendError.Unavailable, (await Assert.ThrowsAsync<BackendException>(() => backend.PutAsync(name, source, Ct))).Error);
    }

    private async Task<AzureBackend> OpenAsync() => new(AzureClients.WithKey(AzuriteServer.Account, _azurite.Key), new(_azurite.Url, (await _azurite.NewContainerAsync()).Name, "", null), TimeProvider.System);
}
