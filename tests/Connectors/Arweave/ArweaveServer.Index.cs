using System.Globalization;
using System.Text;
using System.Text.Json;
using System.Text.Json.Nodes;
using Microsoft.AspNetCore.Http;

namespace DarkStorage.Connectors.Arweave;

/// <summary>The gateway's GraphQL: transactions by owner and tags, the newest first, and what is in no block before all.</summary>
public sealed partial class ArweaveServer
{
    private int _height = 1_300_000;

    /// <summary>Items on one page at most, whatever is asked for.</summary>
    public int PageItemsMax { get; set; } = 100;

    /// <summary>Changes what the index answers, before it does.</summary>
    public Action<JsonObject> AltersAnswer { get; set; } = _ => { };

    /// <summary>Puts what is in no block into one of its own each, the last that was taken first: blocks keep no order of uploads.</summary>
    public void MineBackwards()
    {
        lock (_lock)
        {
            foreach (var item in Enumerable.Reverse(_items).Where(i => i.Height is null)) item.Height = _height++;
        }
    }

    /// <summary>The index does not show what is in no block, as gateways do after an hour or two.</summary>
    public void ForgetPending(bool isForgotten = true)
    {
        lock (_lock)
        {
            foreach (var item in _items.Where(i => i.Height is null)) item.IsForgotten = isForgotten;
        }
    }

    private async Task QueryAsync(HttpContext http)
    {
        JsonObject answer;
        try
        {
            var body = (await JsonNode.ParseAsync(http.Request.Body))!.AsObject();
            var query = new GraphQuery((string?)body["query"] ?? throw new FormatException("There is no query."), body["variables"]?.AsObject() ?? []);
            answer = new() { ["data"] = new JsonObject { ["transactions"] = Select(query) } };
        }
        catch (Exception e) when (e is FormatException or JsonException or InvalidOperationException)
        {
            http.Response.StatusCode = 400;
            answer = new() { ["errors"] = new JsonArray(new JsonObject { ["message"] = e.Message }) };
        }
        AltersAnswer(answer);
        http.Response.ContentType = "application/json; charset=utf-8";
        await http.Response.WriteAsync(answer.ToJsonString());
    }

    private JsonNode Select(GraphQuery query)
    {
        if (query.Sort != "HEIGHT_DESC") throw new FormatException("This stands in for that order alone.");
        lock (_lock)
        {
            foreach (var item in _items.Where(i => i.Unseen > 0)) item.Unseen--;
            var after = query.After is null ? ((int, int)?)null : Cursor(query.After);
            var found = _items.Select((item, number) => (item, place: (-(item.Height ?? int.MaxValue), -number)))
                .Where(i => i.item is { Unseen: 0, IsForgotten: false } && (query.Owners is null || query.Owners.Contains(i.item.Owner)) && query.Tags.All(t => i.item.Tags.Any(own => own.Name == t.Name && t.Values.Contains(own.Value))))
                .OrderBy(i => i.place).Where(i => after is null || i.place.CompareTo(after.Value) > 0).ToList();
            var size = Math.Min(query.First, PageItemsMax);
            var edges = found.Take(size).Select(i => new JsonObject { ["cursor"] = CursorOf(i.place), ["node"] = NodeOf(i.item) });
            return query.Project(new JsonObject { ["pageInfo"] = new JsonObject { ["hasNextPage"] = found.Count > size }, ["edges"] = new JsonArray([.. edges]) });
        }
    }

    private static JsonObject NodeOf(StoredItem item) => new()
    {
        ["id"] = item.Id,
        ["anchor"] = "",
        ["recipient"] = "",
        ["owner"] = new JsonObject { ["address"] = item.Owner },
        ["data"] = new JsonObject { ["size"] = item.Data.Length.ToString(CultureInfo.InvariantCulture), ["type"] = "application/octet-stream" },
        ["tags"] = new JsonArray([.. item.Tags.Select(t => new JsonObject { ["name"] = t.Name, ["value"] = t.Value })]),
        ["block"] = item.Height is { } height ? new JsonObject { ["height"] = height } : null,
    };

    private static string CursorOf((int, int) place) => Convert.ToBase64String(Encoding.ASCII.GetBytes(string.Create(CultureInfo.InvariantCulture, $"{place.Item1}|{place.Item2}")));

    private static (int, int) Cursor(string text) => Encoding.ASCII.GetString(Convert.FromBase64String(text)).Split('|') is [var one, var other] ? (int.Parse(one, CultureInfo.InvariantCulture), int.Parse(other, CultureInfo.InvariantCulture)) : throw new FormatException("No cursor.");
}
