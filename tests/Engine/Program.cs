using System.Diagnostics;

namespace DarkStorage.Engine.Tests;

/// <summary>The tests' program. With <c>silo</c> for its first argument it is a silo of a test instead.</summary>
internal static class Program
{
    public static Task<int> Main(string[] args)
    {
#if EMBEDDED_ENGINE
        if (args is ["silo", ..]) return SiloProcess.RunAsync(args);
#endif
        return args.Contains("--server") || args.Contains("--internal-msbuild-node")
            ? Xunit.MicrosoftTestingPlatform.TestPlatformTestFramework.RunAsync(args, SelfRegisteredExtensions.AddSelfRegisteredExtensions)
            : Xunit.Runner.InProc.SystemConsole.ConsoleRunner.Run(args);
    }

    /// <summary>How to run this program once more, its output redirected.</summary>
    public static ProcessStartInfo StartItself()
    {
        var start = new ProcessStartInfo(Environment.ProcessPath!) { RedirectStandardOutput = true, RedirectStandardError = true };
        if (Path.GetFileNameWithoutExtension(Environment.ProcessPath) == "dotnet") start.ArgumentList.Add(typeof(Program).Assembly.Location);
        return start;
    }
}
