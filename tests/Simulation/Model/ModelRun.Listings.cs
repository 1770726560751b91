using System.Globalization;
using System.Xml.Linq;
using DarkStorage.TestKit;

namespace DarkStorage.Simulation.Model;

/// <remarks>Listings, walked to their end page by page.</remarks>
internal sealed partial class ModelRun
{
    /// <summary>Pages of one walk: more means that it goes round in circles.</summary>
    private const int PagesMax = 200;

    private Task ListAsync()
    {
        var (prefix, delimiter, after, max) = AnyListing();
        return CompareListingAsync(prefix, delimiter, after, max, version2: _random.Next(2) == 0);
    }

    private (string Prefix, string Delimiter, string After, int Max) AnyListing()
    {
        var key = AnyKey();
        var prefix = _random.Next(3) switch { 0 => "", 1 => Start(key), _ => NastyKeys.Piece(_random) };
        var delimiter = _random.Next(5) switch { 0 or 1 => "/", 2 => NastyKeys.Piece(_random), _ => "" };
        var after = _random.Next(4) switch { 0 => AnyKey(), 1 => Start(AnyKey()), _ => "" };
        var max = _random.Next(6) switch { 0 => 0, 1 or 2 => _random.Next(1, 4), 3 => _random.Next(1, 9), _ => 1000 };
        return (prefix, delimiter, after, max);

        // Whole characters only: half of one is in no URL.
        string Start(string text)
        {
            var length = _random.Next(text.Length + 1);
            return text[..(length > 0 && char.IsHighSurrogate(text[length - 1]) ? length - 1 : length)];
        }
    }

    private async Task CompareListingAsync(string prefix, string delimiter, string after, int max, bool version2)
    {
        var target = string.Create(CultureInfo.InvariantCulture, $"/{_bucket}?{(version2 ? "list-type=2&" : "")}max-keys={max}&prefix={Uri.EscapeDataString(prefix)}");
        if (delimiter.Length > 0) target += $"&delimiter={Uri.EscapeDataString(delimiter)}";
        var encoded = _random.Next(2) == 0;
        if (encoded) target += "&encoding-type=url";
        var mark = after.Length == 0 ? "" : $"&{(version2 ? "start-after" : "marker")}={Uri.EscapeDataString(after)}";
        for (var pages = 0; pages < PagesMax; pages++)
        {
            var answer = await SendAsync(new("GET", target + mark), _model is null ? NoSuchBucket : Ok);
            if (_model is null) return;
            var xml = Xml(answer);
            var expected = _model.ListObjects(prefix, delimiter, after, max);
            var shown = xml.Elements("Contents").Select(e => new EntryModel(Text(e, "Key", encoded), false, $"{Text(e, "Size", false)} {Text(e, "ETag", false).Trim('"')}"))
                .Concat(xml.Elements("CommonPrefixes").Select(e => new EntryModel(Text(e, "Prefix", encoded), true, "")));
            // Objects come first and prefixes behind them.
            SameEntries(expected.Entries.OrderBy(e => e.IsPrefix), shown);
            Same("IsTruncated", expected.Next is null ? "false" : "true", Text(xml, "IsTruncated", false));
            Same("Prefix", prefix, Text(xml, "Prefix", encoded));
            if (version2) Same("KeyCount", expected.Entries.Count.ToString(CultureInfo.InvariantCulture), Text(xml, "KeyCount", false));
            if (expected.Next is null) return;
            after = expected.Next;
            if (!version2) Same("NextMarker", after, Text(xml, "NextMarker", encoded));
            mark = version2 ? $"&continuation-token={Uri.EscapeDataString(Text(xml, "NextContinuationToken", false))}" : $"&marker={Uri.EscapeDataString(after)}";
        }
        throw new ModelException("The listing does not end.");
    }

    private async Task ListUploadsAsync()
    {
        var delimiter = _random.Next(2) == 0 ? "/" : "";
        var max = _random.Next(1, 4);
        var target = string.Create(CultureInfo.InvariantCulture, $"/{_bucket}?uploads&encoding-type=url&max-uploads={max}{(delimiter.Length > 0 ? "&delimiter=%2F" : "")}");
        var found = new List<EntryModel>();
        var mark = "";
        for (var pages = 0; pages < PagesMax; pages++)
        {
            var answer = await SendAsync(new("GET", target + mark), _model is null ? NoSuchBucket : Ok);
            if (_model is null) return;
            var xml = Xml(answer);
            var page = xml.Elements("Upload").Select(e => new EntryModel(Text(e, "Key", true), false, Text(e, "UploadId", false)))
                .Concat(xml.Elements("CommonPrefixes").Select(e => new EntryModel(Text(e, "Prefix", true), true, ""))).ToList();
            if (page.Count > max) throw new ModelException($"A page of at most {max} uploads has {page.Count}.");
            found.AddRange(page);
            if (Text(xml, "IsTruncated", false) == "false")
            {
                // Ids are the node's to choose, and so is their order within a key.
                var all = _model.Uploads.OrderBy(u => u.Key, Utf8Order.Instance).Select(u => new EntryModel(u.Key, false, u.Id));
                SameEntries(Sorted(BucketModel.Page(all, "", delimiter, "", int.MaxValue).Entries), Sorted(found));
                return;
            }
            if (page.Count != max) throw new ModelException($"A page of {max} uploads that is cut has {page.Count}.");
            mark = $"&key-marker={Uri.EscapeDataString(Text(xml, "NextKeyMarker", true))}&upload-id-marker={xml.Element("NextUploadIdMarker")?.Value}";
        }
        throw new ModelException("The listing of uploads does not end.");

        static IEnumerable<EntryModel> Sorted(IEnumerable<EntryModel> entries) =>
            entries.OrderBy(e => e.Name, StringComparer.Ordinal).ThenBy(e => e.Detail, StringComparer.Ordinal);
    }

    private async Task ListPartsAsync()
    {
        if (AnyUpload() is not { } upload) return;
        var max = _random.Next(1, 4);
        var after = 0;
        for (var pages = 0; pages < PagesMax; pages++)
        {
            var answer = await SendAsync(new("GET", string.Create(CultureInfo.InvariantCulture, $"{Target(upload.Key, upload.Id)}&max-parts={max}&part-number-marker={after}")), Ok);
            var xml = Xml(answer);
            var expected = upload.Parts.Where(p => p.Key > after).ToList();
            SameEntries(
                expected.Take(max).Select(p => new EntryModel(p.Key.ToString(CultureInfo.InvariantCulture), false, $"{p.Value.Length} {ObjectModel.Md5(p.Value)}")),
                xml.Elements("Part").Select(p => new EntryModel(Text(p, "PartNumber", false), false, $"{Text(p, "Size", false)} {Text(p, "ETag", false).Trim('"')}")));
            Same("IsTruncated", expected.Count > max ? "true" : "false", Text(xml, "IsTruncated", false));
            if (expected.Count <= max) return;
            after = expected[max - 1].Key;
            Same("NextPartNumberMarker", after.ToString(CultureInfo.InvariantCulture), Text(xml, "NextPartNumberMarker", false));
        }
        throw new ModelException("The listing of parts does not end.");
    }

    private static void SameEntries(IEnumerable<EntryModel> expected, IEnumerable<EntryModel> shown) =>
        Same("Entries", string.Join('\n', expected), string.Join('\n', shown));

    private static string Text(XElement element, string name, bool encoded)
    {
        var text = element.Element(name)?.Value ?? throw new ModelException($"There is no {name} in {element}");
        return encoded ? Uri.UnescapeDataString(text.Replace('+', ' ')) : text;
    }
}
