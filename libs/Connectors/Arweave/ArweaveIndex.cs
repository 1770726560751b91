using System.Net;
using System.Net.Http.Headers;
using System.Net.Mime;
using System.Text.Json;
using DarkStorage.Connectors.Http;
using DarkStorage.Storage.Backends;

namespace DarkStorage.Connectors.Arweave;

/// <summary>Finds a wallet's items by their tags: GraphQL as gateways of Arweave have it.</summary>
/// <remarks>Asked for from the newest to the oldest, with what is in no block yet in front: an item that gets into a block while pages are read moves behind where they are, and can be seen twice but not missed.</remarks>
internal sealed class ArweaveIndex(Uri address, HttpClient http, ArweaveWallet wallet, ArweavePlace place)
{
    private const string What = "The index";

    private const string Query =
        "query($owners:[String!],$tags:[TagFilter!],$first:Int,$after:String){transactions(owners:$owners,tags:$tags,first:$first,after:$after,sort:HEIGHT_DESC)"
        + "{pageInfo{hasNextPage}edges{cursor node{id owner{address}data{size}tags{name value}}}}}";

    /// <summary>Of a hundred items with 4 KiB of tags each, as JSON.</summary>
    private const int AnswerBytesMax = 8 << 20;

    /// <summary>Characters.</summary>
    private const int CursorLengthMax = 4 << 10;

    /// <summary>Pages with all that there ever was under a hundred names.</summary>
    private const int PagesMax = 100;

    private static readonly JsonSerializerOptions Json = new(JsonSerializerDefaults.Web);

    /// <returns>All records there are with these keys, in no order.</returns>
    public async Task<IReadOnlyList<FoundRecord>> FindAsync(IReadOnlyCollection<string> keys, CancellationToken ct)
    {
        var found = new List<FoundRecord>();
        string? after = null;
        for (var pages = 1; ; pages++)
        {
            var page = await PageAsync(BlobRecord.Tag.Key, keys, after, ct);
            found.AddRange(page.Found.Where(f => keys.Contains(f.Record.Key)));
            if (page.Next is null) return found;
            if (pages == PagesMax) throw new BackendException(BackendError.Damaged, $"{What} has more than {pages * place.PageItemsMax} items of {keys.Count} names.");
            after = page.Next;
        }
    }

    /// <summary>One page of what has a tag with one of some values.</summary>
    /// <param name="after">Null for the first.</param>
    public async Task<IndexPage> PageAsync(string tag, IReadOnlyCollection<string> values, string? after, CancellationToken ct)
    {
        var connection = await AskAsync(new { owners = new[] { wallet.Address }, tags = new[] { new { name = tag, values } }, first = place.PageItemsMax, after }, ct);
        var edges = connection.Edges ?? [];
        // Others' items can only be told of by mistake: nothing of theirs is sealed.
        var found = edges.Select(e => e?.Node).OfType<Node>().Where(n => n.Owner?.Address == wallet.Address).Select(FindRecord).OfType<FoundRecord>().ToList();
        if (connection.PageInfo?.HasNextPage != true) return new(found, null);
        var next = edges.LastOrDefault()?.Cursor;
        if (string.IsNullOrEmpty(next) || next.Length > CursorLengthMax || next == after) throw new BackendException(BackendError.Damaged, $"{What} says that its list goes on, and not where.");
        return new(found, next);
    }

    private FoundRecord? FindRecord(Node node)
    {
        if (!DataItem.IsId(node.Id)) throw new BackendException(BackendError.Damaged, $"{What} tells of an item without an id.");
        var tags = new Dictionary<string, string>(StringComparer.Ordinal);
        foreach (var tag in node.Tags ?? [])
        {
            if (tag is { Name: { } name, Value: { } value }) tags.TryAdd(name, value);
        }
        return BlobRecord.Find(node.Id!, tags, wallet, place) is { } record ? new(record, long.TryParse(node.Data?.Size, out var size) ? size : 0) : null;
    }

    private async Task<Connection> AskAsync(object variables, CancellationToken ct)
    {
        try
        {
            using var request = new HttpRequestMessage(HttpMethod.Post, address)
            {
                Content = new ByteArrayContent(JsonSerializer.SerializeToUtf8Bytes(new { query = Query, variables }, Json)) { Headers = { ContentType = new MediaTypeHeaderValue(MediaTypeNames.Application.Json) } },
            };
            using var answer = await http.SendAsync(request, HttpCompletionOption.ResponseHeadersRead, ct);
            if (answer.StatusCode != HttpStatusCode.OK) throw await ArweaveFailures.OfIndexAsync(answer, What, ct);
            var body = await BoundedBody.ReadAsync(answer, AnswerBytesMax, ct);
            var said = JsonSerializer.Deserialize<Answer>(body.Span, Json);
            // With errors the rest may be a part, which would pass for the whole.
            if (said?.Errors is { Count: > 0 } errors) throw new BackendException(BackendError.Unavailable, $"{What} answered with an error. {HttpFailures.Plain(errors[0]?.Message)}");
            return said?.Data?.Transactions ?? throw new JsonException("There are no transactions in it.");
        }
        catch (Exception e) when (HttpFailures.IsBroken(e, ct))
        {
            throw HttpFailures.NoAnswer(What, e);
        }
    }

    private sealed record Answer(Data? Data, List<Error?>? Errors);

    private sealed record Error(string? Message);

    private sealed record Data(Connection? Transactions);

    private sealed record Connection(PageInfo? PageInfo, List<Edge?>? Edges);

    private sealed record PageInfo(bool HasNextPage);

    private sealed record Edge(string? Cursor, Node? Node);

    private sealed record Node(string? Id, Owner? Owner, MetaData? Data, List<NodeTag?>? Tags);

    private sealed record Owner(string? Address);

    /// <param name="Size">Bytes, as a text.</param>
    private sealed record MetaData(string? Size);

    private sealed record NodeTag(string? Name, string? Value);
}

/// <param name="DataLength">Bytes of the item's data, as the index says; 0 where it does not know.</param>
internal sealed record FoundRecord(BlobRecord Record, long DataLength);

/// <param name="Next">Where the next page begins; null where there is none.</param>
internal sealed record IndexPage(IReadOnlyList<FoundRecord> Found, string? Next);
