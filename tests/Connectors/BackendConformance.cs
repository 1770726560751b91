using System.Text;
using DarkStorage.GrainInterfaces.Objects;
using DarkStorage.Storage;
using DarkStorage.Storage.Backends;

namespace DarkStorage.Connectors;

/// <summary>What every connector promises (<see cref="IBackend"/>), asked of it against a real server.</summary>
public abstract class BackendConformance(ITestOutputHelper output)
{
    /// <summary>A place of its own for each test.</summary>
    /// <returns>Not yet made ready.</returns>
    private protected abstract Task<IBackend> NewAsync();

    /// <summary>Names that are hard for the kind of place; each is one that the place can have.</summary>
    protected virtual IEnumerable<string> HardNames =>
    [
        "a", "a b", "a+b%20c", "a&b=c?d#e", "ünïcödé/日本語/\U0001F5C4", "quote'\"s", "<tag>&amp;", "~tilde/.hidden/..more/...", "semi;colon:at@comma,", "(brackets)[square]{curly}", "-dash", " space in front and behind ",
        string.Join('/', Enumerable.Repeat("deep", 60)), new string('n', 200),
    ];

    /// <summary>More than a page of the longest list, where lists have pages.</summary>
    protected virtual int ManyBlobs => 1_100;

    /// <summary>Of two places in one container, told apart by a prefix.</summary>
    protected static async Task AssertApartAsync(IBackend one, IBackend two)
    {
        var name = BlobName.Parse("blob");
        await one.PutAsync(name, BlobSource.Of(new byte[1]), Ct);
        await two.PutAsync(name, BlobSource.Of(new byte[2]), Ct);
        Assert.Equal(1, Assert.Single(await ListAsync(one, "")).Length);
        Assert.Equal(2, (await two.StatAsync(name, Ct))!.Length);
        await one.DeleteAsync(name, Ct);
        Assert.Equal(2, (await two.StatAsync(name, Ct))!.Length);
    }

    protected static CancellationToken Ct => TestContext.Current.CancellationToken;

    [Theory, InlineData(0), InlineData(1), InlineData(65_536), InlineData(9_000_001)]
    public async Task A_blob_reads_back_byte_for_byte(int length)
    {
        await using var backend = await ReadyAsync();
        var content = Content(length);
        var name = BlobName.Parse("objects/3f/3fa9");
        var put = await backend.PutAsync(name, BlobSource.Of(content), Ct);
        Assert.Equal((name, length), (put.Name, put.Length));
        var stat = await backend.StatAsync(name, Ct);
        Assert.Equal((name, length, BlobWarmth.Readable), (stat!.Name, stat.Length, stat.Warmth));
        Assert.InRange(stat.Modified, DateTimeOffset.UtcNow.AddMinutes(-5), DateTimeOffset.UtcNow.AddMinutes(5));
        if (length > 0) Assert.Equal(content, await ReadAsync(backend, name, ByteRange.All(length)));
    }

    [Fact]
    public async Task Any_range_is_exactly_its_bytes()
    {
        var seed = Random.Shared.Next();
        output.WriteLine($"seed {seed}");
        var random = new Random(seed);
        await using var backend = await ReadyAsync();
        var content = Content(300_000);
        var name = BlobName.Parse("ranges");
        await backend.PutAsync(name, BlobSource.Of(content), Ct);
        var ranges = new List<ByteRange> { new(0, 0), new(299_999, 299_999), new(0, 299_999), new(65_535, 65_536) };
        for (var i = 0; i < 10; i++)
        {
            var first = random.Next(content.Length);
            ranges.Add(new(first, random.Next(first, content.Length)));
        }
        foreach (var range in ranges) Assert.Equal(content[(int)range.First..((int)range.Last + 1)], await ReadAsync(backend, name, range));
    }

    [Fact]
    public async Task A_range_that_goes_past_the_end_is_an_error_and_not_fewer_bytes()
    {
        await using var backend = await ReadyAsync();
        var name = BlobName.Parse("short");
        await backend.PutAsync(name, BlobSource.Of(Content(100)), Ct);
        foreach (var range in new ByteRange[] { new(50, 100), new(100, 100), new(1000, 2000) })
        {
            var error = await Assert.ThrowsAsync<BackendException>(() => ReadAsync(backend, name, range));
            Assert.Equal(BackendError.WrongLength, error.Error);
        }
    }

    [Fact]
    public async Task What_is_not_there_is_said_to_be_missing_and_deleting_it_succeeds()
    {
        await using var backend = await ReadyAsync();
        var name = BlobName.Parse("no/such/blob");
        Assert.Null(await backend.StatAsync(name, Ct));
        Assert.Equal(BackendError.NotFound, (await Assert.ThrowsAsync<BackendException>(() => ReadAsync(backend, name, new(0, 0)))).Error);
        Assert.Equal(BackendError.NotFound, (await Assert.ThrowsAsync<BackendException>(() => backend.CopyAsync(name, BlobName.Parse("copy"), Ct))).Error);
        await backend.DeleteAsync(name, Ct);
        Assert.Empty(await ListAsync(backend, ""));
    }

    [Fact]
    public async Task A_put_over_a_blob_replaces_it_and_a_deleted_one_is_gone()
    {
        await using var backend = await ReadyAsync();
        var name = BlobName.Parse("folder/blob");
        await backend.PutAsync(name, BlobSource.Of(Content(5000)), Ct);
        var second = Content(300);
        await backend.PutAsync(name, BlobSource.Of(second), Ct);
        Assert.Equal(300, (await backend.StatAsync(name, Ct))!.Length);
        Assert.Equal(second, await ReadAsync(backend, name, ByteRange.All(300)));
        await backend.DeleteAsync(name, Ct);
        Assert.Null(await backend.StatAsync(name, Ct));
        Assert.Empty(await ListAsync(backend, ""));
        await backend.PutAsync(name, BlobSource.Of(second), Ct);
        Assert.Equal(second, await ReadAsync(backend, name, ByteRange.All(300)));
    }

    [Theory, InlineData(100_000), InlineData(9_000_000)]
    public async Task A_put_whose_content_breaks_leaves_what_was_there(int length)
    {
        await using var backend = await ReadyAsync();
        var (kept, fresh) = (BlobName.Parse("kept"), BlobName.Parse("fresh/blob"));
        var old = Content(2000);
        await backend.PutAsync(kept, BlobSource.Of(old), Ct);
        foreach (var name in new[] { kept, fresh })
        {
            var source = new BrokenSource(length, breaksAt: length / 2, () => throw new InvalidDataException("The source broke."));
            var error = await Assert.ThrowsAnyAsync<Exception>(() => backend.PutAsync(name, source, Ct));
            Assert.True(error is InvalidDataException or BackendException, error.ToString());
        }
        Assert.Equal(old, await ReadAsync(backend, kept, ByteRange.All(old.Length)));
        Assert.Null(await backend.StatAsync(fresh, Ct));
        Assert.Equal(["kept"], (await ListAsync(backend, "")).Select(b => b.Name.Value));
    }

    [Fact]
    public async Task A_put_that_is_cancelled_leaves_what_was_there()
    {
        await using var backend = await ReadyAsync();
        var (kept, fresh) = (BlobName.Parse("kept"), BlobName.Parse("fresh"));
        var old = Content(2000);
        await backend.PutAsync(kept, BlobSource.Of(old), Ct);
        foreach (var name in new[] { kept, fresh })
        {
            using var cancelled = CancellationTokenSource.CreateLinkedTokenSource(Ct);
            var source = new BrokenSource(9_000_000, breaksAt: 4_000_000, cancelled.Cancel);
            await Assert.ThrowsAnyAsync<OperationCanceledException>(() => backend.PutAsync(name, source, cancelled.Token));
        }
        Assert.Equal(old, await ReadAsync(backend, kept, ByteRange.All(old.Length)));
        Assert.Null(await backend.StatAsync(fresh, Ct));
    }

    [Fact]
    public async Task A_source_that_ends_early_is_an_error_and_leaves_nothing()
    {
        await using var backend = await ReadyAsync();
        var name = BlobName.Parse("cut");
        var error = await Assert.ThrowsAsync<BackendException>(() => backend.PutAsync(name, new ShortSource(200_000, 150_000), Ct));
        Assert.True(error.Error is BackendError.WrongLength or BackendError.Unavailable, error.ToString());
        Assert.Null(await backend.StatAsync(name, Ct));
    }

    [Fact]
    public async Task A_copy_has_the_content_and_stands_alone()
    {
        await using var backend = await ReadyAsync();
        var (from, to) = (BlobName.Parse("from here"), BlobName.Parse("to/there+"));
        var content = Content(70_000);
        await backend.PutAsync(from, BlobSource.Of(content), Ct);
        await backend.PutAsync(to, BlobSource.Of(Content(10)), Ct);
        var copy = await backend.CopyAsync(from, to, Ct);
        Assert.Equal((to, 70_000), (copy.Name, copy.Length));
        await backend.DeleteAsync(from, Ct);
        Assert.Equal(content, await ReadAsync(backend, to, ByteRange.All(content.Length)));
    }

    [Fact]
    public async Task Hard_names_are_names_like_others()
    {
        await using var backend = await ReadyAsync();
        var names = HardNames.Select(BlobName.Parse).ToList();
        foreach (var name in names) await backend.PutAsync(name, BlobSource.Of(Encoding.UTF8.GetBytes(name.Value)), Ct);
        Assert.Equal(names.Select(n => n.Value).Order(StringComparer.Ordinal), (await ListAsync(backend, "")).Select(b => b.Name.Value).Order(StringComparer.Ordinal));
        foreach (var name in names)
        {
            var content = Encoding.UTF8.GetBytes(name.Value);
            Assert.Equal(content.Length, (await backend.StatAsync(name, Ct))!.Length);
            Assert.Equal(content, await ReadAsync(backend, name, ByteRange.All(content.Length)));
        }
        foreach (var name in names) await backend.DeleteAsync(name, Ct);
        Assert.Empty(await ListAsync(backend, ""));
    }

    [Fact]
    public async Task A_list_has_all_that_begins_so_and_nothing_else_over_many_pages()
    {
        await using var backend = await ReadyAsync();
        // In folders and beside each other.
        var names = Enumerable.Range(0, ManyBlobs).Select(i => i % 2 == 0 ? $"many/{i % 7}/blob-{i}" : $"many-{i}").Append("other").ToList();
        await Parallel.ForEachAsync(names, new ParallelOptions { MaxDegreeOfParallelism = 8, CancellationToken = Ct }, async (name, ct) => await backend.PutAsync(BlobName.Parse(name), BlobSource.Of(new byte[3]), ct));
        foreach (var prefix in new[] { "", "many", "many/", "many/3", "many/3/blob-1", "many-1", "other", "none", "many/3/blob-10/" })
        {
            var listed = await ListAsync(backend, prefix);
            Assert.Equal(names.Where(n => n.StartsWith(prefix, StringComparison.Ordinal)).Order(StringComparer.Ordinal), listed.Select(b => b.Name.Value).Order(StringComparer.Ordinal));
            Assert.All(listed, b => Assert.Equal(3, b.Length));
        }
    }

    [Fact]
    public async Task Of_puts_of_one_name_at_one_time_one_is_there_whole()
    {
        await using var backend = await ReadyAsync();
        var name = BlobName.Parse("race/blob");
        var contents = Enumerable.Range(1, 8).Select(i => Enumerable.Repeat((byte)i, 50_000).ToArray()).ToList();
        await Task.WhenAll(contents.Select(c => backend.PutAsync(name, BlobSource.Of(c), Ct)));
        var content = await ReadAsync(backend, name, ByteRange.All(50_000));
        Assert.Equal(contents.Single(c => c[0] == content[0]), content);
        Assert.Single(await ListAsync(backend, ""));
    }

    [Fact]
    public async Task Making_it_ready_again_cleaning_and_settling_leave_what_is_there()
    {
        await using var backend = await ReadyAsync();
        var content = Content(1234);
        var name = BlobName.Parse("there");
        await backend.PutAsync(name, BlobSource.Of(content), Ct);
        await backend.PrepareAsync(Ct);
        await backend.CleanAsync(Ct);
        Assert.Equal(content, await ReadAsync(backend, name, ByteRange.All(content.Length)));
        await backend.SettleAsync(name, Ct);
        await backend.SettleAsync(name, Ct);
        Assert.Equal(content, await ReadAsync(backend, name, ByteRange.All(content.Length)));
        await backend.WarmUpAsync(name, WarmUpSpeed.Standard, TimeSpan.FromDays(1), Ct);
        Assert.Equal(BlobWarmth.Readable, (await backend.StatAsync(name, Ct))!.Warmth);
    }

    private protected async Task<IBackend> ReadyAsync()
    {
        var backend = await NewAsync();
        await backend.PrepareAsync(Ct);
        return backend;
    }

    protected static byte[] Content(int length)
    {
        var content = new byte[length];
        Random.Shared.NextBytes(content);
        return content;
    }

    private protected static async Task<byte[]> ReadAsync(IBackend backend, BlobName name, ByteRange range)
    {
        await using var stream = await backend.OpenAsync(name, range, Ct);
        using var content = new MemoryStream();
        await stream.CopyToAsync(content, Ct);
        return content.ToArray();
    }

    private protected static async Task<List<BackendBlob>> ListAsync(IBackend backend, string prefix)
    {
        var blobs = new List<BackendBlob>();
        await foreach (var blob in backend.ListAsync(prefix, Ct)) blobs.Add(blob);
        return blobs;
    }

    /// <summary>Content on which something happens when it comes to a place.</summary>
    private sealed class BrokenSource(int length, int breaksAt, Action happens) : BlobSource
    {
        public override long Length => length;

        public override ValueTask<Stream> OpenAsync(long offset, CancellationToken ct) => new(new Breaking(length - offset, breaksAt - offset, happens));

        private sealed class Breaking(long length, long breaksAt, Action happens) : ReadOnlyStream
        {
            private long _position;

            public override ValueTask<int> ReadAsync(Memory<byte> buffer, CancellationToken cancellationToken = default)
            {
                if (_position >= breaksAt) happens();
                cancellationToken.ThrowIfCancellationRequested();
                var read = (int)Math.Min(buffer.Length, length - _position);
                buffer.Span[..read].Fill(7);
                _position += read;
                return new(read);
            }
        }
    }

    /// <summary>Content that has fewer bytes than it says.</summary>
    private sealed class ShortSource(int length, int actual) : BlobSource
    {
        public override long Length => length;

        public override ValueTask<Stream> OpenAsync(long offset, CancellationToken ct) => Of(new byte[actual]).OpenAsync(offset, ct);
    }
}
