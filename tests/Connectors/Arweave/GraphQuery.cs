using System.Text.Json.Nodes;
using System.Text.RegularExpressions;

namespace DarkStorage.Connectors.Arweave;

/// <summary>A query of one field, <c>transactions</c>, read and checked against the schema that gateways publish: what there is not, or has another type, is an error.</summary>
internal sealed partial class GraphQuery
{
    private static readonly Dictionary<string, string> Arguments = new(StringComparer.Ordinal)
    {
        ["ids"] = "[ID!]", ["owners"] = "[String!]", ["recipients"] = "[String!]", ["tags"] = "[TagFilter!]", ["bundledIn"] = "[ID!]", ["block"] = "BlockFilter", ["first"] = "Int", ["after"] = "String", ["sort"] = "SortOrder",
    };

    private static readonly Dictionary<string, Dictionary<string, string?>> Types = new(StringComparer.Ordinal)
    {
        ["TransactionConnection"] = new() { ["pageInfo"] = "PageInfo", ["edges"] = "TransactionEdge" },
        ["PageInfo"] = new() { ["hasNextPage"] = null },
        ["TransactionEdge"] = new() { ["cursor"] = null, ["node"] = "Transaction" },
        ["Transaction"] = new() { ["id"] = null, ["anchor"] = null, ["signature"] = null, ["recipient"] = null, ["owner"] = "Owner", ["fee"] = "Amount", ["quantity"] = "Amount", ["data"] = "MetaData", ["tags"] = "Tag", ["block"] = "Block", ["bundledIn"] = "Bundle" },
        ["Owner"] = new() { ["address"] = null, ["key"] = null },
        ["Amount"] = new() { ["winston"] = null, ["ar"] = null },
        ["MetaData"] = new() { ["size"] = null, ["type"] = null },
        ["Tag"] = new() { ["name"] = null, ["value"] = null },
        ["Block"] = new() { ["id"] = null, ["timestamp"] = null, ["height"] = null, ["previous"] = null },
        ["Bundle"] = new() { ["id"] = null },
    };

    private readonly List<string> _tokens;
    private readonly Dictionary<string, Selection?> _selection;
    private int _at;

    public GraphQuery(string text, JsonObject variables)
    {
        _tokens = [.. Token().Matches(text).Select(m => m.Value)];
        if (string.Concat(_tokens) != string.Concat(text.Where(c => !char.IsWhiteSpace(c) && c != ','))) throw new FormatException("Something in it is no token.");
        Expect("query");
        var types = new Dictionary<string, string>(StringComparer.Ordinal);
        if (Take("("))
        {
            while (!Take(")"))
            {
                Expect("$");
                var name = Next();
                Expect(":");
                types[name] = Take("[") ? $"[{Next()}{(Take("!") ? "!" : "")}{Next()}" : Next();
            }
        }
        Expect("{");
        Expect("transactions");
        var used = new HashSet<string>(StringComparer.Ordinal);
        Expect("(");
        while (!Take(")"))
        {
            var name = Next();
            if (!Arguments.TryGetValue(name, out var type)) throw new FormatException($"Unknown argument \"{name}\" on field \"Query.transactions\".");
            Expect(":");
            if (Take("$"))
            {
                var variable = Next();
                if (types.GetValueOrDefault(variable) != type) throw new FormatException($"Variable \"${variable}\" is not of the type \"{type}\".");
                used.Add(variable);
                Set(name, variables[variable]);
            }
            else if (name == "sort" && Next() is "HEIGHT_DESC" or "HEIGHT_ASC")
            {
                Sort = _tokens[_at - 1];
            }
            else
            {
                throw new FormatException($"Another value of \"{name}\" than this stands in for.");
            }
        }
        _selection = Select("TransactionConnection");
        Expect("}");
        if (_at != _tokens.Count || types.Keys.Except(used).Any()) throw new FormatException("There is something that is not used.");
    }

    public IReadOnlyList<string>? Owners { get; private set; }

    public IReadOnlyList<(string Name, IReadOnlyList<string> Values)> Tags { get; private set; } = [];

    public int First { get; private set; } = 10;

    public string? After { get; private set; }

    public string Sort { get; } = "HEIGHT_DESC";

    /// <summary>What was selected of an answer.</summary>
    public JsonNode Project(JsonObject whole) => Project(whole, _selection)!;

    private static JsonNode? Project(JsonNode? node, Dictionary<string, Selection?> selection) => node switch
    {
        JsonArray items => new JsonArray([.. items.Select(i => Project(i, selection))]),
        JsonObject one => new JsonObject(selection.Select(s => KeyValuePair.Create(s.Key, s.Value is { } inner ? Project(one[s.Key], inner.Fields) : one[s.Key]?.DeepClone()))),
        _ => null,
    };

    private void Set(string name, JsonNode? value)
    {
        switch (name)
        {
            case "owners":
                Owners = Texts(value);
                break;
            case "tags":
                Tags = [.. value!.AsArray().Select(t => t!.AsObject() is { Count: 2 } tag ? ((string)tag["name"]!, Texts(tag["values"])) : throw new FormatException("A filter has a name and values."))];
                break;
            case "first":
                First = (int)value!;
                break;
            case "after":
                After = (string?)value;
                break;
            default:
                throw new FormatException($"This does not stand in for \"{name}\".");
        }
    }

    private static IReadOnlyList<string> Texts(JsonNode? value) => [.. value!.AsArray().Select(v => (string)v!)];

    private Dictionary<string, Selection?> Select(string type)
    {
        var fields = new Dictionary<string, Selection?>(StringComparer.Ordinal);
        Expect("{");
        while (!Take("}"))
        {
            var name = Next();
            if (!Types[type].TryGetValue(name, out var inner)) throw new FormatException($"Cannot query field \"{name}\" on type \"{type}\".");
            fields[name] = inner is null ? null : new(Select(inner));
        }
        return fields;
    }

    private string Next() => _at < _tokens.Count ? _tokens[_at++] : throw new FormatException("It ends too early.");

    private bool Take(string token)
    {
        if (_at == _tokens.Count || _tokens[_at] != token) return false;
        _at++;
        return true;
    }

    private void Expect(string token)
    {
        if (!Take(token)) throw new FormatException($"Syntax Error: Expected \"{token}\".");
    }

    [GeneratedRegex(@"[_A-Za-z][_0-9A-Za-z]*|[{}()\[\]:!$]")]
    private static partial Regex Token();

    private sealed record Selection(Dictionary<string, Selection?> Fields);
}
