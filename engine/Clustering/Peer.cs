using System.Collections.Concurrent;
using System.Diagnostics;
using Orleans.Runtime;
using Orleans.Serialization;

namespace DarkStorage.Engine;

/// <summary>
/// The way to one run of one other silo: a connection made when it is first needed, the calls that went over it and wait for their
/// answers, and what to do when it breaks. A call is sent once; when the connection ends before the answer, the call fails.
/// </summary>
internal sealed class Peer(ClusterNode node, SiloAddress silo)
{
    private static readonly TimeSpan FirstBackoff = TimeSpan.FromMilliseconds(50);
    private static readonly TimeSpan LongestBackoff = TimeSpan.FromSeconds(1);

    private readonly ConcurrentDictionary<ulong, Call> _waiting = new();
    private readonly Lock _gate = new();
    private readonly Queue<Frame> _early = new();   // until the connection stands
    private FrameConnection? _connection;
    private bool _isConnecting, _isClosed;
    private long _earlyBytes, _retryAt;
    private TimeSpan _backoff;
    private string _lastFailure = "";
    private ulong _lastId;
    private int _entered;

    public SiloAddress Silo => silo;

    /// <summary>Somebody has chosen this silo for a call, and has not sent it yet.</summary>
    public bool IsEntered => Volatile.Read(ref _entered) > 0;

    public void Enter() => Interlocked.Increment(ref _entered);

    public void Exit() => Interlocked.Decrement(ref _entered);

    /// <summary>Sends the call; whatever keeps it from being sent is its answer.</summary>
    public void Send(Call call)
    {
        var id = Interlocked.Increment(ref _lastId);
        var isAwaited = !call.Method.IsOneWay;
        Frame frame;
        try
        {
            frame = Frames.Request(call, id, node.View.Version, node.BodyMax);
        }
        catch (Exception error)
        {
            // An argument that cannot cross, or is too large.
            Fail(call, error);
            return;
        }

        if (isAwaited)
        {
            _waiting[id] = call;
            call.SentOver(this, id);
        }

        if (Enqueue(frame) is { } refusal)
        {
            frame.Return();
            Forget(id);
            Fail(call, refusal);
        }
        else if (!isAwaited)
        {
            call.GiveUpPlace();   // nothing of it comes back
        }
        else if (call.IsAnswered)
        {
            Forget(id);   // it timed out meanwhile
        }
        else if (call.IsCancelled)
        {
            Cancel(id);
        }
    }

    public void Forget(ulong id) => _waiting.TryRemove(id, out _);

    /// <summary>Tells the other side that nobody waits for this call any more.</summary>
    public void Cancel(ulong id)
    {
        var frame = Frames.Cancel(id);
        if (Enqueue(frame) is not null) frame.Return();   // then there is nobody to tell
    }

    /// <summary>The silo is dead, or this one is: nothing is sent any more, and who waits is told.</summary>
    public void Close(string reason)
    {
        FrameConnection? connection;
        lock (_gate)
        {
            _isClosed = true;
            _lastFailure = reason;
            connection = _connection;
            while (_early.TryDequeue(out var frame)) frame.Return();
        }

        connection?.Close();
        FailAll(reason);
    }

    private void Fail(Call call, Exception error)
    {
        if (call.Method.IsOneWay) node.Silo.Log.OneWayFailed(error, call.Method.ToString(), call.Target.GrainId);
        call.Answer(error);
    }

    private Exception? Enqueue(Frame frame)
    {
        lock (_gate)
        {
            if (_isClosed) return new SiloUnavailableException(_lastFailure);
            if (_connection is { IsClosed: false } connection)
            {
                if (connection.TrySend(frame, isBounded: true)) return null;
                return connection.IsClosed ? new SiloUnavailableException($"The connection to silo {silo} has ended") : TooBusy();
            }

            if (!_isConnecting)
            {
                if (Stopwatch.GetTimestamp() < _retryAt) return new SiloUnavailableException($"Silo {silo} could not be reached a moment ago: {_lastFailure}");
                _isConnecting = true;
                _ = Task.Run(ConnectAsync);
            }

            var isTooMuch = _early.Count >= node.Connections.QueuedMessagesMax || _earlyBytes + frame.Length > node.Connections.QueuedBytesMax;
            if (_early.Count > 0 && isTooMuch) return TooBusy();
            _early.Enqueue(frame);
            _earlyBytes += frame.Length;
            return null;
        }
    }

    private GatewayTooBusyException TooBusy() => new(
        $"More than {node.Connections.QueuedMessagesMax} calls or {node.Connections.QueuedBytesMax} bytes wait to be sent to silo {silo}: this one was not sent");

    private async Task ConnectAsync()
    {
        FrameConnection? connection = null;
        try
        {
            connection = await node.DialAsync(silo);
            lock (_gate)
            {
                _isConnecting = false;
                _backoff = TimeSpan.Zero;
                if (_isClosed) throw new SiloUnavailableException(_lastFailure);
                while (_early.TryDequeue(out var frame)) connection.TrySend(frame, isBounded: false);
                _earlyBytes = 0;
                _connection = connection;
            }
        }
        catch (Exception error)
        {
            // Unreachable, refused, or no silo of this cluster: in each case nothing was sent.
            connection?.Close();
            lock (_gate)
            {
                _isConnecting = false;
                _lastFailure = error.Message;
                _backoff = _backoff == TimeSpan.Zero ? FirstBackoff : _backoff * 2 < LongestBackoff ? _backoff * 2 : LongestBackoff;
                _retryAt = Stopwatch.GetTimestamp() + (long)(_backoff.TotalSeconds * Stopwatch.Frequency);
                while (_early.TryDequeue(out var frame)) frame.Return();
                _earlyBytes = 0;
            }

            FailAll($"Silo {silo} cannot be reached: {error.Message}");
            return;
        }

        await connection.RunAsync(OnFrame, null);
        lock (_gate)
        {
            if (_connection == connection) _connection = null;
        }

        FailAll($"The connection to silo {silo} has ended: the outcome of the call is unknown");
    }

    /// <summary>The calls that were made so far; one that is added beside this goes over the next connection.</summary>
    private void FailAll(string reason)
    {
        foreach (var (id, call) in _waiting)
            if (_waiting.TryRemove(id, out _)) call.Answer(new SiloUnavailableException(reason));
    }

    private void OnFrame(ReadOnlyMemory<byte> content)
    {
        var reader = new WireReader(content, node.Silo);
        if (reader.Byte() != (byte)FrameKind.Response) throw new SerializerException("Only answers come back");
        var id = reader.Varint();
        node.Saw(reader.Signed());
        var status = reader.Byte();
        if (!_waiting.TryRemove(id, out var call)) return;   // nobody waits any more
        try
        {
            if (status == 0) call.Complete(reader);
            else call.Answer(reader.Decode(Wire<Exception>.Read));
        }
        catch (SerializerException error)
        {
            // An answer that this program cannot read is the caller's to see, not the end of the connection.
            call.Answer(error);
        }
    }
}
