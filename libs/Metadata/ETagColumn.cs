using System.Globalization;

namespace DarkStorage.Metadata;

/// <summary>The etags of grain state and reminders: numbers in the index, text to whoever keeps them.</summary>
internal static class ETagColumn
{
    public static string Text(long etag) => etag.ToString(CultureInfo.InvariantCulture);

    /// <summary>A text that is no etag of ours matches no record.</summary>
    public static long? Parse(string? etag) =>
        etag is null ? null : long.TryParse(etag, NumberStyles.None, CultureInfo.InvariantCulture, out var value) ? value : -1;
}
