using System.Text;

namespace DarkStorage.Simulation.Model;

/// <summary>Keys that file systems, URLs, XML or SQL would take for something else.</summary>
internal static class NastyKeys
{
    private static readonly string[] Pieces =
    [
        "a", "b", "A", "0", "/", "//", ".", "..", "/../", "/./", "%", "%2F", "%00", "+", " ", "  ", "&", "=", "?", "#", "\\", "\"", "'", "<", ">", "]]>", "&amp;", ";", ":", "*", "~", "-", "_",
        "\u0001", "\t", "\n", "\r", "\u001f", "\u007f", "\u0085", "\u00a0", "é", "e\u0301", "ß", "日本", "\u2028", "\ufeff", "\ufffd", "\uffff", "𝄞", "😀", "name", "photos/", "null",
    ];

    /// <summary>As long as a key can be.</summary>
    private const int BytesMax = 1024;

    public static string Piece(Random random) => Pieces[random.Next(Pieces.Length)];

    public static string Next(Random random)
    {
        if (random.Next(40) == 0) return new string((char)('a' + random.Next(3)), BytesMax);
        var key = new StringBuilder();
        for (var i = random.Next(1, 6); i > 0; i--) key.Append(Piece(random));
        return key.ToString();
    }

    /// <summary>As it stands in a request's path, all escaped that may be and the slash kept.</summary>
    public static string Escape(string key) => Uri.EscapeDataString(key).Replace("%2F", "/", StringComparison.Ordinal);
}
