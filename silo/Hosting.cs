using System.Net;
using System.Text;
using DarkStorage.ClientApi;
using DarkStorage.ClientApi.S3;
using DarkStorage.Silo.Configuration;
using Microsoft.AspNetCore.Server.Kestrel.Core;
using Serilog;
using Serilog.Events;
using Serilog.Formatting.Json;

namespace DarkStorage.Silo;

/// <summary>How the program listens and how it logs.</summary>
internal static class Hosting
{
    /// <summary>Bytes of a request line: a key of 1,024 bytes, each escaped, and a presigned query.</summary>
    private const int RequestLineBytesMax = 20 << 10;

    /// <summary>Bytes of a request that Kestrel holds before the store takes them, and that its sockets read ahead: two settings of one thing.
    /// Default of either is 1 MiB; with many uploads at once that is memory for nothing.</summary>
    private const long RequestBufferBytesMax = 256 << 10;

    public static void AddListeners(this WebApplicationBuilder builder, NodeOptions node) => builder.WebHost.UseSockets(sockets => sockets.MaxReadBufferSize = RequestBufferBytesMax).UseKestrel(kestrel =>
    {
        kestrel.AddServerHeader = false;
        kestrel.Limits.MaxRequestBodySize = null; // each operation has its own limit
        kestrel.Limits.MaxRequestLineSize = RequestLineBytesMax;
        kestrel.Limits.MaxRequestBufferSize = RequestBufferBytesMax;
        // Metadata is UTF-8 both ways, as SDKs send it.
        kestrel.RequestHeaderEncodingSelector = static _ => Encoding.UTF8;
        kestrel.ResponseHeaderEncodingSelector = static _ => Encoding.UTF8;
        Listen(kestrel, node.S3Url, ApiEndpoint.S3);
        Listen(kestrel, node.ManagementUrl, ApiEndpoint.Management);
    });

    public static void AddLogging(this WebApplicationBuilder builder, NodeOptions node)
    {
        var configuration = new LoggerConfiguration()
            .MinimumLevel.Is(ToSerilog(node.LogLevel))
            .MinimumLevel.Override("Microsoft", LogEventLevel.Warning)
            .MinimumLevel.Override("Orleans", LogEventLevel.Warning)
            .Enrich.FromLogContext()
            .Enrich.WithProperty("Node", node.Node);
        Log.Logger = (node.LogFormat == LogFormat.Json
            ? configuration.WriteTo.Console(new JsonFormatter(renderMessage: true))
            : configuration.WriteTo.Console(outputTemplate: "{Timestamp:HH:mm:ss.fff} {Level:u3} {RequestId,-16} {Message:lj}{NewLine}{Exception}", formatProvider: System.Globalization.CultureInfo.InvariantCulture)).CreateLogger();
        builder.Logging.AddSerilog(Log.Logger, dispose: false);
    }

    private static void Listen(KestrelServerOptions kestrel, Uri url, ApiEndpoint endpoint)
    {
        if (url.Host == "localhost") kestrel.ListenLocalhost(url.Port, l => Configure(l, endpoint));
        else if (IPAddress.TryParse(url.Host.Trim('[', ']'), out var address)) kestrel.Listen(address, url.Port, l => Configure(l, endpoint));
        else kestrel.ListenAnyIP(url.Port, l => Configure(l, endpoint));
    }

    private static void Configure(ListenOptions listener, ApiEndpoint endpoint)
    {
        listener.Protocols = HttpProtocols.Http1;
        listener.Serves(endpoint);
    }

    private static LogEventLevel ToSerilog(LogLevel level) => level switch
    {
        LogLevel.Trace => LogEventLevel.Verbose,
        LogLevel.Debug => LogEventLevel.Debug,
        LogLevel.Information => LogEventLevel.Information,
        LogLevel.Warning => LogEventLevel.Warning,
        LogLevel.Error => LogEventLevel.Error,
        _ => LogEventLevel.Fatal,
    };
}
