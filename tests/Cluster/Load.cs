using System.Collections.Concurrent;
using System.Collections.Immutable;
using System.Diagnostics;
using System.Net.Sockets;
using System.Security.Cryptography;
using System.Text;
using DarkStorage.Cluster.History;

namespace DarkStorage.Cluster;

/// <summary>A request that was answered with an error, or not at all.</summary>
/// <param name="Status">0 where there was no answer.</param>
/// <param name="Code">Of S3's error; null where there was none.</param>
internal sealed record Failure(NodeProcess Node, long Start, long End, HttpStatusCode Status, string? Code, string What)
{
    /// <summary>The node was not there, or said what clients retry: AWS's SDKs do so where a body did not come in time, too.</summary>
    public bool IsRetryable => Status is HttpStatusCode.ServiceUnavailable or 0 || Code == "RequestTimeout";
}

/// <summary>Clients that write, swap, delete and read some keys through several nodes, and write down what they saw; beside that they write objects that are never touched again.</summary>
/// <remarks>Each of the keys has to behave as one register does; each object that is never touched again has to be there, as it was written, from its acknowledgement on.</remarks>
internal sealed class Load : IAsyncDisposable
{
    /// <summary>Some live in the index, some in packs on several nodes.</summary>
    private static readonly int[] Lengths = [10, 20_000, 20_000, 200_000];

    private readonly CancellationTokenSource _stop = new();
    private readonly string _bucket;
    private readonly int _keys;
    private readonly Func<NodeProcess, Uri> _at;
    private readonly ConcurrentDictionary<NodeProcess, AmazonS3Client> _clients = new();
    private readonly ConcurrentDictionary<string, string> _kept = new(StringComparer.Ordinal);
    private readonly ConcurrentBag<string> _wrong = [];
    private ImmutableArray<NodeProcess> _nodes;
    private Task _running = Task.CompletedTask;
    private int _done;
    private long _countedFrom = long.MaxValue;
    private int _counted;

    private Load(string bucket, IEnumerable<NodeProcess> nodes, int keys, Func<NodeProcess, Uri> at) => (_bucket, _nodes, _keys, _at) = (bucket, [.. nodes], keys, at);

    public Recorder Recorder { get; } = new();

    public ConcurrentBag<Failure> Failures { get; } = [];

    /// <param name="clients">Requests under way at one time.</param>
    /// <param name="at">Where clients find a node, if that is not where it listens.</param>
    public static async Task<Load> StartAsync(IReadOnlyList<NodeProcess> nodes, int clients = 16, Func<NodeProcess, Uri>? at = null)
    {
        var load = new Load(await nodes[0].S3().NewBucketAsync(), nodes, Math.Max(24, clients), at ?? (static n => n.S3Url));
        load._running = Task.WhenAll(Enumerable.Range(0, clients).Select(c => Task.Run(() => load.RunAsync(c))));
        return load;
    }

    /// <summary>From now on clients use these nodes.</summary>
    public void Use(IEnumerable<NodeProcess> nodes) => _nodes = [.. nodes];

    /// <summary>Waits until so many more operations were answered.</summary>
    /// <param name="from">Operations that began earlier do not count.</param>
    public async Task ProgressAsync(int operations, long from = 0)
    {
        (_counted, _countedFrom) = (0, from);
        await TestCluster.UntilAsync(() => Task.FromResult(Volatile.Read(ref _counted) >= operations || _running.IsFaulted), () => $"{operations} operations, and there were {_counted}. Failures:\n{Describe(Failures)}");
        if (_running.IsFaulted) await _running;
    }

    public async Task StopAsync()
    {
        await _stop.CancelAsync();
        await _running;
    }

    /// <summary>After the end: reads everything through every node, and holds all that was seen against what could have been.</summary>
    public async Task VerifyAsync(IReadOnlyList<NodeProcess> nodes, Func<string> explain)
    {
        Use(nodes);
        await Parallel.ForEachAsync(nodes, async (node, _) =>
        {
            for (var key = 0; key < _keys; key++)
            {
                var (start, k) = (Recorder.Now, $"k{key}");
                Recorder.Add(k, new(OperationKind.Get, await GetAsync(ClientOf(node), k), null, Outcome.Done, start, Recorder.Now));
            }
            await Parallel.ForEachAsync(_kept, new ParallelOptions { MaxDegreeOfParallelism = 8 }, async (kept, _) =>
            {
                if (await GetAsync(ClientOf(node), kept.Key) is var read && read != kept.Value) _wrong.Add($"{kept.Key} at {TestCluster.NameOf(node)} after the end: {read ?? "nothing"} instead of {kept.Value}");
            });
        });
        var wrong = Failures.Where(f => !f.IsRetryable).ToList();
        Assert.True(wrong.Count == 0, $"Requests were answered with something that clients do not retry:\n{Describe(wrong)}\n{explain()}");
        Assert.True(_wrong.IsEmpty, $"What was acknowledged reads otherwise:\n{string.Join('\n', _wrong.Take(20))}\n{explain()}");
        foreach (var (key, operations) in Recorder.Operations)
        {
            var violation = Linearizability.FindViolation(operations);
            Assert.True(violation is null, $"{key}: no order of these explains what clients saw\n{violation}\n{explain()}");
        }
        Assert.True(_done > 500 && _kept.Count > 20, $"Only {_done} operations were answered.");
    }

    /// <summary>Holds the failures through some nodes against the times at which nodes or wires went: after each there may be failures for 10 s, and at no other time.</summary>
    /// <returns>For how long there were, after the time with the longest.</returns>
    public TimeSpan FailuresEndWithin(TimeSpan limit, IReadOnlyList<long> gone, Func<Failure, bool> through, Func<string> explain)
    {
        var longest = TimeSpan.Zero;
        var late = new List<Failure>();
        foreach (var failure in Failures.Where(through))
        {
            var last = gone.Where(g => g <= failure.End).DefaultIfEmpty(0).Max();
            var time = Stopwatch.GetElapsedTime(last, failure.End);
            if (time > limit) late.Add(failure);
            else if (time > longest) longest = time;
        }
        Assert.True(late.Count == 0, $"Requests through nodes that live failed at other times than within {limit} after a node or its wires went, at {string.Join(", ", gone)}:\n{Describe(late)}\n{explain()}");
        return longest;
    }

    /// <summary>What clients did, for who looks at a run.</summary>
    public override string ToString() => $"{_done} operations, {_kept.Count} objects kept, {Failures.Count} failures ({string.Join(", ", Failures.GroupBy(f => f.Status).Select(g => $"{g.Key}: {g.Count()}"))})";

    public async ValueTask DisposeAsync()
    {
        await _stop.CancelAsync();
        await _running.ConfigureAwait(ConfigureAwaitOptions.SuppressThrowing);
        foreach (var client in _clients.Values) client.Dispose();
        _stop.Dispose();
    }

    private static string Describe(IEnumerable<Failure> failures) => string.Join('\n', failures.OrderBy(f => f.End).Take(30).Select(f => $"[{f.Start}..{f.End}] at {TestCluster.NameOf(f.Node)}: {f.Status} {f.What}"));

    private async Task RunAsync(int client)
    {
        var random = new Random(client);
        var known = new string?[_keys]; // the entity tags that this client saw last, which is what a swap is decided on
        for (var i = 0; !_stop.IsCancellationRequested; i++)
        {
            var nodes = _nodes;
            var (node, number) = (nodes[random.Next(nodes.Length)], random.Next(_keys));
            var (s3, key) = (ClientOf(node), $"k{number}");
            var content = $"{client}-{i}-{new string('x', Lengths[random.Next(Lengths.Length)])}";
            switch (random.Next(12))
            {
                case < 3:
                    await TryAsync(node, key, OperationKind.Put, TagOf(content), null, async () => known[number] = await PutAsync(s3, key, content, null));
                    break;
                case < 5 when known[number] is { } expected:
                    await TryAsync(node, key, OperationKind.Swap, TagOf(content), expected, async () => known[number] = await PutAsync(s3, key, content, expected));
                    break;
                case 5:
                    await TryAsync(node, key, OperationKind.Delete, null, null, async () =>
                    {
                        await s3.DeleteObjectAsync(_bucket, key);
                        return known[number] = null;
                    });
                    break;
                case 6:
                    var once = $"once-{client}-{i}";
                    await TryAsync(node, once, OperationKind.Put, TagOf(content), null, async () => _kept[once] = await PutAsync(s3, once, content, null));
                    break;
                case 7 when _kept.Skip(random.Next(Math.Max(1, _kept.Count))).FirstOrDefault() is { Key: { } old, Value: var tag }:
                    await TryAsync(node, old, OperationKind.Get, null, null, async () =>
                    {
                        var read = await GetAsync(s3, old);
                        if (read != tag) _wrong.Add($"{old} at {TestCluster.NameOf(node)}: {read ?? "nothing"} instead of {tag}");
                        return read;
                    });
                    break;
                default:
                    await TryAsync(node, key, OperationKind.Get, null, null, async () => known[number] = await GetAsync(s3, key));
                    break;
            }
        }
    }

    private async Task TryAsync(NodeProcess node, string key, OperationKind kind, string? value, string? expected, Func<Task<string?>> run)
    {
        var start = Recorder.Now;
        void Add(string? seen, Outcome outcome) => Recorder.Add(key, new(kind, seen, expected, outcome, start, outcome == Outcome.Unknown ? 0 : Recorder.Now));
        try
        {
            var seen = await run();
            Add(kind == OperationKind.Get ? seen : value, Outcome.Done);
            Interlocked.Increment(ref _done);
            if (start >= Volatile.Read(ref _countedFrom)) Interlocked.Increment(ref _counted);
        }
        catch (AmazonS3Exception e) when (e.StatusCode is HttpStatusCode.PreconditionFailed || (kind == OperationKind.Swap && e.StatusCode == HttpStatusCode.NotFound))
        {
            Add(value, Outcome.Refused);
        }
        catch (AmazonS3Exception e) when (e.StatusCode == HttpStatusCode.Conflict)
        {
            // Two conditional writes at once: S3's word for "ask again". Nothing was written.
        }
        catch (Exception e) when (e is AmazonS3Exception or Amazon.Runtime.AmazonClientException or HttpRequestException or IOException or SocketException or OperationCanceledException or TimeoutException)
        {
            Add(value, Outcome.Unknown);
            // Without a status the node was not there, or went.
            Failures.Add(new(node, start, Recorder.Now, (e as AmazonS3Exception)?.StatusCode ?? 0, (e as AmazonS3Exception)?.ErrorCode, $"{kind} {key}: {e.Message}"));
        }
    }

    /// <summary>It does not retry: what the first answer was is to be seen.</summary>
    private AmazonS3Client ClientOf(NodeProcess node) => _clients.GetOrAdd(node, n => n.S3(configure: c => (c.ServiceURL, c.MaxErrorRetry, c.Timeout) = (_at(n).GetLeftPart(UriPartial.Authority), 0, TimeSpan.FromSeconds(15))));

    private async Task<string> PutAsync(AmazonS3Client s3, string key, string content, string? expected) =>
        (await s3.PutObjectAsync(new() { BucketName = _bucket, Key = key, ContentBody = content, IfMatch = expected is null ? null : $"\"{expected}\"" })).ETag.Trim('"');

    /// <returns>The MD5 of what was read: of the bytes, not of what the answer says of them.</returns>
    private async Task<string?> GetAsync(AmazonS3Client s3, string key)
    {
        try
        {
            using var answer = await s3.GetObjectAsync(_bucket, key);
            using var content = new MemoryStream();
            await answer.ResponseStream.CopyToAsync(content);
            return Convert.ToHexStringLower(MD5.HashData(content.ToArray()));
        }
        catch (AmazonS3Exception e) when (e.StatusCode == HttpStatusCode.NotFound)
        {
            return null;
        }
    }

    private static string TagOf(string content) => Convert.ToHexStringLower(MD5.HashData(Encoding.UTF8.GetBytes(content)));
}
