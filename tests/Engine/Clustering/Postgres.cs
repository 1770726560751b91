#if EMBEDDED_ENGINE
using DarkStorage.TestKit;

[assembly: AssemblyFixture(typeof(DarkStorage.Engine.Tests.Postgres))]

namespace DarkStorage.Engine.Tests;

/// <summary>Tests that start many silos, or processes: after the others and one after the other, so that none is late because of them.</summary>
[CollectionDefinition(Name, DisableParallelization = true)]
public sealed class ClusterTests
{
    public const string Name = "clusters";
}

/// <summary>The PostgreSQL of the tests that want one: started by the first, stopped after the last.</summary>
public sealed class Postgres : IAsyncDisposable
{
    private static readonly Lazy<Task<PostgresServer>> Started = new(() => PostgresServer.StartAsync());

    private readonly PostgresServer? _server;

    /// <summary>The runner's, whose end is the end of the server that the tests used, if any did.</summary>
    public Postgres()
    {
    }

    private Postgres(PostgresServer server) => _server = server;

    public int Port => _server!.Port;

    public string ConnectionString => ConnectionTo("postgres");

    public static async Task<Postgres> GetAsync() => new(await Started.Value);

    public string ConnectionTo(string database, int? port = null) => $"Host=127.0.0.1;Port={port ?? Port};Username=postgres;Database={database}";

    public async Task<string> CreateDatabaseAsync()
    {
        var url = await _server!.NewDatabaseAsync();
        return ConnectionTo(url[(url.LastIndexOf('/') + 1)..]);
    }

    public async ValueTask DisposeAsync()
    {
        if (_server is null && Started.IsValueCreated) await (await Started.Value).DisposeAsync();
    }
}
#endif
