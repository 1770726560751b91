namespace DarkStorage.Deploy;

/// <summary>The chart, rendered by <c>eng/helm-render</c>: there is no helm in Debian.</summary>
public static class HelmChart
{
    public const string Folder = "deploy/helm/darkstorage";

    private static readonly Lazy<Task<string>> Renderer = new(async () =>
    {
        var folder = Directory.CreateDirectory(Tool.PathOf("artifacts/helm-render")).FullName;
        var run = await Tool.RunAsync("go", ["build", "-o", Path.Combine(folder, "helm-render"), Tool.PathOf("eng/helm-render/main.go")], folder, environment: new Dictionary<string, string>
        {
            ["GO111MODULE"] = "off", ["GOPATH"] = "/usr/share/gocode", ["GOCACHE"] = Path.Combine(folder, "cache"), ["GOFLAGS"] = "",
        });
        Assert.True(run.ExitCode == 0, run.Output);
        return Path.Combine(folder, "helm-render");
    });

    /// <summary>Renders the chart; the URL of the index, which has no default, is there already.</summary>
    /// <param name="values">YAML that goes before the chart's own values.</param>
    public static async Task<ToolRun> RunAsync(params string[] values)
    {
        var files = new List<string>();
        try
        {
            foreach (var content in (string[])["index: {url: \"postgres://darkstorage@db1,db2/darkstorage?sslmode=verify-full\"}", .. values])
            {
                files.Add(Path.GetTempFileName());
                await File.WriteAllTextAsync(files[^1], content);
            }
            return await Tool.RunAsync(await Renderer.Value, [.. files.SelectMany(f => (string[])["-f", f]), "-namespace", "storage", Tool.PathOf(Folder)]);
        }
        finally
        {
            files.ForEach(File.Delete);
        }
    }

    /// <returns>The documents, without the notes.</returns>
    public static async Task<IReadOnlyList<Yaml>> RenderAsync(params string[] values)
    {
        var run = await RunAsync(values);
        Assert.True(run.ExitCode == 0, run.Output);
        return [.. run.Output.Split("---\n# Source: ", StringSplitOptions.RemoveEmptyEntries)
            .Where(d => !d.StartsWith("darkstorage/templates/NOTES.txt", StringComparison.Ordinal))
            .SelectMany(d => d[d.IndexOf('\n', StringComparison.Ordinal)..].Split("\n---\n").Select(t => Yaml.Parse(t, d.Split('\n')[0])).Where(y => y.Exists))];
    }

    public static string KindOf(Yaml document) => $"{document["apiVersion"].Text}/{document["kind"].Text}";
}
