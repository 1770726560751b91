namespace DarkStorage.Cli;

/// <summary>Rows in columns, as programs and people can both read them: two blanks between, none at the end of a line.</summary>
internal static class Table
{
    public static void Write(string[] head, IEnumerable<string[]> rows)
    {
        var all = rows.Prepend(head).ToList();
        var widths = Enumerable.Range(0, head.Length).Select(i => all.Max(r => r[i].Length)).ToArray();
        foreach (var row in all) Console.WriteLine(string.Join("  ", row.Select((cell, i) => cell.PadRight(widths[i]))).TrimEnd());
    }
}
