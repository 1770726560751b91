using System.Globalization;
using System.Text;
using System.Xml;
using System.Xml.Linq;

namespace DarkStorage.TestKit;

/// <summary>An answer as it came.</summary>
public sealed record RawAnswer(int Status, IReadOnlyList<KeyValuePair<string, string>> Headers, byte[] Body)
{
    public string Text => Encoding.UTF8.GetString(Body);

    /// <summary>The body's XML. Control characters written as references are let through, as S3's clients do: XML 1.0 has no other way to hold them.</summary>
    public XElement Xml
    {
        get
        {
            if (Body.Length == 0) throw new InvalidDataException($"The answer {Status} has no body.");
            using var reader = XmlReader.Create(new MemoryStream(Body), new() { CheckCharacters = false, DtdProcessing = DtdProcessing.Prohibit });
            return XDocument.Load(reader).Root!;
        }
    }

    /// <summary>The code of an error's XML; empty for an answer without.</summary>
    public string Code => Body.Length > 0 && Header("Content-Type") == "application/xml" && Xml is { Name.LocalName: "Error" } error ? error.Element("Code")!.Value : "";

    /// <summary>Status and code, which is what a test of an error compares.</summary>
    public (int Status, string Code) Error => (Status, Code);

    public string? Header(string name)
    {
        foreach (var (key, value) in Headers)
            if (key.Equals(name, StringComparison.OrdinalIgnoreCase)) return value;
        return null;
    }

    /// <summary>The first element of that name, wherever it is; null where there is none.</summary>
    public string? Element(string name) => Elements(name).FirstOrDefault();

    /// <summary>The texts of all elements of that name, in order.</summary>
    public IEnumerable<string> Elements(string name) => Xml.DescendantsAndSelf().Where(e => e.Name.LocalName == name).Select(e => e.Value);

    public override string ToString() => string.Create(CultureInfo.InvariantCulture, $"{Status} {(Body.Length < 4096 ? Text : $"({Body.Length} bytes)")}");

    /// <summary>Reads one answer from a connection.</summary>
    /// <param name="hasBody">False after HEAD.</param>
    /// <exception cref="EndOfStreamException">The connection ended before the answer did.</exception>
    internal static async Task<RawAnswer> ReadAsync(Stream stream, bool hasBody, CancellationToken ct)
    {
        while (true)
        {
            var status = await ReadLineAsync(stream, ct);
            var words = status.Split(' ', 3);
            if (words.Length < 2 || !words[0].StartsWith("HTTP/1.", StringComparison.Ordinal)) throw new InvalidDataException($"'{status}' is no status line.");
            var code = int.Parse(words[1], CultureInfo.InvariantCulture);
            var headers = new List<KeyValuePair<string, string>>();
            while (await ReadLineAsync(stream, ct) is { Length: > 0 } line)
            {
                var colon = line.IndexOf(':', StringComparison.Ordinal);
                headers.Add(new(line[..colon], line[(colon + 1)..].Trim()));
            }
            if (code == 100) continue;
            var answer = new RawAnswer(code, headers, []);
            if (!hasBody || code is 204 or 304) return answer;
            return answer with { Body = await ReadBodyAsync(stream, answer, ct) };
        }
    }

    private static async Task<byte[]> ReadBodyAsync(Stream stream, RawAnswer answer, CancellationToken ct)
    {
        if (answer.Header("Content-Length") is { } length)
        {
            var body = new byte[int.Parse(length, CultureInfo.InvariantCulture)];
            await stream.ReadExactlyAsync(body, ct);
            return body;
        }
        using var memory = new MemoryStream();
        if (answer.Header("Transfer-Encoding") != "chunked")
        {
            await stream.CopyToAsync(memory, ct);
            return memory.ToArray();
        }
        while (true)
        {
            var size = int.Parse(await ReadLineAsync(stream, ct), NumberStyles.HexNumber, CultureInfo.InvariantCulture);
            var chunk = new byte[size];
            await stream.ReadExactlyAsync(chunk, ct);
            memory.Write(chunk);
            await ReadLineAsync(stream, ct);
            if (size == 0) return memory.ToArray();
        }
    }

    private static async Task<string> ReadLineAsync(Stream stream, CancellationToken ct)
    {
        var line = new List<byte>(128);
        var one = new byte[1];
        while (true)
        {
            if (await stream.ReadAsync(one, ct) == 0) throw new EndOfStreamException("The connection ended within the answer's head.");
            if (one[0] == '\n') return Encoding.UTF8.GetString([.. line]).TrimEnd('\r');
            line.Add(one[0]);
        }
    }
}
