using System.Diagnostics;
using System.Text;

namespace DarkStorage.Load;

/// <summary>An endpoint under test.</summary>
/// <param name="Urls">Of one node, or of several of one cluster, among which connections are dealt out.</param>
internal sealed record Endpoint(string Name, IReadOnlyList<Uri> Urls, string AccessKey, string SecretKey, string Region)
{
    public Connection Connect(int number = 0)
    {
        var url = Urls[number % Urls.Count];
        return new(url, new Signer(url.Authority, AccessKey, SecretKey, Region));
    }
}

/// <summary>What is done, how often, by how many.</summary>
/// <param name="Mix">Shares of the operations, put get head list delete.</param>
/// <param name="Objects">Numbers of the objects that are read, and over which writes go round.</param>
/// <param name="Folders">Into how many folders the keys are dealt out; 0 for none.</param>
internal sealed record Workload(string Bucket, string Prefix, int Connections, long Size, Mix Mix, int Objects, TimeSpan Time, string? Delimiter, int Folders = 0)
{
    public string Key(int number) => Folders == 0 ? $"{Prefix}{number:d8}" : $"{Prefix}{number % Folders:d3}/{number:d8}";
}

/// <summary>Weights; only their ratios matter.</summary>
internal sealed record Mix(int Put, int Get, int Head, int List, int Delete)
{
    public Operation Pick(Random random)
    {
        var at = random.Next(Put + Get + Head + List + Delete);
        if ((at -= Put) < 0) return Operation.Put;
        if ((at -= Get) < 0) return Operation.Get;
        if ((at -= Head) < 0) return Operation.Head;
        return at - List < 0 ? Operation.List : Operation.Delete;
    }

    /// <summary>Reads <c>put=70,get=30</c> or just <c>put</c>.</summary>
    public static Mix Parse(string text)
    {
        var weights = new Dictionary<string, int>(StringComparer.OrdinalIgnoreCase);
        foreach (var piece in text.Split(',', StringSplitOptions.RemoveEmptyEntries))
        {
            var pair = piece.Split('=');
            weights[pair[0].Trim()] = pair.Length > 1 ? int.Parse(pair[1], System.Globalization.CultureInfo.InvariantCulture) : 1;
        }
        if (weights.Keys.FirstOrDefault(k => !Enum.TryParse<Operation>(k, true, out _)) is { } unknown) throw new FormatException($"'{unknown}' is no operation; there are put, get, head, list, delete.");
        int Of(string name) => weights.GetValueOrDefault(name);
        return new(Of("put"), Of("get"), Of("head"), Of("list"), Of("delete"));
    }
}

internal enum Operation
{
    Put,
    Get,
    Head,
    List,
    Delete,
}

/// <summary>What one run measured. Rates are over the whole run, latencies in milliseconds.</summary>
internal sealed record Result(string Endpoint, double Seconds, long Requests, long Bytes, long Errors, double P50, double P90, double P99, double P999, double Max)
{
    public double RequestsPerSecond => Requests / Seconds;
    public double MegabytesPerSecond => Bytes / Seconds / 1e6;
}

/// <summary>A closed loop: each connection sends its next request when the last one was answered, and checks what it reads.</summary>
internal static class Runner
{
    private const int ErrorsShownMax = 5;

    public static async Task EnsureBucketAsync(Endpoint endpoint, string bucket)
    {
        using var connection = endpoint.Connect();
        var (status, _) = await connection.SendAsync("PUT", $"/{bucket}", "", default, 0, null, null);
        if (status is not (200 or 409)) throw new InvalidOperationException($"{endpoint.Name}: bucket {bucket} could not be made: {status}.");
    }

    /// <summary>Puts the objects that reads will ask for.</summary>
    public static async Task PrepareAsync(Endpoint endpoint, Workload work)
    {
        var next = -1;
        await Task.WhenAll(Enumerable.Range(0, work.Connections).Select(c => Task.Run(async () =>
        {
            using var connection = endpoint.Connect(c);
            int number;
            while ((number = Interlocked.Increment(ref next)) < work.Objects)
            {
                var payload = new Payload(number);
                var (status, _) = await connection.SendAsync("PUT", $"/{work.Bucket}/{work.Key(number)}", "", payload.Slice(0, work.Size), work.Size, payload, null);
                if (status != 200) throw new InvalidOperationException($"{endpoint.Name}: PUT of object {number} answered {status}.");
            }
        })));
    }

    public static async Task<Result> RunAsync(Endpoint endpoint, Workload work)
    {
        var latencies = new List<long>[work.Connections];
        var (bytes, errors, written) = (0L, 0L, -1);
        var start = Stopwatch.GetTimestamp();
        var stop = start + (long)(work.Time.TotalSeconds * Stopwatch.Frequency);
        await Task.WhenAll(Enumerable.Range(0, work.Connections).Select(c => Task.Run(async () =>
        {
            var random = new Random(c);
            var mine = latencies[c] = new List<long>(1 << 14);
            using var connection = endpoint.Connect(c);
            do
            {
                var begun = Stopwatch.GetTimestamp();
                try
                {
                    Interlocked.Add(ref bytes, await OnceAsync(connection, work, work.Mix.Pick(random), random, () => Interlocked.Increment(ref written)));
                    mine.Add(Stopwatch.GetTimestamp() - begun);
                }
                catch (Exception e) when (e is not InvalidDataException)
                {
                    if (Interlocked.Increment(ref errors) <= ErrorsShownMax) await Console.Error.WriteLineAsync($"{endpoint.Name}: {e.Message}");
                    if (errors > 1_000) throw;
                }
            } while (Stopwatch.GetTimestamp() < stop);
        })));
        var seconds = Stopwatch.GetElapsedTime(start).TotalSeconds;
        var all = latencies.SelectMany(l => l).Order().ToArray();
        double At(double share) => all.Length == 0 ? 0 : all[Math.Min(all.Length - 1, (int)(share * all.Length))] * 1000.0 / Stopwatch.Frequency;
        return new(endpoint.Name, seconds, all.Length, bytes, errors, At(.5), At(.9), At(.99), At(.999), At(1));
    }

    private static async Task<long> OnceAsync(Connection connection, Workload work, Operation operation, Random random, Func<int> nextWrite)
    {
        var number = operation == Operation.Put ? nextWrite() % work.Objects : random.Next(work.Objects);
        var payload = new Payload(number);
        var path = $"/{work.Bucket}/{work.Key(number)}";
        switch (operation)
        {
            case Operation.Put:
                Expect(await connection.SendAsync("PUT", path, "", payload.Slice(0, work.Size), work.Size, payload, null), 200);
                return work.Size;
            case Operation.Get:
                var (status, length) = await connection.SendAsync("GET", path, "", default, 0, null, payload.Check);
                if (status == 404 && work.Mix.Delete > 0) return 0;
                Expect((status, length), 200);
                if (length != work.Size) throw new InvalidDataException($"Object {number} has {length} bytes, not {work.Size}.");
                return length;
            case Operation.Head:
                Expect(await connection.SendAsync("HEAD", path, "", default, 0, null, null), 200);
                return 0;
            case Operation.Delete:
                Expect(await connection.SendAsync("DELETE", path, "", default, 0, null, null), 204);
                return 0;
            default:
                return await ListAsync(connection, work, random);
        }
    }

    /// <summary>One page from a random place, its entries counted.</summary>
    private static async Task<long> ListAsync(Connection connection, Workload work, Random random)
    {
        var prefix = Uri.EscapeDataString(work.Prefix);
        var query = work.Delimiter is { } delimiter
            ? $"delimiter={Uri.EscapeDataString(delimiter)}&list-type=2&prefix={prefix}"
            : $"list-type=2&prefix={prefix}&start-after={Uri.EscapeDataString(work.Key(random.Next(Math.Max(1, work.Objects - 1_001))))}";
        var entries = 0;
        var closing = work.Delimiter is null ? "</Contents>" : "</CommonPrefixes>";
        var marker = Encoding.ASCII.GetBytes(closing);
        var carry = Array.Empty<byte>();
        var (status, length) = await connection.SendAsync("GET", $"/{work.Bucket}", query, default, 0, null, (_, piece) =>
        {
            entries += piece.Count(marker);
            // An entry's end may be cut by the edge of a piece.
            if (carry.Length > 0) entries += ((byte[])[.. carry, .. piece[..Math.Min(piece.Length, marker.Length - 1)]]).AsSpan().Count(marker);
            carry = piece[^Math.Min(piece.Length, marker.Length - 1)..].ToArray();
        });
        Expect((status, length), 200);
        if (work.Delimiter is null && work.Folders == 0 && work.Objects > 2_002 && entries != 1_000) throw new InvalidDataException($"A page has {entries} entries, not 1,000.");
        if (work.Delimiter is not null && entries == 0) throw new InvalidDataException("A folded page is empty.");
        return length;
    }

    private static void Expect((int Status, long Length) answer, int wanted)
    {
        if (answer.Status != wanted) throw new InvalidOperationException($"answered {answer.Status}, not {wanted}");
    }
}
