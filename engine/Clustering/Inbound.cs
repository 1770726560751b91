using System.Collections.Concurrent;
using System.Diagnostics;
using Orleans.Runtime;
using Orleans.Serialization;

namespace DarkStorage.Engine;

/// <summary>Where the answer to a call from another silo goes.</summary>
internal sealed class CallOrigin(Inbound connection, ulong id, int bytes)
{
    public Frame Encode<T>(T value) => connection.Encode(id, value);

    public Frame EncodeFailure(Exception error) => connection.EncodeFailure(id, error);

    public void Send(Frame frame) => connection.Answer(id, bytes, frame);
}

/// <summary>What comes from one other silo: its calls, and what is still to be answered of them.</summary>
internal sealed class Inbound(ClusterNode node, FrameConnection connection, SiloAddress from)
{
    private static readonly TimeSpan DropsAreSaidEvery = TimeSpan.FromSeconds(10);

    private readonly ConcurrentDictionary<ulong, Call> _running = new();
    private long _bytes;
    private int _oneWays;
    private long _dropped, _droppedSaidAt;   // of the connection's reader alone

    public SiloAddress From => from;

    /// <summary>Calls that came this way and have no answer yet, or whose answer has not left.</summary>
    public bool IsBusy => !_running.IsEmpty || connection.HasUnsent;

    public Task RunAsync() => connection.RunAsync(OnFrame, connection.DrainedAsync);

    public void Close() => connection.Close();

    public Frame Encode<T>(ulong id, T value) =>
        Frames.Response(id, node.View.Version, node.BodyMax, writer => Wire<T>.Write(writer, value));

    public Frame EncodeFailure(ulong id, Exception error) => Frames.Failure(id, node.View.Version, node.BodyMax, error);

    public void Answer(ulong id, int bytes, Frame frame)
    {
        if (!connection.TrySend(frame, isBounded: false)) frame.Return();   // the caller has gone
        if (_running.TryRemove(id, out _)) Interlocked.Add(ref _bytes, -bytes);
    }

    public void OneWayDone(int bytes)
    {
        Interlocked.Decrement(ref _oneWays);
        Interlocked.Add(ref _bytes, -bytes);
    }

    private bool IsFull => _running.Count + Volatile.Read(ref _oneWays) >= node.Connections.CallsMax || Volatile.Read(ref _bytes) > node.Connections.CallBytesMax;

    private void OnFrame(ReadOnlyMemory<byte> content)
    {
        var reader = new WireReader(content, node.Silo);
        switch ((FrameKind)reader.Byte())
        {
            case FrameKind.Cancel:
                if (_running.TryGetValue(reader.Varint(), out var cancelled)) cancelled.Cancel();
                return;
            case FrameKind.Request:
                Receive(reader, content.Length);
                return;
            default:
                throw new SerializerException("Neither a call nor a cancellation");
        }
    }

    private void Receive(WireReader reader, int bytes)
    {
        var id = reader.Varint();
        var version = reader.Signed();
        var flags = (RequestFlags)reader.Byte();
        var isOneWay = (flags & RequestFlags.OneWay) != 0;
        if (isOneWay && IsFull)
        {
            Drop();
            return;
        }

        var origin = isOneWay ? null : new CallOrigin(this, id, bytes);
        Call call;
        try
        {
            call = reader.Decode(r => Read(r, flags));
        }
        catch (SerializerException error)
        {
            // The frame is whole, so the connection goes on: a method that this version has not is its caller's affair.
            origin?.Send(origin.EncodeFailure(error));
            return;
        }

        if (origin is not null)
        {
            call.Origin = origin;
            if (IsFull)
            {
                call.Answer(new GatewayTooBusyException(
                    $"Silo {node.Silo.Address} works on {node.Connections.CallsMax} calls or {node.Connections.CallBytesMax} bytes "
                    + $"of silo {from}: this one did not run"));
                return;
            }

            _running[id] = call;
            Interlocked.Add(ref _bytes, bytes);
        }
        else
        {
            Interlocked.Increment(ref _oneWays);
            Interlocked.Add(ref _bytes, bytes);
            call.CountedBy(this, bytes);
        }

        node.Receive(call, version);
    }

    /// <summary>There is nobody to tell but the log, and that not for each.</summary>
    private void Drop()
    {
        _dropped++;
        if (_droppedSaidAt != 0 && Stopwatch.GetElapsedTime(_droppedSaidAt) < DropsAreSaidEvery) return;
        node.Silo.Log.OneWaysDropped(_dropped, from);
        (_dropped, _droppedSaidAt) = (0, Stopwatch.GetTimestamp());
    }

    private Call Read(WireReader reader, RequestFlags flags)
    {
        var hops = reader.Byte();
        var timeout = reader.Varint();
        var target = reader.Grain();
        GrainId? source = (flags & RequestFlags.HasSource) != 0 ? reader.Grain() : null;
        Dictionary<string, object>? context = null;
        if ((flags & RequestFlags.HasContext) != 0)
        {
            var count = reader.Count(48);
            context = new(Math.Min(count, 64));
            for (var i = 0; i < count; i++) context.Add(reader.Text() ?? "", Wire<object>.Read(reader));
        }

        var reference = new GrainReference(node.Silo, target);
        if ((flags & RequestFlags.ToSilo) != 0) reference.Destination = node.Silo.Address;
        var call = Call.ReadRequest(reader, reference);
        call.Receive(from, source, context, hops, (flags & RequestFlags.Placed) != 0, timeout);
        return call;
    }
}
