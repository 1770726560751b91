using System.Xml.Linq;
using Xunit;

namespace DarkStorage.Unit;

/// <summary>Who may know whom: the project files against docs/ARCHITECTURE.md.</summary>
public sealed class ArchitectureTests
{
    private static readonly Dictionary<string, string[]> Allowed = new()
    {
        ["engine"] = [],
        ["eng/System.IO.Hashing"] = [],
        ["grain-interfaces"] = [],
        ["libs/Storage"] = ["grain-interfaces"],
        ["libs/Sqlite"] = [],
        ["libs/Metadata"] = ["grain-interfaces", "libs/Sqlite"],
        ["libs/Select"] = ["libs/Sqlite"],
        ["libs/Rules"] = ["grain-interfaces"],
        ["libs/Connectors"] = ["grain-interfaces", "libs/Storage"],
        ["grains"] = ["grain-interfaces", "libs/Storage", "libs/Metadata", "libs/Rules"],
        ["client-api"] = ["grain-interfaces", "libs/Storage", "libs/Rules", "libs/Select"],
        ["silo"] = ["grain-interfaces", "grains", "client-api", "libs/Storage", "libs/Metadata", "libs/Rules", "libs/Connectors"],
        ["clients/cli"] = [],
        ["benchmarks/Load"] = [],
        ["benchmarks/Yardstick"] = [],
    };

    public static TheoryData<string> Folders => [.. Allowed.Keys];

    [Theory, MemberData(nameof(Folders))]
    public void A_project_knows_only_those_it_may(string folder)
    {
        var root = Root();
        var project = Directory.GetFiles(Path.Combine(root, folder), "*.csproj").Single();
        var known = XDocument.Load(project).Descendants("ProjectReference")
            .Select(r => Path.GetRelativePath(root, Path.GetDirectoryName(Path.GetFullPath(Path.Combine(Path.GetDirectoryName(project)!, r.Attribute("Include")!.Value)))!))
            .Select(p => p.Replace('\\', '/'));
        Assert.Empty(known.Except(Allowed[folder]));
    }

    [Fact]
    public void Every_project_outside_tests_is_in_the_table()
    {
        var root = Root();
        var folders = Directory.GetFiles(root, "*.csproj", SearchOption.AllDirectories)
            .Select(p => Path.GetRelativePath(root, Path.GetDirectoryName(p)!).Replace('\\', '/'))
            .Where(p => !p.StartsWith("tests/", StringComparison.Ordinal) && !p.StartsWith("artifacts/", StringComparison.Ordinal) && p != "benchmarks/Micro");
        Assert.Empty(folders.Except(Allowed.Keys));
    }

    private static string Root()
    {
        for (var folder = AppContext.BaseDirectory; folder is not null; folder = Path.GetDirectoryName(folder))
        {
            if (File.Exists(Path.Combine(folder, "Orleans.DarkStorage.sln"))) return folder;
        }
        throw new InvalidOperationException("The tests do not run inside the repository.");
    }
}
