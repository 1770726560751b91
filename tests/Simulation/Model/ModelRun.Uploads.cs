using System.Globalization;
using System.Text;
using DarkStorage.TestKit;

namespace DarkStorage.Simulation.Model;

/// <remarks>Multipart uploads.</remarks>
internal sealed partial class ModelRun
{
    private static readonly int[] PartNumbers = [1, 2, 3, 7, 9_999, 10_000];

    /// <summary>Uploads that are over: whoever names them must be told so.</summary>
    private readonly List<UploadModel> _ended = [];

    private UploadModel? AnyUpload() => _model is { Uploads.Count: > 0 } model ? model.Uploads[_random.Next(model.Uploads.Count)] : null;

    private async Task BeginUploadAsync()
    {
        var (key, contentType, note) = (AnyKey(), AnyContentType(), AnyNote());
        var request = new RawRequest("POST", Target(key) + "?uploads");
        Describe(request, contentType, note);
        var answer = await SendAsync(request, _model is null ? NoSuchBucket : Ok);
        if (_model is null) return;
        Same("Key", key, Xml(answer).Element("Key")?.Value);
        _model.Uploads.Add(new(key, Xml(answer).Element("UploadId")!.Value, contentType, note));
    }

    private async Task PutPartAsync()
    {
        if (_model is null) return;
        if (_ended.Count > 0 && _random.Next(8) == 0)
        {
            var over = _ended[_random.Next(_ended.Count)];
            await SendAsync(new RawRequest("PUT", Target(over.Key, over.Id) + "&partNumber=1").WithBody("late"), NoSuchUpload);
            return;
        }
        if (AnyUpload() is not { } upload) return;
        var number = AnyPartNumber();
        var bytes = _random.Next(30) == 0 ? S3Clients.Content(PartBytesMin + _random.Next(3), _random.Next()) : AnyBytes();
        var target = string.Create(CultureInfo.InvariantCulture, $"{Target(upload.Key, upload.Id)}&partNumber={number}");
        if (_random.Next(10) == 0)
        {
            await SendAsync(new RawRequest("PUT", target.Replace($"partNumber={number}", "partNumber=10001", StringComparison.Ordinal)).WithBody(bytes), InvalidArgument);
            return;
        }
        var answer = await SendAsync(new RawRequest("PUT", target).WithBody(bytes), Ok);
        Same("ETag", $"\"{ObjectModel.Md5(bytes)}\"", answer.Header("ETag"));
        upload.Parts[number] = bytes;
    }

    private async Task CopyPartAsync()
    {
        if (AnyUpload() is not { } upload) return;
        var (number, key) = (AnyPartNumber(), AnyKey());
        var request = new RawRequest("PUT", string.Create(CultureInfo.InvariantCulture, $"{Target(upload.Key, upload.Id)}&partNumber={number}"));
        var (named, expected) = AnySource(request, key);
        if (expected != Ok)
        {
            await SendAsync(request, expected);
            return;
        }
        var bytes = named!.Object!.Bytes;
        if (_random.Next(2) == 0)
        {
            int first = _random.Next(bytes.Length + 1), last = first + _random.Next(bytes.Length + 1);
            request.With("x-amz-copy-source-range", string.Create(CultureInfo.InvariantCulture, $"bytes={first}-{last}"));
            if (last >= bytes.Length) expected = InvalidArgument;
            else bytes = bytes[first..(last + 1)];
        }
        var answer = await SendAsync(request, expected);
        if (answer.Status != 200) return;
        Same("ETag", $"\"{ObjectModel.Md5(bytes)}\"", Xml(answer).Element("ETag")?.Value);
        upload.Parts[number] = bytes;
    }

    private async Task CompleteUploadAsync()
    {
        if (_model is null) return;
        if (_ended.Count > 0 && _random.Next(6) == 0)
        {
            // Completed before: the same again, as long as the version that the upload made is there.
            var over = _ended[_random.Next(_ended.Count)];
            var made = _model.VersionsOf(over.Key).FirstOrDefault(v => v.Object?.UploadId == over.Id);
            var repeated = await SendAsync(Completion(over, over.Parts.DefaultIfEmpty(new(1, [])).Select(p => (p.Key, ObjectModel.Md5(p.Value)))), made is null ? NoSuchUpload : Ok);
            if (made is null) return;
            Same("ETag", $"\"{made.Object!.ETag}\"", Xml(repeated).Element("ETag")?.Value);
            SameVersion(made, repeated);
            return;
        }
        if (AnyUpload() is not { } upload) return;
        // One part of any size, or all from the first large one on.
        var parts = upload.Parts.Where(_ => _random.Next(3) > 0).ToList();
        if (_random.Next(2) == 0) parts = parts.Take(1).ToList();
        var named = parts.ConvertAll(p => (p.Key, ObjectModel.Md5(p.Value)));
        var expected = Ok;
        if (named.Count == 0) expected = (400, "MalformedXML");
        else if (_random.Next(8) == 0)
        {
            named[0] = (named[0].Key, "00000000000000000000000000000000");
            expected = (400, "InvalidPart");
        }
        else if (_random.Next(8) == 0 && named.Count > 1)
        {
            named.Reverse();
            expected = (400, "InvalidPartOrder");
        }
        else if (parts.SkipLast(1).Any(p => p.Value.Length < PartBytesMin)) expected = (400, "EntityTooSmall");
        var request = Completion(upload, named);
        if (expected == Ok) expected = WriteCondition(request, upload.Key);
        var answer = await SendAsync(request, expected);
        if (answer.Status != 200) return;
        var bytes = parts.SelectMany(p => p.Value).ToArray();
        var etag = ObjectModel.Md5(parts.SelectMany(p => System.Security.Cryptography.MD5.HashData(p.Value)).ToArray()) + string.Create(CultureInfo.InvariantCulture, $"-{parts.Count}");
        Same("ETag", $"\"{etag}\"", Xml(answer).Element("ETag")?.Value);
        _model.Add(upload.Key, NewId(answer), new(bytes, etag, upload.ContentType, upload.Note, [.. parts.Select(p => p.Value.Length)], upload.Id));
        End(upload);
    }

    private static readonly CompositeFormat PartXml = CompositeFormat.Parse("<Part><PartNumber>{0}</PartNumber><ETag>&quot;{1}&quot;</ETag></Part>");

    private RawRequest Completion(UploadModel upload, IEnumerable<(int Number, string ETag)> parts) => new RawRequest("POST", Target(upload.Key, upload.Id))
        .WithBody($"<CompleteMultipartUpload>{string.Concat(parts.Select(p => string.Format(CultureInfo.InvariantCulture, PartXml, p.Number, p.ETag)))}</CompleteMultipartUpload>");

    private async Task AbortUploadAsync()
    {
        if (AnyUpload() is not { } upload) return;
        await SendAsync(new("DELETE", Target(upload.Key, upload.Id)), NoContent);
        End(upload);
        await SendAsync(new("DELETE", Target(upload.Key, upload.Id)), NoSuchUpload);
    }

    private int AnyPartNumber() => PartNumbers[_random.Next(PartNumbers.Length)];

    private void End(UploadModel upload)
    {
        _model!.Uploads.Remove(upload);
        _ended.Add(upload);
    }
}
