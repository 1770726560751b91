using BenchmarkDotNet.Running;

// In this process: BenchmarkDotNet's own projects, generated and built below this one, would be built by this repository's rules.
BenchmarkSwitcher.FromAssembly(typeof(Program).Assembly).Run([.. args, "--inProcess", "--artifacts", "artifacts/micro"]);
