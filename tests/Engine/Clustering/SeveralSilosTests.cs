#if EMBEDDED_ENGINE
using System.Diagnostics;

namespace DarkStorage.Engine.Tests;

/// <summary>The behaviour of one silo, asked of several: this program runs its own tests again, in a process that starts more silos a cluster.</summary>
public sealed class SeveralSilosTests
{
    [Theory]
    [InlineData(3)]
    [InlineData(5)]
    public async Task What_holds_in_one_silo_holds_for_a_caller_on_another(int silos)
    {
        var server = await Postgres.GetAsync();
        var start = new ProcessStartInfo(Environment.ProcessPath!) { RedirectStandardOutput = true, RedirectStandardError = true };
        var program = typeof(SeveralSilosTests).Assembly.Location;
        if (Path.GetFileNameWithoutExtension(Environment.ProcessPath) == "dotnet") start.ArgumentList.Add(program);
        foreach (var argument in new[] { "-noLogo", "-noColor" }) start.ArgumentList.Add(argument);
        foreach (var tests in new[] { nameof(CallTests), nameof(FilterTests), nameof(InterleavingTests), nameof(LifeTests), nameof(TurnTests), nameof(StatelessWorkerTests), nameof(PersistenceTests), nameof(TimerTests), nameof(StressTests) })
        {
            start.ArgumentList.Add("-class");
            start.ArgumentList.Add($"*.{tests}");
        }

        start.ArgumentList.Add("-trait-");
        start.ArgumentList.Add("silos=one");
        start.Environment[Cluster.SilosVariable] = silos.ToString(System.Globalization.CultureInfo.InvariantCulture);
        start.Environment[Cluster.DatabaseVariable] = server.ConnectionString;
        using var process = Process.Start(start)!;
        using var patience = new CancellationTokenSource(TimeSpan.FromMinutes(5));
        try
        {
            var output = process.StandardOutput.ReadToEndAsync(patience.Token);
            var errors = process.StandardError.ReadToEndAsync(patience.Token);
            await process.WaitForExitAsync(patience.Token);
            Assert.True(process.ExitCode == 0, $"{await output}\n{await errors}");
        }
        finally
        {
            if (!process.HasExited) process.Kill();
        }
    }
}
#endif
