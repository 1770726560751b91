using System.Globalization;
using System.Text;
using System.Xml;

namespace DarkStorage.ClientApi.S3;

/// <summary>An element of a configuration document, read whole: what it holds is asked for by name, and everything not asked for is <c>MalformedXML</c>.</summary>
/// <remarks>No DTD, no entities but XML's five, nothing fetched. Bounded in depth and in elements. Namespaces are not looked at, because clients send
/// S3's, none, or another.</remarks>
internal sealed class S3Element
{
    /// <summary>Deeper than any configuration of S3.</summary>
    private const int DepthMax = 12;

    /// <summary>A lifecycle of 1,000 rules has some 20 elements in each.</summary>
    private const int ElementsMax = 50_000;

    private readonly List<S3Element> _children = [];

    private S3Element(string name, string? type) => (Name, Type) = (name, type);

    public string Name { get; }

    /// <summary>The attribute <c>xsi:type</c>, which a grantee has; null where there is none.</summary>
    public string? Type { get; }

    /// <summary>The text of an element without elements.</summary>
    public string Text { get; private set; } = "";

    public IReadOnlyList<S3Element> Children => _children;

    /// <exception cref="S3Exception"><c>MalformedXML</c>; <c>MissingRequestBodyError</c> for an empty body.</exception>
    /// <param name="otherRoot">Another name that the root may have.</param>
    public static S3Element Parse(byte[] document, string root, string? otherRoot = null)
    {
        if (document.Length == 0) throw new S3Exception(S3Error.MissingRequestBody);
        try
        {
            using var xml = XmlReader.Create(new MemoryStream(document, writable: false), new XmlReaderSettings
            {
                DtdProcessing = DtdProcessing.Prohibit,
                XmlResolver = null,
                CheckCharacters = false,
                IgnoreComments = true,
                IgnoreProcessingInstructions = true,
                IgnoreWhitespace = false,
                MaxCharactersFromEntities = 1,
            });
            if (xml.MoveToContent() != XmlNodeType.Element || (xml.LocalName != root && xml.LocalName != otherRoot)) throw Malformed();
            var elements = 0;
            var element = Read(xml, 1, ref elements);
            while (xml.Read())
            {
                if (xml.NodeType is not XmlNodeType.Whitespace) throw Malformed();
            }
            return element;
        }
        catch (XmlException broken)
        {
            throw Malformed(broken);
        }
    }

    public static S3Exception Malformed(Exception? inner = null) => new(S3Error.MalformedXml, null, inner);

    /// <summary>Nothing may stand here but elements of these names.</summary>
    public S3Element Allow(params ReadOnlySpan<string> names)
    {
        foreach (var child in _children)
        {
            if (!names.Contains(child.Name)) throw Malformed();
        }
        if (_children.Count == 0 && !string.IsNullOrWhiteSpace(Text)) throw Malformed();
        return this;
    }

    /// <returns>The one child of that name, or null.</returns>
    /// <exception cref="S3Exception"><c>MalformedXML</c>: there are several.</exception>
    public S3Element? Find(string name)
    {
        S3Element? found = null;
        foreach (var child in _children)
        {
            if (child.Name != name) continue;
            if (found is not null) throw Malformed();
            found = child;
        }
        return found;
    }

    public S3Element Require(string name) => Find(name) ?? throw Malformed();

    public IEnumerable<S3Element> All(string name) => _children.Where(c => c.Name == name);

    /// <returns>The text of a child without white space around it, or null where there is no such child.</returns>
    public string? TextOf(string name) => Find(name)?.Leaf().Trim();

    /// <returns>The text of a child as it is: a key, a tag's value. Null where there is no such child.</returns>
    public string? RawTextOf(string name) => Find(name)?.Leaf();

    public string RequireText(string name) => TextOf(name) is { Length: > 0 } text ? text : throw Malformed();

    public int? Int32Of(string name) => TextOf(name) switch
    {
        null => null,
        var text when int.TryParse(text, NumberStyles.AllowLeadingSign, CultureInfo.InvariantCulture, out var value) => value,
        _ => throw Malformed(),
    };

    public long? Int64Of(string name) => TextOf(name) switch
    {
        null => null,
        var text when long.TryParse(text, NumberStyles.AllowLeadingSign, CultureInfo.InvariantCulture, out var value) => value,
        _ => throw Malformed(),
    };

    public bool? BooleanOf(string name) => TextOf(name)?.ToLowerInvariant() switch
    {
        null => null,
        "true" or "1" => true,
        "false" or "0" => false,
        _ => throw Malformed(),
    };

    /// <summary>ISO 8601; a date alone is its midnight, UTC.</summary>
    public DateTimeOffset? TimeOf(string name) => TextOf(name) switch
    {
        null => null,
        var text when DateTimeOffset.TryParse(text, CultureInfo.InvariantCulture, DateTimeStyles.AssumeUniversal | DateTimeStyles.AdjustToUniversal, out var time) => time,
        _ => throw Malformed(),
    };

    /// <summary>One of several words, compared exactly.</summary>
    public T? EnumOf<T>(string name) where T : struct, Enum
    {
        if (TextOf(name) is not { } text) return null;
        foreach (var value in Enum.GetValues<T>())
        {
            if (S3Words.Of(value) == text) return value;
        }
        throw Malformed();
    }

    /// <summary>The text of this element, which has no elements.</summary>
    public string Leaf() => _children.Count == 0 ? Text : throw Malformed();

    private static S3Element Read(XmlReader xml, int depth, ref int elements)
    {
        if (depth > DepthMax || ++elements > ElementsMax) throw Malformed();
        var element = new S3Element(xml.LocalName, xml.GetAttribute("type", "http://www.w3.org/2001/XMLSchema-instance"));
        if (xml.IsEmptyElement) return element;
        var text = new StringBuilder(); // a document of many comments brings its text in as many pieces
        while (xml.Read())
        {
            switch (xml.NodeType)
            {
                case XmlNodeType.Element:
                    element._children.Add(Read(xml, depth + 1, ref elements));
                    break;
                case XmlNodeType.EndElement:
                    element.Text = text.ToString();
                    if (element._children.Count > 0 && !string.IsNullOrWhiteSpace(element.Text)) throw Malformed();
                    return element;
                case XmlNodeType.Text or XmlNodeType.CDATA or XmlNodeType.Whitespace or XmlNodeType.SignificantWhitespace:
                    text.Append(xml.Value);
                    break;
                default: throw Malformed();
            }
        }
        throw Malformed();
    }
}
