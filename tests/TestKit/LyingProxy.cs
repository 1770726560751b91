using System.Net;
using Microsoft.AspNetCore.Builder;
using Microsoft.AspNetCore.Hosting;
using Microsoft.AspNetCore.Http;
using Microsoft.AspNetCore.Http.Features;
using Microsoft.Extensions.Logging;

namespace DarkStorage.TestKit;

/// <summary>Passes requests on to a server, and answers as a test says: for what a real service does and its emulator does not.</summary>
public sealed class LyingProxy : IAsyncDisposable
{
    private readonly HttpClient _http = new(new SocketsHttpHandler { AllowAutoRedirect = false, UseProxy = false }) { Timeout = Timeout.InfiniteTimeSpan };
    private readonly WebApplication _app;
    private readonly IPEndPoint _server;

    private LyingProxy(IPEndPoint server)
    {
        _server = server;
        var builder = WebApplication.CreateSlimBuilder();
        builder.Logging.ClearProviders();
        builder.WebHost.UseKestrelCore().ConfigureKestrel(k => k.Listen(IPAddress.Loopback, 0));
        _app = builder.Build();
        _app.Run(PassAsync);
    }

    /// <summary>Asked for each request, before it is passed on. True where it has answered.</summary>
    public Func<HttpContext, Task<bool>> Answers { get; set; } = _ => Task.FromResult(false);

    /// <summary>Changes the answer that is about to be passed back.</summary>
    public Action<HttpContext> Alters { get; set; } = _ => { };

    /// <summary>Changes the bytes of an answer that has any, where it is not null; the answer is then held until it is whole.</summary>
    public Func<HttpContext, byte[], byte[]>? AltersBody { get; set; }

    public IPEndPoint EndPoint => new(IPAddress.Loopback, new Uri(_app.Urls.Single()).Port);

    public static async Task<LyingProxy> StartAsync(IPEndPoint server)
    {
        var proxy = new LyingProxy(server);
        await proxy._app.StartAsync();
        return proxy;
    }

    public async ValueTask DisposeAsync()
    {
        await _app.DisposeAsync();
        _http.Dispose();
    }

    private async Task PassAsync(HttpContext http)
    {
        if (await Answers(http)) return;
        var target = new Uri($"http://{_server}{http.Features.GetRequiredFeature<IHttpRequestFeature>().RawTarget}", new UriCreationOptions { DangerousDisablePathAndQueryCanonicalization = true });
        using var request = new HttpRequestMessage(new(http.Request.Method), target);
        // Azurite looks at no length of a request without content, and Node at none of a stream.
        if (http.Request.ContentLength is > 0 || HttpMethods.IsPut(http.Request.Method)) request.Content = new StreamContent(http.Request.Body);
        foreach (var (name, values) in http.Request.Headers)
        {
            // The host stays what the client asked for: signatures cover it.
            if (name is "Connection") continue;
            if (!request.Headers.TryAddWithoutValidation(name, values.AsEnumerable())) request.Content?.Headers.TryAddWithoutValidation(name, values.AsEnumerable());
        }
        using var answer = await _http.SendAsync(request, HttpCompletionOption.ResponseHeadersRead, http.RequestAborted);
        http.Response.StatusCode = (int)answer.StatusCode;
        foreach (var (name, values) in answer.Headers.Concat(answer.Content.Headers))
        {
            if (name is not ("Connection" or "Keep-Alive" or "Transfer-Encoding")) http.Response.Headers[name] = values.ToArray();
        }
        Alters(http);
        if (HttpMethods.IsHead(http.Request.Method)) return;
        if (AltersBody is not null)
        {
            var body = AltersBody(http, await answer.Content.ReadAsByteArrayAsync(http.RequestAborted));
            http.Response.ContentLength = body.Length;
            await http.Response.Body.WriteAsync(body, http.RequestAborted);
        }
        else await answer.Content.CopyToAsync(http.Response.Body, http.RequestAborted);
    }
}
