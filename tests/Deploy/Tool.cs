using System.Diagnostics;

namespace DarkStorage.Deploy;

/// <summary>How a run of a program ended.</summary>
/// <param name="Output">Its output and its errors.</param>
public sealed record ToolRun(int ExitCode, string Output);

/// <summary>Programs that know more of a file's format than we do, and the files.</summary>
public static class Tool
{
    /// <summary>Far beyond anything that works: a compiler is among them.</summary>
    private static readonly TimeSpan HangsAfter = TimeSpan.FromMinutes(4);

    /// <summary>The repository's folder.</summary>
    public static string Root { get; } = FindRoot();

    /// <param name="path">Below the repository's folder.</param>
    public static string PathOf(string path) => Path.Combine(Root, path);

    /// <param name="path">Below the repository's folder.</param>
    public static string Read(string path) => File.ReadAllText(PathOf(path));

    /// <summary>Runs a program in a folder until it ends.</summary>
    /// <param name="input">What it reads; null for nothing.</param>
    public static async Task<ToolRun> RunAsync(string program, IEnumerable<string> arguments, string? folder = null, string? input = null, IReadOnlyDictionary<string, string>? environment = null)
    {
        var start = new ProcessStartInfo(program, arguments) { RedirectStandardInput = true, RedirectStandardOutput = true, RedirectStandardError = true, WorkingDirectory = folder ?? Root };
        foreach (var (name, value) in environment ?? new Dictionary<string, string>()) start.Environment[name] = value;
        using var process = Process.Start(start)!;
        var (output, errors) = (process.StandardOutput.ReadToEndAsync(), process.StandardError.ReadToEndAsync());
        try
        {
            if (input is not null) await process.StandardInput.WriteAsync(input);
            process.StandardInput.Close();
            await process.WaitForExitAsync().WaitAsync(HangsAfter);
        }
        catch (TimeoutException)
        {
            process.Kill(entireProcessTree: true);
            throw new TimeoutException($"{program} did not end within {HangsAfter}.");
        }
        return new(process.ExitCode, await output + await errors);
    }

    private static string FindRoot()
    {
        for (var folder = AppContext.BaseDirectory; folder is not null; folder = Path.GetDirectoryName(folder))
        {
            if (File.Exists(Path.Combine(folder, "Orleans.DarkStorage.sln"))) return folder;
        }
        throw new InvalidOperationException("The tests do not run inside the repository.");
    }
}
