using DarkStorage.TestKit;
using DarkStorage.Unit.Metadata;
using Xunit;

[assembly: AssemblyFixture(typeof(PostgresFixture))]

namespace DarkStorage.Unit.Metadata;

/// <summary>One PostgreSQL for all tests of this program, started by the first that asks for it.</summary>
public sealed class PostgresFixture : IAsyncDisposable
{
    private readonly Lazy<Task<PostgresServer>> _server = new(() => PostgresServer.StartAsync());

    public Task<PostgresServer> ServerAsync() => _server.Value;

    public async ValueTask DisposeAsync()
    {
        if (_server.IsValueCreated) await (await _server.Value).DisposeAsync();
    }
}
