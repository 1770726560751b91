using System.Globalization;
using System.Text;
using System.Xml;
using System.Xml.Linq;
using DarkStorage.TestKit;

namespace DarkStorage.Simulation.Model;

/// <summary>An answer differs from the model's.</summary>
internal sealed class ModelException(string message) : Exception(message);

/// <summary>One seed's story: random requests to one bucket, each compared with the model.</summary>
internal sealed partial class ModelRun(RawS3 s3, int seed)
{
    private const int KeysMax = 14;

    /// <summary>Few, where each is to have many versions.</summary>
    private const int VersionedKeysMax = 5;
    private const int InlineBytesMax = 4 << 10;
    private const int PartBytesMin = 5 << 20;

    private readonly Random _random = Seeds.Fork(seed);
    private readonly string _bucket = S3Clients.NewBucketName("model");
    private readonly List<string> _keys = [];
    private readonly List<string> _story = [];
    private BucketModel? _model;

    /// <summary>Whether the story is one of versions too.</summary>
    private bool _isVersioned;

    /// <returns>What went wrong, with the story until then; null where all was as the model has it.</returns>
    /// <param name="meddle">Called with the bucket's name before all is compared at the end.</param>
    public async Task<string?> RunAsync(int steps, Func<string, Task>? meddle = null)
    {
        try
        {
            _isVersioned = _random.Next(3) > 0;
            for (var i = 0; i < (_isVersioned ? VersionedKeysMax : KeysMax); i++) _keys.Add(NastyKeys.Next(_random));
            await CreateBucketAsync();
            for (var step = 0; step < steps; step++) await (_isVersioned && _random.Next(5) < 2 ? VersionStepAsync() : StepAsync());
            if (meddle is not null) await meddle(_bucket);
            await CompareAllAsync();
            return null;
        }
        catch (Exception e)
        {
            return string.Create(CultureInfo.InvariantCulture, $"DARKSTORAGE_TEST_SEED={seed}, step {_story.Count}: {(e is ModelException ? e.Message : e)}\n  {string.Join("\n  ", _story)}");
        }
    }

    private Task StepAsync() => _random.Next(100) switch
    {
        < 20 => PutAsync(),
        < 36 => ReadAsync("GET"),
        < 42 => ReadAsync("HEAD"),
        < 50 => DeleteAsync(),
        < 54 => DeleteManyAsync(),
        < 62 => CopyAsync(),
        < 78 => ListAsync(),
        < 83 => BeginUploadAsync(),
        < 89 => PutPartAsync(),
        < 91 => CopyPartAsync(),
        < 92 => ListPartsAsync(),
        < 93 => ListUploadsAsync(),
        < 96 => CompleteUploadAsync(),
        < 97 => AbortUploadAsync(),
        < 98 => TooLongKeyAsync(),
        < 99 => CreateBucketAsync(),
        _ => DeleteBucketAsync(),
    };

    private async Task CreateBucketAsync()
    {
        var request = new RawRequest("PUT", $"/{_bucket}");
        var locks = _isVersioned && _model is null && _random.Next(4) == 0;
        if (locks) request.With("x-amz-bucket-object-lock-enabled", "true");
        await SendAsync(request, Ok);
        _model ??= new() { Versioning = locks ? VersioningModel.Enabled : VersioningModel.Off, Locks = locks };
    }

    private async Task DeleteBucketAsync()
    {
        if (_model is null) await SendAsync(new("DELETE", $"/{_bucket}"), NoSuchBucket);
        else if (_model.Versions.Any(v => v.Version.IsKept(bypass: true)) || _model.Versions.Any() && _random.Next(3) > 0)
            await SendAsync(new("DELETE", $"/{_bucket}"), (409, "BucketNotEmpty"));
        else
        {
            // Uploads under way end with their bucket.
            foreach (var (key, version) in _model.Versions.ToList())
                await SendAsync(new RawRequest("DELETE", WithVersion(Target(key), version.Id)).With("x-amz-bypass-governance-retention", "true"), NoContent);
            await SendAsync(new("DELETE", $"/{_bucket}"), NoContent);
            _model = null;
            await SendAsync(new("HEAD", $"/{_bucket}"), (404, ""));
        }
    }

    private async Task PutAsync()
    {
        var (key, bytes) = (AnyKey(), AnyBytes());
        var made = new ObjectModel(bytes, ObjectModel.Md5(bytes), AnyContentType(), AnyNote());
        var request = new RawRequest("PUT", Target(key)).WithBody(bytes);
        Describe(request, made.ContentType, made.Note);
        var attributes = AnyAttributes(request);
        var expected = _model is null ? NoSuchBucket : WriteCondition(request, key);
        if (_random.Next(12) == 0)
        {
            request.With("Content-MD5", Convert.ToBase64String(System.Security.Cryptography.MD5.HashData([.. bytes, 0])));
            if (_model is not null) expected = (400, "BadDigest");
        }
        if (_model is not null && attributes.IsLock && !_model.Locks) expected = InvalidRequest;
        var answer = await SendAsync(request, expected);
        if (answer.Status != 200) return;
        Same("ETag", $"\"{made.ETag}\"", answer.Header("ETag"));
        attributes.Apply(_model!.Add(key, NewId(answer), made));
    }

    /// <summary>Gives some writes a condition.</summary>
    /// <returns>What the answer must be.</returns>
    private (int, string) WriteCondition(RawRequest request, string key)
    {
        var current = _model!.Find(key)?.Object;
        switch (_random.Next(10))
        {
            case 0:
                request.With("If-None-Match", "*");
                return current is null ? Ok : PreconditionFailed;
            case 1:
                request.With("If-Match", "\"0123456789abcdef0123456789abcdef\"");
                return current is null ? NoSuchKey : PreconditionFailed;
            case 2 when current is not null:
                request.With("If-Match", _random.Next(2) == 0 ? $"\"{current.ETag}\"" : current.ETag);
                return Ok;
            default: return Ok;
        }
    }

    private async Task ReadAsync(string method)
    {
        var key = AnyKey();
        var (request, version) = await FindAsync(method, key, "");
        if (request is null || version?.Object is not { } current) return;
        var condition = ReadCondition(request, current);
        var (status, code, sent, contentRange) = condition == Ok ? AnyRange(request, current) : (condition.Status, condition.Code, [], null);
        var answer = await SendAsync(request, (status, code));
        if (status is not (200 or 206)) return;
        SameVersion(version, answer);
        SameAttributes(version, answer);
        Same("ETag", $"\"{current.ETag}\"", answer.Header("ETag"));
        Same("Content-Length", sent.Length.ToString(CultureInfo.InvariantCulture), answer.Header("Content-Length"));
        Same("Content-Range", contentRange, answer.Header("Content-Range"));
        Same("Content-Type", current.ContentType, answer.Header("Content-Type"));
        Same("x-amz-meta-note", current.Note, answer.Header("x-amz-meta-note"));
        if (method == "GET" && !answer.Body.AsSpan().SequenceEqual(sent)) throw new ModelException("The bytes differ.");
    }

    private (int Status, string Code) ReadCondition(RawRequest request, ObjectModel current)
    {
        var (own, other) = ($"\"{current.ETag}\"", "\"00000000000000000000000000000000\"");
        switch (_random.Next(16))
        {
            case 0: request.With("If-Match", $"{other}, {own}"); return Ok;
            case 1: request.With("If-Match", other); return PreconditionFailed;
            case 2: request.With("If-None-Match", own); return (304, "");
            case 3: request.With("If-None-Match", $"{other}"); return Ok;
            case 4: request.With("If-Unmodified-Since", "Sat, 29 Oct 1994 19:43:31 GMT"); return PreconditionFailed;
            case 5: request.With("If-Modified-Since", "Sat, 29 Oct 1994 19:43:31 GMT"); return Ok;
            case 6: request.With("If-Match", own).With("If-Unmodified-Since", "Sat, 29 Oct 1994 19:43:31 GMT"); return Ok;
            case 7: request.With("If-None-Match", "*"); return (304, "");
            default: return Ok;
        }
    }

    /// <summary>A range in one of all the ways that clients write one, or a part's number.</summary>
    private (int Status, string Code, byte[] Sent, string? ContentRange) AnyRange(RawRequest request, ObjectModel current)
    {
        var (bytes, length) = (current.Bytes, current.Bytes.Length);
        int first = _random.Next(length + 3), last = first + _random.Next(length + 3);
        switch (_random.Next(12))
        {
            case 0: return Between($"bytes={first}-{last}", first, last);
            case 1: return Between($"bytes={first}-", first, int.MaxValue);
            case 2: return first == 0 ? Between("bytes=-0", length, length) : Between($"bytes=-{first}", Math.Max(0, length - first), length);
            case 3: return Between($"bytes={length}-", length, length);
            case 4: return Between("bytes=0-99999999999999999999999", 0, int.MaxValue);
            case 5: return Ignored(_random.Next(6) switch { 0 => "bytes=5-2", 1 => "bytes=", 2 => "bytes=-", 3 => "bytes=0-0,2-3", 4 => "lines=0-1", _ => "bytes=a-b" });
            case 6: return Part();
            default: return (200, "", bytes, null);
        }

        (int, string, byte[], string?) Between(string header, int from, int to)
        {
            request.With("Range", header);
            if (from >= length) return (416, "InvalidRange", [], null);
            to = Math.Min(to, length - 1);
            return (206, "", bytes[from..(to + 1)], string.Create(CultureInfo.InvariantCulture, $"bytes {from}-{to}/{length}"));
        }

        (int, string, byte[], string?) Ignored(string header)
        {
            request.With("Range", header);
            return (200, "", bytes, null);
        }

        (int, string, byte[], string?) Part()
        {
            var number = _random.Next(1, 4);
            request.Target += string.Create(CultureInfo.InvariantCulture, $"{(request.Target.Contains('?', StringComparison.Ordinal) ? '&' : '?')}partNumber={number}");
            int[] lengths = current.PartLengths ?? [length];
            if (number > lengths.Length) return (416, "InvalidPartNumber", [], null);
            var from = lengths.Take(number - 1).Sum();
            var to = from + lengths[number - 1];
            return (206, "", bytes[from..to], to > from ? string.Create(CultureInfo.InvariantCulture, $"bytes {from}-{to - 1}/{length}") : null);
        }
    }

    private async Task CopyAsync()
    {
        var (key, sourceKey) = (AnyKey(), AnyKey());
        var request = new RawRequest("PUT", Target(key));
        var (named, expected) = AnySource(request, sourceKey);
        if (expected != Ok)
        {
            await SendAsync(request, expected);
            return;
        }
        var source = named!.Object!;
        var made = source with { ETag = ObjectModel.Md5(source.Bytes), PartLengths = null, UploadId = null };
        var replaces = _random.Next(3) == 0;
        if (replaces)
        {
            request.With("x-amz-metadata-directive", "REPLACE");
            made = made with { ContentType = AnyContentType(), Note = AnyNote() };
            Describe(request, made.ContentType, made.Note);
        }
        var attributes = AnyAttributes(request);
        if (attributes.Tags is not null) request.With("x-amz-tagging-directive", "REPLACE");
        switch (_random.Next(6))
        {
            case 0: request.With("x-amz-copy-source-if-match", $"\"{source.ETag}\""); break;
            case 1:
                request.With("x-amz-copy-source-if-none-match", $"\"{source.ETag}\"");
                expected = PreconditionFailed;
                break;
        }
        // An older version copied onto its key is S3's way to restore it.
        if (expected == Ok && key == sourceKey && named == _model!.Latest(key) && !replaces) expected = InvalidRequest;
        if (attributes.IsLock && !_model!.Locks) expected = InvalidRequest;
        var answer = await SendAsync(request, expected);
        if (answer.Status != 200) return;
        Same("ETag", $"\"{made.ETag}\"", Xml(answer).Element("ETag")?.Value);
        Same("x-amz-copy-source-version-id", _model!.Versioning == VersioningModel.Off ? null : named.Id, answer.Header("x-amz-copy-source-version-id"));
        var tags = named.Tags;
        var copy = _model.Add(key, NewId(answer), made);
        copy.Tags = tags;
        attributes.Apply(copy);
    }

    private async Task TooLongKeyAsync()
    {
        var key = string.Concat(Enumerable.Repeat("é", 512)) + "x";
        await SendAsync(new(_random.Next(2) == 0 ? "GET" : "PUT", Target(key)), (400, "KeyTooLongError"));
    }

    /// <summary>The bucket, key by key, at the end of the story.</summary>
    private async Task CompareAllAsync()
    {
        if (_model is null) return;
        await CompareListingAsync("", "", "", 1000, version2: true);
        foreach (var (key, expected) in _model.Current) await CompareAsync(Target(key), expected.Object!);
        if (!_isVersioned) return;
        await CompareVersionsAsync("", "", "", null, 1000);
        foreach (var (key, expected) in _model.Versions)
        {
            var target = WithVersion(Target(key), expected.Id);
            if (expected.Object is { } content) await CompareAsync(target, content);
            else await SendAsync(new("GET", target), MethodNotAllowed);
        }

        async Task CompareAsync(string target, ObjectModel expected)
        {
            var answer = await SendAsync(new("GET", target), Ok);
            if (!answer.Body.AsSpan().SequenceEqual(expected.Bytes)) throw new ModelException("The bytes differ.");
        }
    }

    private static readonly (int Status, string Code) Ok = (200, "");
    private static readonly (int Status, string Code) NoContent = (204, "");
    private static readonly (int Status, string Code) InvalidRequest = (400, "InvalidRequest");
    private static readonly (int Status, string Code) InvalidArgument = (400, "InvalidArgument");
    private static readonly (int Status, string Code) AccessDenied = (403, "AccessDenied");
    private static readonly (int Status, string Code) MethodNotAllowed = (405, "MethodNotAllowed");
    private static readonly (int Status, string Code) InvalidBucketState = (409, "InvalidBucketState");
    private static readonly (int Status, string Code) NoSuchVersion = (404, "NoSuchVersion");
    private static readonly (int Status, string Code) NoSuchBucket = (404, "NoSuchBucket");
    private static readonly (int Status, string Code) NoSuchKey = (404, "NoSuchKey");
    private static readonly (int Status, string Code) NoSuchUpload = (404, "NoSuchUpload");
    private static readonly (int Status, string Code) PreconditionFailed = (412, "PreconditionFailed");

    /// <summary>Sends, and compares status and code.</summary>
    private async Task<RawAnswer> SendAsync(RawRequest request, (int Status, string Code) expected)
    {
        var headers = string.Concat(request.Headers.Select(h => $" {h.Key}: {h.Value}"));
        _story.Add(string.Create(CultureInfo.InvariantCulture, $"{request.Method} {request.Target}{headers} ({request.Body.Length} bytes{(request.Body.Length is > 0 and < 400 && request.Body[0] == '<' ? $" {Encoding.UTF8.GetString(request.Body)}" : "")})"));
        var answer = await s3.SendAsync(request);
        var code = request.Method == "HEAD" ? "" : expected.Code;
        if (answer.Status != expected.Status || CodeOf(answer) != code) throw new ModelException($"{expected} is expected, and the answer is {answer}");
        return answer;
    }

    private static string CodeOf(RawAnswer answer) =>
        answer.Body.Length > 0 && answer.Header("Content-Type") == "application/xml" && Xml(answer) is { Name.LocalName: "Error" } error ? error.Element("Code")!.Value : "";

    private static void Same<T>(string what, T expected, T actual)
    {
        if (!EqualityComparer<T>.Default.Equals(expected, actual)) throw new ModelException($"{what}: '{expected}' is expected, and the answer has '{actual}'");
    }

    private string AnyKey() => _keys[_random.Next(_keys.Count)];

    private byte[] AnyBytes()
    {
        var bytes = new byte[_random.Next(12) switch
        {
            0 => 0,
            < 8 => _random.Next(200),
            < 10 => InlineBytesMax + _random.Next(-1, 2),
            _ => _random.Next(20_000),
        }];
        _random.NextBytes(bytes);
        return bytes;
    }

    private string AnyContentType() => _random.Next(3) == 0 ? "text/plain; charset=utf-8" : ObjectModel.DefaultContentType;

    private string? AnyNote() => _random.Next(3) switch { 0 => "plain", 1 => "größer als = \"nichts\"", _ => null };

    private static void Describe(RawRequest request, string contentType, string? note)
    {
        if (contentType != ObjectModel.DefaultContentType) request.With("Content-Type", contentType);
        if (note is not null) request.With("x-amz-meta-note", note);
    }

    private string Target(string key, string? upload = null) => $"/{_bucket}/{NastyKeys.Escape(key)}{(upload is null ? "" : $"?uploadId={upload}")}";

    /// <summary>Reads XML as lenient clients do, references to forbidden characters and white space included, and without namespaces.</summary>
    private static XElement Xml(RawAnswer answer)
    {
        using var reader = XmlReader.Create(new MemoryStream(answer.Body), new XmlReaderSettings { CheckCharacters = false });
        var root = XElement.Load(reader, LoadOptions.PreserveWhitespace);
        foreach (var element in root.DescendantsAndSelf()) element.Name = element.Name.LocalName;
        return root;
    }

    private static string XmlEscape(string text)
    {
        var escaped = new StringBuilder();
        foreach (var c in text)
        {
            if (c is '<' or '>' or '&' || c is < ' ' or > '\ufffd') escaped.Append(CultureInfo.InvariantCulture, $"&#{(int)c};");
            else escaped.Append(c);
        }
        return escaped.ToString();
    }
}
