using System.Collections.Concurrent;
using System.Diagnostics;
using System.Globalization;
using System.Net.Sockets;
using System.Text;
using DarkStorage.TestKit;
using Xunit;

namespace DarkStorage.Simulation.Fuzz;

/// <summary>A node among clients that are broken, hostile or slow. <c>DARKSTORAGE_TEST_SEED</c> repeats one seed's requests, <c>DARKSTORAGE_TEST_STREAMS</c> sets how many seeds there are.</summary>
public sealed class FuzzTests(NodeFixture node, ITestOutputHelper output) : IClassFixture<NodeFixture>
{
    private const int RequestsOfSeed = 100;
    private const int AtOnce = 6;
    private const int IdleConnections = 500;
    private const long ResidentBytesMax = 600L << 20;

    private static readonly TimeSpan AnsweredWithin = TimeSpan.FromSeconds(30);
    private static readonly TimeSpan Patience = TimeSpan.FromMilliseconds(100);
    private static readonly int Streams = Seeds.Count("DARKSTORAGE_TEST_STREAMS", 80);

    [Fact]
    public async Task No_request_however_broken_makes_the_node_fail()
    {
        var seeds = Seeds.Asked is { } one ? [one] : Enumerable.Range(1, Streams / 2).Concat(Enumerable.Range(0, Streams - Streams / 2).Select(_ => Random.Shared.Next())).ToArray();
        var problems = new ConcurrentQueue<string>();
        var (bytes, answers) = (0L, 0L);
        await Parallel.ForEachAsync(seeds, new ParallelOptions { MaxDegreeOfParallelism = AtOnce }, async (seed, ct) =>
        {
            var bucket = S3Clients.NewBucketName("fuzz");
            await node.Raw.PutAsync($"/{bucket}", "");
            await node.Raw.PutAsync($"/{bucket}/there", "here I am");
            var fuzzer = new RequestFuzzer(node.Raw, bucket, seed);
            for (var i = 0; i < RequestsOfSeed; i++)
            {
                var sent = fuzzer.Next();
                using var hang = CancellationTokenSource.CreateLinkedTokenSource(ct);
                hang.CancelAfter(AnsweredWithin);
                string? problem;
                try
                {
                    var received = await RawBytes.ExchangeAsync(node.Node.S3Url, sent.Bytes, sent.MustAnswer ? AnsweredWithin : Patience, hang.Token);
                    problem = FuzzAnswer.Problem(sent.Bytes, received, sent.MustAnswer);
                    Interlocked.Add(ref bytes, sent.Bytes.Length);
                    if (received.Length > 0) Interlocked.Increment(ref answers);
                }
                catch (OperationCanceledException) when (!ct.IsCancellationRequested)
                {
                    problem = $"the connection was still open after {AnsweredWithin}";
                }
                if (problem is not null) problems.Enqueue(string.Create(CultureInfo.InvariantCulture, $"DARKSTORAGE_TEST_SEED={seed}, request {i}: {problem}\nwas the answer to\n{FuzzAnswer.Printable(sent.Bytes)}"));
            }
            // What the node took, it must be able to give.
            var listing = await node.Raw.GetAsync($"/{bucket}?encoding-type=url");
            foreach (var key in listing.Status == 200 ? listing.Elements("Key") : [])
            {
                var answer = await node.Raw.GetAsync($"/{bucket}/{key}");
                if (answer.Status != 200) problems.Enqueue(string.Create(CultureInfo.InvariantCulture, $"DARKSTORAGE_TEST_SEED={seed}: the object {key} was taken, and a GET answers {answer}"));
            }
        });
        await RequireServedAsync();
        output.WriteLine(string.Create(CultureInfo.InvariantCulture,
            $"{seeds.Length * RequestsOfSeed} requests, {answers} answered, {bytes >> 20} MiB sent, {problems.Count} problems, {node.Node.ResidentBytes() >> 20} MiB resident"));
        Assert.True(problems.IsEmpty, $"{problems.Count} problems; the shortest:\n{string.Join("\n\n", problems.OrderBy(p => p.Length).Take(5))}");
        RequireCalmLog();
        Assert.InRange(node.Node.ResidentBytes(), 1, ResidentBytesMax);
    }

    [Fact]
    public async Task Connections_that_say_half_a_request_and_wait_keep_nobody_else_waiting()
    {
        var bucket = S3Clients.NewBucketName("idle");
        await node.Raw.PutAsync($"/{bucket}", "");
        var whole = node.Raw.ToBytes(new RawRequest("PUT", $"/{bucket}/slow").WithBody(new byte[100_000]));
        var head = whole.AsSpan().IndexOf("\r\n\r\n"u8) + 4;
        var idle = new List<Socket>();
        try
        {
            for (var i = 0; i < IdleConnections; i++)
            {
                var socket = new Socket(SocketType.Stream, ProtocolType.Tcp);
                idle.Add(socket);
                await socket.ConnectAsync(node.Node.S3Url.Host, node.Node.S3Url.Port);
                // Nothing, a part of the head, or the head and a part of the body.
                await socket.SendAsync(whole.AsMemory(0, i % 3 switch { 0 => 0, 1 => i % head, _ => head + 16 * i }));
            }
            for (var i = 0; i < 50; i++) await RequireServedAsync();
        }
        finally
        {
            foreach (var socket in idle) socket.Dispose();
        }
        // They are gone, and what they had begun goes with them.
        using var timeout = new CancellationTokenSource(AnsweredWithin);
        using var poll = new PeriodicTimer(TimeSpan.FromMilliseconds(50));
        while (await node.Node.MetricAsync("darkstorage_s3_active_requests") != 0) await poll.WaitForNextTickAsync(timeout.Token);
        Assert.Equal(404, (await node.Raw.GetAsync($"/{bucket}/slow")).Status);
        RequireCalmLog();
    }

    [Fact]
    public async Task Bodies_that_are_refused_at_their_end_leave_no_memory_and_no_object_behind()
    {
        const int Writers = 8;
        const int BodiesOfWriter = 4;
        var bucket = S3Clients.NewBucketName("refused");
        await node.Raw.PutAsync($"/{bucket}", "");
        var body = S3Clients.Content(16 << 20);
        await RefuseAsync(0);
        var before = node.Node.ResidentBytes();
        await Parallel.ForAsync(0, Writers, async (writer, _) =>
        {
            for (var i = 0; i < BodiesOfWriter; i++) await RefuseAsync(writer);
        });
        var (grown, sent) = (node.Node.ResidentBytes() - before, (long)Writers * BodiesOfWriter * body.Length);
        output.WriteLine(string.Create(CultureInfo.InvariantCulture, $"{sent >> 20} MiB sent, {grown >> 20} MiB more resident, {node.Node.ResidentBytes() >> 20} MiB in all"));
        Assert.InRange(grown, long.MinValue, sent / 2);
        Assert.InRange(node.Node.ResidentBytes(), 1, ResidentBytesMax);
        Assert.Empty((await node.Raw.GetAsync($"/{bucket}")).Elements("Contents"));
        Assert.Empty((await node.Raw.GetAsync($"/{bucket}?uploads")).Elements("Upload"));

        async Task RefuseAsync(int writer)
        {
            var answer = await node.Raw.SendAsync(new("PUT", $"/{bucket}/{writer}") { Body = body, PayloadHash = new string('0', 64) });
            Assert.Equal((400, "XAmzContentSHA256Mismatch"), answer.Error);
        }
    }

    [Theory]
    [InlineData("HTTP/1.1 500 Internal Server Error\r\nContent-Length: 0\r\n\r\n")]
    [InlineData("HTTP/1.1 503 Service Unavailable\r\nContent-Length: 0\r\n\r\n")]
    [InlineData("HTTP/1.1 400 Bad Request\r\nContent-Type: text/html\r\nContent-Length: 4\r\n\r\noops")]
    [InlineData("HTTP/1.1 400 Bad Request\r\nContent-Type: application/xml\r\nContent-Length: 7\r\n\r\n<Error>")]
    [InlineData("HTTP/1.1 400 Bad Request\r\nContent-Type: application/xml\r\nContent-Length: 8\r\n\r\n<Error/>")]
    [InlineData("HTTP/1.1 400 Bad Request\r\nContent-Type: application/xml\r\nContent-Length: 99\r\n\r\n<Error/>")]
    [InlineData("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\nHTTP/1.1 500 Internal Server Error\r\nContent-Length: 0\r\n\r\n")]
    [InlineData("surprise")]
    [InlineData("")]
    public void An_answer_that_must_not_be_is_noticed(string answer) => Assert.NotNull(FuzzAnswer.Problem("GET /"u8, Encoding.ASCII.GetBytes(answer), mustAnswer: true));

    [Theory]
    [InlineData("HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n")]
    [InlineData("HTTP/1.1 404 Not Found\r\nContent-Type: application/xml\r\nContent-Length: 32\r\n\r\n<Error><Code>Gone</Code></Error>")]
    [InlineData("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")]
    public void An_answer_that_may_be_passes(string answer) =>
        Assert.Null(FuzzAnswer.Problem("GET /"u8, Encoding.ASCII.GetBytes(answer), mustAnswer: true));

    /// <summary>A write and a read of somebody else come back whole and soon.</summary>
    private async Task RequireServedAsync()
    {
        var time = Stopwatch.StartNew();
        var bucket = S3Clients.NewBucketName("served");
        Assert.Equal(200, (await node.Raw.PutAsync($"/{bucket}", "")).Status);
        Assert.Equal(200, (await node.Raw.PutAsync($"/{bucket}/a", S3Clients.Content(50_000))).Status);
        Assert.Equal(S3Clients.Content(50_000), (await node.Raw.GetAsync($"/{bucket}/a")).Body);
        Assert.InRange(time.Elapsed, TimeSpan.Zero, TimeSpan.FromSeconds(10));
    }

    private void RequireCalmLog()
    {
        var excited = node.Node.Output.Split('\n').Where(l => l.Contains(" ERR ", StringComparison.Ordinal) || l.Contains(" FTL ", StringComparison.Ordinal) || l.Contains("nhandled", StringComparison.Ordinal)).ToList();
        Assert.True(excited.Count == 0, $"The node logged:\n{string.Join('\n', excited.Take(10))}\n{node.Node.Output[^Math.Min(node.Node.Output.Length, 6_000)..]}");
    }
}
