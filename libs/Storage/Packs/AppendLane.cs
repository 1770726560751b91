using System.Diagnostics;
using System.Runtime.InteropServices;
using DarkStorage.GrainInterfaces;
using DarkStorage.GrainInterfaces.Objects;
using DarkStorage.Storage.Chunks;

namespace DarkStorage.Storage.Packs;

/// <summary>One chunk on its way into a pack.</summary>
/// <param name="sync">Whether its writer waits for it, and all before it, to be durable; otherwise only for its memory to be free again.</param>
internal sealed class Append(BlobId blob, int index, ChunkBuffer chunk, bool sync)
{
    private readonly TaskCompletionSource _done = new(TaskCreationOptions.RunContinuationsAsynchronously);

    public BlobId Blob { get; } = blob;
    public int Index { get; } = index;
    public ChunkBuffer Chunk { get; } = chunk;
    public bool Sync { get; } = sync;
    /// <summary>Whether the chunk is new; a copy of one that is elsewhere already is moved in the table by who copies it.</summary>
    public bool Entered { get; init; } = true;

    public Task Done => _done.Task;

    /// <summary>Where it was written.</summary>
    public Pack? Pack { get; set; }
    public Location Location { get; set; }

    /// <summary>Its bytes went to the pack, durable or not, and count as live there.</summary>
    public bool Written { get; set; }

    public void Complete() => _done.TrySetResult();
    public void Fail(Exception exception) => _done.TrySetException(exception);
}

/// <summary>Appends chunks to one pack at a time, all that wait in one write, and then one sync for all.</summary>
/// <remarks>Invariants: an append that was to be durable completes only after a sync that began after its bytes were written and that succeeded.
/// After a failed write or sync the pack gets no further byte and its <see cref="Pack.DurableThrough"/> never moves again.
/// A place in a pack is written at most once.</remarks>
internal sealed class AppendLane : IDisposable
{
    /// <summary>Bytes of one batch: large enough that a sync costs little beside it, small enough that nobody waits long for it.</summary>
    private const long BatchBytesMax = 16 << 20;

    private readonly PackStore _store;
    private readonly Lock _lock = new();
    private readonly Queue<Append> _waiting = new();
    private readonly List<Append> _batch = [];
    private readonly List<Append> _written = [];
    private readonly List<IoVector> _vectors = [];
    private readonly SemaphoreSlim _wake = new(0);
    private readonly Thread _thread;
    private Pack? _pack;
    private Worker _worker;
    private bool _stopped;

    public AppendLane(PackStore store, string name)
    {
        _store = store;
        _thread = new(Run) { IsBackground = true, Name = name };
        _thread.Start();
    }

    /// <summary>Hands a chunk over. Its memory may be reused when <see cref="Append.Done"/> completes.</summary>
    /// <param name="inline">Whether the caller's thread may do the work where the lane is idle: for small chunks a hop costs more than the write.</param>
    public void Submit(Append append, bool inline)
    {
        lock (_lock)
        {
            if (_stopped) throw new StorageException(StorageError.Unavailable, "The blob store is closing.");
            _waiting.Enqueue(append);
            if (_worker != Worker.None) return;
            _worker = inline ? Worker.Caller : Worker.Thread;
        }
        if (inline)
        {
            DrainOnce();
            lock (_lock)
            {
                _worker = _waiting.Count == 0 ? Worker.None : Worker.Thread;
                if (_worker == Worker.None && !_stopped) return;
            }
        }
        _wake.Release();
    }

    /// <summary>Fails an append that is not being written yet: its memory is free then. One that is takes its time, for nobody can take it from the disk.</summary>
    public void Withdraw(Append append, Exception e)
    {
        lock (_lock)
        {
            for (var left = _waiting.Count; left > 0; left--)
            {
                var waiting = _waiting.Dequeue();
                if (waiting == append) append.Fail(e);
                else _waiting.Enqueue(waiting);
            }
        }
    }

    /// <summary>Takes what waits, then no more, and seals the pack.</summary>
    public void Stop()
    {
        lock (_lock)
        {
            if (_stopped) return;
            _stopped = true;
        }
        _wake.Release();
        _thread.Join();
        if (_pack is not null) Seal();
    }

    public void Dispose()
    {
        Stop();
        _wake.Dispose();
    }

    private void Run()
    {
        while (true)
        {
            _wake.Wait();
            while (true)
            {
                lock (_lock)
                {
                    if (_worker == Worker.Caller) break;    // who wakes us when it is done
                    _worker = _waiting.Count == 0 ? Worker.None : Worker.Thread;
                    if (_worker == Worker.None)
                    {
                        if (_stopped) return;
                        break;
                    }
                }
                DrainOnce();
            }
        }
    }

    private void DrainOnce()
    {
        lock (_lock)
        {
            var bytes = 0L;
            while (bytes < BatchBytesMax && _waiting.TryDequeue(out var append))
            {
                _batch.Add(append);
                bytes += append.Chunk.FrameBytes;
            }
        }
        try
        {
            Commit();
        }
        catch (Exception e)     // a defect: nobody may wait for ever, and nothing more goes into that pack
        {
            if (_pack is not null) _pack.Failed = true;
            FailAll(_batch, e);
            _store.LogLaneFailed(e);
        }
        _batch.Clear();
        _written.Clear();
        _vectors.Clear();
    }

    private void Commit()
    {
        var begin = 0;
        while (begin < _batch.Count)
        {
            var first = _batch[begin].Chunk.FrameBytes;
            if (_pack is null || _pack.Failed || _pack.Position + first > _pack.Capacity)
            {
                SyncWritten();
                if (_pack is not null) Seal();
                try
                {
                    _pack = _store.CreatePack(first);
                }
                catch (IOException e)
                {
                    FailAll(_batch.Skip(begin), AsStorage(e, "No new pack could be made"));
                    break;
                }
            }
            var end = begin;
            var position = _pack.Position;
            for (; end < _batch.Count; end++)
            {
                var append = _batch[end];
                if (position + append.Chunk.FrameBytes > _pack.Capacity) break;
                var chunk = append.Chunk;
                append.Pack = _pack;
                append.Location = new(_pack.Number, position, chunk.PayloadOffset, chunk.Filled);
                chunk.Prepare(
                    new(position, append.Blob, append.Index, chunk.Filled, chunk.PayloadOffset, _pack.DurableThrough), _pack.Salt, _vectors);
                position += chunk.FrameBytes;
            }
            var range = CollectionsMarshal.AsSpan(_batch)[begin..end];
            try
            {
                _pack.File.Write(_pack.Position, CollectionsMarshal.AsSpan(_vectors));
            }
            catch (IOException e)
            {
                FailPack(e);
                FailAll(range.ToArray(), AsStorage(e, $"Writing to pack {_pack.Number:x} failed"));
                // What else this batch wrote to the pack can't be synced any more.
                FailAll(_written, AsStorage(e, $"Writing to pack {_pack.Number:x} failed"));
                _written.Clear();
                _vectors.Clear();
                begin = end;
                continue;
            }
            _store.CountWritten(position - _pack.Position);
            _pack.Position = position;
            foreach (var append in range)
            {
                _store.Enter(append);
                if (append.Sync) _written.Add(append);
                else append.Complete();
            }
            _vectors.Clear();
            begin = end;
        }
        SyncWritten();
    }

    /// <summary>One sync for all that was written to this pack and waits.</summary>
    private void SyncWritten()
    {
        if (_written.Count == 0) return;
        if (TrySync(out var failure))
        {
            _store.CountBatch(_written.Count);
            foreach (var append in _written) append.Complete();
        }
        else
        {
            FailAll(_written, failure);
        }
        _written.Clear();
    }

    private bool TrySync(out StorageException failure)
    {
        var pack = _pack!;
        failure = null!;
        if (!pack.Failed)
        {
            try
            {
                var began = Stopwatch.GetTimestamp();
                pack.File.Sync();
                _store.CountSync(Stopwatch.GetElapsedTime(began));
                pack.DurableThrough = pack.Position;
                return true;
            }
            catch (IOException e)
            {
                FailPack(e);
                failure = AsStorage(e, $"Syncing pack {pack.Number:x} failed");
                return false;
            }
        }
        failure = new(StorageError.Unavailable, $"Pack {pack.Number:x} failed.");
        return false;
    }

    /// <summary>No more goes into the pack. What large writes left in it unsynced is synced now, for their last sync will be another pack's.</summary>
    private void Seal()
    {
        var pack = _pack!;
        _pack = null;
        if (!pack.Failed && pack.DurableThrough < pack.Position)
        {
            _pack = pack;
            TrySync(out _);
            _pack = null;
        }
        _store.SealPack(pack);
    }

    private void FailPack(IOException e)
    {
        _pack!.Failed = true;
        _store.CountPackFailure(_pack, e);
    }

    private static void FailAll(IEnumerable<Append> appends, Exception e)
    {
        foreach (var append in appends) append.Fail(e);
    }

    /// <summary>Whose turn it is to write what waits.</summary>
    private enum Worker { None, Caller, Thread }

    internal static StorageException AsStorage(IOException e, string what) => e is DiskFullException
        ? new(StorageError.InsufficientStorage, "The drive has no room for the write.", e)
        : new(StorageError.Unavailable, $"{what}: {e.Message}", e);
}
