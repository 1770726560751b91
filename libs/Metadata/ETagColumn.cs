using System.Globalization;

namespace DarkStorage.Metadata;

/// <summary>The etags of grain state and reminders: numbers in the index, text to whoever keeps them.</summary>
/// <remarks>Each write draws a new one. Counted from 1 they would come again once a record was deleted and made anew, and a write that was decided on the record before would pass.</remarks>
internal static class ETagColumn
{
    public static long New() => Random.Shared.NextInt64(1, long.MaxValue);

    public static string Text(long etag) => etag.ToString(CultureInfo.InvariantCulture);

    /// <summary>A text that is no etag of ours matches no record.</summary>
    public static long? Parse(string? etag) =>
        etag is null ? null : long.TryParse(etag, NumberStyles.None, CultureInfo.InvariantCulture, out var value) ? value : -1;
}
