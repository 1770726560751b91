using System.Collections.Concurrent;
using System.Globalization;
using System.Net.Sockets;
using DarkStorage.TestKit;

namespace DarkStorage.Simulation.Crash;

/// <summary>A bucket that many writers change at once until the node is killed, another with versioning beside it, and what is known of them.</summary>
/// <remarks>What is random comes from the seed; how the writers interleave does not, so a seed repeats the mix and not the moment.</remarks>
internal sealed partial class CrashWorld : IDisposable
{
    private const int Writers = 16;
    private const int Keys = 120;
    private const int UploadsMax = 24;
    private const int PartBytesMin = 5 << 20;
    private const string Bucket = "crash";

    private readonly Lock _lock = new();
    private readonly int _seed;
    private readonly KeyHistory[] _keys = [.. Enumerable.Range(0, Keys).Select(_ => new KeyHistory())];
    private readonly List<Upload> _uploads = [];
    private readonly List<int> _begunWithoutAnswer = [];
    private readonly ConcurrentDictionary<Content, long> _numbers = new();
    private readonly ConcurrentQueue<string> _complaints = new();
    private NodeProcess _node;
    private CrashClient _client;
    private long _time;
    private long _lastNumber;
    private int _operations;
    private volatile bool _killing;

    private CrashWorld(NodeProcess node, int seed) => (_node, _client, _seed) = (node, new(node), seed);

    /// <summary>An upload; one writer at a time works on it.</summary>
    private sealed class Upload(int key, string id, int partsWanted)
    {
        public int Key => key;
        public string Id => id;
        public int PartsWanted => partsWanted;
        public SortedDictionary<int, KeyHistory> Parts { get; } = [];
        public bool Busy { get; set; }
        /// <summary>The change of the object, once Complete was sent.</summary>
        public Change? Completing { get; set; }
        public bool Aborting { get; set; }
    }

    public int Operations => _operations;

    /// <summary>Everything found wrong so far.</summary>
    public IEnumerable<string> Complaints => _complaints;

    /// <summary>Makes the buckets in a node.</summary>
    public static async Task<CrashWorld> CreateAsync(NodeProcess node, int seed)
    {
        var world = new CrashWorld(node, seed);
        var answer = await world._client.SendAsync(HttpMethod.Put, $"/{Bucket}");
        await world.CreateVersionedBucketAsync();
        return answer.Ok ? world : throw new InvalidOperationException($"The bucket was not made: {answer}");
    }

    public void Dispose() => _client.Dispose();

    /// <summary>Goes on with another node on the same data.</summary>
    public void MoveTo(NodeProcess node)
    {
        _client.Dispose();
        (_node, _client) = (node, new(node));
    }

    /// <summary>All writers work until a number of operations was answered; then the node is killed under them.</summary>
    public async Task WorkUntilKilledAsync(int round, int operations)
    {
        _killing = false;
        var answered = 0;
        var enough = new TaskCompletionSource(TaskCreationOptions.RunContinuationsAsynchronously);
        var writers = Enumerable.Range(0, Writers).Select(w => Task.Run(() => WriteAsync(Seeds.Fork(_seed, round, w), Answered))).ToArray();
        await Task.WhenAny(enough.Task, Task.WhenAll(writers));
        _killing = true;
        await _node.KillAsync();
        await Task.WhenAll(writers);
        foreach (var upload in _uploads) upload.Busy = false;
        _operations += answered;

        void Answered()
        {
            if (Interlocked.Increment(ref answered) >= operations) enough.TrySetResult();
        }
    }

    private async Task WriteAsync(Random random, Action answered)
    {
        try
        {
            while (true)
            {
                await StepAsync(random);
                answered();
            }
        }
        catch (Exception e) when (e is HttpRequestException or IOException or SocketException or TaskCanceledException)
        {
            if (!_killing) Complain($"The node failed a request while nobody had killed it: {e.Message}");
        }
        catch (Exception e)
        {
            Complain($"A writer stopped: {e}");
        }
    }

    private Task StepAsync(Random random) => random.Next(3) == 0 ? VersionStepAsync(random) : random.Next(100) switch
    {
        < 34 => PutAsync(random, onlyIfNew: false),
        < 40 => PutAsync(random, onlyIfNew: true),
        < 50 => DeleteAsync(AnyKey(random)),
        < 54 => DeleteManyAsync(random),
        < 66 => GetAsync(AnyKey(random)),
        < 76 => CopyAsync(random),
        _ => UploadAsync(random),
    };

    private async Task PutAsync(Random random, bool onlyIfNew)
    {
        var key = AnyKey(random);
        var (bytes, content) = NewContent(AnyLength(random));
        var change = Begin(key, onlyIfNew ? "put if new" : "put", content);
        var answer = onlyIfNew
            ? await _client.SendAsync(HttpMethod.Put, Target(key), bytes, new KeyValuePair<string, string>("If-None-Match", "*"))
            : await _client.SendAsync(HttpMethod.Put, Target(key), bytes);
        lock (_lock)
        {
            var now = ++_time;
            // Without this change itself: the content of another may be the same, as nothing is.
            change.Refuse();
            var seen = _keys[key].Visible(change.Begun, now);
            if (answer.Ok)
            {
                change.Acknowledge(now);
                if (answer.ETag != content.Md5) Complain($"{Target(key)}: the answer to a put of {content} names the ETag {answer.ETag}");
                if (onlyIfNew && !seen.Contains(Content.None)) Complain($"{Target(key)}: If-None-Match was met, and the key was never empty");
                return;
            }
            if (onlyIfNew && (int)answer.Status == 412 && seen.Any(c => c != Content.None)) return;
            Complain($"{Target(key)}: a put of {content} to what may have been {string.Join(" or ", seen)} was answered {answer}");
        }
    }

    private async Task DeleteAsync(int key)
    {
        var change = Begin(key, "delete", Content.None);
        Conclude(change, await _client.SendAsync(HttpMethod.Delete, Target(key)), key);
    }

    private async Task DeleteManyAsync(Random random)
    {
        var keys = Enumerable.Range(0, random.Next(2, 6)).Select(_ => AnyKey(random)).Distinct().ToList();
        var changes = keys.ConvertAll(k => Begin(k, "delete among many", Content.None));
        var body = $"<Delete>{string.Concat(keys.Select(k => $"<Object><Key>{NameOf(k)}</Key></Object>"))}</Delete>";
        var answer = await _client.SendAsync(HttpMethod.Post, $"/{Bucket}?delete", System.Text.Encoding.UTF8.GetBytes(body));
        if (answer.Ok && answer.Elements("Error").Any()) Complain($"Deleting many was answered {answer}");
        for (var i = 0; i < keys.Count; i++) Conclude(changes[i], answer, keys[i]);
    }

    private async Task GetAsync(int key)
    {
        long begun;
        lock (_lock) begun = ++_time;
        var answer = await _client.SendAsync(HttpMethod.Get, Target(key));
        Check(key, answer, begun);
    }

    /// <summary>From a key of a lower number always, so that no two copies can wait for each other's result.</summary>
    private async Task CopyAsync(Random random)
    {
        var target = random.Next(1, Keys);
        var source = random.Next(target);
        Change change;
        lock (_lock)
        {
            var begun = ++_time;
            change = _keys[target].Begin($"copy of {NameOf(source)}", begun, ended => [.. _keys[source].Visible(begun, ended).Where(c => c != Content.None)]);
        }
        var answer = await _client.SendAsync(HttpMethod.Put, Target(target), null, new KeyValuePair<string, string>("x-amz-copy-source", Target(source)));
        lock (_lock)
        {
            var now = ++_time;
            var possible = _keys[source].Visible(change.Begun, now);
            if (answer.Ok)
            {
                var etag = answer.Elements("ETag").Single().Value.Trim('"');
                var made = possible.FirstOrDefault(c => c.Md5 == etag, Content.None);
                if (made == Content.None) Complain($"{Target(target)}: a copy made {etag}, which {NameOf(source)} did not hold: {string.Join(" or ", possible)}");
                change.Acknowledge(now, made);
                return;
            }
            change.Refuse();
            if ((int)answer.Status != 404 || !possible.Contains(Content.None)) Complain($"{Target(target)}: a copy of {NameOf(source)} ({string.Join(" or ", possible)}) was answered {answer}");
        }
    }

    /// <summary>One step of an upload: begin one, put a part, complete, abort.</summary>
    private async Task UploadAsync(Random random)
    {
        if (TakeUpload(random) is not { } upload)
        {
            await BeginUploadAsync(AnyKey(random), random.Next(4) == 0 ? 2 : 1);
            return;
        }
        var choice = random.Next(100);
        if (choice < 8) await AbortAsync(upload);
        else if (upload.Parts.Count < upload.PartsWanted || choice < 20) await PutPartAsync(upload, random);
        else await CompleteAsync(upload);
        upload.Busy = false;
    }

    private Upload? TakeUpload(Random random)
    {
        lock (_lock)
        {
            var free = _uploads.FindAll(u => !u.Busy);
            if (free.Count == 0 || _uploads.Count < UploadsMax && random.Next(3) == 0) return null;
            var upload = free[random.Next(free.Count)];
            upload.Busy = true;
            return upload;
        }
    }

    private async Task BeginUploadAsync(int key, int parts)
    {
        lock (_lock) _begunWithoutAnswer.Add(key);
        var answer = await _client.SendAsync(HttpMethod.Post, $"{Target(key)}?uploads");
        lock (_lock)
        {
            _begunWithoutAnswer.Remove(key);
            if (answer.Ok) _uploads.Add(new(key, answer.Elements("UploadId").Single().Value, parts));
            else Complain($"{Target(key)}: beginning an upload was answered {answer}");
        }
    }

    private async Task PutPartAsync(Upload upload, Random random)
    {
        var number = upload.Parts.Count < upload.PartsWanted ? upload.Parts.Count + 1 : random.Next(1, upload.PartsWanted + 1);
        var isLast = number == upload.PartsWanted;
        var (bytes, content) = NewContent(isLast ? 1 + AnyLength(random) : PartBytesMin + random.Next(1 << 20));
        Change change;
        lock (_lock)
        {
            if (!upload.Parts.TryGetValue(number, out var part)) upload.Parts[number] = part = new();
            change = part.Begin("part", ++_time, content);
        }
        var answer = await _client.SendAsync(HttpMethod.Put, string.Create(CultureInfo.InvariantCulture, $"{Target(upload)}&partNumber={number}"), bytes);
        Conclude(change, answer, upload.Key);
        if (answer.Ok && answer.ETag != content.Md5) Complain($"{Target(upload)}: the answer to part {content} names the ETag {answer.ETag}");
    }

    private async Task CompleteAsync(Upload upload)
    {
        List<Content> parts;
        lock (_lock) parts = [.. upload.Parts.Values.Select(p => p.Visible(++_time, ++_time).Single())];
        var bytes = parts.SelectMany(p => Content.Bytes(_seed, _numbers[p], (int)p.Length)).ToArray();
        var change = upload.Completing = Begin(upload.Key, $"completion of {upload.Id}", Content.Of(bytes));
        var named = string.Concat(parts.Select((p, i) => string.Create(CultureInfo.InvariantCulture, $"<Part><PartNumber>{i + 1}</PartNumber><ETag>\"{p.Md5}\"</ETag></Part>")));
        var answer = await _client.SendAsync(HttpMethod.Post, Target(upload), System.Text.Encoding.UTF8.GetBytes($"<CompleteMultipartUpload>{named}</CompleteMultipartUpload>"));
        Conclude(change, answer, upload.Key);
        if (answer.Ok) lock (_lock) _uploads.Remove(upload);
    }

    private async Task AbortAsync(Upload upload)
    {
        upload.Aborting = true;
        var answer = await _client.SendAsync(HttpMethod.Delete, Target(upload));
        if (!answer.Ok) Complain($"{Target(upload)}: an abort was answered {answer}");
        else lock (_lock) _uploads.Remove(upload);
    }

    private Change Begin(int key, string what, Content result)
    {
        lock (_lock) return _keys[key].Begin(what, ++_time, result);
    }

    private void Conclude(Change change, Answer answer, int key)
    {
        lock (_lock)
        {
            if (answer.Ok)
            {
                change.Acknowledge(++_time);
                return;
            }
            change.Refuse();
            Complain($"{Target(key)}: {change} was answered {answer}");
        }
    }

    /// <returns>What the key holds, as the answer shows it.</returns>
    private Content Check(int key, Answer answer, long begun)
    {
        var found = (int)answer.Status == 200 ? answer.Content : Content.None;
        lock (_lock)
        {
            if ((int)answer.Status is not (200 or 404)) Complain($"{Target(key)}: a GET was answered {answer}");
            else if (_keys[key].Explain(found, begun, ++_time) is { } problem) Complain($"{Target(key)} {problem}");
        }
        return found;
    }

    private void Complain(string problem) => _complaints.Enqueue(problem);

    private (byte[] Bytes, Content Content) NewContent(int length)
    {
        var number = Interlocked.Increment(ref _lastNumber);
        var bytes = Content.Bytes(_seed, number, length);
        var content = Content.Of(bytes);
        _numbers[content] = number;
        return (bytes, content);
    }

    /// <summary>Half of all changes go to an eighth of the keys: overwrites and deletes of what is being written are the point.</summary>
    private static int AnyKey(Random random) => random.Next(2) == 0 ? random.Next(Keys / 8) : random.Next(Keys);

    /// <summary>From nothing to 32 MiB, mostly little: on both sides of the border between the index and the packs.</summary>
    private static int AnyLength(Random random) => random.Next(200) switch
    {
        < 8 => 0,
        < 90 => random.Next(1, 4 << 10),
        < 110 => (4 << 10) + random.Next(-1, 2),
        < 160 => random.Next(4 << 10, 128 << 10),
        < 188 => random.Next(128 << 10, 2 << 20),
        < 199 => random.Next(2 << 20, 12 << 20),
        _ => random.Next(24 << 20, 32 << 20) + 1,
    };

    private static string NameOf(int key) => string.Create(CultureInfo.InvariantCulture, $"k{key % 7}/{key:000}");

    private static string Target(int key) => $"/{Bucket}/{NameOf(key)}";

    private static string Target(Upload upload) => $"{Target(upload.Key)}?uploadId={upload.Id}";
}
