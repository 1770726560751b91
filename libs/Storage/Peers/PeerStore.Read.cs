using System.Buffers;
using System.Buffers.Binary;
using DarkStorage.GrainInterfaces;
using DarkStorage.GrainInterfaces.Objects;
using DarkStorage.Storage.Chunks;
using DarkStorage.Storage.Packs;

namespace DarkStorage.Storage.Peers;

public sealed partial class PeerStore
{
    /// <summary>Reads chunks over one connection, stretch by stretch; the peer sends the next ones meanwhile, as far as the connection's buffers go.</summary>
    private sealed class PeerReader(PeerStore peer) : ChunkReader
    {
        private BlobId _blob;
        private int _index;
        private int _length;
        private int _end;
        private bool _isOpen;
        private int _wanted;        // where the read is that could not be answered
        private PeerChannel? _channel;
        private int _next = -1;     // where the next stretch begins that is on its way; -1 where none is
        private byte[]? _window;
        private int _windowFrom;
        private int _windowEnd;
        private byte[] _table = [];

        public override bool Fetches => true;

        public override bool IsOpen => _isOpen;

        public override void Open(BlobId blob, int index, int length, int end)
        {
            (_blob, _index, _length, _end, _isOpen) = (blob, index, length, end, true);
            (_windowFrom, _windowEnd) = (0, 0);
        }

        public override int Read(int block, Span<byte> destination, bool mayBlock, bool verify)
        {
            _wanted = block * PackFormat.Block;
            if (_wanted < _windowFrom || _wanted >= _windowEnd) return -1;
            var count = Math.Min(destination.Length, _windowEnd - _wanted);
            _window.AsSpan(_wanted - _windowFrom, count).CopyTo(destination);
            return count;
        }

        public override bool Matches(int block, ReadOnlySpan<byte> stored) => true;     // what is in the window did

        public override void Fail(string problem, int attempt)
        {
            Close();
            throw Damaged(_blob, _index, problem);
        }

        public override async ValueTask FetchAsync(CancellationToken ct)
        {
            if (_next >= 0 && _next != _wanted) Leave(isWhole: false);
            if (await TryFetchAsync(fresh: false, ct)) return;
            await TryFetchAsync(fresh: true, ct);
        }

        /// <returns>False where a connection had died while nobody used it: it is to be tried with a new one.</returns>
        private async ValueTask<bool> TryFetchAsync(bool fresh, CancellationToken ct)
        {
            var channel = _channel ??= await peer.RentAsync(fresh, ct);
            using var registration = ct.UnsafeRegister(static c => ((PeerChannel)c!).Abort("is no longer asked"), channel);
            var begins = _next < 0;
            try
            {
                if (begins) await AskAsync(channel);
                await ReceiveAsync(channel);
            }
            catch (Exception e)
            {
                var hasFailed = channel.IsAborted;      // it was asked, and did not answer in time
                // An error that the peer told leaves the connection whole.
                if (e is not StorageException { Error: StorageError.NoSuchKey or StorageError.DataDamaged }) Leave(isWhole: false);
                if (e is not IOException io) throw;
                ct.ThrowIfCancellationRequested();
                // A connection may have died while nobody used it: put aside, or amid a chunk while the reader's client paused. That is no failure of the peer's.
                if (!fresh && (begins ? channel.WasIdle : !hasFailed && io is not PeerProtocolException)) return false;
                throw peer.Failed(io);
            }
            if (ct.IsCancellationRequested) Leave(isWhole: false);
            ct.ThrowIfCancellationRequested();
            return true;
        }

        public override void Close()
        {
            _isOpen = false;
            if (_next >= 0) Leave(isWhole: false);
        }

        public override async ValueTask DisposeAsync()
        {
            Close();
            if (_window is not null) ArrayPool<byte>.Shared.Return(_window);
            _window = null;
            if (_channel is null) return;
            try
            {
                await _channel.SendAsync(PeerMessageKind.End, false, 0);
                Leave(isWhole: true);
            }
            catch (IOException)
            {
                Leave(isWhole: false);
            }
        }

        private ValueTask AskAsync(PeerChannel channel)
        {
            var body = channel.Body(32);
            _blob.Write(body);
            BinaryPrimitives.WriteInt32LittleEndian(body[16..], _index);
            BinaryPrimitives.WriteInt32LittleEndian(body[20..], _length);
            BinaryPrimitives.WriteInt32LittleEndian(body[24..], _wanted);
            BinaryPrimitives.WriteInt32LittleEndian(body[28..], Math.Max(_end, Math.Min(_length, _wanted + PackFormat.Block)));
            _next = _wanted;
            return channel.SendAsync(PeerMessageKind.Read, false, body.Length);
        }

        private async ValueTask ReceiveAsync(PeerChannel channel)
        {
            var answer = await channel.ReceiveAsync(PeerProtocol.AnswerBodyMax);
            if (answer.Kind == PeerMessageKind.Error)
            {
                _next = -1;
                throw ErrorOf(answer);
            }
            if (answer.Kind != PeerMessageKind.Data || answer.Payload is < 1 or > PeerProtocol.StretchBytes || answer.Payload > _length - _next
                || answer.Body.Length != 4 + (sizeof(uint) * PackFormat.Blocks(answer.Payload)) || BinaryPrimitives.ReadInt32LittleEndian(answer.Body.Span) != _next
                || (answer.Payload % PackFormat.Block != 0 && _next + answer.Payload != _length))
                throw new PeerProtocolException("A read was not answered as it was asked.");
            _table = answer.Body[4..].ToArray();
            _window ??= ArrayPool<byte>.Shared.Rent(PeerProtocol.StretchBytes);
            (_windowFrom, _windowEnd) = (_next, _next);
            await channel.ReadAsync(_window.AsMemory(0, answer.Payload));
            if (!PeerProtocol.BlocksMatch(_table, _window.AsSpan(0, answer.Payload)))
                throw new StorageException(StorageError.ChecksumMismatch, $"Chunk {_index} of blob {_blob} did not arrive as it was sent.");
            _windowEnd = _next + answer.Payload;
            _next = answer.Flag ? -1 : _windowEnd;
        }

        private void Leave(bool isWhole)
        {
            if (_channel is null) return;
            peer.GiveBack(_channel, isWhole);
            (_channel, _next) = (null, -1);
        }
    }
}
