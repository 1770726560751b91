#if EMBEDDED_ENGINE
using System.Diagnostics;
using System.Globalization;
using System.Runtime.InteropServices;
using Microsoft.Extensions.Logging;

namespace DarkStorage.Engine.Tests;

/// <summary>A silo in a process of its own, and what a test does to it.</summary>
internal sealed class SiloProcess : IAsyncDisposable
{
    private const int Kill = 9, Continue = 18, Stop = 19;

    private readonly Process _process;
    private readonly TaskCompletionSource<SiloAddress> _started = new(TaskCreationOptions.RunContinuationsAsynchronously);
    private readonly List<string> _output = [];

    private SiloProcess(Process process) => _process = process;

    public SiloAddress Address { get; private set; } = SiloAddress.Zero;

    public int Id => _process.Id;

    public string Output
    {
        get
        {
            lock (_output) return string.Join('\n', _output);
        }
    }

    /// <summary>The other process: it says where it is, and ends when told to or when its silo stops by itself.</summary>
    public static async Task<int> RunAsync(string[] args)
    {
        var silo = await TestSilo.StartAsync(args[1], args[2], args[3], LogLevel.Warning, null);
        Console.WriteLine($"started {silo.Address.ToParsableString()}");
        var told = Task.Run(Console.ReadLine);
        var stopping = new TaskCompletionSource(TaskCreationOptions.RunContinuationsAsynchronously);
        await using (silo.Stopping.Register(stopping.SetResult))
        {
            var first = await Task.WhenAny(told, stopping.Task);
            await silo.DisposeAsync();
            return first == told ? 0 : 3;
        }
    }

    public static async Task<SiloProcess> StartAsync(string cluster, string name, string database)
    {
        var start = Program.StartItself();
        foreach (var argument in new[] { "silo", cluster, name, database }) start.ArgumentList.Add(argument);
        start.RedirectStandardInput = true;
        start.Environment["DOTNET_TieredPGO"] = "0";
        var silo = new SiloProcess(Process.Start(start)!);
        silo._process.OutputDataReceived += (_, line) => silo.Hear(line.Data);
        silo._process.ErrorDataReceived += (_, line) => silo.Hear(line.Data);
        silo._process.BeginOutputReadLine();
        silo._process.BeginErrorReadLine();
        await Task.WhenAny(silo._started.Task, silo._process.WaitForExitAsync()).WaitAsync(TimeSpan.FromSeconds(60));
        if (!silo._started.Task.IsCompleted) throw new InvalidOperationException($"The silo did not start. It said: {silo.Output}");
        silo.Address = await silo._started.Task;
        return silo;
    }

    public void KillNow() => Signal(Kill);

    public void Freeze() => Signal(Stop);

    public void Thaw() => Signal(Continue);

    /// <returns>0 when it was told to end, 3 when its silo stopped by itself.</returns>
    public async Task<int> EndedAsync()
    {
        await _process.WaitForExitAsync().WaitAsync(TimeSpan.FromSeconds(30));
        return _process.ExitCode;
    }

    public async ValueTask DisposeAsync()
    {
        if (!_process.HasExited)
        {
            _process.StandardInput.WriteLine();
            try
            {
                await EndedAsync();
            }
            catch (TimeoutException)
            {
                _process.Kill();
            }
        }

        _process.Dispose();
    }

    [DllImport("libc", EntryPoint = "kill", SetLastError = true)]
    private static extern int SendSignal(int pid, int signal);

    private void Signal(int signal)
    {
        if (SendSignal(_process.Id, signal) != 0) throw new InvalidOperationException($"Process {_process.Id} cannot be signalled");
    }

    private void Hear(string? line)
    {
        if (line is null) return;
        lock (_output) _output.Add(line);
        if (line.StartsWith("started ", StringComparison.Ordinal)) _started.TrySetResult(SiloAddress.Parse(line[8..]));
    }
}
#endif
