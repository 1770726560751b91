using System.Collections.Concurrent;
using System.Net;
using Microsoft.AspNetCore.Builder;
using Microsoft.AspNetCore.Hosting;
using Microsoft.AspNetCore.Http;
using Microsoft.AspNetCore.Http.Features;
using Microsoft.Extensions.Logging;

namespace DarkStorage.Connectors.Arweave;

/// <summary>Stands in for Arweave: a bundler as Turbo's interface describes it, and a gateway with GraphQL and the items' data as AR.IO's describes them. It shares nothing with the product. What it does wrong, it is told to.</summary>
/// <remarks>Written after the public documentation, and never compared with a live service. Stricter than that: items are parsed and their signatures verified by a second implementation, tags have all limits that the standard and the bundlers have, items without data are refused, queries are parsed and checked against the schema.</remarks>
public sealed partial class ArweaveServer : IAsyncLifetime
{
    private readonly Lock _lock = new();
    private WebApplication _app = null!;

    public string Url { get; private set; } = "";

    /// <summary>Method, path and query of each request so far.</summary>
    public ConcurrentQueue<string> Requests { get; } = new();

    /// <summary>Asked for each request first. True where it has answered.</summary>
    public Func<HttpContext, Task<bool>> Answers { get; set; } = _ => Task.FromResult(false);

    public int Uploads => Requests.Count(r => r == "POST /v1/tx");

    public async ValueTask InitializeAsync()
    {
        var builder = WebApplication.CreateSlimBuilder();
        builder.Logging.ClearProviders();
        builder.WebHost.UseKestrelCore().ConfigureKestrel(k =>
        {
            k.Listen(IPAddress.Loopback, 0);
            k.Limits.MaxRequestBodySize = null;
        });
        _app = builder.Build();
        _app.Run(AnswerAsync);
        await _app.StartAsync();
        Url = _app.Urls.Single();
    }

    public ValueTask DisposeAsync() => _app.DisposeAsync();

    /// <summary>An answer in plain text, after all was read: a server that ends a connection with unread content in it resets it.</summary>
    public static async Task<bool> SayAsync(HttpContext http, int status, string text)
    {
        await http.Request.Body.CopyToAsync(Stream.Null);
        http.Response.StatusCode = status;
        http.Response.ContentType = "text/plain; charset=utf-8";
        await http.Response.WriteAsync(text);
        return true;
    }

    private async Task AnswerAsync(HttpContext http)
    {
        var target = http.Features.GetRequiredFeature<IHttpRequestFeature>().RawTarget;
        Requests.Enqueue($"{http.Request.Method} {target}");
        if (await Answers(http)) return;
        try
        {
            await ((http.Request.Method, target.Split('/')) switch
            {
                ("POST", ["", "v1", "tx"]) => TakeAsync(http),
                ("POST", ["", "graphql"]) => QueryAsync(http),
                ("GET" or "HEAD", ["", "raw", var id]) => ReadAsync(http, id),
                _ => SayAsync(http, 404, "Not Found"),
            });
        }
        catch (Exception e) when (e is IOException or OperationCanceledException)
        {
            // The client has gone.
            http.Abort();
        }
    }

    /// <summary>An item as it is kept.</summary>
    private sealed class StoredItem(string id, string owner, IReadOnlyList<(string Name, string Value)> tags, byte[] data, string sha256)
    {
        public string Id => id;

        public string Owner => owner;

        public IReadOnlyList<(string Name, string Value)> Tags => tags;

        public byte[] Data => data;

        public string Sha256 => sha256;

        /// <summary>Null while it is in no block.</summary>
        public int? Height { get; set; }

        /// <summary>Queries until it shows.</summary>
        public int Unseen { get; set; }

        /// <summary>Requests until its data is there.</summary>
        public int Unread { get; set; }

        /// <summary>The index does not show it, though it did.</summary>
        public bool IsForgotten { get; set; }
    }
}
