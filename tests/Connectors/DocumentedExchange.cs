using System.Text.Json;

namespace DarkStorage.Connectors;

/// <summary>A request and its answer as public documentation has them, word for word, of a service that could not be tried: none was recorded live.</summary>
/// <param name="Source">Where it stands.</param>
/// <param name="Passes">Whether the request is passed on to what stands in for the service, before it is answered.</param>
/// <param name="Outcome">The kind of failure that a put ends with; null for none.</param>
public sealed record DocumentedExchange(string Name, string Source, DocumentedRequest Request, DocumentedAnswer Answer, bool Passes, string? Outcome)
{
    /// <param name="resource">A JSON file among the tests' resources.</param>
    public static IReadOnlyList<DocumentedExchange> Read(string resource)
    {
        using var file = typeof(DocumentedExchange).Assembly.GetManifestResourceStream(resource)!;
        return JsonSerializer.Deserialize<Recorded>(file, JsonSerializerOptions.Web)!.Exchanges;
    }

    private sealed record Recorded(List<DocumentedExchange> Exchanges);
}

/// <param name="Path">With its query. {id} stands for any name of a content.</param>
public sealed record DocumentedRequest(string Method, string Path, Dictionary<string, string> Headers)
{
    public bool Matches(string method, string target) => method == Method && (Path.EndsWith("{id}", StringComparison.Ordinal) ? target.StartsWith(Path[..^4], StringComparison.Ordinal) && target[(Path.Length - 4)..].All(c => char.IsAsciiLetterOrDigit(c) || c is '-' or '_') : target == Path);
}

/// <param name="Body">{id} stands for the name of the content that was taken, and {size} for its length.</param>
public sealed record DocumentedAnswer(int Status, string Type, Dictionary<string, string>? Headers, string Body);
