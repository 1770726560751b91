using System.Diagnostics;
using System.Globalization;
using Amazon.Runtime;
using Amazon.S3;
using DarkStorage.TestKit;

namespace DarkStorage.Connectors.S3;

/// <summary>Ceph's object gateway, over a cluster of one monitor and one drive in memory: an S3 server that others wrote. Debian's packages ceph-mon, ceph-osd and radosgw.</summary>
public sealed class CephServer : IAsyncLifetime
{
    public const string AccessKey = "ceph-user";
    public const string SecretKey = "ceph-secret-0123456789";

    /// <summary>Far beyond any start that works: what takes longer hangs.</summary>
    private static readonly TimeSpan HangsAfter = TimeSpan.FromMinutes(2);

    private readonly string _folder = Directory.CreateTempSubdirectory("darkstorage-ceph-").FullName;
    private readonly List<Process> _daemons = [];

    public Uri Url { get; } = new(string.Create(CultureInfo.InvariantCulture, $"http://127.0.0.1:{FreePorts.TakeTwo()}"));

    /// <summary>The AWS SDK, with the user's keys.</summary>
    public AmazonS3Client Client => field ??= NewClient();

    /// <summary>One that its taker ends.</summary>
    public AmazonS3Client NewClient() => new(new BasicAWSCredentials(AccessKey, SecretKey), new AmazonS3Config
    {
        ServiceURL = Url.GetLeftPart(UriPartial.Authority), ForcePathStyle = true, AuthenticationRegion = "us-east-1", RequestChecksumCalculation = RequestChecksumCalculation.WHEN_REQUIRED,
    });

    public async ValueTask InitializeAsync()
    {
        var monitor = string.Create(CultureInfo.InvariantCulture, $"v2:127.0.0.1:{FreePorts.TakeTwo()}");
        var (cluster, drive) = (Guid.NewGuid().ToString(), Guid.NewGuid().ToString());
        foreach (var part in new[] { "mon", "osd", "rgw" }) Directory.CreateDirectory(Path.Combine(_folder, part));
        await File.WriteAllTextAsync(Path.Combine(_folder, "ceph.conf"), Configuration(cluster, monitor));
        await RunAsync("ceph-authtool", "--create-keyring", $"{_folder}/keyring", "--gen-key", "-n", "mon.", "--cap", "mon", "allow *");
        await RunAsync("monmaptool", "--create", "--addv", "a", $"[{monitor}]", "--fsid", cluster, $"{_folder}/monmap");
        await RunAsync("ceph-mon", "-i", "a", "--mkfs", "--monmap", $"{_folder}/monmap", "--keyring", $"{_folder}/keyring");
        Start("ceph-mon", "-i", "a", "-f");
        await RunAsync("ceph", "osd", "new", drive);
        await RunAsync("ceph-osd", "-i", "0", "--mkfs", "--osd-uuid", drive);
        Start("ceph-osd", "-i", "0", "-f");
        await RunAsync("radosgw-admin", "-n", "client.rgw", "user", "create", "--uid=test", "--display-name=test", $"--access-key={AccessKey}", $"--secret-key={SecretKey}");
        Start("radosgw", "-n", "client.rgw", "-f");
        await Eventually.HoldsAsync("the gateway answers", AnswersAsync);
    }

    public async ValueTask DisposeAsync()
    {
        foreach (var daemon in _daemons)
        {
            if (!daemon.HasExited) daemon.Kill();
            await daemon.WaitForExitAsync();
            daemon.Dispose();
        }
        Directory.Delete(_folder, recursive: true);
    }

    /// <summary>Bounds a bucket, whose owner is then refused what is more.</summary>
    public async Task LimitBucketAsync(string bucket, int objectsMax)
    {
        await RunAsync("radosgw-admin", "-n", "client.rgw", "quota", "set", "--quota-scope=bucket", $"--bucket={bucket}", string.Create(CultureInfo.InvariantCulture, $"--max-objects={objectsMax}"));
        await RunAsync("radosgw-admin", "-n", "client.rgw", "quota", "enable", "--quota-scope=bucket", $"--bucket={bucket}");
    }

    private async Task<bool> AnswersAsync()
    {
        try
        {
            await Client.ListBucketsAsync();
            return true;
        }
        catch (Exception e) when (e is AmazonServiceException or AmazonClientException or HttpRequestException)
        {
            return false;
        }
    }

    private void Start(string program, params string[] arguments) => _daemons.Add(Process.Start(Command(program, arguments))!);

    private async Task RunAsync(string program, params string[] arguments)
    {
        using var process = Process.Start(Command(program, arguments))!;
        using var hang = new CancellationTokenSource(HangsAfter);
        try
        {
            await process.WaitForExitAsync(hang.Token);
        }
        finally
        {
            if (!process.HasExited) process.Kill();
        }
        if (process.ExitCode != 0) throw new InvalidOperationException($"{program} {string.Join(' ', arguments)} ended with {process.ExitCode}; {_folder} had its logs.");
    }

    /// <summary>What they print is not wanted, and what they log is in the folder.</summary>
    private ProcessStartInfo Command(string program, string[] arguments)
    {
        string[] all = program is "ceph-authtool" or "monmaptool" ? arguments : ["-c", $"{_folder}/ceph.conf", .. arguments];
        return new("/bin/sh", ["-c", "exec \"$@\" >/dev/null 2>&1", program, program, .. all]);
    }

    /// <summary>Nobody proves who they are, nothing is kept twice, and nothing is on a disk.</summary>
    private string Configuration(string cluster, string monitor) => $"""
        [global]
        fsid = {cluster}
        mon host = {monitor}/0
        auth cluster required = none
        auth service required = none
        auth client required = none
        ms cluster mode = crc
        ms service mode = crc
        ms client mode = crc
        ms mon cluster mode = crc
        ms mon service mode = crc
        ms mon client mode = crc
        public addr = 127.0.0.1
        cluster addr = 127.0.0.1
        osd pool default size = 1
        osd pool default min size = 1
        osd pool default pg num = 1
        osd pool default pg autoscale mode = off
        mon allow pool size one = true
        osd crush chooseleaf type = 0
        osd objectstore = memstore
        memstore device bytes = 4294967296
        run dir = {_folder}
        admin socket =
        log file = {_folder}/$name.log
        pid file = {_folder}/$name.pid
        keyring = {_folder}/keyring
        [mon.a]
        mon data = {_folder}/mon
        [osd.0]
        osd data = {_folder}/osd
        [client.rgw]
        rgw frontends = beast endpoint=127.0.0.1:{Url.Port}
        rgw data = {_folder}/rgw

        """;
}
