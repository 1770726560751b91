using System.Globalization;
using System.Text;

namespace DarkStorage.Rules.Logging;

/// <summary>One line of an access log: a request, or what a request did to one key, as AWS documents it in "Amazon S3 server access log format".</summary>
/// <remarks>
/// A line is ASCII, and whatever a client sends stays within its field: characters that would end the field or the line are percent-encoded, where AWS leaves
/// quotes as they come. Keys are percent-encoded but for slashes. Values that are credentials do not get here: see <see cref="WithoutSecrets"/>.
/// </remarks>
public sealed record AccessLogEntry
{
    /// <summary>Characters of a client's header that are kept: more is of no use to a reader, and fills the disk.</summary>
    public const int HeaderLengthMax = 2_048;

    private const string Redacted = "REDACTED";
    private const string Unreserved = "-_.~/";

    /// <summary>Parameters that let whoever reads them in, or that tell a key. Compared without regard to case.</summary>
    private static readonly string[] Secrets =
        ["X-Amz-Signature", "X-Amz-Credential", "X-Amz-Security-Token", "Signature", "AWSAccessKeyId", "X-Amz-Server-Side-Encryption-Customer-Key", "X-Amz-Copy-Source-Server-Side-Encryption-Customer-Key"];

    public required string BucketOwner { get; init; }
    public required string Bucket { get; init; }

    /// <summary>When the request came in.</summary>
    public required DateTimeOffset Time { get; init; }

    public string? RemoteAddress { get; init; }

    /// <summary>The canonical id of root, else an ARN; null of an anonymous request.</summary>
    public string? Requester { get; init; }

    public string? RequestId { get; init; }

    /// <summary>See <see cref="AccessLogOperations"/>.</summary>
    public required string Operation { get; init; }

    public string? Key { get; init; }

    /// <summary>The request line, as it came; null where the line is not of a request itself.</summary>
    public string? RequestLine { get; init; }

    public int? Status { get; init; }
    public string? ErrorCode { get; init; }

    /// <summary>Bytes of the answer's body; 0 is written as unknown, as AWS has it.</summary>
    public long BytesSent { get; init; }

    public long? ObjectSize { get; init; }
    public long? TotalMilliseconds { get; init; }

    /// <summary>From the last byte of the request to the first of the answer.</summary>
    public long? TurnAroundMilliseconds { get; init; }

    /// <summary>Empty where the request had none; null where there was no request.</summary>
    public string? Referer { get; init; }

    /// <summary>As <see cref="Referer"/>.</summary>
    public string? UserAgent { get; init; }

    /// <summary>As the request named it.</summary>
    public string? VersionId { get; init; }

    public string? HostId { get; init; }
    public string? SignatureVersion { get; init; }
    public string? CipherSuite { get; init; }

    /// <summary><c>AuthHeader</c> or <c>QueryString</c>.</summary>
    public string? AuthenticationType { get; init; }

    public string? HostHeader { get; init; }
    public string? TlsVersion { get; init; }

    /// <summary>The request was allowed by an access control list alone.</summary>
    public bool AclRequired { get; init; }

    /// <summary>The 26 fields with spaces between, and the line's end.</summary>
    public string ToLine()
    {
        var line = new StringBuilder(512);
        Token(line, BucketOwner);
        Token(line, Bucket);
        line.Append(CultureInfo.InvariantCulture, $"[{Time.UtcDateTime:dd/MMM/yyyy:HH:mm:ss} +0000] ");
        Token(line, RemoteAddress);
        Token(line, Requester);
        Token(line, RequestId);
        Token(line, Operation);
        if (string.IsNullOrEmpty(Key)) line.Append("- ");
        else Encoded(line, Key, static c => char.IsAsciiLetterOrDigit(c) || Unreserved.Contains(c, StringComparison.Ordinal)).Append(' ');
        Quoted(line, RequestLine);
        Number(line, Status);
        Token(line, ErrorCode);
        Number(line, BytesSent == 0 ? null : BytesSent);
        Number(line, ObjectSize);
        Number(line, TotalMilliseconds);
        Number(line, TurnAroundMilliseconds);
        Quoted(line, Header(Referer) is { } referer ? WithoutSecrets(referer) : null);
        Quoted(line, Header(UserAgent));
        Token(line, VersionId);
        Token(line, HostId);
        Token(line, SignatureVersion);
        Token(line, CipherSuite);
        Token(line, AuthenticationType);
        Token(line, Header(HostHeader));
        Token(line, TlsVersion);
        Token(line, null); // access points are not there
        line.Append(AclRequired ? "Yes" : "-").Append('\n');
        return line.ToString();
    }

    /// <summary>A URL, or its path and query, without the values that are credentials. Names are read as a server reads them: an escape hides none.</summary>
    public static string WithoutSecrets(string url)
    {
        var question = url.IndexOf('?', StringComparison.Ordinal);
        if (question < 0) return url;
        var clean = new StringBuilder(url.Length).Append(url, 0, question + 1);
        var isFirst = true;
        foreach (var parameter in url[(question + 1)..].Split('&'))
        {
            if (!isFirst) clean.Append('&');
            isFirst = false;
            var equals = parameter.IndexOf('=', StringComparison.Ordinal);
            if (equals >= 0 && Secrets.Contains(Uri.UnescapeDataString(parameter[..equals]).Trim(), StringComparer.OrdinalIgnoreCase)) clean.Append(parameter, 0, equals + 1).Append(Redacted);
            else clean.Append(parameter);
        }
        return clean.ToString();
    }

    private static string? Header(string? value) => value?.Length > HeaderLengthMax ? value[..HeaderLengthMax] : value;

    private static void Token(StringBuilder line, string? value)
    {
        if (string.IsNullOrEmpty(value)) line.Append('-');
        else Encoded(line, value, static c => c is > ' ' and < '\x7f' and not '"');
        line.Append(' ');
    }

    private static void Quoted(StringBuilder line, string? value)
    {
        if (value is null) line.Append("- ");
        else if (value.Length == 0) line.Append("\"-\" ");
        else Encoded(line.Append('"'), value, static c => c is >= ' ' and < '\x7f' and not '"').Append("\" ");
    }

    private static void Number(StringBuilder line, long? value)
    {
        if (value is { } number) line.Append(CultureInfo.InvariantCulture, $"{number} ");
        else line.Append("- ");
    }

    private static StringBuilder Encoded(StringBuilder line, string value, Func<char, bool> stays)
    {
        Span<byte> bytes = stackalloc byte[4];
        foreach (var rune in value.EnumerateRunes())
        {
            if (rune.IsAscii && stays((char)rune.Value))
            {
                line.Append((char)rune.Value);
                continue;
            }
            foreach (var b in bytes[..rune.EncodeToUtf8(bytes)]) line.Append(CultureInfo.InvariantCulture, $"%{b:X2}");
        }
        return line;
    }
}
