using System.Globalization;
using System.Text.Json.Nodes;
using System.Text.RegularExpressions;
using Microsoft.AspNetCore.Http;

namespace DarkStorage.Connectors.GoogleDrive;

/// <summary>Lists, and the queries that they are asked with.</summary>
public sealed partial class DriveServer
{
    private Task ListAsync(HttpContext http, Dictionary<string, string> query)
    {
        // Drive says that sorting many may take longer than it has; here it always does.
        if (query.ContainsKey("orderBy")) throw new ApiException(503, "backendError", "Backend Error");
        if (query.GetValueOrDefault("spaces", "drive") != "drive") throw new ApiException(400, "invalid", "Invalid Value");
        if ((Number(query, "pageSize") ?? 100) is < 1 or > 1000) throw new ApiException(400, "invalid", "Invalid value for page_size.");
        var conditions = Parse(query.GetValueOrDefault("q", ""));
        var page = new JsonObject { ["kind"] = "drive#fileList", ["incompleteSearch"] = SaysIncomplete };
        lock (_lock)
        {
            var corpus = CorpusOf(query);
            var token = query.GetValueOrDefault("pageToken");
            if (GivesEmptyPages && token is null)
            {
                (page["files"], page["nextPageToken"]) = (new JsonArray(), "begin");
                return JsonAsync(http, page, query);
            }
            var behind = token is null or "begin" ? "" : token;
            var matching = _items.Values.Concat(_deleted).Where(i => corpus(i) && conditions.TrueForAll(c => c(i))).ToList();
            var shown = matching.Where(i => _items.ContainsKey(i.Id) ? i.Lag == 0 : i.Lag > 0).OrderBy(PlaceOf, StringComparer.Ordinal).ToList();
            if (behind.Length == 0)
            {
                foreach (var item in matching.Where(i => i.Lag is > 0 and < int.MaxValue)) item.Lag--;
            }
            var rest = shown.Where(i => string.CompareOrdinal(PlaceOf(i), behind) > 0).ToList();
            var size = (int)Math.Min(PageFilesMax, Number(query, "pageSize") ?? 100);
            page["files"] = new JsonArray([.. rest.Take(size).Select(ResourceOf)]);
            if (rest.Count > size) page["nextPageToken"] = PlaceOf(rest[size - 1]);
        }
        return JsonAsync(http, page, query);
    }

    /// <summary>Where something is in lists.</summary>
    private string PlaceOf(Item item) => Order switch
    {
        DriveOrder.OldestFirst => $"p{item.Sequence.ToString("D20", CultureInfo.InvariantCulture)}",
        DriveOrder.NewestFirst => $"p{(long.MaxValue - item.Sequence).ToString("D20", CultureInfo.InvariantCulture)}",
        _ => $"p{item.Id}",
    };

    /// <summary>Whose files are searched.</summary>
    private Func<Item, bool> CorpusOf(Dictionary<string, string> query)
    {
        switch (query.GetValueOrDefault("corpora", "user"))
        {
            case "user":
                return i => i.DriveId is null;
            case "drive":
                if (query.GetValueOrDefault("supportsAllDrives") != "true" || query.GetValueOrDefault("includeItemsFromAllDrives") != "true") throw new ApiException(403, "teamDrivesParameterRequired", "The includeItemsFromAllDrives parameter is needed.");
                var drive = query.GetValueOrDefault("driveId") ?? throw new ApiException(400, "badRequest", "The driveId parameter is needed.");
                return _drives.Contains(drive) ? i => i.DriveId == drive : throw new ApiException(404, "notFound", $"Shared drive not found: {drive}");
            default:
                throw new ApiException(400, "invalid", "Invalid Value");
        }
    }

    private List<Func<Item, bool>> Parse(string query)
    {
        var conditions = new List<Func<Item, bool>>();
        for (var at = 0; at < query.Length;)
        {
            var match = Term().Match(query, at);
            if (!match.Success) throw new ApiException(400, "invalid", $"Invalid Value: {query[at..]}");
            at += match.Length;
            conditions.Add(ConditionOf(match));
        }
        return conditions;
    }

    private Func<Item, bool> ConditionOf(Match match)
    {
        var (one, two) = (Unquoted(match.Groups["one"].Value), Unquoted(match.Groups["two"].Value));
        return match.Groups["term"].Value switch
        {
            "mimeType =" => i => i.MimeType == one,
            "mimeType !=" => i => i.MimeType != one,
            // As Drive does, which finds what differs in case.
            "name =" => i => i.Name.Equals(one, StringComparison.OrdinalIgnoreCase),
            "trashed =" => i => IsTrashed(i) == (match.Groups["flag"].Value == "true"),
            "in owners" => i => i.Owner == one,
            "in parents" => i => i.Parent == one,
            _ => i => i.Properties.GetValueOrDefault(one) == two,
        };
    }

    private static string Unquoted(string text) => Escaped().Replace(text, "$1");

    [GeneratedRegex("""\G(?:(?<term>mimeType =|mimeType !=|name =) '(?<one>(?:[^'\\]|\\['\\])*)'|(?<term>trashed =) (?<flag>true|false)|'(?<one>(?:[^'\\]|\\['\\])*)' (?<term>in owners|in parents)|(?<term>properties has) \{ key='(?<one>(?:[^'\\]|\\['\\])*)' and value='(?<two>(?:[^'\\]|\\['\\])*)' \})(?: and (?=.)|\z)""")]
    private static partial Regex Term();

    [GeneratedRegex(@"\\(.)")]
    private static partial Regex Escaped();
}
