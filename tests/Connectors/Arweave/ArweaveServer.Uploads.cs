using System.Globalization;
using System.Text.Json.Nodes;
using Microsoft.AspNetCore.Http;

namespace DarkStorage.Connectors.Arweave;

/// <summary>The bundler: POST /v1/tx.</summary>
public sealed partial class ArweaveServer
{
    private readonly List<StoredItem> _items = [];

    /// <summary>Bytes of the largest item.</summary>
    public long ItemBytesMax { get; set; } = 2L << 30;

    /// <summary>Bytes that the wallet has paid for; items up to <see cref="FreeBytes"/> cost nothing.</summary>
    public long Credit { get; set; } = long.MaxValue;

    public long FreeBytes { get; set; } = 100 << 10;

    /// <summary>Of what is taken from now on: queries until the index shows it, and requests until the gateway has its data.</summary>
    public (int Index, int Data) Lag { get; set; }

    /// <summary>Takes the next item, and ends the connection in place of an answer.</summary>
    public bool LosesAnswer { get; set; }

    /// <summary>Flips a bit of the next item on its way.</summary>
    public bool CorruptsUpload { get; set; }

    /// <summary>Items that were taken, one after the other.</summary>
    public IReadOnlyList<(string Id, IReadOnlyList<(string Name, string Value)> Tags, byte[] Data)> Taken
    {
        get
        {
            lock (_lock) return [.. _items.Select(i => (i.Id, i.Tags, i.Data))];
        }
    }

    /// <summary>What is done with an item that is posted.</summary>
    public async Task TakeAsync(HttpContext http)
    {
        if (http.Request.ContentType != "application/octet-stream")
        {
            await SayAsync(http, 400, "Invalid Content Type");
            return;
        }
        if (http.Request.ContentLength is not { } length)
        {
            await SayAsync(http, 400, "Request content has no length");
            return;
        }
        if (length > ItemBytesMax)
        {
            await SayAsync(http, 400, string.Create(CultureInfo.InvariantCulture, $"Data item is too large, this service only accepts data items up to {ItemBytesMax} bytes!"));
            return;
        }
        var body = new byte[length];
        await http.Request.Body.ReadExactlyAsync(body);
        if (CorruptsUpload) body[^1] ^= 1;
        CorruptsUpload = false;
        StoredItem item;
        try
        {
            item = Parse(body);
        }
        catch (FormatException)
        {
            await SayAsync(http, 400, "Invalid Data Item!");
            return;
        }
        var (status, text) = Keep(item, length);
        if (status != 200)
        {
            await SayAsync(http, status, text);
        }
        else if (LosesAnswer)
        {
            LosesAnswer = false;
            http.Abort();
        }
        else
        {
            http.Response.ContentType = "application/json; charset=utf-8";
            await http.Response.WriteAsync(new JsonObject
            {
                ["id"] = item.Id, ["timestamp"] = DateTimeOffset.UtcNow.ToUnixTimeMilliseconds(), ["winc"] = "0", ["version"] = "0.2.0", ["deadlineHeight"] = 1_310_000,
                ["dataCaches"] = new JsonArray("arweave.net"), ["fastFinalityIndexes"] = new JsonArray("arweave.net"), ["public"] = "AQAB", ["signature"] = "AQAB", ["owner"] = item.Owner,
            }.ToJsonString());
        }
    }

    private (int Status, string Text) Keep(StoredItem item, long length)
    {
        lock (_lock)
        {
            if (_items.Exists(i => i.Id == item.Id)) return (202, "Data Item Exists");
            if (length > FreeBytes && length > Credit) return (402, "Insufficient balance");
            if (length > FreeBytes) Credit -= length;
            (item.Unseen, item.Unread) = Lag;
            _items.Add(item);
            return (200, "");
        }
    }
}
