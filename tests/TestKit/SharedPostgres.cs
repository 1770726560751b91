namespace DarkStorage.TestKit;

/// <summary>The PostgreSQL that all nodes of a test program have their indexes in, each in a database of its own, where <c>DARKSTORAGE_TEST_INDEX=postgres</c> asks for that.</summary>
public static class SharedPostgres
{
    private static readonly Lazy<Task<PostgresServer>> Server = new(async () =>
    {
        var server = await PostgresServer.StartAsync();
        // Nodes of assembly fixtures end late: only the program's end is after all of them.
        AppDomain.CurrentDomain.ProcessExit += (_, _) => server.EndWithProgram();
        return server;
    });

    public static bool IsWanted => Environment.GetEnvironmentVariable("DARKSTORAGE_TEST_INDEX") == "postgres";

    public static async Task<PostgresServer> ServerAsync() => await Server.Value;

    /// <returns>The URL of an empty database.</returns>
    public static async Task<string> NewDatabaseAsync() => await (await Server.Value).NewDatabaseAsync();
}
