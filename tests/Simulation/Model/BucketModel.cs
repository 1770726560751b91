using System.Security.Cryptography;
using System.Text;

namespace DarkStorage.Simulation.Model;

/// <summary>An object as S3 shows it.</summary>
/// <param name="PartLengths">Of an upload's object; null of one that was put whole.</param>
/// <param name="UploadId">Of the upload that made it.</param>
internal sealed record ObjectModel(byte[] Bytes, string ETag, string ContentType, string? Note, int[]? PartLengths = null, string? UploadId = null)
{
    public const string DefaultContentType = "binary/octet-stream";

    public static string Md5(ReadOnlySpan<byte> bytes) => Convert.ToHexStringLower(MD5.HashData(bytes));
}

/// <summary>An unfinished upload.</summary>
internal sealed record UploadModel(string Key, string Id, string ContentType, string? Note)
{
    public SortedDictionary<int, byte[]> Parts { get; } = [];
}

/// <summary>An entry of a listing: an object or upload, or a prefix that keys fold into.</summary>
internal sealed record EntryModel(string Name, bool IsPrefix, string Detail);

/// <param name="Next">The last entry where more follow; else null.</param>
internal sealed record PageModel(List<EntryModel> Entries, string? Next);

/// <summary>A bucket of S3 in memory, written from S3's documentation and without a thought for speed.</summary>
internal sealed class BucketModel
{
    public SortedDictionary<string, ObjectModel> Objects { get; } = new(Utf8Order.Instance);

    public List<UploadModel> Uploads { get; } = [];

    public PageModel ListObjects(string prefix, string delimiter, string after, int max) =>
        Page(Objects.Select(o => new EntryModel(o.Key, false, $"{o.Value.Bytes.Length} {o.Value.ETag}")), prefix, delimiter, after, max);

    /// <summary>All entries behind a mark, folded, cut at the most that a page has. A prefix that is the mark itself was shown before, with all that is folded into it.</summary>
    public static PageModel Page(IEnumerable<EntryModel> all, string prefix, string delimiter, string after, int max)
    {
        var entries = new List<EntryModel>();
        if (max == 0) return new(entries, null);
        foreach (var entry in all)
        {
            if (!entry.Name.StartsWith(prefix, StringComparison.Ordinal) || Utf8Order.Instance.Compare(entry.Name, after) <= 0) continue;
            var shown = entry;
            if (delimiter.Length > 0 && entry.Name.IndexOf(delimiter, prefix.Length, StringComparison.Ordinal) is var at and >= 0)
                shown = new(entry.Name[..(at + delimiter.Length)], true, "");
            if (shown.IsPrefix && (shown.Name == after || entries.Contains(shown))) continue;
            if (entries.Count == max) return new(entries, entries[^1].Name);
            entries.Add(shown);
        }
        return new(entries, null);
    }
}

/// <summary>Keys in the order of their UTF-8 bytes, which is not that of UTF-16.</summary>
internal sealed class Utf8Order : IComparer<string>
{
    public static readonly Utf8Order Instance = new();

    public int Compare(string? x, string? y) => Encoding.UTF8.GetBytes(x!).AsSpan().SequenceCompareTo(Encoding.UTF8.GetBytes(y!));
}
