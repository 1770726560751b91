using System.Text.Json.Nodes;
using System.Threading.Channels;
using Microsoft.AspNetCore.Builder;
using Microsoft.AspNetCore.Hosting;
using Microsoft.AspNetCore.Hosting.Server;
using Microsoft.AspNetCore.Hosting.Server.Features;
using Microsoft.AspNetCore.Http;
using Microsoft.Extensions.DependencyInjection;

namespace DarkStorage.TestKit;

/// <summary>A message that was posted.</summary>
/// <param name="Sequence">What its header says.</param>
/// <param name="Status">What it was answered.</param>
public sealed record ReceivedEvent(long Sequence, string? Signature, byte[] Body, int Status)
{
    public JsonNode Json { get; } = JsonNode.Parse(Body)!;

    /// <summary>The one record of S3's message; null of a test message.</summary>
    public JsonNode? Record => Json["Records"]?[0];

    public string? Name => (string?)Record?["eventName"];

    public string? Key => (string?)Record?["s3"]!["object"]!["key"];

    public string? Sequencer => (string?)Record?["s3"]!["object"]!["sequencer"];
}

/// <summary>A web server that takes events, and keeps what it was sent.</summary>
public sealed class EventReceiver : IAsyncDisposable
{
    /// <summary>Past this an event is not coming.</summary>
    private static readonly TimeSpan HangsAfter = TimeSpan.FromSeconds(60);

    private readonly WebApplication _app;
    private readonly Channel<ReceivedEvent> _received = Channel.CreateUnbounded<ReceivedEvent>();

    private EventReceiver(WebApplication app) => _app = app;

    /// <summary>Decides what a message is answered. 200 unless a test says otherwise.</summary>
    public Func<ReceivedEvent, int> Answer { get; set; } = _ => StatusCodes.Status200OK;

    public Uri Url { get; private set; } = null!;

    public int Port => Url.Port;

    /// <param name="port">0 for a free one.</param>
    public static async Task<EventReceiver> StartAsync(int port = 0)
    {
        var builder = WebApplication.CreateEmptyBuilder(new());
        builder.WebHost.UseKestrelCore().ConfigureKestrel(k => k.Listen(System.Net.IPAddress.Loopback, port));
        var app = builder.Build();
        var receiver = new EventReceiver(app);
        app.Run(receiver.TakeAsync);
        await app.StartAsync();
        receiver.Url = new(app.Services.GetRequiredService<IServer>().Features.Get<IServerAddressesFeature>()!.Addresses.Single() + "/hook");
        return receiver;
    }

    /// <summary>The next message, in the order of their coming.</summary>
    public async Task<ReceivedEvent> NextAsync()
    {
        using var hang = new CancellationTokenSource(HangsAfter);
        return await _received.Reader.ReadAsync(hang.Token);
    }

    /// <summary>Takes messages until one fulfils what is wanted.</summary>
    /// <returns>All that came, that one being the last.</returns>
    public async Task<List<ReceivedEvent>> UntilAsync(Func<List<ReceivedEvent>, bool> enough)
    {
        var taken = new List<ReceivedEvent>();
        do taken.Add(await NextAsync());
        while (!enough(taken));
        return taken;
    }

    public async ValueTask DisposeAsync() => await _app.DisposeAsync();

    private async Task TakeAsync(HttpContext http)
    {
        using var body = new MemoryStream();
        await http.Request.Body.CopyToAsync(body, http.RequestAborted);
        var received = new ReceivedEvent(long.Parse(http.Request.Headers["DarkStorage-Event"].ToString(), System.Globalization.CultureInfo.InvariantCulture),
            http.Request.Headers["DarkStorage-Signature"], body.ToArray(), 0);
        received = received with { Status = Answer(received) };
        http.Response.StatusCode = received.Status;
        await http.Response.CompleteAsync();
        _received.Writer.TryWrite(received);
    }
}
