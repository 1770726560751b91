using DarkStorage.Select;

namespace DarkStorage.ClientApi.S3;

/// <summary>What a query is asked with: the expression, how the object is written, how the answer is to be.</summary>
/// <param name="Progress">The client wants to be told how far the query is.</param>
internal sealed record SelectObjectContentRequest(SelectQuery Query, bool Progress)
{
    /// <summary>Bytes of the document: the longest expression, each of its characters escaped, and the rest.</summary>
    public const int BytesMax = 2 << 20;

    /// <exception cref="S3Exception"><c>MalformedXML</c>.</exception>
    /// <exception cref="SelectException">A value is missing or not one of those that may be.</exception>
    public static SelectObjectContentRequest Parse(byte[] document)
    {
        if (document.Length == 0) throw new SelectException("EmptyRequestBody", "Request body cannot be empty.");
        var root = S3Element.Parse(document, "SelectObjectContentRequest", "SelectRequest")
            .Allow("Expression", "ExpressionType", "RequestProgress", "InputSerialization", "OutputSerialization", "ScanRange");
        if (root.TextOf("ExpressionType") is { } type && !Is(type, "SQL")) throw new SelectException("InvalidExpressionType", "The ExpressionType is invalid. Only SQL expressions are supported.");
        var expression = root.RawTextOf("Expression");
        var (input, output) = (root.Find("InputSerialization"), root.Find("OutputSerialization"));
        if (string.IsNullOrWhiteSpace(expression) || root.TextOf("ExpressionType") is null || input is null || output is null) throw Missing();
        input.Allow("CompressionType", "CSV", "JSON", "Parquet");
        var query = new SelectQuery(expression, Input(input), CompressionOf(input), Output(output.Allow("CSV", "JSON")), Range(root.Find("ScanRange")));
        return new(query, root.Find("RequestProgress")?.Allow("Enabled").BooleanOf("Enabled") ?? false);
    }

    private static Compression CompressionOf(S3Element input) => input.TextOf("CompressionType")?.ToUpperInvariant() switch
    {
        null or "" or "NONE" => Compression.None,
        "GZIP" => Compression.Gzip,
        "BZIP2" => Compression.Bzip2,
        _ => throw new SelectException("InvalidCompressionFormat", "The file is not in a supported compression format. Only GZIP and BZIP2 are supported."),
    };

    private static InputFormat Input(S3Element input)
    {
        if (input.Find("Parquet") is not null) throw new SelectException("InvalidDataSource", "Invalid data source type. Only CSV and JSON are supported.");
        var (csv, json) = (input.Find("CSV"), input.Find("JSON"));
        if ((csv is null) == (json is null))
            throw csv is null ? Missing() : new SelectException("ObjectSerializationConflict", "InputSerialization specifies more than one format. Only one of CSV and JSON can be specified.");
        if (json is not null)
        {
            return new JsonInput(json.Allow("Type").TextOf("Type")?.ToUpperInvariant() switch
            {
                "LINES" => true,
                "DOCUMENT" => false,
                _ => throw new SelectException("InvalidJsonType", "The JsonType is invalid. Only DOCUMENT and LINES are supported."),
            });
        }
        csv!.Allow("FileHeaderInfo", "Comments", "QuoteEscapeCharacter", "RecordDelimiter", "FieldDelimiter", "QuoteCharacter", "AllowQuotedRecordDelimiter");
        var header = csv.TextOf("FileHeaderInfo")?.ToUpperInvariant() switch
        {
            null or "" or "NONE" => FileHeader.None,
            "USE" => FileHeader.Use,
            "IGNORE" => FileHeader.Ignore,
            _ => throw new SelectException("InvalidFileHeaderInfo", "The FileHeaderInfo is invalid. Only NONE, USE, and IGNORE are supported."),
        };
        var quote = Character(csv, "QuoteCharacter", '"');
        var format = new CsvInput(header, Delimiter(csv, "RecordDelimiter", "\n", max: 2), Delimiter(csv, "FieldDelimiter", ",", max: 1)[0], quote,
            Character(csv, "QuoteEscapeCharacter", quote), Character(csv, "Comments", '#'), csv.BooleanOf("AllowQuotedRecordDelimiter") ?? false);
        // What ends a field can't end a record too, and neither can begin a quoted field.
        if (format.RecordDelimiter.Contains(format.FieldDelimiter, StringComparison.Ordinal) || format.Quote == format.FieldDelimiter
            || (format.Quote is { } q && format.RecordDelimiter.Contains(q, StringComparison.Ordinal))) throw Invalid("QuoteCharacter");
        return format;
    }

    private static OutputFormat Output(S3Element output)
    {
        var (csv, json) = (output.Find("CSV"), output.Find("JSON"));
        if ((csv is null) == (json is null))
            throw csv is null ? Missing() : new SelectException("ObjectSerializationConflict", "OutputSerialization specifies more than one format. Only one of CSV and JSON can be specified.");
        if (json is not null) return new JsonOutput(Delimiter(json.Allow("RecordDelimiter"), "RecordDelimiter", "\n", max: 2));
        csv!.Allow("QuoteFields", "QuoteEscapeCharacter", "RecordDelimiter", "FieldDelimiter", "QuoteCharacter");
        var always = csv.TextOf("QuoteFields")?.ToUpperInvariant() switch
        {
            null or "" or "ASNEEDED" => false,
            "ALWAYS" => true,
            _ => throw new SelectException("InvalidQuoteFields", "The QuoteFields is invalid. Only ALWAYS and ASNEEDED are supported."),
        };
        var quote = Character(csv, "QuoteCharacter", '"');
        return new CsvOutput(Delimiter(csv, "RecordDelimiter", "\n", max: 2), Delimiter(csv, "FieldDelimiter", ",", max: 2), quote?.ToString() ?? "",
            Character(csv, "QuoteEscapeCharacter", quote)?.ToString() ?? "", always);
    }

    private static ScanRange? Range(S3Element? range)
    {
        if (range is null) return null;
        range.Allow("Start", "End");
        return new(range.Int64Of("Start"), range.Int64Of("End"));
    }

    /// <summary>White space counts, and an empty one is none.</summary>
    private static string Delimiter(S3Element parent, string name, string otherwise, int max) => parent.RawTextOf(name) switch
    {
        null => otherwise,
        var text when text.Length > 0 && text.Length <= max && !text.Any(char.IsSurrogate) => text,
        _ => throw Invalid(name),
    };

    /// <returns>Null where the element is there and empty.</returns>
    private static char? Character(S3Element parent, string name, char? otherwise) => parent.RawTextOf(name) switch
    {
        null => otherwise,
        "" => null,
        [var only] when !char.IsSurrogate(only) => only,
        _ => throw Invalid(name),
    };

    private static bool Is(string text, string word) => text.Equals(word, StringComparison.OrdinalIgnoreCase);

    private static SelectException Missing() => new("MissingRequiredParameter", "The SelectRequest entity is missing a required parameter. Check the service documentation and try again.");

    private static SelectException Invalid(string name) =>
        new("InvalidRequestParameter", $"The value of a parameter in SelectRequest element is invalid: {name}. Check the service API documentation and try again.");
}
