using System.Collections.Concurrent;
using System.Globalization;
using System.Net.Sockets;
using System.Runtime.InteropServices;
using System.Text;
using DarkStorage.Cluster.History;

namespace DarkStorage.Cluster;

/// <summary>Five nodes that are killed, frozen and cut off under load, while a checker looks on: what clients saw must be what one register could have shown them.</summary>
public sealed partial class FailureTests
{
    private const int Keys = 24;
    private const int SigStop = 19;
    private const int SigCont = 18;

    /// <summary>How often each kind of failure comes. <c>DARKSTORAGE_TEST_ROUNDS</c> makes it more: five minutes are about fifteen.</summary>
    private static readonly int Rounds = int.TryParse(Environment.GetEnvironmentVariable("DARKSTORAGE_TEST_ROUNDS"), CultureInfo.InvariantCulture, out var rounds) ? rounds : 1;

    [Fact]
    public async Task A_cluster_whose_nodes_are_killed_and_frozen_in_turn_answers_as_one_register_for_each_key()
    {
        await using var cluster = await TestCluster.StartAsync(5);
        await using var load = await Load.StartAsync(cluster);
        for (var round = 0; round < Rounds; round++)
        {
            for (var victim = 0; victim < 5; victim++)
            {
                await load.ProgressAsync(200);
                var node = cluster.Nodes[victim];
                if (victim == 3)
                {
                    // Frozen for longer than its lease: when it goes on it is out, and must not serve what it knew.
                    _ = Kill(node.ProcessId, SigStop);
                    await MembersAsync(cluster, 4, victim);
                    await load.ProgressAsync(100);
                    _ = Kill(node.ProcessId, SigCont);
                    await load.ProgressAsync(50);
                }
                else
                {
                    await node.KillAsync();
                    await load.ProgressAsync(100);
                    await node.RestartAsync();
                }
                await cluster.ReadyAsync(node);
            }
        }
        await load.StopAsync();
        Judge(load, cluster);
    }

    /// <summary>Whether clients were told only what they retry, and saw what one register for each key could have shown.</summary>
    private static void Judge(Load load, TestCluster cluster)
    {
        var unexpected = load.Failures.Count(e => e.StatusCode is not (HttpStatusCode.ServiceUnavailable or 0));
        Assert.True(unexpected == 0, $"{unexpected} requests were answered with something that clients do not retry.\n{Errors(cluster)}");
        foreach (var (key, operations) in load.Recorder.Operations)
        {
            var violation = Linearizability.FindViolation(operations);
            Assert.True(violation is null, $"{key}: no order of these explains what clients saw\n{violation}");
        }
        Assert.True(load.Recorder.Operations.Sum(o => o.Value.Count(p => p.Outcome == Outcome.Done)) > 1_000);
    }

    /// <summary>What the nodes logged of failures, each with the lines behind it.</summary>
    private static string Errors(TestCluster cluster) => string.Join('\n', cluster.Nodes.SelectMany(n =>
    {
        var lines = n.Output.Split('\n');
        return lines.SelectMany((line, i) => line.Contains(" ERR ", StringComparison.Ordinal) ? lines.Skip(i).Take(6) : []);
    }).Take(120));

    [LibraryImport("libc", EntryPoint = "kill")]
    private static partial int Kill(int process, int signal);

    /// <summary>Waits until the others have seen that a node is out: by what one of them logs.</summary>
    private static Task MembersAsync(TestCluster cluster, int active, int except) => TestCluster.UntilAsync(() =>
        Task.FromResult(cluster.Nodes.Where((_, i) => i != except).Any(n => n.Output.LastIndexOf($": {active} active silos", StringComparison.Ordinal) > n.Output.LastIndexOf($": {active + 1} active silos", StringComparison.Ordinal))));

    /// <summary>Clients that write, swap, delete and read a few keys through all nodes, and write down what they saw.</summary>
    private sealed class Load : IAsyncDisposable
    {
        private const int Clients = 16;

        private readonly CancellationTokenSource _stop = new();
        private readonly TestCluster _cluster;
        private readonly string _bucket;
        private Task _running = Task.CompletedTask;
        private int _done;

        private Load(TestCluster cluster, string bucket) => (_cluster, _bucket) = (cluster, bucket);

        public string Bucket => _bucket;

        public Recorder Recorder { get; } = new();

        public ConcurrentBag<AmazonS3Exception> Failures { get; } = [];

        public static async Task<Load> StartAsync(TestCluster cluster)
        {
            var load = new Load(cluster, await cluster.Nodes[0].S3().NewBucketAsync());
            load._running = Task.WhenAll(Enumerable.Range(0, Clients).Select(c => Task.Run(() => load.RunAsync(c))));
            return load;
        }

        /// <summary>Waits until so many more operations were answered.</summary>
        public async Task ProgressAsync(int operations)
        {
            var target = Volatile.Read(ref _done) + operations;
            await TestCluster.UntilAsync(() => Task.FromResult(Volatile.Read(ref _done) >= target || _running.IsFaulted));
            if (_running.IsFaulted) await _running;
        }

        public async Task StopAsync()
        {
            await _stop.CancelAsync();
            await _running;
        }

        public async ValueTask DisposeAsync()
        {
            await _stop.CancelAsync();
            await _running.ConfigureAwait(ConfigureAwaitOptions.SuppressThrowing);
            _stop.Dispose();
        }

        private async Task RunAsync(int client)
        {
            var random = new Random(client);
            var clients = _cluster.Nodes.Select(n => n.S3(configure: c => (c.MaxErrorRetry, c.Timeout) = (0, TimeSpan.FromSeconds(15)))).ToList();
            var known = new string?[Keys]; // the entity tags that this client saw last, which is what a swap is decided on
            for (var i = 0; !_stop.IsCancellationRequested; i++)
            {
                var (s3, key) = (clients[random.Next(clients.Count)], random.Next(Keys));
                // Some live in the index, some in packs on three nodes.
                var content = $"{client}-{i}-{new string('x', random.Next(2) == 0 ? 10 : 20_000)}";
                switch (random.Next(10))
                {
                    case < 3:
                        await TryAsync(key, OperationKind.Put, TagOf(content), null, async () => known[key] = await PutAsync(s3, key, content, null));
                        break;
                    case < 5 when known[key] is { } expected:
                        await TryAsync(key, OperationKind.Swap, TagOf(content), expected, async () => known[key] = await PutAsync(s3, key, content, expected));
                        break;
                    case 5:
                        await TryAsync(key, OperationKind.Delete, null, null, async () =>
                        {
                            await s3.DeleteObjectAsync(_bucket, $"k{key}");
                            return known[key] = null;
                        });
                        break;
                    default:
                        await TryAsync(key, OperationKind.Get, null, null, async () => known[key] = await GetAsync(s3, key));
                        break;
                }
            }
        }

        private async Task TryAsync(int key, OperationKind kind, string? value, string? expected, Func<Task<string?>> run)
        {
            var start = Recorder.Now;
            try
            {
                var seen = await run();
                Recorder.Add($"k{key}", new(kind, kind == OperationKind.Get ? seen : value, expected, Outcome.Done, start, Recorder.Now));
                Interlocked.Increment(ref _done);
            }
            catch (AmazonS3Exception e) when (e.StatusCode is HttpStatusCode.PreconditionFailed || (kind == OperationKind.Swap && e.StatusCode == HttpStatusCode.NotFound))
            {
                Recorder.Add($"k{key}", new(kind, value, expected, Outcome.Refused, start, Recorder.Now));
            }
            catch (AmazonS3Exception e) when (e.StatusCode == HttpStatusCode.Conflict)
            {
                // Two conditional writes at once: S3's word for "ask again". Nothing was written.
            }
            catch (AmazonS3Exception e)
            {
                Recorder.Add($"k{key}", new(kind, value, expected, Outcome.Unknown, start, 0));
                Failures.Add(e);
            }
            catch (Exception e) when (e is Amazon.Runtime.AmazonClientException or HttpRequestException or IOException or SocketException or OperationCanceledException or TimeoutException)
            {
                Recorder.Add($"k{key}", new(kind, value, expected, Outcome.Unknown, start, 0)); // the node was not there, or went
            }
        }

        private async Task<string?> PutAsync(AmazonS3Client s3, int key, string content, string? expected) =>
            (await s3.PutObjectAsync(new() { BucketName = _bucket, Key = $"k{key}", ContentBody = content, IfMatch = expected is null ? null : $"\"{expected}\"" })).ETag.Trim('"');

        /// <returns>The MD5 of what was read: of the bytes, not of what the answer says of them.</returns>
        private async Task<string?> GetAsync(AmazonS3Client s3, int key)
        {
            try
            {
                using var answer = await s3.GetObjectAsync(_bucket, $"k{key}");
                using var content = new MemoryStream();
                await answer.ResponseStream.CopyToAsync(content);
                return Convert.ToHexStringLower(System.Security.Cryptography.MD5.HashData(content.ToArray()));
            }
            catch (AmazonS3Exception e) when (e.StatusCode == HttpStatusCode.NotFound)
            {
                return null;
            }
        }

        private static string TagOf(string content) => Convert.ToHexStringLower(System.Security.Cryptography.MD5.HashData(Encoding.UTF8.GetBytes(content)));
    }
}
