namespace DarkStorage.Deploy;

/// <summary>The units, read by systemd itself. They are not run: no systemd runs in a container.</summary>
public sealed class SystemdTests : IDisposable
{
    /// <summary>systemd's measure of what a service could do that it need not: 100 is everything.</summary>
    private const int ExposureMax = 35;

    private readonly string _folder = Directory.CreateTempSubdirectory("darkstorage-units-").FullName;

    public void Dispose() => Directory.Delete(_folder, recursive: true);

    [Theory, InlineData(false), InlineData(true)]
    public async Task Systemd_finds_nothing_wrong_with_the_unit(bool ofCluster)
    {
        var run = await VerifyAsync(Unit(), ofCluster ? DropIn() : null);
        Assert.Equal((0, ""), (run.ExitCode, run.Output));
    }

    [Theory, InlineData("Restart=always", "Restart=allways"), InlineData("StartLimitIntervalSec=0", "StartLimitIntervallSec=0"), InlineData("LoadCredential=", "LoadCredentials=")]
    public async Task A_word_that_is_wrong_would_be_found(string right, string wrong)
    {
        var run = await VerifyAsync(Unit(), DropIn().Replace(right, wrong, StringComparison.Ordinal));
        Assert.NotEqual("", run.Output);
    }

    [Fact]
    public async Task The_service_may_do_little()
    {
        await File.WriteAllTextAsync(Path.Combine(_folder, "darkstorage.service"), Unit());
        var run = await Tool.RunAsync("systemd-analyze", ["security", "--offline=true", $"--threshold={ExposureMax}", "--no-pager", Path.Combine(_folder, "darkstorage.service")]);
        Assert.True(run.ExitCode == 0, run.Output);
    }

    [Fact]
    public void A_node_of_a_cluster_always_comes_back_and_has_the_time_to_drain()
    {
        var settings = DropIn().Split('\n');
        Assert.Contains("Restart=always", settings);
        Assert.Contains("StartLimitIntervalSec=0", settings);
        Assert.Contains("RestartPreventExitStatus=2", settings);
        // It drains within 8 s, and may take a moment more to close.
        Assert.Contains("TimeSpan.FromSeconds(8)", Tool.Read("silo/Program.cs"), StringComparison.Ordinal);
        Assert.Contains("TimeoutStopSec=15", Tool.Read("deploy/darkstorage.service").Split('\n'));
    }

    [Fact]
    public void Secrets_are_handed_over_as_credentials_and_none_is_in_an_environment_file()
    {
        foreach (var line in DropIn().Split('\n').Where(l => l.StartsWith("Environment=", StringComparison.Ordinal)))
        {
            var file = line.Split("=%d/")[1];
            Assert.Contains($"LoadCredential={file}:/etc/darkstorage/secrets/{file}", DropIn(), StringComparison.Ordinal);
            Assert.Contains($"\nmake {file} ", Tool.Read("deploy/compose/make-secrets.sh"), StringComparison.Ordinal);
        }
        Assert.DoesNotMatch("(?m)^[A-Z_]*(SECRET|PASSWORD|KEY)[A-Z_]*=", Tool.Read("deploy/systemd/node.env"));
        Assert.DoesNotMatch("postgres://[^@/]*:[^@/]*@", Tool.Read("deploy/systemd/node.env"));
    }

    [Fact]
    public async Task The_environment_file_has_only_what_the_program_knows()
    {
        var help = await NodeProcess.RunAsync(["--help"]);
        foreach (var line in Tool.Read("deploy/systemd/node.env").Split('\n').Select(l => l.TrimStart('#')).Where(l => l.StartsWith("DARKSTORAGE_", StringComparison.Ordinal)))
        {
            var flag = "--" + line["DARKSTORAGE_".Length..line.IndexOf('=', StringComparison.Ordinal)].ToLowerInvariant().Replace('_', '-');
            Assert.Contains(flag, help.Output, StringComparison.Ordinal);
        }
    }

    /// <summary>With the program where it is here: systemd looks whether there is one.</summary>
    private static string Unit() => Tool.Read("deploy/darkstorage.service")
        .Replace("/usr/bin/dotnet /opt/darkstorage/darkstorage-silo.dll", $"{Environment.ProcessPath} {NodeProcess.ProgramPath}", StringComparison.Ordinal)
        .Replace("User=darkstorage", "User=daemon", StringComparison.Ordinal);

    private static string DropIn() => Tool.Read("deploy/systemd/cluster.conf");

    private async Task<ToolRun> VerifyAsync(string unit, string? dropIn)
    {
        var path = Path.Combine(_folder, "darkstorage.service");
        await File.WriteAllTextAsync(path, unit);
        if (dropIn is not null)
        {
            Directory.CreateDirectory(path + ".d");
            await File.WriteAllTextAsync(Path.Combine(path + ".d", "cluster.conf"), dropIn);
        }
        return await Tool.RunAsync("systemd-analyze", ["verify", "--man=no", path]);
    }
}
