using BenchmarkDotNet.Running;
using DarkStorage.Micro;

// What is a ratio of two ways of the same thing is measured in turn, round by round, and not by BenchmarkDotNet.
if (args is ["peers", ..])
{
    await Peers.RunAsync(rounds: 5, TimeSpan.FromSeconds(2));
    return;
}

// In this process: BenchmarkDotNet's own projects, generated and built below this one, would be built by this repository's rules.
BenchmarkSwitcher.FromAssembly(typeof(Program).Assembly).Run([.. args, "--inProcess", "--artifacts", "artifacts/micro"]);
