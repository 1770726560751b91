using System.Buffers.Text;
using System.Globalization;
using System.Security.Cryptography;
using System.Text;
using DarkStorage.Storage.Backends;

namespace DarkStorage.Connectors.Arweave;

/// <summary>What the tags of one data item say: that a blob has a content from then on, or that it is deleted. Of a name's records the last is true, and the rest is what was.</summary>
/// <remarks>Records are sealed with the wallet: whoever answers for the index can keep one back, but can't make one up or change it.</remarks>
/// <param name="Key">Of the name (<see cref="ArweavePlace.KeyOf(BlobName)"/>).</param>
/// <param name="Name">Null for the one that marks the place.</param>
/// <param name="Version">See <see cref="RecordVersion"/>.</param>
/// <param name="Sha256">Of the content, in Base64 for URLs; empty where there is none.</param>
/// <param name="CopyOf">Id of the item that has the content, where it is not this one.</param>
internal sealed record BlobRecord(string Key, BlobName? Name, RecordKind Kind, string Version, long Length, string Sha256, string? CopyOf)
{
    /// <summary>Of items that have no content of their own: a space.</summary>
    public static readonly ReadOnlyMemory<byte> NoData = " "u8.ToArray();

    private const string App = "DarkStorage";

    /// <summary>Of the item; empty while it has none.</summary>
    public string Id { get; init; } = "";

    /// <summary>Of the item with the content.</summary>
    public string ContentId => CopyOf ?? Id;

    /// <summary>The item's data is the content.</summary>
    public bool HasData => Kind == RecordKind.Put && CopyOf is null && Length > 0;

    /// <summary>Bytes of the item's own data.</summary>
    public long DataLength => HasData ? Length : NoData.Length;

    public DateTimeOffset Made => RecordVersion.TimeOf(Version)!.Value;

    public static bool IsLater(BlobRecord one, BlobRecord? other) => string.CompareOrdinal(one.Version, other?.Version) > 0;

    public BackendBlob ToBlob() => new(Name!.Value, Length, Made);

    /// <summary>As they are written: at most 4,096 bytes, whatever the name.</summary>
    public IReadOnlyList<(string Name, string Value)> ToTags(ArweaveWallet wallet, ArweavePlace place)
    {
        var tags = new List<(string, string)> { ("Content-Type", "application/octet-stream"), ("App-Name", App), (Tag.Place, place.Name), (Tag.Key, Key), (Tag.Kind, KindText(Kind)), (Tag.Version, Version) };
        if (Name is { } name) tags.Add((Tag.Name, Escape(name.Value)));
        if (Kind == RecordKind.Put)
        {
            tags.AddRange([(Tag.Length, Length.ToString(CultureInfo.InvariantCulture)), (Tag.Sha256, Sha256)]);
            if (CopyOf is not null) tags.Add((Tag.CopyOf, CopyOf));
            tags.AddRange(ArweavePlace.FoldersOf(Name!.Value.Value).Select((folder, level) => (Tag.Folder(level), place.FolderOf(folder))));
        }
        tags.Add((Tag.Seal, wallet.Seal(SealedText())));
        return tags;
    }

    /// <returns>Null where these are no tags of such a record, or of another place.</returns>
    /// <exception cref="BackendException"><see cref="BackendError.Damaged"/>: it is one, but not as it was sealed.</exception>
    public static BlobRecord? Find(string id, IReadOnlyDictionary<string, string> tags, ArweaveWallet wallet, ArweavePlace place)
    {
        if (tags.GetValueOrDefault("App-Name") != App || tags.GetValueOrDefault(Tag.Place) != place.Name) return null;
        if (Read(tags, place) is not { } record || !CryptographicOperations.FixedTimeEquals(Encoding.UTF8.GetBytes(wallet.Seal(record.SealedText())), Encoding.UTF8.GetBytes(tags.GetValueOrDefault(Tag.Seal, ""))))
            throw new BackendException(BackendError.Damaged, $"The index tells of the item {id} otherwise than it was sealed.");
        return record with { Id = id };
    }

    private static BlobRecord? Read(IReadOnlyDictionary<string, string> tags, ArweavePlace place)
    {
        BlobName? name = null;
        if (tags.TryGetValue(Tag.Name, out var escaped) && (name = Unescape(escaped)) is null) return null;
        var key = name is { } n ? place.KeyOf(n) : place.MarkerKey;
        if (tags.GetValueOrDefault(Tag.Key) != key || KindOf(tags.GetValueOrDefault(Tag.Kind)) is not { } kind || kind == RecordKind.Place != name is null) return null;
        if (tags.GetValueOrDefault(Tag.Version) is not { } version || RecordVersion.TimeOf(version) is null) return null;
        if (kind != RecordKind.Put) return new(key, name, kind, version, 0, "", null);
        var copyOf = tags.GetValueOrDefault(Tag.CopyOf);
        if (!long.TryParse(tags.GetValueOrDefault(Tag.Length), NumberStyles.None, CultureInfo.InvariantCulture, out var length) || !DataItem.IsId(tags.GetValueOrDefault(Tag.Sha256)) || (copyOf is not null && !DataItem.IsId(copyOf))) return null;
        return new(key, name, kind, version, length, tags[Tag.Sha256], copyOf);
    }

    /// <summary>All that is said, each on a line: no part has one.</summary>
    private byte[] SealedText() => Encoding.UTF8.GetBytes(string.Join('\n', "1", Key, Name is { } name ? Escape(name.Value) : "", KindText(Kind), Version, Length.ToString(CultureInfo.InvariantCulture), Sha256, CopyOf));

    private static string KindText(RecordKind kind) => kind switch { RecordKind.Put => "put", RecordKind.Deleted => "deleted", _ => "place" };

    private static RecordKind? KindOf(string? text) => text switch { "put" => RecordKind.Put, "deleted" => RecordKind.Deleted, "place" => RecordKind.Place, _ => null };

    /// <summary>All but visible ASCII, and the percent itself, as a percent and two digits for each byte. So it stays what it is wherever it is kept; three times 1,024 bytes are the most that a tag may have.</summary>
    private static string Escape(string name)
    {
        var text = new StringBuilder();
        foreach (var one in Encoding.UTF8.GetBytes(name))
        {
            if (one is > (byte)' ' and <= (byte)'~' and not (byte)'%') text.Append((char)one);
            else text.Append(CultureInfo.InvariantCulture, $"%{one:X2}");
        }
        return text.ToString();
    }

    private static BlobName? Unescape(string text) => BlobName.Find(Uri.UnescapeDataString(text)) is { } name && Escape(name.Value) == text ? name : null;

    public static class Tag
    {
        public const string Key = "Blob-Key";
        public const string Place = "Blob-Place";
        public const string Kind = "Blob-Kind";
        public const string Name = "Blob-Name";
        public const string Version = "Blob-Version";
        public const string Length = "Blob-Length";
        public const string Sha256 = "Blob-SHA256";
        public const string CopyOf = "Blob-Copy-Of";
        public const string Seal = "Blob-Seal";

        /// <summary>A name of its own for each level: of tags with one name an index may know only one.</summary>
        public static string Folder(int level) => string.Create(CultureInfo.InvariantCulture, $"Blob-Folder-{level}");
    }
}

internal enum RecordKind
{
    Put,
    Deleted,

    /// <summary>Says that this is the place.</summary>
    Place,
}
