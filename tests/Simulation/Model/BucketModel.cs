using System.Security.Cryptography;
using System.Text;

namespace DarkStorage.Simulation.Model;

/// <summary>A content as S3 shows it.</summary>
/// <param name="PartLengths">Of an upload's object; null of one that was put whole.</param>
/// <param name="UploadId">Of the upload that made it.</param>
internal sealed record ObjectModel(byte[] Bytes, string ETag, string ContentType, string? Note, int[]? PartLengths = null, string? UploadId = null)
{
    public const string DefaultContentType = "binary/octet-stream";

    public static string Md5(ReadOnlySpan<byte> bytes) => Convert.ToHexStringLower(MD5.HashData(bytes));
}

/// <param name="IsCompliance">Else governance.</param>
/// <param name="Until">Null where the bucket's default set it: a time that the node chose, before all that a story names.</param>
internal sealed record RetentionModel(bool IsCompliance, DateTimeOffset? Until)
{
    public string Mode => IsCompliance ? "COMPLIANCE" : "GOVERNANCE";
}

/// <summary>A version of a key.</summary>
/// <param name="id"><c>null</c> of what was made while versioning was off or suspended.</param>
/// <param name="content">Null of a delete marker.</param>
/// <param name="order">Higher the later it was made.</param>
internal sealed class VersionModel(string id, ObjectModel? content, int order)
{
    public const string NullId = "null";

    public string Id => id;

    public ObjectModel? Object => content;

    public int Order => order;

    public IReadOnlyList<string> Tags { get; set; } = [];

    public bool Hold { get; set; }

    public RetentionModel? Retention { get; set; }

    /// <summary>Object lock lets nobody remove it.</summary>
    public bool IsKept(bool bypass) => Hold || Retention is { } retention && (retention.IsCompliance || !bypass);
}

internal enum VersioningModel
{
    Off,
    Enabled,
    Suspended,
}

/// <summary>An unfinished upload.</summary>
internal sealed record UploadModel(string Key, string Id, string ContentType, string? Note)
{
    public SortedDictionary<int, byte[]> Parts { get; } = [];
}

/// <summary>An entry of a listing: an object, version or upload, or a prefix that keys fold into.</summary>
internal sealed record EntryModel(string Name, bool IsPrefix, string Detail);

/// <param name="Next">The last entry where more follow; else null.</param>
internal sealed record PageModel(List<EntryModel> Entries, string? Next);

/// <param name="Last">The version that the page ends with; null where that is a prefix, or nothing follows.</param>
internal sealed record VersionPageModel(List<EntryModel> Entries, string? Next, VersionModel? Last);

/// <summary>A bucket of S3 in memory, written from S3's documentation and without a thought for speed.</summary>
internal sealed class BucketModel
{
    private readonly SortedDictionary<string, List<VersionModel>> _versions = new(Utf8Order.Instance);
    private int _order;

    public VersioningModel Versioning { get; set; }

    /// <summary>Object lock is on.</summary>
    public bool Locks { get; set; }

    /// <summary>What a new version gets that names no retention.</summary>
    public RetentionModel? DefaultRetention { get; set; }

    public List<UploadModel> Uploads { get; } = [];

    /// <summary>All versions of all keys, the newest of a key first.</summary>
    public IEnumerable<(string Key, VersionModel Version)> Versions => _versions.SelectMany(k => k.Value.Select(v => (k.Key, v)));

    /// <summary>What readers get who name no version.</summary>
    public IEnumerable<(string Key, VersionModel Version)> Current => _versions.Where(k => k.Value[0].Object is not null).Select(k => (k.Key, k.Value[0]));

    public IReadOnlyList<VersionModel> VersionsOf(string key) => _versions.GetValueOrDefault(key) ?? [];

    /// <summary>The version on top, which may be a delete marker.</summary>
    public VersionModel? Latest(string key) => VersionsOf(key) is [var latest, ..] ? latest : null;

    public VersionModel? Find(string key) => Latest(key) is { Object: not null } current ? current : null;

    public VersionModel? Find(string key, string id) => VersionsOf(key).FirstOrDefault(v => v.Id == id);

    /// <summary>Puts a version on top. Of null versions there is only the last.</summary>
    /// <param name="content">Null for a delete marker.</param>
    public VersionModel Add(string key, string id, ObjectModel? content)
    {
        if (Find(key, id) is { } replaced) Remove(key, replaced);
        if (!_versions.TryGetValue(key, out var versions)) _versions[key] = versions = [];
        var made = new VersionModel(id, content, ++_order) { Retention = content is null ? null : DefaultRetention };
        versions.Insert(0, made);
        return made;
    }

    public void Remove(string key, VersionModel version)
    {
        var versions = _versions[key];
        versions.Remove(version);
        if (versions.Count == 0) _versions.Remove(key);
    }

    public PageModel ListObjects(string prefix, string delimiter, string after, int max) =>
        Page(Current.Select(o => new EntryModel(o.Key, false, $"{o.Version.Object!.Bytes.Length} {o.Version.Object.ETag}")), prefix, delimiter, after, max);

    /// <param name="afterOrder">Where the last page ended within the key that it ended with: only what is older follows. Null where nothing more of that key does.</param>
    public VersionPageModel ListVersions(string prefix, string delimiter, string after, int? afterOrder, int max)
    {
        var entries = new List<EntryModel>();
        if (max == 0) return new(entries, null, null);
        VersionModel? last = null;
        foreach (var (key, version) in Versions)
        {
            var place = Utf8Order.Instance.Compare(key, after);
            if (!key.StartsWith(prefix, StringComparison.Ordinal) || place < 0 || place == 0 && !(version.Order < afterOrder)) continue;
            var shown = new EntryModel(key, false, DetailOf(version, version == VersionsOf(key)[0]));
            if (Folded(key, prefix, delimiter) is { } folded) shown = new(folded, true, "");
            if (shown.IsPrefix && (shown.Name == after || entries.Contains(shown))) continue;
            if (entries.Count == max) return new(entries, entries[^1].Name, last);
            entries.Add(shown);
            last = shown.IsPrefix ? null : version;
        }
        return new(entries, null, null);
    }

    private static string DetailOf(VersionModel version, bool isLatest) =>
        $"{version.Id} {(isLatest ? "true" : "false")} {(version.Object is { } content ? $"{content.Bytes.Length} {content.ETag}" : "delete marker")}";

    /// <summary>All entries behind a mark, folded, cut at the most that a page has. A prefix that is the mark itself was shown before, with all that is folded into it.</summary>
    public static PageModel Page(IEnumerable<EntryModel> all, string prefix, string delimiter, string after, int max)
    {
        var entries = new List<EntryModel>();
        if (max == 0) return new(entries, null);
        foreach (var entry in all)
        {
            if (!entry.Name.StartsWith(prefix, StringComparison.Ordinal) || Utf8Order.Instance.Compare(entry.Name, after) <= 0) continue;
            var shown = Folded(entry.Name, prefix, delimiter) is { } folded ? new(folded, true, "") : entry;
            if (shown.IsPrefix && (shown.Name == after || entries.Contains(shown))) continue;
            if (entries.Count == max) return new(entries, entries[^1].Name);
            entries.Add(shown);
        }
        return new(entries, null);
    }

    private static string? Folded(string key, string prefix, string delimiter) =>
        delimiter.Length > 0 && key.IndexOf(delimiter, prefix.Length, StringComparison.Ordinal) is var at and >= 0 ? key[..(at + delimiter.Length)] : null;
}

/// <summary>Keys in the order of their UTF-8 bytes, which is not that of UTF-16.</summary>
internal sealed class Utf8Order : IComparer<string>
{
    public static readonly Utf8Order Instance = new();

    public int Compare(string? x, string? y) => Encoding.UTF8.GetBytes(x!).AsSpan().SequenceCompareTo(Encoding.UTF8.GetBytes(y!));
}
