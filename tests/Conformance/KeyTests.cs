namespace DarkStorage.Conformance;

/// <summary>A key is exactly the bytes that its escapes stand for.</summary>
public sealed class KeyTests(NodeFixture node)
{
    /// <summary>Keys that a file system, a URL or a careless server would take for one another.</summary>
    private static readonly string[] Keys =
    [
        "a", "a/", "a/b", "a//b", "a//", "/a", "//a", "/", "//", "a/./b", "a/../b", ".", "..", "../", "../x", "../../etc/passwd", "./a", "a/.", "a/..",
        "%", "%2F", "a%2Fb", "%252F", "a%00b", "a b", "a+b", "a%20b", " a", "a ", " ", "+", "A", "ä", "a\u0308", "日本語", "🌍", "👩‍👩‍👧",
        "\u0001", "a\u0007b", "a\tb", "a\nb", "a\r\nb", "\u001f", "\u007f", "\u0085", "\u2028", "\ufffd", "\ufeff", "\uffff", "a?b", "a#b", "a&b", "a=b", "a;b", "a:b", "a@b", "a,b",
        "a\\b", "a\"b", "a'b", "a<b>", "a|b", "a*b", "a(b)", "a[b]", "a{b}", "a~b", "a`b", "a^b", "a!b", "a$b", "con", "nul.txt", "-rf", "~", "null", "0",
    ];

    [Fact]
    public async Task Keys_that_look_alike_are_kept_apart_exactly()
    {
        var bucket = await node.Client.NewBucketAsync();
        Assert.Equal(Keys.Length, Keys.Distinct(StringComparer.Ordinal).Count());
        foreach (var key in Keys)
        {
            var put = await node.Raw.PutAsync($"/{bucket}/{Escape(key)}", $"content of {key}");
            Assert.True(put.Status == 200, $"PUT of {Escape(key)} answered {put}");
        }
        foreach (var key in Keys)
        {
            var got = await node.Raw.GetAsync($"/{bucket}/{Escape(key)}");
            Assert.True(got.Status == 200 && got.Text == $"content of {key}", $"GET of {Escape(key)} answered {got}");
        }
        Assert.Equal(Ordered(Keys), await ListAsync(bucket));
        foreach (var (key, i) in Keys.Select((k, i) => (k, i)))
        {
            var deleted = await node.Raw.DeleteAsync($"/{bucket}/{Escape(key)}");
            Assert.True(deleted.Status == 204, $"DELETE of {Escape(key)} answered {deleted}");
            if (i % 16 == 0) Assert.Equal(Ordered(Keys.Skip(i + 1)), await ListAsync(bucket));
        }
        Assert.Empty(await ListAsync(bucket));
    }

    [Fact]
    public async Task Escapes_that_need_not_be_name_the_same_key()
    {
        var bucket = await node.Client.NewBucketAsync();
        await node.Raw.PutAsync($"/{bucket}/abc", "content");
        Assert.Equal("content", (await node.Raw.GetAsync($"/{bucket}/%61%62c")).Text);
    }

    [Fact]
    public async Task A_key_of_1024_bytes_is_taken_and_a_byte_more_is_refused()
    {
        var bucket = await node.Client.NewBucketAsync();
        foreach (var unit in (string[])["k", "ü", "🌍", "\u0001", "a/"])
        {
            var most = string.Concat(Enumerable.Repeat(unit, 1024 / Encoding.UTF8.GetByteCount(unit)));
            Assert.Equal(1024, Encoding.UTF8.GetByteCount(most));
            Assert.Equal(200, (await node.Raw.PutAsync($"/{bucket}/{Escape(most)}", "content")).Status);
            Assert.Equal("content", (await node.Raw.GetAsync($"/{bucket}/{Escape(most)}")).Text);
            Assert.Equal((400, "KeyTooLongError"), (await node.Raw.PutAsync($"/{bucket}/{Escape(most + "x")}", "content")).Error);
        }
    }

    [Theory]
    [InlineData("%FF")]
    [InlineData("a%C3")]
    [InlineData("a%zz")]
    [InlineData("a%2")]
    [InlineData("%ED%A0%80")]
    public async Task A_key_that_is_not_UTF_8_is_refused(string escaped)
    {
        var bucket = await node.Client.NewBucketAsync();
        var answer = await node.Raw.PutAsync($"/{bucket}/{escaped}", "content");
        Assert.Equal(400, answer.Status);
        Assert.Empty(await ListAsync(bucket));
    }

    [Fact]
    public async Task Lists_are_in_the_order_of_the_keys_UTF_8_bytes_which_is_not_that_of_UTF_16()
    {
        var bucket = await node.Client.NewBucketAsync();
        string[] keys = ["\ufb01", "🌍", "z", "\uffee", "ä"];
        foreach (var key in keys) await node.Raw.PutAsync($"/{bucket}/{Escape(key)}", "");
        Assert.Equal(["z", "ä", "\ufb01", "\uffee", "🌍"], await ListAsync(bucket));
    }

    private static List<string> Ordered(IEnumerable<string> keys) => [.. keys.OrderBy(k => Convert.ToHexString(Encoding.UTF8.GetBytes(k)), StringComparer.Ordinal)];

    private async Task<List<string>> ListAsync(string bucket) =>
        [.. (await node.Raw.GetAsync($"/{bucket}?list-type=2&encoding-type=url")).Elements("Key").Select(Uri.UnescapeDataString)];

    /// <summary>As SDKs escape a path: all but the unreserved and the slash.</summary>
    private static string Escape(string key) => Uri.EscapeDataString(key).Replace("%2F", "/", StringComparison.Ordinal);
}
