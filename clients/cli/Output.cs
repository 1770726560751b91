using System.Globalization;
using System.Text.Json;
using System.Text.Json.Nodes;

namespace DarkStorage.Cli;

/// <summary>What commands print, as programs and people can both read it.</summary>
internal static class Output
{
    private static readonly JsonSerializerOptions Indented = new() { WriteIndented = true };

    /// <summary>Rows in columns: two blanks between, none at the end of a line.</summary>
    public static void Table(string[] head, IEnumerable<string[]> rows)
    {
        var all = rows.Prepend(head).ToList();
        var widths = Enumerable.Range(0, head.Length).Select(i => all.Max(r => r[i].Length)).ToArray();
        foreach (var row in all) Console.WriteLine(string.Join("  ", row.Select((cell, i) => cell.PadRight(widths[i]))).TrimEnd());
    }

    public static int Json(JsonNode json, int exitCode = ExitCodes.Done)
    {
        Console.WriteLine(json.ToJsonString(Indented));
        return exitCode;
    }

    /// <summary>As exact as it is worth: a small sum has more digits.</summary>
    public static string Money(JsonNode? sum) => sum is null ? "?" : (decimal)sum is var amount && Math.Abs(amount) < 1 ? amount.ToString("0.####", CultureInfo.InvariantCulture) : amount.ToString("0.00", CultureInfo.InvariantCulture);

    /// <summary>Of 10^9 bytes, as providers charge by.</summary>
    public static string Gigabytes(JsonNode bytes) => ((decimal)bytes / 1e9m).ToString("0.######", CultureInfo.InvariantCulture);

    public static string Bytes(long bytes)
    {
        var (amount, unit) = ((double)bytes, 0);
        string[] units = ["B", "KiB", "MiB", "GiB", "TiB", "PiB"];
        for (; amount >= 1024 && unit < units.Length - 1; unit++) amount /= 1024;
        return string.Create(CultureInfo.InvariantCulture, $"{amount:0.#} {units[unit]}");
    }
}
