using System.Collections.Concurrent;
using System.Net;
using System.Net.Security;
using System.Net.Sockets;
using System.Security.Authentication;
using System.Security.Cryptography.X509Certificates;
using Orleans.Runtime;

namespace DarkStorage.Engine;

internal sealed partial class ClusterNode
{
    /// <summary>Connections that have not said yet who they are; more are closed unheard.</summary>
    private const int UnknownMax = 64;

    private static readonly TimeSpan IntroductionTime = TimeSpan.FromSeconds(5);
    private static readonly TimeSpan AcceptAgain = TimeSpan.FromMilliseconds(100);

    private readonly ConcurrentDictionary<Inbound, byte> _inbound = new();
    private readonly SemaphoreSlim _unknown = new(UnknownMax);
    private Socket? _listener;

    private bool IsSecure => _tls.Certificate is not null || _tls.CertificateSelector is not null;

    private X509Certificate2 Certificate => _tls.CertificateSelector?.Invoke() ?? _tls.Certificate!;

    private int FrameMax => BodyMax;

    /// <summary>A connection on which the other side has agreed to talk.</summary>
    public async Task<FrameConnection> DialAsync(SiloAddress silo)
    {
        if (!View.IsLive(silo)) throw new SiloUnavailableException($"Silo {silo} is no live member of the cluster");
        using var patience = CancellationTokenSource.CreateLinkedTokenSource(_ending.Token);
        patience.CancelAfter(IntroductionTime);
        var socket = new Socket(silo.Endpoint.AddressFamily, SocketType.Stream, ProtocolType.Tcp) { NoDelay = true };
        Stream? stream = null;
        try
        {
            await socket.ConnectAsync(silo.Endpoint, patience.Token);
            stream = new NetworkStream(socket, ownsSocket: true);
            if (IsSecure) stream = await SecureAsync(new(stream), silo, patience.Token);
            var hello = Frames.Hello(Silo.ClusterId, _cluster.ServiceId, Silo.Address, silo, View.Version);
            await WriteOneAsync(stream, hello, patience.Token);
            Saw(Frames.ReadWelcome(await FrameConnection.ReadOneAsync(stream, Frames.FirstFrameMax, patience.Token), silo));
            return new(stream, FrameMax, Connections.QueuedMessagesMax, Connections.QueuedBytesMax);
        }
        catch (Exception error)
        {
            // Disposed here, since nobody else has it yet.
            if (stream is not null) await stream.DisposeAsync();
            else socket.Dispose();
            if (error is OperationCanceledException) throw new TimeoutException($"No answer from silo {silo} within {IntroductionTime}", error);
            throw;
        }
    }

    /// <summary>Takes the port, before the silo has a name among the others: whoever joins can be reached.</summary>
    private void Listen()
    {
        var endpoint = _endpoint.SiloListeningEndpoint ?? Silo.Address.Endpoint;
        if (IsSecure == (_tls.Validate is null))
            throw new OrleansConfigurationException($"{nameof(SiloTlsOptions)}: a certificate and a validation belong together");
        if (!IsSecure && !(IPAddress.IsLoopback(endpoint.Address) && IPAddress.IsLoopback(Silo.Address.Endpoint.Address)))
        {
            throw new OrleansConfigurationException(
                $"Silos talk without TLS on loopback only, and {endpoint} advertised as {Silo.Address.Endpoint} is none: "
                + $"configure {nameof(SiloTlsOptions)} ({nameof(SiloTlsExtensions.UseSiloTls)})");
        }

        _listener = new(endpoint.AddressFamily, SocketType.Stream, ProtocolType.Tcp);
        try
        {
            _listener.Bind(endpoint);
        }
        catch (SocketException error)
        {
            throw new OrleansConfigurationException($"The silo port {endpoint} cannot be taken: {error.Message}", error);
        }

        _listener.Listen(512);
        if (Silo.Address.Endpoint.Port == 0)
            Silo.Address = SiloAddress.New(Silo.Address.Endpoint.Address, ((IPEndPoint)_listener.LocalEndPoint!).Port, Silo.Address.Generation);
    }

    private async Task AcceptAsync()
    {
        while (!_ending.IsCancellationRequested)
        {
            Socket socket;
            try
            {
                socket = await _listener!.AcceptAsync(_ending.Token);
            }
            catch (Exception error) when (error is OperationCanceledException or ObjectDisposedException)
            {
                return;
            }
            catch (SocketException error)
            {
                // One caller has gone already; or there is no room for any, and the next try would fail as this one did.
                if (error.SocketErrorCode is not (SocketError.ConnectionReset or SocketError.ConnectionAborted))
                    await Task.Delay(AcceptAgain, _ending.Token).ConfigureAwait(ConfigureAwaitOptions.SuppressThrowing);
                continue;
            }

            if (_unknown.Wait(0)) _ = ServeAsync(socket);
            else socket.Dispose();
        }
    }

    private async Task ServeAsync(Socket socket)
    {
        Inbound? inbound = null;
        var stream = (Stream)new NetworkStream(socket, ownsSocket: true);
        try
        {
            socket.NoDelay = true;
            try
            {
                using var patience = CancellationTokenSource.CreateLinkedTokenSource(_ending.Token);
                patience.CancelAfter(IntroductionTime);
                (stream, inbound) = await IntroduceAsync(stream, patience.Token);
            }
            finally
            {
                _unknown.Release();
            }

            if (inbound is null) return;
            _inbound.TryAdd(inbound, 0);
            if (View.IsLive(inbound.From) && !_isFenced) await inbound.RunAsync();
        }
        catch (Exception error)
        {
            // Whoever called is to blame, and is not listened to any further.
            Silo.Log.ConnectionRefused(error.Message);
        }
        finally
        {
            if (inbound is not null) _inbound.TryRemove(inbound, out _);
            inbound?.Close();
            await stream.DisposeAsync();
        }
    }

    private async Task<(Stream Stream, Inbound? Inbound)> IntroduceAsync(Stream stream, CancellationToken ct)
    {
        if (IsSecure)
        {
            var secure = new SslStream(stream);
            stream = secure;
            await secure.AuthenticateAsServerAsync(
                new SslServerAuthenticationOptions
                {
                    ServerCertificate = Certificate,
                    ClientCertificateRequired = true,
                    // Each connection is proved by what is shown and accepted when it is made.
                    AllowTlsResume = false,
                    EnabledSslProtocols = SslProtocols.Tls13,
                    // Required is what .NET asks for, not what it insists on.
                    RemoteCertificateValidationCallback = (sender, shown, chain, errors) => shown is not null && _tls.Validate!(sender, shown, chain, errors),
                },
                ct);
        }

        var hello = Frames.ReadHello(await FrameConnection.ReadOneAsync(stream, Frames.FirstFrameMax, ct));
        if (await RefusalAsync(hello) is { } reason)
        {
            Silo.Log.ConnectionRefused(reason);
            await WriteOneAsync(stream, Frames.Refusal(reason), ct);
            return (stream, null);
        }

        await WriteOneAsync(stream, Frames.Welcome(View.Version), ct);
        var connection = new FrameConnection(stream, FrameMax, Connections.QueuedMessagesMax, Connections.QueuedBytesMax);
        return (stream, new(this, connection, hello.From));
    }

    private async Task<string?> RefusalAsync((string Cluster, string Service, SiloAddress From, SiloAddress To, long Version) hello)
    {
        if (hello.Cluster != Silo.ClusterId || hello.Service != _cluster.ServiceId) return "this is another cluster";
        if (hello.To != Silo.Address) return $"this is {Silo.Address}, a later run of the silo that is called";
        if (!View.IsLive(hello.From)) await RefreshAsync(Math.Max(hello.Version, View.Version));   // it may have joined a moment ago
        return View.IsLive(hello.From) ? null : $"{hello.From} is no live member of the cluster";
    }

    private async Task<SslStream> SecureAsync(SslStream stream, SiloAddress silo, CancellationToken ct)
    {
        await stream.AuthenticateAsClientAsync(
            new SslClientAuthenticationOptions
            {
                TargetHost = silo.Endpoint.Address.ToString(),
                ClientCertificates = [Certificate],
                AllowTlsResume = false,
                EnabledSslProtocols = SslProtocols.Tls13,
                RemoteCertificateValidationCallback = _tls.Validate,
            },
            ct);
        return stream;
    }

    private static async Task WriteOneAsync(Stream stream, Frame frame, CancellationToken ct)
    {
        try
        {
            await stream.WriteAsync(frame.Buffer.AsMemory(0, frame.Length), ct);
        }
        finally
        {
            frame.Return();
        }
    }

    private void CloseDead(ClusterView view)
    {
        foreach (var silo in _peers.Keys)
            if (!view.IsLive(silo) && view.Version >= 0) ClosePeer(silo);
        foreach (var inbound in _inbound.Keys)
            if (!view.IsLive(inbound.From)) inbound.Close();
        foreach (var silo in _settled.Keys)
            if (!view.IsLive(silo)) _settled.TryRemove(silo, out _);
    }

    private void CloseConnections(string reason)
    {
        _listener?.Dispose();
        foreach (var peer in _peers.Values) peer.Close(reason);
        foreach (var inbound in _inbound.Keys) inbound.Close();
    }
}
