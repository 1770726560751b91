using System.Text;
using DarkStorage.ClientApi.S3.Operations;
using DarkStorage.ClientApi.S3.Settings;
using Microsoft.AspNetCore.Http;
using Microsoft.AspNetCore.WebUtilities;
using Microsoft.Net.Http.Headers;

namespace DarkStorage.ClientApi.S3;

/// <summary>A browser's form (RFC 7578) with fields and one file. The fields before the file are read; the file is still on its way.</summary>
internal sealed class PostForm
{
    /// <summary>Bytes of all fields before the file, names and values, as S3 limits them.</summary>
    private const int FieldBytesMax = 20 << 10;
    private const int FieldsMax = 128;

    /// <summary>Of a part: its disposition with the file's name, its type, and what else a client may say there.</summary>
    private const int PartHeaderBytesMax = 8 << 10;
    private const int BoundaryLengthMax = 128;
    private const int ReadBytes = 64 << 10;

    private const string FileField = "file";
    private const string FileName = "${filename}";
    private const string TaggingField = "tagging";

    /// <summary>Fields that are headers of the object by another name, or by the same.</summary>
    private static readonly Dictionary<string, string> HeaderOfField = new(StringComparer.OrdinalIgnoreCase)
    {
        ["acl"] = Acls.CannedHeader,
        ["Cache-Control"] = "Cache-Control",
        ["Content-Disposition"] = "Content-Disposition",
        ["Content-Encoding"] = "Content-Encoding",
        ["Content-Language"] = "Content-Language",
        ["Content-MD5"] = "Content-MD5",
        ["Content-Type"] = "Content-Type",
        ["Expires"] = "Expires",
    };

    /// <summary>The headers that are about the request itself. The others are the form's to say: a policy covers its fields and no headers.</summary>
    private static readonly string[] HeadersKept = ["User-Agent", "Referer", "If-Match", "If-None-Match", "x-amz-expected-bucket-owner", "x-amz-request-payer"];

    /// <summary>What may stand in the name of a header (RFC 9110, section 5.6.2).</summary>
    private static readonly System.Buffers.SearchValues<char> TokenCharacters =
        System.Buffers.SearchValues.Create("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789!#$%&'*+-.^_`|~");

    private readonly Dictionary<string, string> _fields;

    private PostForm(Dictionary<string, string> fields, PostFile file) => (_fields, File) = (fields, file);

    /// <summary>By name in any case; the file is not among them. <c>${filename}</c> stands for the file's name no more.</summary>
    public IReadOnlyDictionary<string, string> Fields => _fields;

    public PostFile File { get; }

    /// <summary>Reads up to the file.</summary>
    /// <exception cref="S3Exception"><c>PreconditionFailed</c>: no form; <c>MissingContentLength</c>; <c>EntityTooLarge</c>; <c>MalformedPOSTRequest</c>; <c>MaxPostPreDataLengthExceededError</c>;
    /// <c>InvalidArgument</c>: no file, a field twice; <c>KeyTooLongError</c>: the file's name, where a field takes it.</exception>
    public static async Task<PostForm> ReadAsync(HttpRequest request, CancellationToken ct)
    {
        var boundary = BoundaryOf(request);
        if (request.ContentLength is not { } length) throw new S3Exception(S3Error.MissingContentLength);
        if (length > PutObject.LengthMax + ReadBytes) throw new S3Exception(S3Error.EntityTooLarge);
        var reader = new MultipartReader(boundary, request.Body, ReadBytes) { HeadersLengthLimit = PartHeaderBytesMax };
        var fields = new Dictionary<string, string>(StringComparer.OrdinalIgnoreCase);
        try
        {
            var room = FieldBytesMax;
            for (var parts = 0; await reader.ReadNextSectionAsync(ct) is { } part; parts++)
            {
                if (parts == FieldsMax) throw new S3Exception(S3Error.MaxPostPreDataLengthExceeded);
                var (name, fileName) = DispositionOf(part);
                if (IsFile(name)) return new(NameFile(fields, fileName), new(reader, part.Body));
                room -= Encoding.UTF8.GetByteCount(name);
                var value = await ReadFieldAsync(part.Body, room, ct);
                room -= value.Length;
                // Which of two would be looked at, and which taken?
                if (!fields.TryAdd(name, Decode(value)) && !PostPolicy.IsIgnored(name)) throw S3Exception.InvalidArgument("The form has a field more than once.", name, "");
            }
        }
        catch (Exception e) when (IsBroken(e))
        {
            throw new S3Exception(S3Error.MalformedPostRequest, null, e);
        }
        throw FileCount(0);
    }

    /// <summary>The fields as the headers that a PutObject would have in their place.</summary>
    /// <param name="request">The request's own, of which those are taken that are about the request and not the object.</param>
    /// <exception cref="S3Exception"><c>InvalidArgument</c>; <c>MalformedXML</c>, <c>InvalidTag</c>: the tagging.</exception>
    public IHeaderDictionary ToHeaders(IHeaderDictionary request)
    {
        var headers = new HeaderDictionary();
        foreach (var name in HeadersKept)
        {
            if (request.TryGetValue(name, out var value)) headers[name] = value;
        }
        foreach (var (name, value) in _fields)
        {
            if (HeaderOfField.TryGetValue(name, out var header)) Add(header, value);
            else if (name.Equals(TaggingField, StringComparison.OrdinalIgnoreCase)) Add("x-amz-tagging", TaggingOf(value));
            else if (name.StartsWith("x-amz-", StringComparison.OrdinalIgnoreCase) && !PostPolicy.IsSignature(name)) Add(name, value);
        }
        return headers;

        void Add(string name, string value)
        {
            if (name.AsSpan().ContainsAnyExcept(TokenCharacters)) throw S3Exception.InvalidArgument("The name of a field can't be that of a header.", name, "");
            if (HeadersKept.Contains(name, StringComparer.OrdinalIgnoreCase)) headers[name] = value;
            else if (!headers.TryAdd(name, value)) throw S3Exception.InvalidArgument("The form says the same twice.", name, "");
        }
    }

    public string? Find(string name) => _fields.GetValueOrDefault(name);

    public static bool IsFile(string name) => name.Equals(FileField, StringComparison.OrdinalIgnoreCase);

    /// <summary>S3's answer to a form with another number of files than one.</summary>
    public static S3Exception FileCount(int count) =>
        S3Exception.InvalidArgument("POST requires exactly one file upload per request.", FileField, count.ToString(System.Globalization.CultureInfo.InvariantCulture));

    /// <summary>Of a part, by its Content-Disposition.</summary>
    /// <exception cref="S3Exception"><c>MalformedPOSTRequest</c>.</exception>
    public static (string Name, string FileName) DispositionOf(MultipartSection part)
    {
        if (!ContentDispositionHeaderValue.TryParse(part.ContentDisposition, out var disposition) || !disposition.DispositionType.Equals("form-data", StringComparison.OrdinalIgnoreCase))
            throw new S3Exception(S3Error.MalformedPostRequest);
        var name = HeaderUtilities.RemoveQuotes(disposition.Name).ToString();
        if (name.Length == 0) throw new S3Exception(S3Error.MalformedPostRequest);
        var fileName = HeaderUtilities.RemoveQuotes(disposition.FileNameStar.HasValue ? disposition.FileNameStar : disposition.FileName).ToString();
        // Some browsers tell the whole path, of one kind of system or the other.
        fileName = fileName.Replace("\\\"", "\"", StringComparison.Ordinal);
        return (name, fileName[(fileName.AsSpan().LastIndexOfAny('/', '\\') + 1)..]);
    }

    /// <summary>Whether reading failed for what the client sent, and not because its connection did.</summary>
    public static bool IsBroken(Exception e) => e is InvalidDataException or IOException and not BadHttpRequestException and not Microsoft.AspNetCore.Connections.ConnectionResetException;

    private static string BoundaryOf(HttpRequest request)
    {
        if (!MediaTypeHeaderValue.TryParse(request.ContentType, out var type) || !type.MediaType.Equals("multipart/form-data", StringComparison.OrdinalIgnoreCase))
            throw new S3Exception(S3Error.PreconditionFailed).With("Condition", "Bucket POST must be of the enclosure-type multipart/form-data");
        var boundary = HeaderUtilities.RemoveQuotes(type.Boundary).ToString();
        return boundary.Length is > 0 and <= BoundaryLengthMax ? boundary : throw new S3Exception(S3Error.MalformedPostRequest);
    }

    private static async Task<byte[]> ReadFieldAsync(Stream part, int bytesMax, CancellationToken ct)
    {
        using var buffer = new PooledBuffer(1024);
        while (await part.ReadAsync(buffer.GetMemory(1), ct) is var read and > 0)
        {
            buffer.Advance(read);
            if (buffer.WrittenCount > bytesMax) break;
        }
        return buffer.WrittenCount <= bytesMax ? buffer.WrittenSpan.ToArray() : throw new S3Exception(S3Error.MaxPostPreDataLengthExceeded);
    }

    private static string Decode(byte[] value)
    {
        try
        {
            return new UTF8Encoding(false, throwOnInvalidBytes: true).GetString(value);
        }
        catch (DecoderFallbackException e)
        {
            throw new S3Exception(S3Error.MalformedPostRequest, null, e);
        }
    }

    /// <summary>Puts the file's name where fields want it; the policy alone is taken as it is, since it was signed.</summary>
    private static Dictionary<string, string> NameFile(Dictionary<string, string> fields, string fileName)
    {
        var room = FieldBytesMax;
        foreach (var (name, value) in fields)
        {
            if (!value.Contains(FileName, StringComparison.Ordinal) || name.Equals(PostPolicy.Field, StringComparison.OrdinalIgnoreCase)) continue;
            if (fileName.Length > S3Target.KeyBytesMax) throw new S3Exception(S3Error.KeyTooLong);
            var named = value.Replace(FileName, fileName, StringComparison.Ordinal);
            if ((room -= named.Length) < 0) throw new S3Exception(S3Error.MaxPostPreDataLengthExceeded);
            fields[name] = named;
        }
        return fields;
    }

    /// <summary>The document of PutObjectTagging, as the header has it.</summary>
    private static string TaggingOf(string document) => string.Join('&', Tags.Read(S3Element.Parse(Encoding.UTF8.GetBytes(document), "Tagging"), Tags.OfObjectMax)
        .Select(t => $"{Uri.EscapeDataString(t.Key)}={Uri.EscapeDataString(t.Value)}"));
}
