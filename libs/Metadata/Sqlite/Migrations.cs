namespace DarkStorage.Metadata.Sqlite;

/// <summary>The numbered scripts beside this file. Each runs once, in a transaction of its own, and is never changed after a release.</summary>
internal static class Migrations
{
    /// <summary>Tells this project's databases from others: "DkSt".</summary>
    private const long ApplicationId = 0x446B5374;

    public static void Apply(SqliteConnection connection, string name)
    {
        var scripts = MigrationScripts.Load(nameof(Sqlite));
        var (application, done) = (Read(connection, "PRAGMA application_id"), Read(connection, "PRAGMA user_version"));
        if (application != ApplicationId && (application != 0 || done != 0)) throw new InvalidDataException($"{name} is not an index of DarkStorage.");
        if (done > scripts.Count) throw new InvalidDataException($"{name} has format {done}, written by a newer version of DarkStorage; this one knows formats up to {scripts.Count}.");
        for (var number = (int)done + 1; number <= scripts.Count; number++)
        {
            connection.ExecuteScript($"BEGIN IMMEDIATE; {scripts[number - 1]}; PRAGMA application_id = {ApplicationId}; PRAGMA user_version = {number}; COMMIT;");
        }
    }

    private static long Read(SqliteConnection connection, string pragma)
    {
        var statement = connection.Prepare(pragma);
        statement.Step();
        var value = statement.Long(0);
        statement.Reset();
        return value;
    }
}
