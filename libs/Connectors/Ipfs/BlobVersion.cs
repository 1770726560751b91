using System.Globalization;
using DarkStorage.Storage.Backends;

namespace DarkStorage.Connectors.Ipfs;

/// <summary>One content that a blob has or had: the name of its entry in the blob's folder, from which all is known that is asked of a blob without a look at the content.</summary>
/// <param name="Put">To the millisecond, by the clock of who put it; later than that of every version before.</param>
/// <param name="Nonce">Eight hexadecimal digits of chance, so that no two puts make one entry.</param>
internal sealed record BlobVersion(DateTimeOffset Put, long Length, Cid Cid, string Nonce)
{
    private const string TimeFormat = "yyyyMMdd'T'HHmmssfff'Z'";

    /// <summary>As in 20261122T143037123Z-9000001-bafy…-1f2e3d4c: in the order of their text they are in the order in which they were put.</summary>
    public string Entry => string.Create(CultureInfo.InvariantCulture, $"{Put.UtcDateTime.ToString(TimeFormat, CultureInfo.InvariantCulture)}-{Length}-{Cid}-{Nonce}");

    /// <param name="last">What is there; the new one is later, whatever the clocks say. Null for nothing.</param>
    public static BlobVersion New(DateTimeOffset now, BlobVersion? last, long length, Cid cid)
    {
        var put = new DateTimeOffset(now.UtcTicks - (now.UtcTicks % TimeSpan.TicksPerMillisecond), TimeSpan.Zero);
        if (last is not null && last.Put >= put) put = last.Put.AddMilliseconds(1);
        return new(put, length, cid, Random.Shared.Next().ToString("x8", CultureInfo.InvariantCulture));
    }

    /// <returns>Null where it is no entry of a version: somebody else's.</returns>
    public static BlobVersion? Find(string entry)
    {
        var parts = entry.Split('-');
        if (parts.Length != 4 || parts[3].Length != 8 || !parts[3].All(char.IsAsciiHexDigitLower)) return null;
        if (!DateTimeOffset.TryParseExact(parts[0], TimeFormat, CultureInfo.InvariantCulture, DateTimeStyles.AssumeUniversal | DateTimeStyles.AdjustToUniversal, out var put) || put.Year == 9999) return null;
        return long.TryParse(parts[1], NumberStyles.None, CultureInfo.InvariantCulture, out var length) && Cid.Find(parts[2]) is { } cid ? new(put, length, cid, parts[3]) : null;
    }

    public BackendBlob ToBlob(BlobName name) => new(name, Length, Put, Cid.ToString());
}
