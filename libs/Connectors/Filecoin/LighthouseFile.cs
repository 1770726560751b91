using System.Buffers.Text;
using System.Globalization;
using System.Text;
using DarkStorage.Storage.Backends;

namespace DarkStorage.Connectors.Filecoin;

/// <summary>One content that a blob has or had, as the name of its file says it. Of a name's files the last version is the blob.</summary>
/// <remarks>What is in the file are the blob's bytes, and behind them a few by chance: so no two files have one CID, and what a service does with a content that it was sent twice does not matter.</remarks>
/// <param name="Name">Null for the file that marks the place.</param>
/// <param name="Version">See <see cref="RecordVersion"/>.</param>
/// <param name="Sha256">Of the blob's bytes, in Base64 for URLs.</param>
internal sealed record LighthouseFile(string Place, BlobName? Name, string Version, long Length, string Sha256)
{
    /// <summary>Bytes behind the blob's.</summary>
    public const int ChanceBytes = 16;

    private const char Separator = '~';
    private const int Sha256Length = 43;

    /// <summary>What the service calls the record of the file; empty while it has none.</summary>
    public string Id { get; init; } = "";

    /// <summary>What the content is called.</summary>
    public string Cid { get; init; } = "";

    /// <summary>Of all that is in the file.</summary>
    public long FileLength => Length + ChanceBytes;

    /// <summary>As in darkstorage~20261122T143037123Z-0123456789abcdef~9000001~…~b2JqZWN0cy8zZi8zZmE5: letters, digits, '-', '_', '.' and '~' alone, which nobody on the way takes for something else.</summary>
    public string FileName => string.Join(Separator, Place, Version, Length.ToString(CultureInfo.InvariantCulture), Sha256, Name is { } name ? Base64Url.EncodeToString(Encoding.UTF8.GetBytes(name.Value)) : "");

    /// <returns>Null where it is no file of the place.</returns>
    public static LighthouseFile? Find(string place, string? fileName, string? id, string? cid)
    {
        if (fileName?.Split(Separator) is not [var itsPlace, var version, var length, { Length: Sha256Length } sha256, var encoded] || itsPlace != place || RecordVersion.TimeOf(version) is null || !IsId(id) || !IsCid(cid)) return null;
        if (!long.TryParse(length, NumberStyles.None, CultureInfo.InvariantCulture, out var bytes)) return null;
        BlobName? name = null;
        if (encoded.Length > 0 && (!Base64Url.IsValid(encoded) || (name = BlobName.Find(Encoding.UTF8.GetString(Base64Url.DecodeFromChars(encoded)))) is null)) return null;
        return new(place, name, version, bytes, sha256) { Id = id!, Cid = cid! };
    }

    public static bool IsLater(LighthouseFile one, LighthouseFile? other) => string.CompareOrdinal(one.Version, other?.Version) > 0;

    /// <summary>Of either version, in any base: it becomes a part of addresses.</summary>
    public static bool IsCid(string? text) => text is { Length: >= 46 and <= 128 } && text.All(char.IsAsciiLetterOrDigit);

    public BackendBlob ToBlob() => new(Name!.Value, Length, RecordVersion.TimeOf(Version)!.Value, Cid);

    private static bool IsId(string? text) => text is { Length: > 0 and <= 128 } && text.All(c => char.IsAsciiLetterOrDigit(c) || c is '-' or '_');
}
