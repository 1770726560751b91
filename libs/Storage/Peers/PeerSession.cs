using System.Buffers;
using System.Buffers.Binary;
using System.Text;
using DarkStorage.GrainInterfaces;
using DarkStorage.GrainInterfaces.Objects;
using DarkStorage.Storage.Chunks;
using DarkStorage.Storage.Packs;

namespace DarkStorage.Storage.Peers;

/// <summary>One connection of a peer, on the side of the drive: request after request, each answered in its turn.</summary>
/// <remarks>Invariants: a write and what it pins end with the connection, so a blob whose writer is gone is nobody's secret for longer than that.
/// A connection holds two chunks at most, one that arrives while the other is written. After an append failed no other of the same write is made.</remarks>
internal sealed class PeerSession(PeerServer server, PeerChannel channel) : IAsyncDisposable
{
    private readonly PackStore _store = server.Store;
    private ChunkWrite? _write;
    private BlobId _writing;
    private StorageException? _writeFailure;
    private Task _answering = Task.CompletedTask;       // of the last append
    private Task _answeringBefore = Task.CompletedTask;
    private PackStore.PackReader? _read;
    private BlobId _reading;

    public async Task RunAsync()
    {
        while (true)
        {
            // Amid a write the next chunk may be long in coming, for it comes as fast as a client sends it. That the peer is alive the system sees.
            var message = await channel.ReceiveAsync(PeerProtocol.RequestBodyMax, _write is null && _read is null ? server.Options.IdleTime * 5 : Timeout.InfiniteTimeSpan);
            if (message.Kind != PeerMessageKind.Append)
            {
                await _answering;
                await _answeringBefore;
                if (message.Payload != 0) throw new PeerProtocolException($"A message of kind {message.Kind} has a payload.");
            }
            switch (message.Kind)
            {
                case PeerMessageKind.Append:
                    await AppendAsync(message);
                    break;
                case PeerMessageKind.End:
                    await EndAsync();
                    if (message.Flag) await channel.SendAsync(PeerMessageKind.Done, false, 0);
                    break;
                case PeerMessageKind.Read:
                    await ReadAsync(message.Body);
                    break;
                default:
                    await AnswerAsync(message.Kind, message.Body);
                    break;
            }
        }
    }

    public async ValueTask DisposeAsync()
    {
        await _answeringBefore.ConfigureAwait(ConfigureAwaitOptions.SuppressThrowing);
        await _answering.ConfigureAwait(ConfigureAwaitOptions.SuppressThrowing);
        await EndAsync();
    }

    private async Task EndAsync()
    {
        if (_write is not null)
        {
            await _write.DisposeAsync();
            _store.Memory.EndWrite();
        }
        (_write, _writeFailure) = (null, null);
        if (_read is not null) await _read.DisposeAsync();
        _read = null;
    }

    private async Task AppendAsync(PeerMessage message)
    {
        var body = message.Body.Span;
        var length = message.Payload;
        var blob = body.Length >= 20 ? BlobId.Read(body) : default;
        var index = body.Length >= 20 ? BinaryPrimitives.ReadInt32LittleEndian(body[16..]) : -1;
        if (length < 1 || index is < 0 or > LocationTable.IndexMax || body.Length != 20 + sizeof(uint) * PackFormat.Blocks(length))
            throw new PeerProtocolException("An append is not as it should be.");
        if (_write is null || _writing != blob)
        {
            await _answering;
            await EndAsync();
            _store.Memory.BeginWrite();
            (_write, _writing) = (_store.BeginWrite(blob), blob);
        }
        await _answeringBefore;     // so that there are two chunks at most
        var table = message.Body[20..].ToArray();
        // Looked at once: the append before may fail at any moment, and what is taken for this one is to be given back all the same.
        var failure = _writeFailure;
        var (isTaken, isHandedOver) = (false, false);
        ChunkBuffer? chunk = null;
        var window = ArrayPool<byte>.Shared.Rent(PackFormat.Block);
        try
        {
            if (failure is null)
            {
                await server.Receiving.TakeAsync(length, channel.Ended);
                isTaken = true;
                chunk = new(_store.Memory, length, length, whole: true);
            }
            for (var done = 0; done < length;)
            {
                var block = window.AsMemory(0, Math.Min(PackFormat.Block, length - done));
                await channel.ReadAsync(block);
                if (failure is null && !PeerProtocol.BlocksMatch(table.AsSpan(done / PackFormat.Block * sizeof(uint)), block.Span))
                    failure = new(StorageError.ChecksumMismatch, $"Chunk {index} of blob {blob} did not arrive as it was sent.");
                if (failure is null) chunk!.Append(block.Span, length - done);
                done += block.Length;
            }
            chunk?.Finish(last: false);
            isHandedOver = true;
            (_answeringBefore, _answering) = (_answering, StoreAsync(_answering, chunk, index, length, message.Flag, failure ?? _writeFailure));
        }
        finally
        {
            ArrayPool<byte>.Shared.Return(window);
            if (!isHandedOver)
            {
                chunk?.Dispose();
                if (isTaken) server.Receiving.Return(length);
            }
        }
        if (message.Flag) await _answering;
    }

    /// <param name="chunk">Disposed here, and its bytes are returned; null of one that was read and not kept.</param>
    private async Task StoreAsync(Task before, ChunkBuffer? chunk, int index, int length, bool sync, StorageException? failure)
    {
        try
        {
            var done = failure is null ? Submit(chunk!, index, sync) : Task.CompletedTask;
            try
            {
                await done;
                await before;
                if (sync && failure is null && _writeFailure is null) await _write!.CompleteAsync();
            }
            catch (StorageException e)
            {
                failure = e;
            }
        }
        finally
        {
            if (chunk is not null)
            {
                chunk.Dispose();
                server.Receiving.Return(length);
            }
        }
        _writeFailure ??= failure;
        if (_writeFailure is not null)
        {
            await SendErrorAsync(_writeFailure);
            return;
        }
        BinaryPrimitives.WriteInt32LittleEndian(channel.Body(4), index);
        await channel.SendAsync(PeerMessageKind.Done, sync, 4);
    }

    private Task Submit(ChunkBuffer chunk, int index, bool sync)
    {
        try
        {
            return _write!.Submit(chunk, index, sync, isLarge: chunk.Filled > PackStore.SmallBytes || !sync);
        }
        catch (StorageException e)
        {
            return Task.FromException(e);
        }
    }

    private async Task ReadAsync(ReadOnlyMemory<byte> body)
    {
        if (body.Length != 32) throw new PeerProtocolException("A read is not as it should be.");
        var blob = BlobId.Read(body.Span);
        var index = BinaryPrimitives.ReadInt32LittleEndian(body.Span[16..]);
        var length = BinaryPrimitives.ReadInt32LittleEndian(body.Span[20..]);
        var from = BinaryPrimitives.ReadInt32LittleEndian(body.Span[24..]);
        var end = BinaryPrimitives.ReadInt32LittleEndian(body.Span[28..]);
        if (length is < 1 or > PeerProtocol.ChunkBytesMax || from < 0 || from % PackFormat.Block != 0 || end <= from || end > length || (end % PackFormat.Block != 0 && end != length))
            throw new PeerProtocolException("A read is not as it should be.");
        if (_write is not null) await EndAsync();
        if (_read is null || _reading != blob)
        {
            if (_read is not null) await _read.DisposeAsync();
            (_read, _reading) = ((PackStore.PackReader)_store.BeginRead(blob), blob);
        }
        var buffer = ArrayPool<byte>.Shared.Rent(Math.Min(PeerProtocol.StretchBytes, end - from));
        try
        {
            for (var at = from; at < end;)
            {
                var count = Math.Min(PeerProtocol.StretchBytes, end - at);
                await _read.FillAsync(blob, index, length, at, buffer.AsMemory(0, count));
                if (at + count < end) _read.Ahead(at + count, Math.Min(end - at - count, 4 * PeerProtocol.StretchBytes));
                var table = _read.Header.Slice(PackFormat.FrameFixedBytes + (sizeof(uint) * (at / PackFormat.Block)), sizeof(uint) * PackFormat.Blocks(count));
                var answer = channel.Body(4 + table.Length);
                BinaryPrimitives.WriteInt32LittleEndian(answer, at);
                table.CopyTo(answer[4..]);
                at += count;
                // The reader takes it as fast as his client does, who may pause: that is no reason to break his read.
                await channel.SendAsync(PeerMessageKind.Data, flag: at == end, answer.Length, buffer.AsMemory(0, count), server.Options.ReaderPatience);
            }
        }
        catch (StorageException e)
        {
            await SendErrorAsync(e);
        }
        finally
        {
            _read.Close();
            ArrayPool<byte>.Shared.Return(buffer);
        }
    }

    private async Task AnswerAsync(PeerMessageKind kind, ReadOnlyMemory<byte> body)
    {
        try
        {
            switch (kind)
            {
                case PeerMessageKind.Delete when body.Length == BlobId.ByteLength:
                    await EndAsync();
                    await DeleteAsync(BlobId.Read(body.Span));
                    await channel.SendAsync(PeerMessageKind.Done, false, 0);
                    break;
                case PeerMessageKind.ListBlobs when body.Length == 28:
                    await channel.SendAsync(PeerMessageKind.Done, false, WriteBlobs(body.Span));
                    break;
                case PeerMessageKind.ListChunks when body.Length == 24:
                    await channel.SendAsync(PeerMessageKind.Done, false, await WriteChunksAsync(body));
                    break;
                default:
                    throw new PeerProtocolException($"A message of kind {kind} and {body.Length} bytes is not known.");
            }
        }
        catch (StorageException e)
        {
            await SendErrorAsync(e);
        }
    }

    /// <summary>Frees a blob, but not one that is being written: another node may take it for an orphan because the write goes on without that node.</summary>
    private async ValueTask DeleteAsync(BlobId blob)
    {
        if (_store.IsBeingWritten(blob)) throw new StorageException(StorageError.Unavailable, $"Blob {blob} is being written.");
        await _store.DeleteAsync(blob, CancellationToken.None);
    }

    private int WriteBlobs(ReadOnlySpan<byte> body)
    {
        var before = DateTimeOffset.FromUnixTimeMilliseconds(Math.Clamp(BinaryPrimitives.ReadInt64LittleEndian(body[16..]), 0, DateTimeOffset.MaxValue.ToUnixTimeMilliseconds()));
        var blobs = _store.ListBlobs(BlobId.Read(body), before, Math.Clamp(BinaryPrimitives.ReadInt32LittleEndian(body[24..]), 1, ChunkStore.ListMax));
        var answer = channel.Body(BlobId.ByteLength * blobs.Count);
        for (var i = 0; i < blobs.Count; i++) blobs[i].Write(answer[(BlobId.ByteLength * i)..]);
        return answer.Length;
    }

    private async ValueTask<int> WriteChunksAsync(ReadOnlyMemory<byte> body)
    {
        var from = Math.Max(0, BinaryPrimitives.ReadInt32LittleEndian(body.Span[16..]));
        var max = Math.Clamp(BinaryPrimitives.ReadInt32LittleEndian(body.Span[20..]), 1, ChunkStore.ListMax);
        var chunks = await _store.ListChunksAsync(BlobId.Read(body.Span), from, max, CancellationToken.None);
        var answer = channel.Body(8 * chunks.Count);
        for (var i = 0; i < chunks.Count; i++)
        {
            BinaryPrimitives.WriteInt32LittleEndian(answer[(8 * i)..], chunks[i].Index);
            BinaryPrimitives.WriteInt32LittleEndian(answer[((8 * i) + 4)..], chunks[i].Length);
        }
        return answer.Length;
    }

    private ValueTask SendErrorAsync(StorageException e)
    {
        var text = Encoding.UTF8.GetBytes(e.Message.Length > PeerProtocol.SentenceBytesMax ? e.Message[..PeerProtocol.SentenceBytesMax] : e.Message);
        var body = channel.Body(2 + text.Length);
        BinaryPrimitives.WriteUInt16LittleEndian(body, PeerProtocol.CodeOf(e.Error));
        text.CopyTo(body[2..]);
        return channel.SendAsync(PeerMessageKind.Error, false, body.Length);
    }
}
