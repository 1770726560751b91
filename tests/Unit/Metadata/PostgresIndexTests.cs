using DarkStorage.GrainInterfaces;
using DarkStorage.GrainInterfaces.Buckets;
using DarkStorage.GrainInterfaces.Objects;
using DarkStorage.Metadata;
using DarkStorage.Metadata.Postgres;
using DarkStorage.TestKit;
using Microsoft.Extensions.Logging.Abstractions;
using Xunit;

namespace DarkStorage.Unit.Metadata;

public sealed class PostgresIndexTests(PostgresFixture postgres) : MetadataIndexContract
{
    private PostgresServer _server = null!;
    private string _url = null!;

    protected override async Task<IMetadataIndex> OpenAsync()
    {
        _server = await postgres.ServerAsync();
        _url = await _server.NewDatabaseAsync();
        return await OpenAsync(_url);
    }

    private static async Task<PostgresIndex> OpenAsync(string url, PostgresOptions? options = null, TimeProvider? clock = null) =>
        await PostgresIndex.OpenAsync(PostgresUrl.Parse(url), options ?? new(), clock ?? TimeProvider.System, NullLogger<PostgresIndex>.Instance, TestContext.Current.CancellationToken);
}
