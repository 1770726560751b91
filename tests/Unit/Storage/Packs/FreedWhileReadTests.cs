using DarkStorage.GrainInterfaces;
using DarkStorage.GrainInterfaces.Cluster;
using DarkStorage.GrainInterfaces.Objects;
using DarkStorage.Storage;
using DarkStorage.Storage.Chunks;
using DarkStorage.Storage.Encryption;
using DarkStorage.Storage.Packs;
using DarkStorage.Storage.Peers;
using DarkStorage.Unit.Storage.Peers;
using Xunit;

namespace DarkStorage.Unit.Storage.Packs;

/// <summary>A blob that is freed while somebody reads it: he reads on, and for all others it is gone.</summary>
public sealed class FreedWhileReadTests : IAsyncLifetime
{
    private readonly ClusterIdentity _identity = ClusterIdentity.FromSecret(PeerNode.Secret);
    private readonly byte[] _content = BlobStoreSteps.Bytes(1, 100_000);
    private readonly BlobId _blob = BlobId.New(TimeProvider.System, 7, Redundancy.Default);
    private PeerNode _node = null!;

    public ValueTask InitializeAsync()
    {
        _node = new(_identity);
        return ValueTask.CompletedTask;
    }

    public async ValueTask DisposeAsync()
    {
        await _node.DisposeAsync();
        _identity.Dispose();
    }

    [Fact]
    public async Task Its_reader_reads_on_and_nobody_else_is_told_that_it_is_here()
    {
        await _node.Packs.AppendAsync(_blob, 0, _content);
        await using (var reader = _node.Packs.BeginRead(_blob))
        {
            await _node.Packs.DeleteAsync(_blob, CancellationToken.None);
            await IsNotHereAsync();
            Assert.Equal(_content, Read(reader));
        }
        await IsNotHereAsync();
        Assert.Equal(0, _node.Packs.GetStatistics().LiveBytes);
    }

    [Fact]
    public async Task What_a_repair_brings_meanwhile_stays_when_the_reader_leaves()
    {
        await _node.Packs.AppendAsync(_blob, 0, _content);
        var once = _node.Packs.GetStatistics().LiveBytes;
        var reader = _node.Packs.BeginRead(_blob);
        for (var round = 0; round < 3; round++)
        {
            await _node.Packs.DeleteAsync(_blob, CancellationToken.None);
            Assert.Equal(_content, Read(reader));
            await _node.Packs.AppendAsync(_blob, 0, _content);
        }
        await reader.DisposeAsync();
        Assert.Equal([new StoredChunk(0, _content.Length)], await _node.Packs.ListChunksAsync(_blob, 0, 10, CancellationToken.None));
        Assert.Equal(_content, await _node.Packs.ReadChunkAsync(_blob, 0, _content.Length));
        Assert.Equal(once, _node.Packs.GetStatistics().LiveBytes);
    }

    [Fact]
    public async Task A_compaction_of_its_pack_leaves_it_to_its_reader()
    {
        var (other, gone) = (BlobId.New(TimeProvider.System, 7, Redundancy.Default), BlobId.New(TimeProvider.System, 7, Redundancy.Default));
        foreach (var blob in (BlobId[])[_blob, other, gone]) await _node.Packs.AppendAsync(blob, 0, _content);
        await _node.LosePowerAsync();       // ends the pack
        _node.Start();
        var pack = Assert.Single(_node.Disk.Packs);
        await _node.Packs.DeleteAsync(gone, CancellationToken.None);
        await using (var reader = _node.Packs.BeginRead(_blob))
        {
            await _node.Packs.DeleteAsync(_blob, CancellationToken.None);
            var report = await _node.Packs.CompactAsync(new() { LivePercentMax = 90 }, CancellationToken.None);
            Assert.Equal((0, 1), (report.Packs, report.Left));
            Assert.Equal(_content, Read(reader));
        }
        Assert.DoesNotContain(pack, _node.Disk.Packs);
        Assert.Equal(_content, await _node.Packs.ReadChunkAsync(other, 0, _content.Length));
    }

    private async Task IsNotHereAsync()
    {
        Assert.Empty(await _node.Packs.ListChunksAsync(_blob, 0, 10, CancellationToken.None));
        Assert.Empty(_node.Packs.ListBlobs(default, DateTimeOffset.MaxValue, 10));
        Assert.Equal((0, 0), (_node.Packs.GetStatistics().Blobs, _node.Packs.GetStatistics().Chunks));
    }

    private byte[] Read(ChunkReader reader)
    {
        var content = new byte[_content.Length];
        reader.Open(_blob, 0, _content.Length, _content.Length);
        for (var done = 0; done < content.Length;) done += Math.Max(0, reader.Read(done / PackFormat.Block, content.AsSpan(done), mayBlock: true, verify: true));
        reader.Close();
        return content;
    }
}
