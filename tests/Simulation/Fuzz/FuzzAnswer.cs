using System.Globalization;
using System.Text;
using System.Xml;
using System.Xml.Linq;

namespace DarkStorage.Simulation.Fuzz;

/// <summary>Says what is wrong with what came back.</summary>
internal static class FuzzAnswer
{
    /// <summary>An operation that is not there yet, and a version of HTTP that is none: of the 5xx these two are the client's doing.</summary>
    private static readonly int[] ClientsDoing = [501, 505];

    /// <param name="sent">The bytes that were answered; only whether they begin as a HEAD matters.</param>
    /// <param name="mustAnswer">It was a whole request: silence is no answer to it.</param>
    /// <returns>Null where all is well.</returns>
    public static string? Problem(ReadOnlySpan<byte> sent, ReadOnlySpan<byte> received, bool mustAnswer)
    {
        if (received.IsEmpty) return mustAnswer ? "there is no answer" : null;
        var isHead = sent.StartsWith("HEAD "u8);
        // What follows a request that was cut short is another request to the node: several answers may come.
        while (!received.IsEmpty)
        {
            var end = received.IndexOf("\r\n\r\n"u8);
            if (!received.StartsWith("HTTP/1.1 "u8) || end < 0) return $"that is no HTTP: {Printable(received)}";
            var head = Encoding.UTF8.GetString(received[..end]).Split("\r\n");
            received = received[(end + 4)..];
            var status = int.Parse(head[0].Split(' ')[1], CultureInfo.InvariantCulture);
            if (status is < 100 or >= 600 || status >= 500 && !ClientsDoing.Contains(status)) return $"it answers {head[0]}: {Printable(received)}";
            if (status < 200 || status is 204 or 304) continue;
            var length = Header(head, "Content-Length") is { } text ? int.Parse(text, CultureInfo.InvariantCulture) : received.Length;
            if (isHead) length = 0;
            isHead = false;
            if (received.Length < length)
            {
                if (status >= 400) return $"the answer {head[0]} is cut short";
                return null;
            }
            var body = received[..length];
            received = received[length..];
            if (status >= 400 && ErrorProblem(head, body) is { } problem) return $"{head[0]}: {problem}";
        }
        return null;
    }

    private static string? ErrorProblem(string[] head, ReadOnlySpan<byte> body)
    {
        if (body.IsEmpty) return null;
        // STS shares the listener, and has its own words for errors.
        var isSts = Header(head, "Content-Type") == "text/xml";
        if (!isSts && Header(head, "Content-Type") != "application/xml") return $"the body of an error is {Header(head, "Content-Type")}";
        try
        {
            using var reader = XmlReader.Create(new MemoryStream(body.ToArray()), new XmlReaderSettings { CheckCharacters = false });
            var error = XElement.Load(reader);
            if (isSts) error = error.Name.LocalName == "ErrorResponse" ? error.Elements().FirstOrDefault() : null;
            return error is { Name.LocalName: "Error" } && error.Elements().Any(e => e.Name.LocalName == "Code" && e.Value.Length > 0) ? null : "the body is no error of S3 or STS";
        }
        catch (XmlException e)
        {
            return $"the body is no XML ({e.Message}): {Printable(body)}";
        }
    }

    /// <summary>Bytes for a message.</summary>
    public static string Printable(ReadOnlySpan<byte> bytes)
    {
        var text = new StringBuilder();
        foreach (var b in bytes[..Math.Min(bytes.Length, 3_000)])
        {
            if (b is (byte)'\n' or >= 32 and < 127) text.Append((char)b);
            else if (b != '\r') text.Append(CultureInfo.InvariantCulture, $"\\x{b:x2}");
        }
        return text.ToString();
    }

    private static string? Header(string[] head, string name)
    {
        foreach (var line in head)
            if (line.StartsWith(name, StringComparison.OrdinalIgnoreCase) && line.Length > name.Length && line[name.Length] == ':') return line[(name.Length + 1)..].Trim();
        return null;
    }
}
