using System.Buffers;
using System.IO.Pipelines;
using DarkStorage.GrainInterfaces.Objects;
using DarkStorage.Storage;
using DarkStorage.Storage.Encryption;
using DarkStorage.Storage.Packs;
using Xunit;

namespace DarkStorage.Unit.Storage;

/// <summary>What the tests of the blob store do over and over.</summary>
internal static class BlobStoreSteps
{
    public static byte[] Bytes(int seed, int length)
    {
        var bytes = new byte[length];
        new Random(seed).NextBytes(bytes);
        return bytes;
    }

    /// <summary>Writes a content, in pieces of random size where a seed is given, and keeps it.</summary>
    public static async Task<Manifest> PutAsync(this BlobStore store, byte[] content, BlobWriteOptions? options = null, int? pieces = null)
    {
        await using var write = store.BeginWrite(options ?? new() { ExpectedLength = content.Length });
        var stored = await write.CopyFromAsync(Reader(content, pieces), CancellationToken.None);
        write.Keep();
        return ManifestOf(stored);
    }

    public static Manifest ManifestOf(params BlobContent[] parts) => new(
        VersionId.Of(parts[0].Blob),
        parts.Sum(static part => part.Length),
        parts[0].Digests.ETag,
        null,
        parts.Length == 1 && parts[0].Chunks.IsEmpty
            ? []
            : [.. parts.Select(static (part, i) => new ManifestPart(i + 1, part.Blob, part.Length, part.Digests.ETag, null, part.Chunks))],
        parts.Length == 1 ? parts[0].Inline : []);

    public static PipeReader Reader(byte[] content, int? pieces = null)
    {
        if (pieces is not { } seed) return PipeReader.Create(new ReadOnlySequence<byte>(content));
        return PipeReader.Create(new Dribble(content, new Random(seed)), new(bufferSize: 16 << 10));
    }

    public static async Task<byte[]> GetAsync(this BlobStore store, Manifest manifest, ByteRange? range = null, DataKey? key = null)
    {
        await using var read = await store.OpenAsync(manifest, range ?? ByteRange.All(manifest.Length), key, CancellationToken.None);
        using var into = new MemoryStream();
        var writer = PipeWriter.Create(into, new(leaveOpen: true));
        await read.CopyToAsync(writer, CancellationToken.None);
        await writer.CompleteAsync();
        Assert.Equal(read.Length, into.Length);
        return into.ToArray();
    }

    /// <summary>Gives its bytes a few at a time, as a network does.</summary>
    private sealed class Dribble(byte[] content, Random random) : MemoryStream(content)
    {
        public override int Read(Span<byte> buffer) => base.Read(buffer[..Math.Min(buffer.Length, random.Next(1, 20_000))]);

        public override ValueTask<int> ReadAsync(Memory<byte> buffer, CancellationToken cancellationToken = default) => new(Read(buffer.Span));
    }
}

/// <summary>A directory that goes with the test.</summary>
public sealed class ScratchDirectory : IDisposable
{
    public string Path { get; } = Directory.CreateTempSubdirectory("darkstorage-").FullName;

    public string Packs => System.IO.Path.Combine(Path, PackStore.PacksFolder);

    public void Dispose() => Directory.Delete(Path, recursive: true);
}
