using System.Globalization;
using System.Text.RegularExpressions;
using System.Xml.Linq;

namespace DarkStorage.Simulation.Crash;

/// <remarks>The look at everything, while nobody writes. What is found becomes what is known.</remarks>
internal sealed partial class CrashWorld
{
    private const int Readers = 8;
    private const int PageMax = 37;

    /// <summary>Blobs that the store must have for what was found by the last look: one for each content that is not in the index, one for each part.</summary>
    public int BlobsNeeded { get; private set; }

    /// <summary>Objects that the last look found.</summary>
    public int Objects { get; private set; }

    /// <summary>Reads everything back and compares it with what was done.</summary>
    public async Task VerifyAsync()
    {
        BlobsNeeded = 0;
        await VerifyUploadsAsync();
        await VerifyVersionsAsync();

        var found = new (Content Content, string? ETag)[Keys];
        await Parallel.ForAsync(0, Keys, new ParallelOptions { MaxDegreeOfParallelism = Readers }, async (key, _) =>
        {
            long begun;
            lock (_lock) begun = ++_time;
            var answer = await _client.SendAsync(HttpMethod.Get, Target(key));
            found[key] = (Check(key, answer, begun), answer.ETag);
        });
        lock (_lock)
        {
            // All are checked before any is settled: a copy without an answer is explained by its source's past.
            for (var key = 0; key < Keys; key++) _keys[key].Settle(++_time, found[key].Content);
        }

        var objects = Enumerable.Range(0, Keys).Where(k => found[k].Content != Content.None).ToList();
        var listed = await ListAsync();
        foreach (var problem in CompareListing(objects.Select(k => new Listed(NameOf(k), found[k].Content.Length, found[k].ETag!)), listed)) Complain(problem);
        Objects = objects.Count;
        BlobsNeeded += objects.Sum(k => BlobsOf(found[k].Content, found[k].ETag!));
    }

    /// <summary>An object as a listing shows it.</summary>
    internal sealed record Listed(string Key, long Length, string ETag);

    /// <summary>What a listing has and the GETs have not, or the other way round.</summary>
    internal static IEnumerable<string> CompareListing(IEnumerable<Listed> read, IReadOnlyCollection<Listed> listed)
    {
        var byGets = read.ToDictionary(o => o.Key);
        foreach (var entry in listed)
        {
            if (!byGets.Remove(entry.Key, out var other)) yield return $"LIST shows {entry}, and there is no such object";
            else if (other != entry) yield return $"LIST shows {entry}, and GET {other}";
        }
        foreach (var missing in byGets.Values) yield return $"LIST does not show {missing}";
        foreach (var (before, after) in listed.Zip(listed.Skip(1)))
            if (string.CompareOrdinal(before.Key, after.Key) >= 0) yield return $"LIST shows {after.Key} after {before.Key}";
    }

    private async Task<List<Listed>> ListAsync()
    {
        var listed = new List<Listed>();
        var token = "";
        while (true)
        {
            var page = await _client.SendAsync(HttpMethod.Get, string.Create(CultureInfo.InvariantCulture, $"/{Bucket}?list-type=2&max-keys={PageMax}{token}"));
            if (!page.Ok) throw new InvalidOperationException($"LIST was answered {page}");
            listed.AddRange(page.Elements("Contents").Select(e => new Listed(Child(e, "Key"), long.Parse(Child(e, "Size"), CultureInfo.InvariantCulture), Child(e, "ETag").Trim('"'))));
            if (page.Elements("NextContinuationToken").SingleOrDefault() is not { } next) return listed;
            token = $"&continuation-token={Uri.EscapeDataString(next.Value)}";
        }
    }

    /// <summary>An upload that was begun is there with the parts it was given, until it was completed or aborted. Where those had no answer, it tells
    /// which way they went: completing an upload makes the object and ends the upload, both or neither.</summary>
    private async Task VerifyUploadsAsync()
    {
        var answer = await _client.SendAsync(HttpMethod.Get, $"/{Bucket}?uploads");
        if (!answer.Ok) throw new InvalidOperationException($"ListMultipartUploads was answered {answer}");
        var listed = answer.Elements("Upload").ToDictionary(e => Child(e, "UploadId"), e => Child(e, "Key"));
        foreach (var upload in _uploads.ToList())
        {
            var isThere = listed.Remove(upload.Id, out var key);
            if (isThere && key != NameOf(upload.Key)) Complain($"{Target(upload)} is listed with the key {key}");
            if (!isThere)
            {
                if (upload.Completing is null && !upload.Aborting) Complain($"{Target(upload)} was begun and never ended, and is not listed");
                lock (_lock) upload.Completing?.Acknowledge(++_time);
                _uploads.Remove(upload);
                continue;
            }
            upload.Completing?.Refuse();
            (upload.Completing, upload.Aborting) = (null, false);
            await VerifyPartsAsync(upload);
        }
        foreach (var (id, key) in listed)
        {
            // A begin without an answer may have happened; its id is new to us.
            var number = Enumerable.Range(0, Keys).First(k => NameOf(k) == key);
            if (!_begunWithoutAnswer.Remove(number)) Complain($"The upload {id} of {key} is listed, and was ended or never begun");
            var aborted = await _client.SendAsync(HttpMethod.Delete, $"{Target(number)}?uploadId={id}");
            if (!aborted.Ok) Complain($"The abort of upload {id} was answered {aborted}");
        }
        _begunWithoutAnswer.Clear();
    }

    private async Task VerifyPartsAsync(Upload upload)
    {
        var answer = await _client.SendAsync(HttpMethod.Get, Target(upload));
        if (!answer.Ok)
        {
            Complain($"{Target(upload)}: ListParts was answered {answer}");
            return;
        }
        var parts = answer.Elements("Part").ToDictionary(
            e => int.Parse(Child(e, "PartNumber"), CultureInfo.InvariantCulture),
            e => new Content(long.Parse(Child(e, "Size"), CultureInfo.InvariantCulture), Child(e, "ETag").Trim('"')));
        BlobsNeeded += parts.Count;
        foreach (var (number, history) in upload.Parts.ToList())
        {
            var found = parts.Remove(number, out var part) ? part : Content.None;
            lock (_lock)
            {
                if (history.Explain(found, ++_time, ++_time) is { } problem) Complain($"{Target(upload)} part {number} {problem}");
                if (found == Content.None) upload.Parts.Remove(number);
                else history.Settle(++_time, found);
            }
        }
        foreach (var number in parts.Keys) Complain($"{Target(upload)} has a part {number} that nobody put");
    }

    private static int BlobsOf(Content content, string etag) =>
        MultipartETag().Match(etag) is { Success: true } multipart ? int.Parse(multipart.Groups[1].Value, CultureInfo.InvariantCulture) : content.Length > InlineBytesMax ? 1 : 0;

    private static string Child(XElement element, string name) => element.Elements().Single(e => e.Name.LocalName == name).Value;

    /// <summary>Content up to this size lies in the index.</summary>
    private const int InlineBytesMax = 4 << 10;

    [GeneratedRegex("-([0-9]+)$")]
    private static partial Regex MultipartETag();
}
