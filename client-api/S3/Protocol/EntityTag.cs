namespace DarkStorage.ClientApi.S3;

/// <summary>Entity tags in headers (RFC 9110, section 8.8.3).</summary>
internal static class EntityTag
{
    /// <summary>Tags that one condition may name.</summary>
    private const int CountMax = 64;

    /// <summary>Whether a list of tags, or <c>*</c>, names the one given.</summary>
    /// <param name="list">Tags with commas between; in quotes or, as many clients of S3 send them, without.</param>
    /// <param name="etag">Without quotes.</param>
    /// <param name="weakly">Weak tags (<c>W/"x"</c>) match too: the rule for If-None-Match, not for If-Match.</param>
    public static bool Matches(ReadOnlySpan<char> list, ReadOnlySpan<char> etag, bool weakly)
    {
        list = list.Trim();
        if (list is "*") return true;
        for (var count = 0; count < CountMax && !list.IsEmpty; count++)
        {
            var isWeak = list.StartsWith("W/", StringComparison.Ordinal);
            if (isWeak) list = list[2..];
            ReadOnlySpan<char> tag;
            if (list.StartsWith('"') && list[1..].IndexOf('"') is var end and >= 0)
            {
                tag = list[1..(end + 1)];
                list = list[(end + 2)..];
            }
            else
            {
                end = list.IndexOf(',');
                tag = (end < 0 ? list : list[..end]).Trim(" \t\"");
                list = end < 0 ? default : list[end..];
            }
            if ((weakly || !isWeak) && tag.SequenceEqual(etag)) return true;
            var comma = list.IndexOf(',');
            list = comma < 0 ? default : list[(comma + 1)..].Trim();
        }
        return false;
    }

    /// <summary>A tag without the quotes around it, if there are any.</summary>
    public static string Unquoted(string tag)
    {
        var text = tag.AsSpan().Trim();
        if (text.StartsWith("W/", StringComparison.Ordinal)) text = text[2..];
        return (text.Length >= 2 && text[0] == '"' && text[^1] == '"' ? text[1..^1] : text).ToString();
    }

    public static string Quoted(string etag) => $"\"{etag}\"";
}
