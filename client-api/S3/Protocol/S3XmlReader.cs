using System.IO.Pipelines;
using System.Text;
using System.Xml;

namespace DarkStorage.ClientApi.S3;

/// <summary>Reads the XML of a request: a small document, walked in order, in which everything unexpected is <c>MalformedXML</c>.</summary>
/// <remarks>
/// No DTD, no entities but XML's five, nothing fetched; the depth is that of the caller's own walk. Namespaces are not looked at, because clients
/// send S3's, none, or another. References to characters that XML 1.0 has no way to write are read, since keys may hold them.
/// </remarks>
internal sealed class S3XmlReader : IDisposable
{
    private readonly XmlReader _xml;
    private bool _atEmptyElement;

    private S3XmlReader(byte[] document) => _xml = XmlReader.Create(new MemoryStream(document, writable: false), new XmlReaderSettings
    {
        DtdProcessing = DtdProcessing.Prohibit,
        XmlResolver = null,
        CheckCharacters = false,
        IgnoreComments = true,
        IgnoreProcessingInstructions = true,
        MaxCharactersFromEntities = 1,
    });

    /// <summary>Takes a whole body, as no XML of S3 is large.</summary>
    /// <exception cref="S3Exception"><c>MaxMessageLengthExceeded</c>. Whatever reading the body throws passes through.</exception>
    public static async Task<byte[]> ReadBodyAsync(PipeReader body, int bytesMax, CancellationToken ct)
    {
        while (true)
        {
            var read = await body.ReadAsync(ct);
            if (read.Buffer.Length > bytesMax)
            {
                body.AdvanceTo(read.Buffer.End);    // the server is to read on, and finds the body in order
                throw new S3Exception(S3Error.MaxMessageLengthExceeded).With("MaxMessageLengthBytes", bytesMax.ToString(System.Globalization.CultureInfo.InvariantCulture));
            }
            if (read.IsCompleted)
            {
                var document = System.Buffers.BuffersExtensions.ToArray(read.Buffer);
                body.AdvanceTo(read.Buffer.End);
                return document;
            }
            body.AdvanceTo(read.Buffer.Start, read.Buffer.End);
        }
    }

    /// <summary>Opens a document and enters its root.</summary>
    public static S3XmlReader Open(byte[] document, string root)
    {
        var reader = new S3XmlReader(document);
        try
        {
            while (reader.Advance() && reader._xml.NodeType is XmlNodeType.XmlDeclaration or XmlNodeType.Whitespace) { }
            if (reader._xml.NodeType != XmlNodeType.Element || reader._xml.LocalName != root) throw Malformed();
            reader.Enter();
            return reader;
        }
        catch
        {
            reader.Dispose();
            throw;
        }
    }

    public static S3Exception Malformed(Exception? inner = null) => new(S3Error.MalformedXml, null, inner);

    /// <summary>Enters the next child of the element we are in, or leaves that element where there is none.</summary>
    /// <returns>False where we have left it.</returns>
    public bool TryEnterChild(out string name)
    {
        name = "";
        if (LeaveIfEmpty()) return false;
        while (true)
        {
            switch (_xml.NodeType)
            {
                case XmlNodeType.Element:
                    name = _xml.LocalName;
                    Enter();
                    return true;
                case XmlNodeType.EndElement:
                    Advance();
                    return false;
                case XmlNodeType.Whitespace or XmlNodeType.SignificantWhitespace:
                    if (!Advance()) throw Malformed();
                    break;
                default: throw Malformed();
            }
        }
    }

    /// <summary>The text of the element we are in, which has no elements, and leaves it.</summary>
    public string ReadText()
    {
        if (LeaveIfEmpty()) return "";
        StringBuilder? several = null;
        string? one = null;
        while (_xml.NodeType is XmlNodeType.Text or XmlNodeType.CDATA or XmlNodeType.Whitespace or XmlNodeType.SignificantWhitespace)
        {
            var value = Value();
            if (one is null) one = value;
            else (several ??= new StringBuilder(one)).Append(value);
            if (!Advance()) throw Malformed();
        }
        if (_xml.NodeType != XmlNodeType.EndElement) throw Malformed();
        Advance();
        return several?.ToString() ?? one ?? "";
    }

    /// <summary>Makes sure that nothing but white space follows the root.</summary>
    public void Finish()
    {
        while (_xml.NodeType == XmlNodeType.Whitespace) Advance();
        if (!_xml.EOF && _xml.NodeType != XmlNodeType.None) throw Malformed();
    }

    public void Dispose() => _xml.Dispose();

    private void Enter()
    {
        _atEmptyElement = _xml.IsEmptyElement;
        if (!_atEmptyElement && !Advance()) throw Malformed();
    }

    private bool LeaveIfEmpty()
    {
        if (!_atEmptyElement) return false;
        _atEmptyElement = false;
        Advance();
        return true;
    }

    /// <summary>The reader parses a long text only when it is asked for.</summary>
    private string Value()
    {
        try
        {
            return _xml.Value;
        }
        catch (XmlException broken)
        {
            throw Malformed(broken);
        }
    }

    private bool Advance()
    {
        try
        {
            return _xml.Read();
        }
        catch (XmlException broken)
        {
            throw Malformed(broken);
        }
    }
}
