using System.Globalization;

namespace DarkStorage.Metadata;

/// <summary>The numbered scripts of a dialect, which are resources of this assembly: <c>Sqlite/Migrations/0001_core.sql</c>.</summary>
internal static class MigrationScripts
{
    public static List<string> Load(string dialect)
    {
        var assembly = typeof(MigrationScripts).Assembly;
        var folder = $".{dialect}.Migrations.";
        var scripts = new List<string>();
        foreach (var resource in assembly.GetManifestResourceNames().Where(n => n.Contains(folder, StringComparison.Ordinal)).Order(StringComparer.Ordinal))
        {
            var file = resource[(resource.IndexOf(folder, StringComparison.Ordinal) + folder.Length)..];
            if (int.Parse(file.AsSpan(0, 4), CultureInfo.InvariantCulture) != scripts.Count + 1) throw new InvalidDataException($"Migration {file} is out of order.");
            using var reader = new StreamReader(assembly.GetManifestResourceStream(resource)!);
            scripts.Add(reader.ReadToEnd());
        }
        return scripts;
    }
}
