using System.Runtime.CompilerServices;
using DarkStorage.Storage;
using DarkStorage.Storage.Backends;

namespace DarkStorage.Connectors.Guards;

/// <summary>A backend of one blob that does wrong what it is told to: faults that a real server has once in a blue moon, at a moment that the test chooses.</summary>
internal sealed class ScriptedBackend : IBackend
{
    public const int ReadBytes = 10_000;
    public const long BlobBytesMax = 1L << 30;

    private int _calls;
    private int _failuresLeft;
    private BackendError _error;
    private TimeSpan? _retryAfter;

    public int Calls => _calls;

    public byte[] Content { get; set; } = new byte[6 << 20];

    public bool Hangs { get; set; }

    /// <summary>Puts do not look at what they are given: they wait for what is there already.</summary>
    public bool HangsAtTheBeginning { get; set; }

    /// <summary>Puts take all, and say nothing.</summary>
    public bool HangsAtTheEnd { get; set; }

    /// <summary>Puts say one byte fewer than they took.</summary>
    public bool Lies { get; set; }

    public TaskCompletionSource? Holds { get; set; }

    /// <summary>A call hears nothing, a cancellation neither, until this is done.</summary>
    public TaskCompletionSource? DeafUntil { get; set; }

    public Action? AfterCall { get; set; }

    public Action BeforeEachRead { get; set; } = static () => { };

    /// <summary>A put that fails does so after so many bytes.</summary>
    public int BreaksPutsAt { get; set; }

    public int BreaksReadsAfter { get; set; }

    public bool HangsInstead { get; set; }

    public int BreaksLeft { get; set; }

    public int BreaksListsAfter { get; set; } = int.MaxValue;

    public int ListsDeafAfter { get; set; } = int.MaxValue;

    public List<ByteRange> Opened { get; } = [];

    public BackendTraits Traits { get; set; } = new(BlobBytesMax);

    public void Fails(int times, BackendError error, TimeSpan? retryAfter = null) => (_failuresLeft, _error, _retryAfter) = (times, error, retryAfter);

    public Task PrepareAsync(CancellationToken ct) => CallAsync(ct);

    public Task CleanAsync(CancellationToken ct) => CallAsync(ct);

    public async Task<BackendBlob> PutAsync(BlobName name, BlobSource content, CancellationToken ct)
    {
        if (HangsAtTheBeginning) await Task.Delay(Timeout.InfiniteTimeSpan, ct);
        await using var stream = await content.OpenAsync(0, ct);
        using var taken = new MemoryStream();
        var buffer = new byte[ReadBytes];
        if (_failuresLeft > 0) await stream.ReadAtLeastAsync(new byte[BreaksPutsAt], BreaksPutsAt, throwOnEndOfStream: true, ct);
        await CallAsync(ct);
        while (true)
        {
            var read = await stream.ReadAsync(buffer, ct);
            if (read == 0) break;
            taken.Write(buffer, 0, read);
            BeforeEachRead();
            ct.ThrowIfCancellationRequested();
        }
        if (HangsAtTheEnd) await Task.Delay(Timeout.InfiniteTimeSpan, ct);
        Content = taken.ToArray();
        return new(name, Content.Length - (Lies ? 1 : 0), default);
    }

    public async Task<Stream> OpenAsync(BlobName name, ByteRange range, CancellationToken ct)
    {
        await CallAsync(ct);
        Opened.Add(range);
        var breaks = BreaksLeft > 0 && BreaksReadsAfter > 0;
        if (breaks) BreaksLeft--;
        return new Breaking(new MemoryStream(Content, (int)range.First, (int)range.Length), breaks ? BreaksReadsAfter : int.MaxValue, HangsInstead);
    }

    public async Task<BackendBlob?> StatAsync(BlobName name, CancellationToken ct)
    {
        await CallAsync(ct);
        return new(name, Content.Length, default);
    }

    public Task DeleteAsync(BlobName name, CancellationToken ct) => CallAsync(ct);

    public async IAsyncEnumerable<BackendBlob> ListAsync(string prefix, [EnumeratorCancellation] CancellationToken ct)
    {
        await CallAsync(ct);
        for (var i = 0; i < 3; i++)
        {
            if (i == ListsDeafAfter) await new TaskCompletionSource().Task;
            if (i == BreaksListsAfter) throw new BackendException(BackendError.Unavailable, "The list broke.");
            yield return new(BlobName.Parse($"blob-{i}"), 1, default);
        }
    }

    public async Task<BackendBlob> CopyAsync(BlobName from, BlobName to, CancellationToken ct)
    {
        await CallAsync(ct);
        return new(to, Content.Length, default);
    }

    public ValueTask DisposeAsync() => ValueTask.CompletedTask;

    private async Task CallAsync(CancellationToken ct)
    {
        Interlocked.Increment(ref _calls);
        if (Hangs) await Task.Delay(Timeout.InfiniteTimeSpan, ct);
        if (DeafUntil is { } deaf) await deaf.Task;
        if (Holds is { } held) await held.Task.WaitAsync(ct);
        AfterCall?.Invoke();
        if (_failuresLeft == 0) return;
        _failuresLeft--;
        throw new BackendException(_error, "As it was told.") { RetryAfter = _retryAfter };
    }

    private sealed class Breaking(Stream inner, int after, bool hangs) : ReadOnlyStream
    {
        private int _read;

        public override async ValueTask<int> ReadAsync(Memory<byte> buffer, CancellationToken cancellationToken = default)
        {
            if (_read >= after)
            {
                // Deaf to the token too, as a share that is gone is.
                if (hangs) await new TaskCompletionSource().Task;
                throw new BackendException(BackendError.Unavailable, "The stream broke.");
            }
            var read = await inner.ReadAsync(buffer[..Math.Min(buffer.Length, ReadBytes)], cancellationToken);
            _read += read;
            return read;
        }
    }
}
