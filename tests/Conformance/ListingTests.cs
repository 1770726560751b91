namespace DarkStorage.Conformance;

public sealed class ListingTests(NodeFixture node)
{
    private static readonly string[] Keys =
        ["a", "a/", "a/1", "a/2", "a/b/1", "a/b/2", "a0", "b", "b/x/y/z", "c/1", "c/2", "c//3", "d e", "d+e", "ü/1", "ü/2", "🌍", "🌍/1"];

    private static readonly SemaphoreSlim Filling = new(1);
    private static string? _bucket;

    private AmazonS3Client S3 => node.Client;

    /// <summary>One bucket for all tests of listing: they only read it.</summary>
    private async Task<string> BucketAsync()
    {
        await Filling.WaitAsync();
        try
        {
            if (_bucket is not null) return _bucket;
            var bucket = await S3.NewBucketAsync();
            foreach (var key in Keys.Reverse()) await S3.PutTextAsync(bucket, key, key);
            return _bucket = bucket;
        }
        finally
        {
            Filling.Release();
        }
    }

    public static TheoryData<string, string> PrefixesAndDelimiters
    {
        get
        {
            var data = new TheoryData<string, string>();
            foreach (var prefix in (string[])["", "a", "a/", "a/b/", "b/", "c/", "c//", "d", "none", "ü", "ü/", "🌍", "🌍/1x"])
                foreach (var delimiter in (string[])["", "/", "//", "b", "e", "1", "ü", "/x/"]) data.Add(prefix, delimiter);
            return data;
        }
    }

    [Theory, MemberData(nameof(PrefixesAndDelimiters))]
    public async Task Pages_of_any_size_put_together_are_the_list_as_S3_defines_it(string prefix, string delimiter)
    {
        var bucket = await BucketAsync();
        var (keys, prefixes) = Model(prefix, delimiter, after: "");
        foreach (var size in (int[])[1, 2, 3, 5, Keys.Length, 1000])
        {
            var (keysV1, prefixesV1) = await ListV1Async(bucket, prefix, delimiter, size);
            Assert.Equal(keys, keysV1);
            Assert.Equal(prefixes, prefixesV1);
            var (keysV2, prefixesV2) = await ListV2Async(bucket, prefix, delimiter, size);
            Assert.Equal(keys, keysV2);
            Assert.Equal(prefixes, prefixesV2);
        }
    }

    [Theory]
    [InlineData("", "")]
    [InlineData("a/", "")]
    [InlineData("a/b", "")]
    [InlineData("a/b/1", "")]
    [InlineData("zzz", "")]
    [InlineData("🌍/1", "")]
    [InlineData("a", "/")]
    [InlineData("a/", "/")]
    [InlineData("a/1", "/")]
    [InlineData("b/x", "/")]
    public async Task A_list_begins_after_its_marker_which_need_not_be_a_key(string after, string delimiter)
    {
        var bucket = await BucketAsync();
        var (keys, prefixes) = Model("", delimiter, after);
        var v1 = await node.Raw.GetAsync($"/{bucket}?encoding-type=url&marker={Uri.EscapeDataString(after)}&delimiter={Uri.EscapeDataString(delimiter)}");
        var v2 = await node.Raw.GetAsync($"/{bucket}?list-type=2&encoding-type=url&start-after={Uri.EscapeDataString(after)}&delimiter={Uri.EscapeDataString(delimiter)}");
        foreach (var answer in (RawAnswer[])[v1, v2])
        {
            Assert.Equal(keys, answer.Elements("Key").Select(Uri.UnescapeDataString));
            Assert.Equal(prefixes, CommonPrefixes(answer).Select(Uri.UnescapeDataString));
        }
    }

    [Fact]
    public async Task The_first_page_starts_after_start_after_and_the_token_goes_on_from_there()
    {
        var bucket = await BucketAsync();
        var first = await S3.ListObjectsV2Async(new() { BucketName = bucket, StartAfter = "a0", MaxKeys = 2 });
        Assert.Equal(["b", "b/x/y/z"], first.S3Objects.Select(o => o.Key));
        var second = await S3.ListObjectsV2Async(new() { BucketName = bucket, StartAfter = "a0", MaxKeys = 2, ContinuationToken = first.NextContinuationToken });
        Assert.Equal(["c//3", "c/1"], second.S3Objects.Select(o => o.Key));
        Assert.Equal(first.NextContinuationToken, second.ContinuationToken);
    }

    [Theory]
    [InlineData("list-type=2&")]
    [InlineData("")]
    public async Task A_page_of_nothing_is_empty_and_not_truncated(string version)
    {
        var bucket = await BucketAsync();
        var answer = await node.Raw.GetAsync($"/{bucket}?{version}max-keys=0");
        Assert.Equal(("false", "0"), (answer.Element("IsTruncated"), answer.Element("MaxKeys")));
        Assert.Empty(answer.Elements("Contents"));
    }

    [Fact]
    public async Task An_empty_bucket_lists_as_nothing()
    {
        var bucket = await S3.NewBucketAsync();
        var answer = await node.Raw.GetAsync($"/{bucket}?list-type=2");
        Assert.Equal((200, "ListBucketResult", bucket), (answer.Status, answer.Xml.Name.LocalName, answer.Element("Name")));
        Assert.Equal(("0", "1000", "false"), (answer.Element("KeyCount"), answer.Element("MaxKeys"), answer.Element("IsTruncated")));
        Assert.Null(answer.Element("NextContinuationToken"));
    }

    [Fact]
    public async Task What_was_asked_is_in_the_answer_encoded_where_that_was_asked_too()
    {
        var bucket = await BucketAsync();
        var plain = await node.Raw.GetAsync($"/{bucket}?list-type=2&prefix=%C3%BC%2F&delimiter=%2F&max-keys=7&start-after=b");
        Assert.Equal(("ü/", "/", "7", "b"), (plain.Element("Prefix"), plain.Element("Delimiter"), plain.Element("MaxKeys"), plain.Element("StartAfter")));
        Assert.Null(plain.Element("EncodingType"));
        Assert.Equal(["ü/1", "ü/2"], plain.Elements("Key"));
        var encoded = await node.Raw.GetAsync($"/{bucket}?list-type=2&prefix=%C3%BC%2F&delimiter=%2F&encoding-type=url");
        Assert.Equal(("%C3%BC/", "url"), (encoded.Element("Prefix"), encoded.Element("EncodingType")));
        Assert.Equal(["%C3%BC/1", "%C3%BC/2"], encoded.Elements("Key"));
    }

    [Theory]
    [InlineData("max-keys=-1")]
    [InlineData("max-keys=many")]
    [InlineData("max-keys=99999999999999")]
    [InlineData("encoding-type=rot13")]
    [InlineData("list-type=2&continuation-token=made-up")]
    [InlineData("list-type=2&continuation-token=")]
    [InlineData("list-type=3")]
    public async Task A_parameter_that_makes_no_sense_is_an_invalid_argument(string query) =>
        Assert.Equal((400, "InvalidArgument"), (await node.Raw.GetAsync($"/{await BucketAsync()}?{query}")).Error);

    [Fact]
    public async Task Asking_for_more_than_a_thousand_gets_a_thousand()
    {
        var bucket = await S3.NewBucketAsync();
        var keys = Enumerable.Range(0, 1001).Select(i => $"{i:0000}").ToList();
        await Parallel.ForEachAsync(keys, new ParallelOptions { MaxDegreeOfParallelism = 16 }, async (key, _) => await S3.PutTextAsync(bucket, key, ""));
        var page = await S3.ListObjectsV2Async(new() { BucketName = bucket, MaxKeys = 5000 });
        Assert.Equal((1000, 1000, true), (page.S3Objects.Count, page.MaxKeys, page.IsTruncated));
        var rest = await S3.ListObjectsV2Async(new() { BucketName = bucket, ContinuationToken = page.NextContinuationToken });
        Assert.Equal(keys, page.S3Objects.Concat(rest.S3Objects).Select(o => o.Key));
        Assert.False(rest.IsTruncated);
    }

    [Fact]
    public async Task The_owner_is_named_where_it_is_asked_for()
    {
        var bucket = await BucketAsync();
        Assert.Empty((await node.Raw.GetAsync($"/{bucket}?list-type=2")).Elements("Owner"));
        Assert.Equal(Keys.Length, (await node.Raw.GetAsync($"/{bucket}?list-type=2&fetch-owner=true")).Elements("Owner").Count());
    }

    [Fact]
    public async Task Random_buckets_list_as_S3_defines_it()
    {
        var seed = Random.Shared.Next();
        var random = new Random(seed);
        string Word(int max) => string.Concat(Enumerable.Range(0, random.Next(1, max)).Select(_ => "ab/-é🌍"[..].EnumerateRunes().ElementAt(random.Next(6)).ToString()));
        for (var round = 0; round < 3; round++)
        {
            var bucket = await S3.NewBucketAsync();
            var keys = Enumerable.Range(0, 40).Select(_ => Word(8)).Distinct(StringComparer.Ordinal).ToArray();
            foreach (var key in keys) await node.Raw.PutAsync($"/{bucket}/{Uri.EscapeDataString(key)}", "");
            for (var i = 0; i < 25; i++)
            {
                var (prefix, delimiter) = (random.Next(2) == 0 ? "" : Word(3), random.Next(3) == 0 ? "" : Word(3));
                var size = random.Next(1, 12);
                var expected = Model(prefix, delimiter, "", keys);
                var (listed, prefixes) = await ListV2Async(bucket, prefix, delimiter, size);
                Assert.True(expected.Keys.SequenceEqual(listed) && expected.Prefixes.SequenceEqual(prefixes),
                    $"seed {seed}: prefix '{prefix}', delimiter '{delimiter}', pages of {size}: wanted {string.Join(' ', expected.Keys)} | {string.Join(' ', expected.Prefixes)}, got {string.Join(' ', listed)} | {string.Join(' ', prefixes)}");
            }
        }
    }

    /// <summary>S3's definition of a list, read off its manual.</summary>
    private static (List<string> Keys, List<string> Prefixes) Model(string prefix, string delimiter, string after, string[]? of = null)
    {
        var (keys, prefixes) = (new List<string>(), new List<string>());
        foreach (var key in (of ?? Keys).OrderBy(Hex, StringComparer.Ordinal))
        {
            if (!key.StartsWith(prefix, StringComparison.Ordinal)) continue;
            var end = delimiter.Length == 0 ? -1 : key.IndexOf(delimiter, prefix.Length, StringComparison.Ordinal);
            var entry = end < 0 ? key : key[..(end + delimiter.Length)];
            // A prefix that is itself the marker was told before it; one that the marker lies within is told for the keys that follow.
            if (after.Length > 0 && (string.CompareOrdinal(Hex(key), Hex(after)) <= 0 || entry == after)) continue;
            if (end < 0) keys.Add(entry);
            else if (!prefixes.Contains(entry)) prefixes.Add(entry);
        }
        return (keys, prefixes);
    }

    private static string Hex(string key) => Convert.ToHexString(Encoding.UTF8.GetBytes(key));

    private async Task<(List<string> Keys, List<string> Prefixes)> ListV1Async(string bucket, string prefix, string delimiter, int size)
    {
        var (keys, prefixes) = (new List<string>(), new List<string>());
        string? marker = null;
        do
        {
            var page = await S3.ListObjectsAsync(new ListObjectsRequest { BucketName = bucket, Prefix = prefix, Delimiter = delimiter.Length > 0 ? delimiter : null, MaxKeys = size, Marker = marker });
            var count = Take(page.S3Objects, page.CommonPrefixes, keys, prefixes);
            Assert.True(count <= size && (page.IsTruncated != true || count == size), $"A page of {size} has {count}.");
            marker = page.IsTruncated == true ? page.NextMarker : null;
        }
        while (marker is not null);
        return (keys, prefixes);
    }

    private async Task<(List<string> Keys, List<string> Prefixes)> ListV2Async(string bucket, string prefix, string delimiter, int size)
    {
        var (keys, prefixes) = (new List<string>(), new List<string>());
        string? token = null;
        do
        {
            var page = await S3.ListObjectsV2Async(new() { BucketName = bucket, Prefix = prefix, Delimiter = delimiter.Length > 0 ? delimiter : null, MaxKeys = size, ContinuationToken = token });
            var count = Take(page.S3Objects, page.CommonPrefixes, keys, prefixes);
            Assert.Equal(count, page.KeyCount);
            Assert.True(count <= size && (page.IsTruncated != true || count == size), $"A page of {size} has {count}.");
            token = page.NextContinuationToken;
            Assert.Equal(page.IsTruncated == true, token is not null);
        }
        while (token is not null);
        return (keys, prefixes);
    }

    private static int Take(List<S3Object>? objects, List<string>? common, List<string> keys, List<string> prefixes)
    {
        keys.AddRange((objects ?? []).Select(o => o.Key));
        prefixes.AddRange(common ?? []);
        return (objects?.Count ?? 0) + (common?.Count ?? 0);
    }

    private static IEnumerable<string> CommonPrefixes(RawAnswer answer) =>
        answer.Xml.Elements().Where(e => e.Name.LocalName == "CommonPrefixes").Select(e => e.Value);
}
