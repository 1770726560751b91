using System.IO.Pipelines;
using System.Security.Cryptography;
using BenchmarkDotNet.Attributes;
using DarkStorage.GrainInterfaces.Objects;
using DarkStorage.Storage;
using DarkStorage.Storage.Encryption;
using DarkStorage.Storage.Packs;
using Microsoft.Extensions.Logging.Abstractions;

namespace DarkStorage.Micro;

/// <summary>The blob store alone, content of one size, plain against sealed. Writes are durable; reads come from the page cache and go nowhere.</summary>
[MemoryDiagnoser]
public class Sealing
{
    private readonly string _folder = Directory.CreateTempSubdirectory("darkstorage-micro-").FullName;
    private readonly DataKey _key = DataKey.Create();
    private BlobStore _store = null!;
    private byte[] _content = [];
    private Manifest _manifest = null!;

    [Params(64 << 10, 64 << 20)]
    public int Size { get; set; }

    [Params(false, true)]
    public bool IsSealed { get; set; }

    private DataKey? Key => IsSealed ? _key : null;

    [GlobalSetup]
    public void Prepare()
    {
        _store = BlobStore.Open(Path.Combine(_folder, Guid.NewGuid().ToString("N")), new(), TimeProvider.System, NullLogger<BlobStore>.Instance);
        _content = RandomNumberGenerator.GetBytes(Size);
        _manifest = WriteAsync(keep: true).GetAwaiter().GetResult();
    }

    [GlobalCleanup]
    public void Clean()
    {
        _store.DisposeAsync().AsTask().GetAwaiter().GetResult();
        Directory.Delete(_folder, recursive: true);
    }

    [Benchmark]
    public Task Write() => WriteAsync(keep: false);

    [Benchmark]
    public async Task Read()
    {
        await using var read = await _store.OpenAsync(_manifest, ByteRange.All(Size), Key, default);
        await read.CopyToAsync(PipeWriter.Create(Stream.Null, new(minimumBufferSize: 256 << 10)), default);
    }

    private async Task<Manifest> WriteAsync(bool keep)
    {
        await using var write = _store.BeginWrite(new() { ExpectedLength = Size, Key = Key });
        var stored = await write.CopyFromAsync(PipeReader.Create(new MemoryStream(_content), new(bufferSize: 128 << 10)), default);
        if (keep) write.Keep();
        return new(VersionId.Of(stored.Blob), Size, "", null, [new(1, stored.Blob, Size, "", null, stored.Chunks)], []);
    }
}
