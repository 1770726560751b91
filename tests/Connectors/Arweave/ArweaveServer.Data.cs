using System.Globalization;
using Microsoft.AspNetCore.Http;
using Microsoft.Net.Http.Headers;

namespace DarkStorage.Connectors.Arweave;

/// <summary>The gateway's /raw/: data of items.</summary>
public sealed partial class ArweaveServer
{
    /// <summary>Connections of reads that are cut off, from now on, each after <see cref="CutsReadsAfter"/> bytes.</summary>
    public int CutsReads { get; set; }

    public int CutsReadsAfter { get; set; }

    /// <summary>Flips a bit of each content that is read, from now on.</summary>
    public bool CorruptsReads { get; set; }

    /// <summary>Does not say the SHA-256 of data, as gateways that are not of AR.IO.</summary>
    public bool SaysNoDigest { get; set; }

    /// <summary>Another length of data than there is.</summary>
    public long LiesAboutLength { get; set; }

    private async Task ReadAsync(HttpContext http, string id)
    {
        StoredItem? item;
        lock (_lock)
        {
            item = _items.Find(i => i.Id == id);
            if (item is not null && item.Unread-- > 0) item = null;
        }
        if (item is null)
        {
            await SayAsync(http, 404, "Not found");
            return;
        }
        var (first, last) = (0L, item.Data.Length - 1L);
        http.Response.Headers.AcceptRanges = "bytes";
        http.Response.Headers.CacheControl = "public, max-age=2592000, immutable";
        http.Response.ContentType = "application/octet-stream";
        if (!SaysNoDigest) http.Response.Headers["X-AR-IO-Digest"] = item.Sha256;
        if (RangeHeaderValue.TryParse(http.Request.Headers.Range.ToString(), out var range) && range.Ranges.Single() is { From: { } from, To: { } to })
        {
            if (from > last)
            {
                http.Response.Headers.ContentRange = string.Create(CultureInfo.InvariantCulture, $"bytes */{item.Data.Length}");
                await SayAsync(http, 416, "Range not satisfiable");
                return;
            }
            (first, last) = (from, Math.Min(to, last));
            http.Response.StatusCode = 206;
            http.Response.Headers.ContentRange = string.Create(CultureInfo.InvariantCulture, $"bytes {first}-{last}/{item.Data.Length}");
        }
        var content = item.Data[(int)first..((int)last + 1)];
        http.Response.ContentLength = content.Length + LiesAboutLength;
        if (HttpMethods.IsHead(http.Request.Method)) return;
        if (CorruptsReads) content[content.Length / 2] ^= 1;
        if (CutsReads > 0 && content.Length > CutsReadsAfter)
        {
            CutsReads--;
            await http.Response.Body.WriteAsync(content.AsMemory(0, CutsReadsAfter));
            await http.Response.Body.FlushAsync();
            http.Abort();
            return;
        }
        await http.Response.Body.WriteAsync(content);
    }
}
