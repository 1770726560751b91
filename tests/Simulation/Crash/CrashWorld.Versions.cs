using System.Globalization;
using System.Security.Cryptography;
using System.Text;

namespace DarkStorage.Simulation.Crash;

/// <remarks>A second bucket, with versioning: all that was acknowledged stays readable by its id.</remarks>
internal sealed partial class CrashWorld
{
    private const string VersionedBucket = "crash-versions";
    private const int VersionedKeys = 12;

    /// <summary>Past this only removals are asked for: each version is read after each kill.</summary>
    private const int VersionsMax = 200;

    private readonly VersionHistory[] _versions = [.. Enumerable.Range(0, VersionedKeys).Select(_ => new VersionHistory())];

    /// <summary>Versions and delete markers that the last look found.</summary>
    public int Versions { get; private set; }

    private async Task CreateVersionedBucketAsync()
    {
        foreach (var (target, body) in new[] { ("", ""), ("?versioning", "<VersioningConfiguration><Status>Enabled</Status></VersioningConfiguration>") })
        {
            if (await _client.SendAsync(HttpMethod.Put, $"/{VersionedBucket}{target}", Encoding.UTF8.GetBytes(body)) is { Ok: false } refused)
                throw new InvalidOperationException($"The versioned bucket was not made: {refused}");
        }
    }

    private Task VersionStepAsync(Random random)
    {
        var key = random.Next(VersionedKeys);
        bool isFull;
        lock (_lock) isFull = _versions.Sum(v => v.Versions.Count) > VersionsMax;
        return random.Next(100) switch
        {
            _ when isFull => RemoveVersionAsync(key, random),
            < 32 => PutVersionAsync(key, random),
            < 44 => MarkAsync(key),
            < 50 => UploadVersionAsync(key, random),
            < 58 => RestoreVersionAsync(key, random),
            < 76 => RemoveVersionAsync(key, random),
            _ => ReadVersionAsync(key, random),
        };
    }

    private async Task PutVersionAsync(int key, Random random)
    {
        var (bytes, content) = NewContent(AnyVersionLength(random));
        var version = BeginVersion(key, "put", new(content, content.Md5));
        ConcludeVersion(key, version, await _client.SendAsync(HttpMethod.Put, VersionTarget(key), bytes));
    }

    private async Task MarkAsync(int key)
    {
        var version = BeginVersion(key, "delete", Made.Marker);
        ConcludeVersion(key, version, await _client.SendAsync(HttpMethod.Delete, VersionTarget(key)));
    }

    private async Task UploadVersionAsync(int key, Random random)
    {
        var begun = await _client.SendAsync(HttpMethod.Post, $"{VersionTarget(key)}?uploads");
        if (!begun.Ok) throw new InvalidOperationException($"Beginning an upload was answered {begun}");
        var target = $"{VersionTarget(key)}?uploadId={begun.Elements("UploadId").Single().Value}";
        // A part of no bytes would have no blob, and could not be told from others when those are counted.
        var (bytes, content) = NewContent(1 + AnyVersionLength(random));
        var part = await _client.SendAsync(HttpMethod.Put, $"{target}&partNumber=1", bytes);
        if (!part.Ok) throw new InvalidOperationException($"A part was answered {part}");
        var etag = Convert.ToHexStringLower(MD5.HashData(Convert.FromHexString(content.Md5))) + "-1";
        var version = BeginVersion(key, "upload", new(content, etag));
        var completed = await _client.SendAsync(HttpMethod.Post, target,
            Encoding.UTF8.GetBytes($"<CompleteMultipartUpload><Part><PartNumber>1</PartNumber><ETag>\"{content.Md5}\"</ETag></Part></CompleteMultipartUpload>"));
        ConcludeVersion(key, version, completed);
    }

    /// <summary>Puts an older version on top, which is to copy it onto its key.</summary>
    private async Task RestoreVersionAsync(int key, Random random)
    {
        if (AnyVersion(key, random, v => v.Made != Made.Marker) is not { } source) return;
        var version = BeginVersion(key, $"copy of {source.Id}", new(source.Made.Content, source.Made.Content.Md5));
        var answer = await _client.SendAsync(HttpMethod.Put, VersionTarget(key), null, new KeyValuePair<string, string>("x-amz-copy-source", VersionTarget(key, source)));
        lock (_lock)
        {
            // It may have been removed since, or be on top, where a copy would change nothing.
            if ((int)answer.Status == 400 && answer.Text.Contains("InvalidRequest", StringComparison.Ordinal) || (int)answer.Status == 404 && source.Removing)
            {
                _versions[key].Forget(version);
                return;
            }
        }
        ConcludeVersion(key, version, answer);
    }

    private async Task RemoveVersionAsync(int key, Random random)
    {
        KnownVersion? version;
        lock (_lock)
        {
            version = AnyVersion(key, random, v => !v.Removing);
            if (version is null) return;
            version.Removing = true;
        }
        var answer = await _client.SendAsync(HttpMethod.Delete, VersionTarget(key, version));
        lock (_lock) _versions[key].Forget(version);
        if (!answer.Ok || answer.VersionId != version.Id) Complain($"{VersionTarget(key, version)}: the removal was answered {answer} for the version {answer.VersionId}");
    }

    private async Task ReadVersionAsync(int key, Random random)
    {
        if (AnyVersion(key, random, v => !v.Removing) is not { } version) return;
        var answer = await _client.SendAsync(HttpMethod.Get, VersionTarget(key, version));
        lock (_lock) if (version.Removing && (int)answer.Status == 404) return;
        if (Problem(version.Made, answer) is { } problem) Complain($"{VersionTarget(key, version)} {problem}");
    }

    /// <summary>Among those that were acknowledged.</summary>
    private KnownVersion? AnyVersion(int key, Random random, Func<KnownVersion, bool> fits)
    {
        lock (_lock)
        {
            var versions = _versions[key].Versions.Where(v => v.Id is not null && fits(v)).ToList();
            return versions.Count == 0 ? null : versions[random.Next(versions.Count)];
        }
    }

    private KnownVersion BeginVersion(int key, string what, Made made)
    {
        lock (_lock) return _versions[key].Begin(what, ++_time, made);
    }

    private void ConcludeVersion(int key, KnownVersion version, Answer answer)
    {
        lock (_lock)
        {
            if (answer is { Ok: true, VersionId: { } id })
            {
                version.Acknowledge(++_time, id);
                return;
            }
            _versions[key].Forget(version);
        }
        Complain($"{VersionTarget(key)}: {version} was answered {answer} for the version {answer.VersionId}");
    }

    private static string? Problem(Made made, Answer answer) => (made == Made.Marker, (int)answer.Status) switch
    {
        (true, 405) => null,
        (false, 200) when answer.Content == made.Content && answer.ETag == made.ETag => null,
        (false, 200) => $"was made as {made} and reads as {answer.Content} {answer.ETag}",
        _ => $"was made as {made}, and a GET was answered {answer}",
    };

    private async Task VerifyVersionsAsync()
    {
        await AbortVersionUploadsAsync();
        var listed = await ListVersionsAsync();
        var all = new List<(int Key, string Id, Made Made)>();
        for (var key = 0; key < VersionedKeys; key++)
        {
            var (number, entries) = (key, listed.GetValueOrDefault(VersionName(key)) ?? []);
            lock (_lock)
            {
                foreach (var problem in _versions[number].Explain(entries)) Complain($"{VersionTarget(number)}: {problem}");
                // A marker shows all that it is; of the others an entry tells the ETag, which names the bytes that they were made of.
                var contents = _versions[number].Versions.Where(v => v.Made != Made.Marker).DistinctBy(v => v.Made.ETag).ToDictionary(v => v.Made.ETag, v => v.Made);
                var found = entries.Where(e => e.IsMarker || contents.ContainsKey(e.Etag)).Select(e => (e.Id, e.IsMarker ? Made.Marker : contents[e.Etag])).ToList();
                _versions[number].Settle(found, () => ++_time);
                all.AddRange(found.Select(f => (number, f.Id, f.Item2)));
            }
        }
        await Parallel.ForEachAsync(all, new ParallelOptions { MaxDegreeOfParallelism = Readers }, async (version, _) =>
        {
            var target = string.Create(CultureInfo.InvariantCulture, $"{VersionTarget(version.Key)}?versionId={version.Id}");
            if (Problem(version.Made, await _client.SendAsync(HttpMethod.Get, target)) is { } problem) Complain($"{target} {problem}");
        });
        for (var key = 0; key < VersionedKeys; key++)
        {
            var answer = await _client.SendAsync(HttpMethod.Get, VersionTarget(key));
            var top = _versions[key].Versions is [.., var latest] ? latest.Made : Made.Marker;
            if (top == Made.Marker ? (int)answer.Status != 404 : Problem(top, answer) is not null) Complain($"{VersionTarget(key)}: {top} is on top, and a GET was answered {answer} {answer.Content}");
        }
        Versions = all.Count;
        BlobsNeeded += all.Sum(v => BlobsOf(v.Made.Content, v.Made.ETag));
    }

    /// <summary>An upload here is a writer's from begin to end, so all that a kill left are dead.</summary>
    private async Task AbortVersionUploadsAsync()
    {
        var answer = await _client.SendAsync(HttpMethod.Get, $"/{VersionedBucket}?uploads");
        if (!answer.Ok) throw new InvalidOperationException($"ListMultipartUploads was answered {answer}");
        foreach (var upload in answer.Elements("Upload"))
        {
            var aborted = await _client.SendAsync(HttpMethod.Delete, $"/{VersionedBucket}/{Child(upload, "Key")}?uploadId={Child(upload, "UploadId")}");
            if (!aborted.Ok) Complain($"The abort of upload {Child(upload, "UploadId")} was answered {aborted}");
        }
    }

    private async Task<Dictionary<string, List<ListedVersion>>> ListVersionsAsync()
    {
        var listed = new Dictionary<string, List<ListedVersion>>();
        var mark = "";
        while (true)
        {
            var page = await _client.SendAsync(HttpMethod.Get, string.Create(CultureInfo.InvariantCulture, $"/{VersionedBucket}?versions&max-keys={PageMax}{mark}"));
            if (!page.Ok) throw new InvalidOperationException($"ListObjectVersions was answered {page}");
            foreach (var entry in page.Xml.Elements().Where(e => e.Name.LocalName is "Version" or "DeleteMarker"))
            {
                if (!listed.TryGetValue(Child(entry, "Key"), out var versions)) listed[Child(entry, "Key")] = versions = [];
                var isMarker = entry.Name.LocalName == "DeleteMarker";
                versions.Add(new(Child(entry, "VersionId"), isMarker, isMarker ? 0 : long.Parse(Child(entry, "Size"), CultureInfo.InvariantCulture),
                    isMarker ? "" : Child(entry, "ETag").Trim('"'), Child(entry, "IsLatest") == "true"));
            }
            if (Child(page.Xml, "IsTruncated") == "false") return listed;
            mark = $"&key-marker={Uri.EscapeDataString(Child(page.Xml, "NextKeyMarker"))}&version-id-marker={Uri.EscapeDataString(Child(page.Xml, "NextVersionIdMarker"))}";
        }
    }

    /// <summary>On both sides of the border between the index and the packs.</summary>
    private static int AnyVersionLength(Random random) => random.Next(10) switch
    {
        0 => 0,
        < 5 => random.Next(1, 4 << 10),
        < 9 => random.Next(4 << 10, 64 << 10),
        _ => random.Next(64 << 10, 2 << 20),
    };

    private static string VersionName(int key) => string.Create(CultureInfo.InvariantCulture, $"v{key:00}");

    private static string VersionTarget(int key, KnownVersion? version = null) => $"/{VersionedBucket}/{VersionName(key)}{(version is null ? "" : $"?versionId={version.Id}")}";
}
