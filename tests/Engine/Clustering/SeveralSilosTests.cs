#if EMBEDDED_ENGINE
using System.Diagnostics;

namespace DarkStorage.Engine.Tests;

/// <summary>The behaviour of one silo, asked of several: this program runs its own tests again, in a process that starts more silos a cluster.</summary>
[Collection(ClusterTests.Name)]
public sealed class SeveralSilosTests
{
    // The others are of one silo's own clock, options or reminder table.
    private static readonly string[] Repeated =
    [
        nameof(CallTests), nameof(FilterTests), nameof(InterleavingTests), nameof(LifeTests), nameof(TurnTests), nameof(StatelessWorkerTests),
        nameof(PersistenceTests), nameof(TimerTests), nameof(StressTests),
    ];

    // Between silos a cancellation is a message: these open a gate behind its back, and expect it to have come before.
    private static readonly string[] OfOneSilo =
    [
        nameof(CallTests.A_method_that_ignores_its_token_is_told_and_runs_to_its_end),
        nameof(CallTests.A_call_that_is_cancelled_while_it_waits_never_runs),
    ];

    [Theory]
    [InlineData(3)]
    [InlineData(5)]
    public async Task What_holds_in_one_silo_holds_for_a_caller_on_another(int silos)
    {
        var server = await Postgres.GetAsync();
        var start = Program.StartItself();
        foreach (var argument in new[] { "-noLogo", "-noColor" }) start.ArgumentList.Add(argument);
        foreach (var tests in Repeated)
        {
            start.ArgumentList.Add("-class");
            start.ArgumentList.Add($"*.{tests}");
        }

        foreach (var test in OfOneSilo)
        {
            start.ArgumentList.Add("-method-");
            start.ArgumentList.Add($"*.{test}");
        }

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
