using System.Buffers.Binary;
using System.Globalization;
using System.Net;
using System.Net.Security;
using System.Net.Sockets;
using DarkStorage.GrainInterfaces;
using DarkStorage.GrainInterfaces.Cluster;
using DarkStorage.GrainInterfaces.Objects;
using DarkStorage.Storage;
using DarkStorage.Storage.Chunks;
using DarkStorage.Storage.Packs;
using DarkStorage.Storage.Peers;
using DarkStorage.TestKit;
using Microsoft.Extensions.Logging.Abstractions;
using Xunit;

namespace DarkStorage.Unit.Storage.Peers;

/// <summary>Chunks over the private port: what it does for a peer, and what it does not do for anybody else.</summary>
public sealed class PeerStoreTests : IAsyncLifetime
{
    private readonly ClusterIdentity _identity = ClusterIdentity.FromSecret(PeerNode.Secret);
    private PeerNode _node = null!;
    private PeerStore _peer = null!;

    public ValueTask InitializeAsync()
    {
        _node = new(_identity);
        _peer = _node.Client();
        return ValueTask.CompletedTask;
    }

    public async ValueTask DisposeAsync()
    {
        await _peer.DisposeAsync();
        await _node.DisposeAsync();
        _identity.Dispose();
    }

    private static BlobId NewBlob() => BlobId.New(TimeProvider.System, 7, Redundancy.Default);

    [Theory, InlineData(1), InlineData(5_000), InlineData(65_536), InlineData(65_537), InlineData(300_001), InlineData(3_000_000)]
    public async Task A_chunk_is_appended_and_read_back_whole_and_by_range(int length)
    {
        var blob = NewBlob();
        var content = BlobStoreSteps.Bytes(length, length);
        await _peer.AppendAsync(blob, 3, content);
        Assert.Equal(content, await _peer.ReadChunkAsync(blob, 3, length));
        Assert.Equal(content, await _node.Packs.ReadChunkAsync(blob, 3, length));
        for (var from = 0; from < length; from += 65_536 * 3)
        {
            var end = Math.Min(length, from + 65_536);
            Assert.Equal(content[from..end], await _peer.ReadChunkAsync(blob, 3, length, from, end));
        }
        Assert.Equal([new StoredChunk(3, length)], await _peer.ListChunksAsync(blob, 0, 10, CancellationToken.None));
        Assert.Empty(await _peer.ListChunksAsync(blob, 4, 10, CancellationToken.None));
    }

    [Fact]
    public async Task Blobs_are_listed_and_deleted_as_on_the_drive_itself()
    {
        var blobs = Enumerable.Range(0, 5).Select(_ => NewBlob()).Order().ToList();
        foreach (var blob in blobs) await _peer.AppendAsync(blob, 0, BlobStoreSteps.Bytes(1, 5000));
        var later = DateTimeOffset.UtcNow.AddMinutes(1);
        Assert.Equal(blobs[1..3], await _peer.ListBlobsAsync(blobs[0], later, 2, CancellationToken.None));
        await _peer.DeleteAsync(blobs[0], CancellationToken.None);
        await _peer.DeleteAsync(blobs[0], CancellationToken.None);
        Assert.Equal(blobs[1..], await _peer.ListBlobsAsync(default, later, 10, CancellationToken.None));
        Assert.Equal(4, _node.Packs.GetStatistics().Blobs);
    }

    [Fact]
    public async Task A_blob_that_a_peer_writes_is_not_listed_until_the_write_or_its_connection_ends()
    {
        var blob = NewBlob();
        using var memory = new ChunkMemory(8 << 20, 4 << 20);
        using var chunk = ChunkSteps.Chunk(memory, BlobStoreSteps.Bytes(1, 5000));
        var write = _peer.BeginWrite(blob);
        await write.Submit(chunk, 0, sync: true, isLarge: false);
        var later = DateTimeOffset.UtcNow.AddMinutes(1);
        Assert.Empty(_node.Packs.ListBlobs(default, later, 10));
        await write.DisposeAsync();
        Assert.Equal([blob], _node.Packs.ListBlobs(default, later, 10));
    }

    [Fact]
    public async Task A_blob_that_is_being_written_is_not_freed_at_the_word_of_another_node()
    {
        var blob = NewBlob();
        using var memory = new ChunkMemory(8 << 20, 4 << 20);
        var content = BlobStoreSteps.Bytes(1, 5000);
        using var chunk = ChunkSteps.Chunk(memory, content);
        var write = _peer.BeginWrite(blob);
        await write.Submit(chunk, 0, sync: true, isLarge: false);
        await using var other = _node.Client();
        Assert.Equal(StorageError.Unavailable, await ErrorOf(() => other.DeleteAsync(blob, CancellationToken.None).AsTask()));
        Assert.Equal(content, await other.ReadChunkAsync(blob, 0, content.Length));
        await write.FreeAsync();        // its own writer may
        await Eventually.HoldsAsync("the node has heard that nobody reads it any more", () => _node.Packs.GetStatistics().Chunks == 0);
    }

    [Fact]
    public async Task What_is_missing_or_damaged_is_said_and_the_connection_serves_on()
    {
        var blob = NewBlob();
        await _peer.AppendAsync(blob, 0, BlobStoreSteps.Bytes(1, 200_000));
        Assert.Equal(StorageError.NoSuchKey, await ErrorOf(() => _peer.ReadChunkAsync(blob, 1, 200_000)));
        _node.Disk.FlipBit(_node.Disk.Packs[0], 8192 + 100_000);
        Assert.Equal(StorageError.DataDamaged, await ErrorOf(() => _peer.ReadChunkAsync(blob, 0, 200_000)));
        Assert.Single(_node.Packs.Damaged);
        await _peer.PingAsync(CancellationToken.None);
        Assert.Equal(1, _peer.Idle);
    }

    [Fact]
    public async Task A_chunk_that_is_there_already_is_replaced_by_the_one_that_comes()
    {
        var blob = NewBlob();
        var content = BlobStoreSteps.Bytes(1, 200_000);
        await _peer.AppendAsync(blob, 0, content);
        _node.Disk.FlipBit(_node.Disk.Packs[0], 8192 + 100_000);
        Assert.Equal(StorageError.DataDamaged, await ErrorOf(() => _peer.ReadChunkAsync(blob, 0, content.Length)));
        await _peer.AppendAsync(blob, 0, content);
        Assert.Equal(content, await _peer.ReadChunkAsync(blob, 0, content.Length));
        Assert.Empty(_node.Packs.Damaged);
        Assert.Equal(1, _node.Packs.GetStatistics().Chunks);
    }

    [Fact]
    public async Task A_mended_chunk_stays_mended_though_a_loss_of_power_brings_the_damaged_one_back()
    {
        for (var seed = 0; seed < 30; seed++)
        {
            await using var node = new PeerNode(_identity, new(new Random(seed)));
            using var memory = new ChunkMemory(8 << 20, 4 << 20);
            var (first, blob) = (NewBlob(), NewBlob());
            var content = BlobStoreSteps.Bytes(seed, 5000);
            await AppendAsync(node, memory, first, content, isLarge: true);      // makes the older pack
            await AppendAsync(node, memory, blob, content, isLarge: false);      // and this the younger
            await AppendAsync(node, memory, NewBlob(), content, isLarge: false); // says that what is before it was durable
            node.Disk.FlipBit(node.Disk.Packs[^1], 8192 + 1000);
            await AppendAsync(node, memory, blob, content, isLarge: true);
            await node.LosePowerAsync();
            var read = await node.Packs.ReadChunkAsync(blob, 0, content.Length).ContinueWith(static done => done.IsCompletedSuccessfully ? done.Result : [], TaskScheduler.Default);
            Assert.True(content.AsSpan().SequenceEqual(read), $"Seed {seed}");
        }
    }

    private static async Task AppendAsync(PeerNode node, ChunkMemory memory, BlobId blob, byte[] content, bool isLarge)
    {
        using var chunk = ChunkSteps.Chunk(memory, content);
        var write = node.Packs.BeginWrite(blob);
        await write.Submit(chunk, 0, sync: true, isLarge);
        await write.CompleteAsync();
        await write.DisposeAsync();
    }

    [Fact]
    public async Task A_full_drive_and_a_failed_sync_are_said_as_they_are()
    {
        _node.Disk.Capacity = 1;
        Assert.Equal(StorageError.InsufficientStorage, await ErrorOf(() => _peer.AppendAsync(NewBlob(), 0, BlobStoreSteps.Bytes(1, 5000))));
        _node.Disk.Capacity = long.MaxValue;
        await _peer.AppendAsync(NewBlob(), 0, BlobStoreSteps.Bytes(1, 5000));
        _node.Disk.FailSyncs = 1;
        Assert.Equal(StorageError.Unavailable, await ErrorOf(() => _peer.AppendAsync(NewBlob(), 0, BlobStoreSteps.Bytes(1, 5000))));
    }

    [Fact]
    public async Task A_node_of_another_cluster_another_store_or_another_secret_is_refused_with_one_sentence()
    {
        await using var otherCluster = new PeerStore(_node.Id, _node.EndPoint, Guid.NewGuid(), _identity, PeerNode.Limits, TimeProvider.System);
        var e = await Assert.ThrowsAsync<StorageException>(() => otherCluster.PingAsync(CancellationToken.None));
        Assert.Contains("not of one cluster", e.Message, StringComparison.Ordinal);
        await using var otherStore = new PeerStore(Guid.NewGuid(), _node.EndPoint, PeerNode.Cluster, _identity, PeerNode.Limits, TimeProvider.System);
        e = await Assert.ThrowsAsync<StorageException>(() => otherStore.PingAsync(CancellationToken.None));
        Assert.Contains("its data directory is another one's", e.Message, StringComparison.Ordinal);
        using var otherIdentity = ClusterIdentity.FromSecret(PeerNode.Secret + "!");
        await using var otherSecret = new PeerStore(_node.Id, _node.EndPoint, PeerNode.Cluster, otherIdentity, PeerNode.Limits, TimeProvider.System);
        e = await Assert.ThrowsAsync<StorageException>(() => otherSecret.PingAsync(CancellationToken.None));
        Assert.Equal(StorageError.Unavailable, e.Error);
        Assert.Contains("secret", e.Message, StringComparison.Ordinal);
        Assert.DoesNotContain(PeerNode.Secret, e.ToString(), StringComparison.Ordinal);
    }

    [Theory, InlineData(true), InlineData(false)]
    public async Task The_node_itself_refuses_a_caller_of_another_cluster_or_for_another_store(bool isOfTheCluster)
    {
        using var socket = new TcpClient();
        await socket.ConnectAsync(_node.EndPoint);
        await using var stream = new SslStream(socket.GetStream());
        await stream.AuthenticateAsClientAsync(_identity.ClientOptions());
        var greeting = new byte[PeerProtocol.GreetingBytes];
        new PeerProtocol.Greeting(1, 1, isOfTheCluster ? PeerNode.Cluster : Guid.NewGuid(), isOfTheCluster ? Guid.NewGuid() : _node.Id).Write(greeting);
        await stream.WriteAsync(greeting);
        await stream.ReadExactlyAsync(greeting);
        Assert.True(PeerProtocol.Greeting.TryRead(greeting, out var answer));
        Assert.Equal(0, answer.Low);
        await stream.ReadExactlyAsync(new byte[answer.High]);
        Assert.Equal(0, await stream.ReadAsync(greeting));
    }

    [Fact]
    public async Task A_caller_that_takes_any_server_but_has_no_certificate_or_another_one_reads_not_one_byte()
    {
        using var other = ClusterIdentity.FromSecret(new string('x', 40));
        foreach (var options in (SslClientAuthenticationOptions[])[
            new() { TargetHost = "x", RemoteCertificateValidationCallback = static (_, theirs, _, _) => theirs is not null },
            new() { TargetHost = "x", RemoteCertificateValidationCallback = static (_, theirs, _, _) => theirs is not null, ClientCertificates = [other.Certificate] }])
        {
            using var socket = new TcpClient();
            await socket.ConnectAsync(_node.EndPoint);
            await using var stream = new SslStream(socket.GetStream());
            var buffer = new byte[100];
            await Assert.ThrowsAnyAsync<Exception>(async () =>
            {
                await stream.AuthenticateAsClientAsync(options);
                new PeerProtocol.Greeting(1, 1, PeerNode.Cluster, _node.Id).Write(buffer);
                await stream.WriteAsync(buffer.AsMemory(0, PeerProtocol.GreetingBytes));
                await stream.ReadExactlyAsync(buffer.AsMemory(0, 1));
            });
        }
    }

    [Fact]
    public async Task Noise_on_the_port_is_hung_up_on_and_peers_are_served_on()
    {
        var random = new Random(5);
        for (var i = 0; i < 20; i++)
        {
            using var socket = new TcpClient();
            await socket.ConnectAsync(_node.EndPoint);
            var noise = new byte[random.Next(1, 4000)];
            random.NextBytes(noise);
            var stream = socket.GetStream();
            try
            {
                await stream.WriteAsync(noise);
                socket.Client.Shutdown(SocketShutdown.Send);
                while (await stream.ReadAsync(noise) > 0) { }     // at most an alert of TLS
            }
            catch (Exception e) when (e is IOException or SocketException)
            {
            }
        }
        await _peer.PingAsync(CancellationToken.None);
    }

    [Fact]
    public async Task A_peer_that_does_not_keep_to_the_protocol_is_hung_up_on_and_nothing_is_stored()
    {
        var random = new Random(6);
        for (var i = 0; i < 60; i++)
        {
            using var channel = await ConnectAsync();
            var body = new byte[random.Next(0, 64)];
            random.NextBytes(body);
            var kind = (PeerMessageKind)random.Next(0, 10);
            try
            {
                body.CopyTo(channel.Body(body.Length));
                await channel.SendAsync(kind, random.Next(2) == 0, body.Length, new byte[random.Next(3) * 100]);
                if (kind == PeerMessageKind.End) continue;      // need not be answered
                await channel.ReceiveAsync(PeerProtocol.AnswerBodyMax);
            }
            catch (IOException)
            {
            }
        }
        await _peer.PingAsync(CancellationToken.None);
        Assert.Equal(0, _node.Packs.GetStatistics().Chunks);
    }

    [Fact]
    public async Task A_chunk_that_does_not_match_the_checksums_it_came_with_is_not_stored()
    {
        var content = BlobStoreSteps.Bytes(1, 100_000);
        using var memory = new ChunkMemory(8 << 20, 4 << 20);
        using var chunk = ChunkSteps.Chunk(memory, content);
        var table = chunk.Table.ToArray();
        table[5] ^= 1;
        using var channel = await ConnectAsync();
        var blob = NewBlob();
        WriteAppend(channel, blob, table);
        await channel.SendAsync(PeerMessageKind.Append, true, 20 + table.Length, chunk);
        var answer = await channel.ReceiveAsync(PeerProtocol.AnswerBodyMax);
        Assert.Equal(PeerMessageKind.Error, answer.Kind);
        Assert.Equal(StorageError.ChecksumMismatch, PeerProtocol.ErrorOf(BinaryPrimitives.ReadUInt16LittleEndian(answer.Body.Span)));
        Assert.Equal(0, _node.Packs.GetStatistics().Chunks);
        Assert.Equal(0, _node.Packs.GetStatistics().WriteMemoryBytes);
    }

    [Theory, InlineData(false), InlineData(true)]
    public async Task What_a_peer_sends_is_handed_on_only_where_it_matches_the_checksums_it_came_with(bool isRight)
    {
        using var listener = new Socket(SocketType.Stream, ProtocolType.Tcp);
        listener.Bind(new IPEndPoint(IPAddress.Loopback, 0));
        listener.Listen();
        var content = BlobStoreSteps.Bytes(1, 100_000);
        using var memory = new ChunkMemory(8 << 20, 4 << 20);
        using var chunk = ChunkSteps.Chunk(memory, content);
        await using var peer = new PeerStore(_node.Id, listener.LocalEndPoint!, PeerNode.Cluster, _identity, PeerNode.Limits, TimeProvider.System);
        var reading = peer.ReadChunkAsync(NewBlob(), 0, content.Length);
        using var channel = await PeerChannel.AcceptAsync(
            await listener.AcceptAsync(), PeerNode.Cluster, _node.Id, _identity, PeerNode.Limits, TimeProvider.System, (1, 1), static _ => { }, CancellationToken.None);
        Assert.Equal(PeerMessageKind.Read, (await channel!.ReceiveAsync(PeerProtocol.RequestBodyMax)).Kind);
        var sent = content.ToArray();
        if (!isRight) sent[70_000] ^= 1;
        WriteData(channel, chunk.Table.ToArray());
        await channel.SendAsync(PeerMessageKind.Data, true, 4 + chunk.Table.Length, sent);
        if (isRight) Assert.Equal(content, await reading);
        else Assert.Equal(StorageError.ChecksumMismatch, await ErrorOf(() => reading));
    }

    [Theory, InlineData(1, 1, 1, 2, 1), InlineData(1, 2, 1, 1, 1), InlineData(1, 2, 2, 3, 2), InlineData(1, 1, 2, 3, 0), InlineData(4, 5, 1, 3, 0)]
    public void Two_adjacent_versions_speak_the_older_one(ushort lowA, ushort highA, ushort lowB, ushort highB, ushort agreed) =>
        Assert.Equal(agreed, PeerProtocol.Agree(lowA, highA, lowB, highB));

    [Fact]
    public async Task A_newer_node_and_an_older_one_talk_and_strangers_by_two_versions_do_not()
    {
        await using var newer = PeerServer.Start(new(IPAddress.Loopback, 0), _node.Packs, PeerNode.Cluster, _identity, PeerNode.Limits, TimeProvider.System, NullLogger.Instance, (1, 2));
        await using var older = new PeerStore(_node.Id, newer.EndPoint, PeerNode.Cluster, _identity, PeerNode.Limits, TimeProvider.System, (1, 1));
        await older.PingAsync(CancellationToken.None);
        await using var newest = PeerServer.Start(new(IPAddress.Loopback, 0), _node.Packs, PeerNode.Cluster, _identity, PeerNode.Limits, TimeProvider.System, NullLogger.Instance, (2, 3));
        await using var oldest = new PeerStore(_node.Id, newest.EndPoint, PeerNode.Cluster, _identity, PeerNode.Limits, TimeProvider.System, (1, 1));
        var e = await Assert.ThrowsAsync<StorageException>(() => oldest.PingAsync(CancellationToken.None));
        Assert.Contains("update the older one", e.Message, StringComparison.Ordinal);
    }

    [Fact]
    public async Task A_cancelled_exchange_ends_at_once_and_takes_no_connection_with_it()
    {
        using var cancel = new CancellationTokenSource();
        var held = new TaskCompletionSource();
        var release = new ManualResetEventSlim();
        _node.Disk.BeforeSync = () =>
        {
            held.TrySetResult();
            release.Wait();
        };
        using var memory = new ChunkMemory(8 << 20, 4 << 20);
        using var chunk = ChunkSteps.Chunk(memory, BlobStoreSteps.Bytes(1, 5000));
        var write = _peer.BeginWrite(NewBlob());
        var done = write.Submit(chunk, 0, sync: true, isLarge: false);
        await held.Task;
        write.Abort();
        Assert.Equal(StorageError.Unavailable, await ErrorOf(() => done));
        _node.Disk.BeforeSync = null;
        release.Set();
        await write.DisposeAsync();
        await _peer.PingAsync(CancellationToken.None);
        await cancel.CancelAsync();
        await Assert.ThrowsAnyAsync<OperationCanceledException>(() => _peer.PingAsync(cancel.Token));
        await _peer.PingAsync(CancellationToken.None);
    }

    [Theory, InlineData("00:05:00"), InlineData("00:00:00.500")]
    public async Task A_reader_that_pauses_for_longer_than_a_step_reads_on_and_calls_nobody_slow(string patience)
    {
        // The longer patience keeps the connection; after the shorter one the reader makes another, from where he is.
        var limits = PeerNode.Limits with { StepTimeout = TimeSpan.FromMilliseconds(500), ReaderPatience = TimeSpan.Parse(patience, CultureInfo.InvariantCulture) };
        await using var node = new PeerNode(_identity, options: new() { PackBytes = 64 << 20, ReservedBytes = 0, WriteMemoryBytesMax = 64 << 20 }, limits: limits);
        await using var peer = node.Client();
        var (blob, content) = (NewBlob(), BlobStoreSteps.Bytes(1, 24 << 20));       // more than the system's buffers take
        await node.Packs.AppendAsync(blob, 0, content);
        await using var reader = peer.BeginRead(blob);
        reader.Open(blob, 0, content.Length, content.Length);
        var read = new byte[content.Length];
        for (var done = 0; done < read.Length;)
        {
            var got = reader.Read(done / PackFormat.Block, read.AsSpan(done), mayBlock: true, verify: true);
            if (got < 0) await reader.FetchAsync(CancellationToken.None);
            else done += got;
            if (done == 256 << 10 && got > 0) await Task.Delay(limits.StepTimeout * 5);     // it is the pause that is tested: if it were shorter the test would still hold
        }
        Assert.Equal(content, read);
        Assert.False(peer.IsSuspect);
    }

    [Fact]
    public async Task A_store_that_was_disposed_ends_what_is_under_way_and_begins_nothing()
    {
        var blob = NewBlob();
        var content = BlobStoreSteps.Bytes(1, 1_000_000);
        await _peer.AppendAsync(blob, 0, content);
        await using (var reader = _peer.BeginRead(blob))
        {
            reader.Open(blob, 0, content.Length, content.Length);
            _ = reader.Read(0, default, mayBlock: false, verify: true);
            await reader.FetchAsync(CancellationToken.None);
            await _peer.DisposeAsync();
            var read = new byte[content.Length];
            for (var done = 0; done < read.Length;)
            {
                var got = reader.Read(done / PackFormat.Block, read.AsSpan(done), mayBlock: true, verify: true);
                if (got < 0) await reader.FetchAsync(CancellationToken.None);
                else done += got;
            }
            Assert.Equal(content, read);
        }
        Assert.Equal(StorageError.Unavailable, await ErrorOf(() => _peer.PingAsync(CancellationToken.None)));
        Assert.Equal(0, _peer.Idle);
    }

    [Fact]
    public async Task An_append_that_fails_while_the_next_waits_for_room_takes_no_room_with_it()
    {
        await using var node = new PeerNode(_identity, limits: PeerNode.Limits with { ReceiveBytesMax = 200 << 10 });
        using var memory = new ChunkMemory(8 << 20, 4 << 20);
        using var chunk = ChunkSteps.Chunk(memory, BlobStoreSteps.Bytes(1, 128 << 10));
        for (var round = 0; round < 10; round++)
        {
            using var release = new ManualResetEventSlim();
            node.Disk.BeforeSync = release.Wait;        // of the new pack that the append needs
            node.Disk.FailSyncs = 1;
            using var channel = await ConnectAsync(node);
            var blob = NewBlob();
            for (var index = 0; index < 2; index++)
            {
                WriteAppend(channel, blob, chunk.Table, index);
                await channel.SendAsync(PeerMessageKind.Append, false, 20 + chunk.Table.Length, chunk);
            }
            await WaitsForRoomAsync(node.Server!.Receiving);
            release.Set();
            for (var answer = 0; answer < 2; answer++) Assert.Equal(PeerMessageKind.Error, (await channel.ReceiveAsync(PeerProtocol.AnswerBodyMax)).Kind);
            Assert.Equal(0, node.Server.Receiving.Used);
        }
        node.Disk.BeforeSync = null;
        await using var peer = node.Client();
        await peer.AppendAsync(NewBlob(), 0, BlobStoreSteps.Bytes(1, 128 << 10)).WaitAsync(Eventually.HangsAfter);
    }

    [Fact]
    public async Task A_node_that_stops_waits_for_nobody_who_waits_for_room()
    {
        using var memory = new ChunkMemory(8 << 20, 4 << 20);
        using var chunk = ChunkSteps.Chunk(memory, BlobStoreSteps.Bytes(1, 128 << 10));
        var receiving = _node.Server!.Receiving;
        await receiving.TakeAsync(PeerNode.Limits.ReceiveBytesMax - 10, CancellationToken.None);
        using var channel = await ConnectAsync(_node);
        WriteAppend(channel, NewBlob(), chunk.Table);
        await channel.SendAsync(PeerMessageKind.Append, false, 20 + chunk.Table.Length, chunk);
        await WaitsForRoomAsync(receiving);
        await _node.StopAsync().WaitAsync(Eventually.HangsAfter);
        receiving.Return(PeerNode.Limits.ReceiveBytesMax - 10);
        Assert.Equal(0, receiving.Used);
    }

    /// <summary>Who waits goes first: others get nothing meanwhile, however little they want.</summary>
    private static Task WaitsForRoomAsync(ByteBudget room) => Eventually.HoldsAsync("a chunk waits for room", () =>
    {
        if (!room.TryTake(1)) return true;
        room.Return(1);
        return false;
    });

    private Task<PeerChannel> ConnectAsync() => ConnectAsync(_node);

    private Task<PeerChannel> ConnectAsync(PeerNode node) =>
        PeerChannel.ConnectAsync(node.EndPoint, PeerNode.Cluster, node.Id, _identity, PeerNode.Limits, TimeProvider.System, (1, 1), CancellationToken.None);

    private static void WriteAppend(PeerChannel channel, BlobId blob, ReadOnlySpan<byte> table, int index = 0)
    {
        var body = channel.Body(20 + table.Length);
        blob.Write(body);
        BinaryPrimitives.WriteInt32LittleEndian(body[16..], index);
        table.CopyTo(body[20..]);
    }

    private static void WriteData(PeerChannel channel, byte[] table)
    {
        var body = channel.Body(4 + table.Length);
        BinaryPrimitives.WriteInt32LittleEndian(body, 0);
        table.CopyTo(body[4..]);
    }

    private static async Task<StorageError> ErrorOf(Func<Task> work) => (await Assert.ThrowsAsync<StorageException>(work)).Error;
}
