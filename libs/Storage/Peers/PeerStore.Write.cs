using System.Buffers.Binary;
using DarkStorage.GrainInterfaces;
using DarkStorage.GrainInterfaces.Objects;
using DarkStorage.Storage.Chunks;
using DarkStorage.Storage.Packs;

namespace DarkStorage.Storage.Peers;

public sealed partial class PeerStore
{
    /// <summary>Sends chunks while the answers to those before are still to come. What fails once fails for good.</summary>
    private sealed class PeerWrite(PeerStore peer, BlobId blob) : ChunkWrite
    {
        private readonly Lock _lock = new();
        private readonly Queue<Sending> _toSend = new();
        private readonly Queue<Sending> _toAnswer = new();
        private readonly CancellationTokenSource _abort = new();
        private PeerChannel? _channel;
        private StorageException? _failure;
        private bool _sends;
        private bool _receives;

        private sealed class Sending(ChunkBuffer chunk, int index, bool sync)
        {
            public readonly ChunkBuffer Chunk = chunk;
            public readonly int Index = index;
            public readonly bool Sync = sync;
            public readonly TaskCompletionSource Done = new(TaskCreationOptions.RunContinuationsAsynchronously);
        }

        public override Task Submit(ChunkBuffer chunk, int index, bool sync, bool isLarge)
        {
            var sending = new Sending(chunk, index, sync);
            lock (_lock)
            {
                if (_failure is not null) return Task.FromException(_failure);
                _toSend.Enqueue(sending);
                if (_sends) return sending.Done.Task;
                _sends = true;
            }
            _ = SendAsync();
            return sending.Done.Task;
        }

        public override ValueTask CompleteAsync() => _failure is null ? ValueTask.CompletedTask : throw _failure;

        public override async ValueTask FreeAsync()
        {
            await DisposeAsync();
            await peer.DeleteAsync(blob, CancellationToken.None);
        }

        /// <summary>Gives the write up: what is under way fails at once.</summary>
        public override void Abort()
        {
            peer._suspicion.Failed();     // lest every other write finds out for itself
            Fail(new(StorageError.Unavailable, "The replica was too slow for this write."));
        }

        public override async ValueTask DisposeAsync()
        {
            PeerChannel? channel;
            lock (_lock)
            {
                if (_failure is not null || _sends || _receives)
                {
                    Fail(new(StorageError.Unavailable, "The write ended."));
                    return;     // who uses the connection gives it back
                }
                _failure = new(StorageError.Unavailable, "The write ended.");
                (channel, _channel) = (_channel, null);
            }
            if (channel is null) return;
            try
            {
                // Answered, so that whoever waits for this may free the blob over any connection.
                await channel.SendAsync(PeerMessageKind.End, true, 0);
                var answer = await channel.ReceiveAsync(PeerProtocol.AnswerBodyMax);
                peer.GiveBack(channel, isWhole: answer.Kind == PeerMessageKind.Done);
            }
            catch (IOException)
            {
                peer.GiveBack(channel, isWhole: false);
            }
        }

        private async Task SendAsync()
        {
            while (true)
            {
                Sending sending;
                lock (_lock)
                {
                    if (_failure is not null || !_toSend.TryDequeue(out sending!))
                    {
                        _sends = false;
                        LeaveIfFailed();
                        return;
                    }
                }
                try
                {
                    if (_channel is null)
                    {
                        var channel = await peer.RentAsync(fresh: false, _abort.Token);
                        lock (_lock)
                        {
                            _channel = channel;
                            if (_failure is not null) throw _failure;
                        }
                    }
                    WriteBody(_channel.Body(20 + sending.Chunk.Table.Length), sending);
                    await _channel.SendAsync(PeerMessageKind.Append, sending.Sync, 20 + sending.Chunk.Table.Length, sending.Chunk);
                }
                catch (Exception e)
                {
                    Fail(e as StorageException ?? (e is IOException io ? peer.Failed(io) : new(StorageError.Unavailable, e.Message, e)));
                    sending.Done.TrySetException(_failure!);
                    continue;
                }
                bool receives, sends;
                lock (_lock)
                {
                    if (_failure is not null)
                    {
                        sending.Done.TrySetException(_failure);
                        continue;
                    }
                    _toAnswer.Enqueue(sending);
                    receives = !_receives;
                    _receives = true;
                    _sends = _toSend.Count > 0;     // said before the answer can come: whoever ends the write then finds nobody at work
                    sends = _sends;
                }
                if (receives) _ = ReceiveAsync();
                if (!sends) return;
            }
        }

        private void WriteBody(Span<byte> body, Sending sending)
        {
            blob.Write(body);
            BinaryPrimitives.WriteInt32LittleEndian(body[16..], sending.Index);
            sending.Chunk.Table.CopyTo(body[20..]);
        }

        private async Task ReceiveAsync()
        {
            while (true)
            {
                try
                {
                    var answer = await _channel!.ReceiveAsync(PeerProtocol.AnswerBodyMax);
                    if (answer.Kind == PeerMessageKind.Error) throw ErrorOf(answer);
                    Sending done;
                    lock (_lock)
                    {
                        if (_failure is not null) throw _failure;
                        if (answer.Kind != PeerMessageKind.Done || answer.Body.Length != 4 || answer.Payload != 0
                            || !_toAnswer.TryPeek(out done!) || BinaryPrimitives.ReadInt32LittleEndian(answer.Body.Span) != done.Index)
                            throw new PeerProtocolException("An append was answered that was not made.");
                        _toAnswer.Dequeue();
                        _receives = _toAnswer.Count > 0;
                        done.Done.TrySetResult();
                        if (!_receives) return;
                    }
                }
                catch (Exception e)
                {
                    Fail(e as StorageException ?? (e is IOException io ? peer.Failed(io) : new(StorageError.Unavailable, e.Message, e)));
                    lock (_lock)
                    {
                        _receives = false;
                        LeaveIfFailed();
                    }
                    return;
                }
            }
        }

        private void Fail(StorageException e)
        {
            lock (_lock)
            {
                if (_failure is not null) return;
                _failure = e;
                // What was sent whole, or not begun, is in nobody's hands; what is being sent its sender fails.
                foreach (var sending in _toAnswer.Concat(_toSend)) sending.Done.TrySetException(e);
                _toAnswer.Clear();
                _toSend.Clear();
                _channel?.Abort("was given up");
                _ = _abort.CancelAsync();
                LeaveIfFailed();
            }
        }

        /// <summary>The last to leave a connection that failed closes it.</summary>
        private void LeaveIfFailed()
        {
            if (_failure is null || _sends || _receives || _channel is null) return;
            peer.GiveBack(_channel, isWhole: false);
            _channel = null;
        }
    }
}
