using System.Buffers;
using System.Collections.Immutable;
using System.Diagnostics.Metrics;
using System.Security.Cryptography;
using DarkStorage.GrainInterfaces;
using DarkStorage.GrainInterfaces.Objects;
using DarkStorage.Storage.Chunks;
using DarkStorage.Storage.Packs;

namespace DarkStorage.Storage.Backends;

/// <summary>Reads a version's chunks where they are outside: one request for the whole range, which comes while what came before is being sent.</summary>
/// <remarks>Invariants: no byte is handed out whose block did not match its checksum. What does not match is asked for once more, since it may have been the way, and is damage then.</remarks>
internal sealed class PlacedReader : ChunkReader
{
    /// <summary>Bytes of the first stretch: few, so that it is there soon. As those that follow a little less than an array of the pool.</summary>
    private const int FirstBytes = 3 * PlacedFormat.FrameBytes;

    private const int StretchBytes = 15 * PlacedFormat.FrameBytes;

    /// <summary>Blocks of one read that are asked for once more.</summary>
    private const int RepeatsMax = 4;

    private static readonly Meter Meter = new("DarkStorage.Storage");
    private static readonly Counter<long> Damages = Meter.CreateCounter<long>("darkstorage.place.damaged_reads", "{block}", "Blocks that did not match their checksum when they came from outside, by integration.");

    // With it the counter is there from the first read on, and not from the first damage.
    static PlacedReader()
    {
    }

    private readonly IBackend _backend;
    private readonly ContentPlace _place;
    private readonly PlacedFrames _frames;
    private readonly long _end;
    private readonly IncrementalHash? _checksums;
    private Stream? _stream;
    private long _streamAt;             // where the next frame begins that the stream gives
    private Stretch? _held;
    private Task<Stretch>? _coming;
    private CancellationTokenSource? _leaving;
    private long _wanted;
    private long _damagedAt = -1;
    private int _repeats;
    private BlobId _blob;
    private int _index;
    private int _length;
    private long _chunk;
    private bool _isOpen;

    /// <summary>Verified frames that follow each other.</summary>
    private sealed record Stretch(byte[] Bytes, long From, int Length)
    {
        public bool Has(long offset, int length) => offset >= From && offset + length <= From + Length;
    }

    /// <param name="end">Nothing of the blob is wanted from here on, where a frame ends.</param>
    /// <param name="checksums">Gets the checksum of each block that is handed out, as it came; null where nobody wants them.</param>
    public PlacedReader(IBackend backend, ContentPlace place, ImmutableArray<ManifestPart> parts, long end, IncrementalHash? checksums = null) =>
        (_backend, _place, _frames, _end, _checksums) = (backend, place, new(parts), end, checksums);

    public override bool Fetches => true;

    public override bool IsOpen => _isOpen;

    public override void Open(BlobId blob, int index, int length, int end) => (_blob, _index, _length, _chunk, _isOpen) = (blob, index, length, _frames.OffsetOf(blob, index), true);

    public override int Read(int block, Span<byte> destination, bool mayBlock, bool verify)
    {
        _wanted = _chunk + ((long)block * PlacedFormat.FrameBytes);
        var read = 0;
        for (var from = block * PackFormat.Block; read < destination.Length; from += PackFormat.Block)
        {
            var length = Math.Min(PackFormat.Block, _length - from);
            var offset = _chunk + ((long)(from / PackFormat.Block) * PlacedFormat.FrameBytes);
            if (_held is null || !_held.Has(offset, length)) break;
            var at = (int)(offset - _held.From);
            _held.Bytes.AsSpan(at, length).CopyTo(destination[read..]);
            _checksums?.AppendData(_held.Bytes, at + length, PlacedFormat.ChecksumBytes);
            read += length;
        }
        return read > 0 ? read : -1;
    }

    /// <summary>Whatever is held was verified.</summary>
    public override bool Matches(int block, ReadOnlySpan<byte> stored) => true;

    /// <summary>What is held is what was put there: asking again would bring the same.</summary>
    public override void Fail(string problem, int attempt)
    {
        _isOpen = false;
        throw Damaged(_blob, _index, problem);
    }

    public override async ValueTask FetchAsync(CancellationToken ct)
    {
        while (true)
        {
            try
            {
                await AdvanceAsync(ct);
                return;
            }
            catch (DamagedFrameException e)
            {
                await LeaveAsync();
                Damages.Add(1, new KeyValuePair<string, object?>("integration", _place.Integration));
                if (_damagedAt == e.Offset || ++_repeats > RepeatsMax) throw Damaged(_blob, _index, $"does not match its checksum at {_place.Integration}, at byte {e.Offset} of blob {_place.Blob}");
                _damagedAt = e.Offset;
            }
            catch (BackendException e)
            {
                await LeaveAsync();
                throw ToStorage(e, _place);
            }
        }
    }

    public override void Close() => _isOpen = false;

    public override async ValueTask DisposeAsync()
    {
        await LeaveAsync();
        Release(ref _held);
    }

    /// <summary>What a place's refusal means to who wants the bytes.</summary>
    public static StorageException ToStorage(BackendException e, ContentPlace place) => e.Error switch
    {
        BackendError.Cold => new(StorageError.ObjectArchived, $"Blob {place.Blob} at {place.Integration} has to be restored first.", e),
        BackendError.NotFound or BackendError.Damaged or BackendError.WrongLength => new(StorageError.DataDamaged, $"Blob {place.Blob} is not whole at {place.Integration}: {e.Message}", e),
        _ => new(StorageError.Unavailable, $"{place.Integration}: {e.Message}", e),
    };

    private async Task AdvanceAsync(CancellationToken ct)
    {
        if (_held?.Has(_wanted, 1) == true) return;
        if (_coming is null || _streamAt != _wanted)
        {
            await LeaveAsync();
            _frames.Seek(_wanted);
            _leaving = new();
            await using (ct.UnsafeRegister(static source => ((CancellationTokenSource)source!).Cancel(), _leaving))
            {
                _stream = await _backend.OpenAsync(PlacedFormat.NameOf(_place.Blob), new(_wanted, _end - 1), _leaving.Token);
            }
            (_streamAt, _coming) = (_wanted, FillAsync(FirstBytes, _leaving.Token));
        }
        var stretch = await _coming.WaitAsync(ct);
        Release(ref _held);
        _held = stretch;
        _streamAt = stretch.From + stretch.Length;
        _coming = _frames.IsAtEnd || _streamAt >= _end ? null : FillAsync(StretchBytes, _leaving!.Token);
    }

    /// <summary>Reads the next frames of the stream, as many as fit, and verifies each.</summary>
    private async Task<Stretch> FillAsync(int bytesMax, CancellationToken ct)
    {
        var bytes = ArrayPool<byte>.Shared.Rent(bytesMax);
        var (from, length) = (_frames.Offset, 0);
        try
        {
            while (!_frames.IsAtEnd && _frames.Offset < _end && length + _frames.Length + PlacedFormat.ChecksumBytes <= bytesMax)
            {
                var frame = bytes.AsMemory(length, _frames.Length + PlacedFormat.ChecksumBytes);
                await _stream!.ReadExactlyAsync(frame, ct);
                if (!PlacedFormat.FrameMatches(frame.Span, _place.Blob, _frames.Offset)) throw new DamagedFrameException(_frames.Offset);
                length += frame.Length;
                _frames.Next();
            }
            return new(bytes, from, length);
        }
        catch (EndOfStreamException e)
        {
            ArrayPool<byte>.Shared.Return(bytes);
            throw new BackendException(BackendError.WrongLength, $"Blob {_place.Blob} ended before byte {_end}.", e);
        }
        catch
        {
            ArrayPool<byte>.Shared.Return(bytes);
            throw;
        }
    }

    /// <summary>Leaves the stream, and what is still coming of it.</summary>
    private async ValueTask LeaveAsync()
    {
        if (_leaving is not null) await _leaving.CancelAsync();
        if (_coming is not null)
        {
            await ((Task)_coming).ConfigureAwait(ConfigureAwaitOptions.SuppressThrowing);
            if (_coming.IsCompletedSuccessfully) ArrayPool<byte>.Shared.Return(_coming.Result.Bytes);
            _coming = null;
        }
        if (_stream is not null) await _stream.DisposeAsync();
        _stream = null;
        _leaving?.Dispose();
        _leaving = null;
    }

    private static void Release(ref Stretch? stretch)
    {
        if (stretch is not null) ArrayPool<byte>.Shared.Return(stretch.Bytes);
        stretch = null;
    }

    private sealed class DamagedFrameException(long offset) : Exception
    {
        public long Offset { get; } = offset;
    }
}
