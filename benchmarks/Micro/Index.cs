using BenchmarkDotNet.Attributes;
using DarkStorage.GrainInterfaces;
using DarkStorage.GrainInterfaces.Buckets;
using DarkStorage.GrainInterfaces.Objects;
using DarkStorage.Metadata;
using DarkStorage.Metadata.Postgres;
using DarkStorage.Metadata.Sqlite;
using DarkStorage.TestKit;
using Microsoft.Extensions.Logging.Abstractions;

namespace DarkStorage.Micro;

/// <summary>The object index on this machine's disk, with 100,000 objects in a bucket, in either database. Saves are durable: they wait for the disk.</summary>
[MemoryDiagnoser]
public class Index
{
    private const int Objects = 100_000;
    private const int Together = 64;

    private readonly Sink _sink = new();
    private readonly byte[] _content = new byte[1024];
    private readonly string _folder = Directory.CreateTempSubdirectory("darkstorage-micro-").FullName;
    private IMetadataIndex _index = null!;
    private PostgresServer? _server;
    private BucketId _bucket;
    private long _revision;
    private int _next;

    [Params("SQLite", "PostgreSQL")]
    public string Database { get; set; } = "";

    // Waited for here: in its own process BenchmarkDotNet 0.14 does not wait for a task of a setup.
    [GlobalSetup]
    public void Prepare() => PrepareAsync().GetAwaiter().GetResult();

    [GlobalCleanup]
    public void Clean() => CleanAsync().GetAwaiter().GetResult();

    private async Task PrepareAsync()
    {
        if (Database == "SQLite") _index = SqliteIndex.Open(Path.Combine(_folder, "index.db"), NullLogger<SqliteIndex>.Instance);
        else
        {
            _server = await PostgresServer.StartAsync(fsync: true);
            _index = await PostgresIndex.OpenAsync(PostgresUrl.Parse(await _server.NewDatabaseAsync()), new(), TimeProvider.System, NullLogger<PostgresIndex>.Instance, default);
        }
        _bucket = (await _index.CreateBucketAsync("bucket", new("owner", "us-east-1", BucketVersioning.Off, []), Samples.Now, default)).Id;
        foreach (var batch in Enumerable.Range(0, Objects).Chunk(1000))
            await Task.WhenAll(batch.Select(i => _index.SaveObjectAsync(new(_bucket, Key(i), 0, Samples.Inline(1, _content)), default)));
    }

    private async Task CleanAsync()
    {
        await _index.DisposeAsync();
        if (_server is not null) await _server.DisposeAsync();
        Directory.Delete(_folder, recursive: true);
    }

    [Benchmark]
    public async ValueTask<long> Find() => (await _index.FindObjectAsync(_bucket, Key(_next = (_next + 7919) % Objects), default))!.Manifest.Length;

    /// <summary>A page of 1,000 from somewhere amid the bucket.</summary>
    [Benchmark]
    public async ValueTask<int> ListPage()
    {
        _sink.Count = 0;
        _next = (_next + 7919) % (Objects - 1000);
        await _index.ListObjectsAsync(new(_bucket, "", null, Key(_next), 1000), _sink, default);
        return _sink.Count;
    }

    /// <summary>One writer that waits for each of its objects.</summary>
    [Benchmark]
    public Task Save() => SaveNewAsync(Interlocked.Increment(ref _revision));

    /// <summary>One of 64 saves that go at once and share their commits.</summary>
    [Benchmark(OperationsPerInvoke = Together)]
    public Task SaveTogether()
    {
        var saves = new Task[Together];
        for (var i = 0; i < Together; i++) saves[i] = SaveNewAsync(Interlocked.Increment(ref _revision));
        return Task.WhenAll(saves);
    }

    private Task SaveNewAsync(long number) =>
        _index.SaveObjectAsync(new(_bucket, $"saved/{number:D12}", 0, Samples.Inline(number, _content)), default);

    private static string Key(int i) => $"photos/{i / 1000:D4}/{i:D8}.jpg";

    private sealed class Sink : IObjectListingSink
    {
        public int Count { get; set; }

        public void Object(in ListedObject entry) => Count++;

        public void CommonPrefix(ReadOnlySpan<byte> prefix) => Count++;
    }
}
