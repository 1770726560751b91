using DarkStorage.GrainInterfaces.Integrations;
using DarkStorage.Storage;
using DarkStorage.Storage.Backends;
using DarkStorage.TestKit;

namespace DarkStorage.Connectors.Guards;

/// <summary>Retries, rests, timeouts, streams that break, and counts: on a clock that the test moves, over a backend that does as it is told.</summary>
public sealed class GuardedBackendTests
{
    private static readonly BlobName Name = BlobName.Parse("blob");

    private readonly ManualTime _time = new();
    private readonly ScriptedBackend _inner = new();

    private static CancellationToken Ct => TestContext.Current.CancellationToken;

    private GuardedBackend Guard(BackendLimits? limits = null) => new(_inner, "test", limits ?? new() { Timeout = TimeSpan.FromDays(1), RestAfterAttempts = 100 }, _time);

    /// <summary>Time goes on until the call has ended, a hundred times as fast as it does: what the machine takes for a step is not to count.</summary>
    private async Task<T> PassAsync<T>(Task<T> call)
    {
        while (!call.IsCompleted)
        {
            _time.Advance(TimeSpan.FromMilliseconds(100));
            await Task.Delay(1, Ct);
        }
        return await call;
    }

    private static async Task<bool> DoneAsync(Task call)
    {
        await call;
        return true;
    }

    [Theory, InlineData(BackendError.Unavailable), InlineData(BackendError.Throttled), InlineData(BackendError.WrongLength)]
    public async Task What_may_do_better_in_a_moment_is_tried_again_so_often_and_not_more(BackendError error)
    {
        await using var guard = Guard();
        _inner.Fails(3, error);
        Assert.NotNull(await PassAsync(guard.StatAsync(Name, Ct)));
        Assert.Equal(4, _inner.Calls);

        _inner.Fails(100, error);
        Assert.Equal(error, (await Assert.ThrowsAsync<BackendException>(() => PassAsync(guard.StatAsync(Name, Ct)))).Error);
        Assert.Equal(8, _inner.Calls);
    }

    [Theory, InlineData(BackendError.NotFound), InlineData(BackendError.Cold), InlineData(BackendError.AccessDenied), InlineData(BackendError.Full), InlineData(BackendError.Refused), InlineData(BackendError.Damaged), InlineData(BackendError.PlaceMissing)]
    public async Task What_somebody_has_to_mend_is_said_at_once(BackendError error)
    {
        await using var guard = Guard();
        _inner.Fails(1, error);
        Assert.Equal(error, (await Assert.ThrowsAsync<BackendException>(() => guard.StatAsync(Name, Ct))).Error);
        Assert.Equal(1, _inner.Calls);
    }

    [Fact]
    public async Task The_backends_own_wish_for_a_pause_is_heard_within_bounds()
    {
        await using var guard = Guard();
        _inner.Fails(1, BackendError.Throttled, retryAfter: TimeSpan.FromHours(1));
        var began = _time.GetUtcNow();
        await PassAsync(guard.StatAsync(Name, Ct));
        Assert.InRange(_time.GetUtcNow() - began, TimeSpan.FromSeconds(10), TimeSpan.FromMinutes(1));
    }

    [Fact]
    public async Task One_that_keeps_failing_is_left_alone_and_then_asked_by_one_call()
    {
        await using var guard = await RestingAsync();
        var error = await Assert.ThrowsAsync<BackendException>(() => guard.StatAsync(Name, Ct));
        Assert.Equal((BackendError.Unavailable, 4), (error.Error, _inner.Calls));
        Assert.Contains("left alone", error.Message, StringComparison.Ordinal);

        _time.Advance(TimeSpan.FromSeconds(16));
        _inner.Holds = new(TaskCreationOptions.RunContinuationsAsynchronously);
        var asking = guard.StatAsync(Name, Ct);
        for (var i = 0; i < 3; i++) await Assert.ThrowsAsync<BackendException>(() => guard.StatAsync(Name, Ct));
        Assert.Equal(5, _inner.Calls);
        _inner.Holds.SetResult();
        Assert.NotNull(await asking);
        Assert.NotNull(await guard.StatAsync(Name, Ct));
        Assert.Equal(6, _inner.Calls);
    }

    [Fact]
    public async Task A_caller_that_leaves_does_not_show_that_a_resting_backend_is_back()
    {
        await using var guard = await RestingAsync();
        _time.Advance(TimeSpan.FromSeconds(16));
        _inner.Hangs = true;
        using var leaving = new CancellationTokenSource();
        var asking = guard.StatAsync(Name, leaving.Token);
        await leaving.CancelAsync();
        await Assert.ThrowsAnyAsync<OperationCanceledException>(() => asking);
        _inner.Hangs = false;
        Assert.Equal(5, _inner.Calls);
        await Assert.ThrowsAsync<BackendException>(() => guard.StatAsync(Name, Ct));
        Assert.Equal(5, _inner.Calls);
    }

    [Theory, InlineData(false), InlineData(true)]
    public async Task What_may_take_long_asks_by_a_short_call_whether_a_resting_backend_is_back_and_keeps_nobody_else_waiting(bool isDelete)
    {
        await using var guard = await RestingAsync();
        await Assert.ThrowsAsync<BackendException>(CallAsync);
        Assert.Equal(4, _inner.Calls);
        _time.Advance(TimeSpan.FromSeconds(16));
        var held = new TaskCompletionSource(TaskCreationOptions.RunContinuationsAsynchronously);
        _inner.AfterCall = () => _inner.Holds = held;
        var calling = CallAsync();
        (_inner.AfterCall, _inner.Holds) = (null, null);
        Assert.NotNull(await guard.StatAsync(Name, Ct));
        Assert.False(calling.IsCompleted);
        held.SetResult();
        await calling;
        Assert.Equal(7, _inner.Calls);

        Task CallAsync() => isDelete ? guard.DeleteAsync(Name, Ct) : guard.PutAsync(Name, BlobSource.Of(new byte[10]), Ct);
    }

    [Fact]
    public async Task Puts_that_keep_failing_count_and_those_that_succeed_do_too()
    {
        await using var guard = Guard(new() { Timeout = TimeSpan.FromDays(1), AttemptsMax = 1, RestAfterAttempts = 10 });
        for (var i = 0; i < 9; i++)
        {
            _inner.Fails(i % 3 == 0 ? 1 : 0, BackendError.Unavailable);
            await guard.PutAsync(Name, BlobSource.Of(new byte[10]), Ct).ContinueWith(static _ => { }, Ct, TaskContinuationOptions.None, TaskScheduler.Default);
        }
        Assert.Equal(10, (await guard.PutAsync(Name, BlobSource.Of(new byte[10]), Ct)).Length);
        _inner.Fails(100, BackendError.Unavailable);
        for (var i = 0; i < 20; i++) await Assert.ThrowsAsync<BackendException>(() => guard.PutAsync(Name, BlobSource.Of(new byte[10]), Ct));
        Assert.InRange(_inner.Calls, 11, 25);
    }

    [Fact]
    public async Task Content_that_can_not_be_read_is_its_sources_failure_and_not_tried_again()
    {
        await using var guard = Guard();
        var source = new FailingSource(new BackendException(BackendError.Unavailable, "Another backend."));
        Assert.Equal("Another backend.", (await Assert.ThrowsAsync<BackendException>(() => guard.PutAsync(Name, source, Ct))).Message);
        Assert.Equal(1, source.Opened);
        Assert.Equal(0, guard.TakeUsage().Failures);
    }

    [Fact]
    public async Task What_hangs_keeps_its_slot_until_it_ends()
    {
        await using var guard = Guard(new() { Timeout = TimeSpan.FromMinutes(1), AttemptsMax = 1, CallsMax = 2 });
        _inner.DeafUntil = new(TaskCreationOptions.RunContinuationsAsynchronously);
        for (var i = 0; i < 2; i++) Assert.Equal(BackendError.Unavailable, (await Assert.ThrowsAsync<BackendException>(() => PassAsync(guard.StatAsync(Name, Ct)))).Error);
        Assert.Equal(BackendError.Throttled, (await Assert.ThrowsAsync<BackendException>(() => PassAsync(guard.StatAsync(Name, Ct)))).Error);
        Assert.Equal(2, _inner.Calls);
        var deaf = _inner.DeafUntil;
        _inner.DeafUntil = null;
        deaf.SetResult();
        Assert.NotNull(await PassAsync(guard.StatAsync(Name, Ct)));
    }

    [Fact]
    public async Task Cleaning_keeps_no_call_waiting_where_one_may_be_under_way_and_is_one_itself()
    {
        await using var guard = Guard(new() { Timeout = TimeSpan.FromMinutes(1), AttemptsMax = 1, CallsMax = 1 });
        var held = new TaskCompletionSource(TaskCreationOptions.RunContinuationsAsynchronously);
        _inner.Holds = held;
        var cleaning = guard.CleanAsync(Ct);
        _inner.Holds = null;
        Assert.NotNull(await guard.StatAsync(Name, Ct));
        var error = await Assert.ThrowsAsync<BackendException>(() => PassAsync(DoneAsync(guard.CleanAsync(Ct))));
        Assert.Equal((BackendError.Throttled, "A cleaning of test is under way, and none ended for 60 s."), (error.Error, error.Message));
        Assert.False(cleaning.IsCompleted);
        held.SetResult();
        await cleaning;
        await guard.CleanAsync(Ct);
        Assert.Equal(3, _inner.Calls);
    }

    [Fact]
    public async Task A_read_that_is_cancelled_loses_no_bytes()
    {
        await using var guard = Guard(new() { Timeout = TimeSpan.FromDays(1), BytesPerSecondMax = 1_000 });
        _inner.Content = new byte[50_000];
        Random.Shared.NextBytes(_inner.Content);
        await using var stream = await guard.OpenAsync(Name, ByteRange.All(50_000), Ct);
        var (content, read, cancelled) = (new byte[50_000], 0, 0);
        while (read < content.Length)
        {
            using var leaving = new CancellationTokenSource();
            var reading = stream.ReadAsync(content.AsMemory(read), leaving.Token).AsTask();
            if (!reading.IsCompleted && cancelled++ < 3) await leaving.CancelAsync();
            try
            {
                read += await PassAsync(reading);
            }
            catch (OperationCanceledException)
            {
                // And reads on.
            }
        }
        Assert.Equal(_inner.Content, content);
        Assert.True(cancelled > 0);
    }

    [Fact]
    public async Task A_call_without_an_answer_ends()
    {
        await using var guard = Guard(new() { Timeout = TimeSpan.FromSeconds(30), AttemptsMax = 2 });
        _inner.Hangs = true;
        var began = _time.GetUtcNow();
        var error = await Assert.ThrowsAsync<BackendException>(() => PassAsync(guard.StatAsync(Name, Ct)));
        Assert.Equal((BackendError.Unavailable, 2), (error.Error, _inner.Calls));
        Assert.InRange(_time.GetUtcNow() - began, TimeSpan.FromSeconds(60), TimeSpan.FromMinutes(2));
    }

    [Fact]
    public async Task A_caller_that_leaves_is_not_answered_with_an_error_of_the_backend()
    {
        await using var guard = Guard();
        _inner.Hangs = true;
        using var leaving = new CancellationTokenSource();
        var call = guard.StatAsync(Name, leaving.Token);
        await leaving.CancelAsync();
        await Assert.ThrowsAnyAsync<OperationCanceledException>(() => call);
        Assert.Equal(0, guard.TakeUsage().Failures);
    }

    [Fact]
    public async Task A_put_that_makes_progress_takes_as_long_as_it_takes_and_one_that_does_not_ends()
    {
        await using var guard = Guard(new() { Timeout = TimeSpan.FromSeconds(30), AttemptsMax = 1 });
        _inner.BeforeEachRead = () => _time.Advance(TimeSpan.FromSeconds(29));
        var content = new byte[20 * ScriptedBackend.ReadBytes];
        Assert.Equal(content.Length, (await guard.PutAsync(Name, BlobSource.Of(content), Ct)).Length);

        _inner.BeforeEachRead = () => _time.Advance(TimeSpan.FromSeconds(31));
        Assert.Equal(BackendError.Unavailable, (await Assert.ThrowsAsync<BackendException>(() => guard.PutAsync(Name, BlobSource.Of(content), Ct))).Error);
    }

    [Fact]
    public async Task Who_has_taken_all_and_says_nothing_is_waited_for_as_long_as_that_much_may_take()
    {
        var limits = new BackendLimits { Timeout = TimeSpan.FromSeconds(30), AttemptsMax = 1, FinishBytesPerSecondMin = 1_000, FinishTimeoutMax = TimeSpan.FromMinutes(10) };
        _inner.HangsAtTheEnd = true;
        foreach (var (bytes, showsWithin, seconds) in new[] { (0, 0, 30), (60_000, 0, 90), (60_000, 60, 150), (10_000_000, 0, 600) })
        {
            _inner.Traits = _inner.Traits with { ShowsWithin = TimeSpan.FromSeconds(showsWithin) };
            await using var guard = Guard(limits);
            var began = _time.GetUtcNow();
            var error = await Assert.ThrowsAsync<BackendException>(() => PassAsync(guard.PutAsync(Name, BlobSource.Of(new byte[bytes]), Ct)));
            Assert.Equal((BackendError.Unavailable, $"test did not answer for {seconds} s."), (error.Error, error.Message));
            Assert.InRange(_time.GetUtcNow() - began, TimeSpan.FromSeconds(seconds), TimeSpan.FromSeconds(2 * seconds));
        }
        Assert.Equal(TimeSpan.FromHours(1), (limits with { Timeout = TimeSpan.FromHours(1) }).FinishTimeoutOf(1, _inner.Traits));
    }

    [Theory, InlineData(0, 30), InlineData(60, 90), InlineData(3600, 120)]
    public async Task What_is_to_show_is_waited_for_as_long_as_that_may_take_by_a_delete_and_by_a_put_that_sends_nothing(int showsWithin, int seconds)
    {
        _inner.Traits = _inner.Traits with { ShowsWithin = TimeSpan.FromSeconds(showsWithin) };
        (_inner.Hangs, _inner.HangsAtTheBeginning) = (true, true);
        await using var guard = Guard(new() { Timeout = TimeSpan.FromSeconds(30), AttemptsMax = 1, FinishTimeoutMax = TimeSpan.FromMinutes(2) });
        foreach (var call in new Func<Task<bool>>[] { () => DoneAsync(guard.DeleteAsync(Name, Ct)), () => DoneAsync(guard.PutAsync(Name, BlobSource.Of(new byte[50_000]), Ct)) })
        {
            var error = await Assert.ThrowsAsync<BackendException>(() => PassAsync(call()));
            Assert.Equal((BackendError.Unavailable, $"test did not answer for {seconds} s."), (error.Error, error.Message));
        }
        // Other calls show nothing, and neither does what is on its way.
        Assert.Equal("test did not answer for 30 s.", (await Assert.ThrowsAsync<BackendException>(() => PassAsync(guard.StatAsync(Name, Ct)))).Message);
        _inner.HangsAtTheBeginning = false;
        Assert.Equal("test did not answer for 30 s.", (await Assert.ThrowsAsync<BackendException>(() => PassAsync(guard.PutAsync(Name, BlobSource.Of(new byte[50_000]), Ct)))).Message);
    }

    [Theory, InlineData(29, true), InlineData(31, false)]
    public async Task A_list_that_reads_much_before_its_first_name_takes_as_many_steps_as_it_takes_and_none_too_long(int stepSeconds, bool isEnded)
    {
        await using var guard = new GuardedBackend(new SteppingBackend(() => _time.Advance(TimeSpan.FromSeconds(stepSeconds))), "test", new() { Timeout = TimeSpan.FromSeconds(30), AttemptsMax = 1 }, _time);
        var listing = Task.Run(async () =>
        {
            var names = new List<string>();
            await foreach (var blob in guard.ListAsync("", Ct)) names.Add(blob.Name.Value);
            return names;
        }, Ct);
        if (isEnded) Assert.Equal(["found"], await listing);
        else Assert.Equal(BackendError.Unavailable, (await Assert.ThrowsAsync<BackendException>(() => listing)).Error);
    }

    [Fact]
    public async Task A_put_is_sent_again_from_its_beginning()
    {
        await using var guard = Guard();
        var content = new byte[100_000];
        Random.Shared.NextBytes(content);
        _inner.BreaksPutsAt = 50_000;
        _inner.Fails(2, BackendError.Unavailable);
        await PassAsync(guard.PutAsync(Name, BlobSource.Of(content), Ct));
        Assert.Equal(content, _inner.Content);
    }

    [Fact]
    public async Task A_backend_that_says_another_length_than_it_was_given_has_not_stored_it()
    {
        await using var guard = Guard(new() { AttemptsMax = 1 });
        _inner.Lies = true;
        Assert.Equal(BackendError.WrongLength, (await Assert.ThrowsAsync<BackendException>(() => guard.PutAsync(Name, BlobSource.Of(new byte[10]), Ct))).Error);
    }

    [Fact]
    public async Task A_blob_that_is_too_long_is_not_begun()
    {
        await using var guard = Guard();
        Assert.Equal(BackendError.Refused, (await Assert.ThrowsAsync<BackendException>(() => guard.PutAsync(Name, new PatternSource(ScriptedBackend.BlobBytesMax + 1), Ct))).Error);
        Assert.Equal(0, _inner.Calls);
    }

    [Theory, InlineData(false), InlineData(true)]
    public async Task A_stream_that_breaks_or_hangs_goes_on_where_it_was(bool hangs)
    {
        await using var guard = Guard(new() { Timeout = TimeSpan.FromMinutes(1), RestAfterAttempts = 100 });
        _inner.Content = new byte[1 << 20];
        Random.Shared.NextBytes(_inner.Content);
        (_inner.BreaksReadsAfter, _inner.HangsInstead, _inner.BreaksLeft) = (200_000, hangs, 3);
        var range = new ByteRange(1000, 900_000);
        Assert.Equal(_inner.Content[1000..900_001], await PassAsync(ReadAsync(guard, range)));
        Assert.Equal(4, _inner.Opened.Count);
        Assert.Equal(range, _inner.Opened[0]);
        Assert.All(_inner.Opened.Skip(1), r => Assert.True(r.First > 1000 && r.Last == 900_000));
    }

    [Fact]
    public async Task A_stream_that_breaks_all_the_time_ends_with_what_is_wrong()
    {
        await using var guard = Guard();
        _inner.Content = new byte[1 << 20];
        (_inner.BreaksReadsAfter, _inner.BreaksLeft) = (10, int.MaxValue);
        Assert.Equal(BackendError.Unavailable, (await Assert.ThrowsAsync<BackendException>(() => PassAsync(ReadAsync(guard, ByteRange.All(1 << 20))))).Error);
        Assert.Equal(4, _inner.Opened.Count);
    }

    [Fact]
    public async Task No_more_calls_than_allowed_are_under_way()
    {
        await using var guard = Guard(new() { Timeout = TimeSpan.FromDays(1), CallsMax = 3 });
        _inner.Holds = new(TaskCreationOptions.RunContinuationsAsynchronously);
        var calls = Enumerable.Range(0, 10).Select(_ => guard.StatAsync(Name, Ct)).ToList();
        Assert.Equal(3, _inner.Calls);
        _inner.Holds.SetResult();
        await Task.WhenAll(calls);
        Assert.Equal(10, _inner.Calls);
    }

    [Fact]
    public async Task Bytes_are_paced_both_ways()
    {
        await using var guard = Guard(new() { Timeout = TimeSpan.FromDays(1), BytesPerSecondMax = 1 << 20 });
        var began = _time.GetUtcNow();
        await PassAsync(guard.PutAsync(Name, BlobSource.Of(new byte[6 << 20]), Ct));
        await PassAsync(ReadAsync(guard, ByteRange.All(6 << 20)));
        // A second's worth is free.
        Assert.True(_time.GetUtcNow() - began >= TimeSpan.FromSeconds(10.9));
    }

    [Fact]
    public async Task What_went_through_is_counted_and_taken_once()
    {
        await using var guard = Guard();
        await guard.PutAsync(Name, BlobSource.Of(new byte[1000]), Ct);
        await ReadAsync(guard, new(0, 99));
        _inner.Fails(1, BackendError.Unavailable);
        await PassAsync(guard.StatAsync(Name, Ct));
        _inner.Fails(1, BackendError.NotFound);
        await Assert.ThrowsAsync<BackendException>(() => guard.StatAsync(Name, Ct));
        var usage = guard.TakeUsage();
        Assert.Equal((5L, 1L, 1000L, 100L), (usage.Calls, usage.Failures, usage.BytesWritten, usage.BytesRead));
        Assert.Equal(BackendUsage.None, guard.TakeUsage());
    }

    [Fact]
    public async Task The_first_page_of_a_list_is_asked_for_again_and_a_later_one_is_not()
    {
        await using var guard = Guard();
        _inner.Fails(2, BackendError.Unavailable);
        Assert.Equal(3, (await PassAsync(ListAsync(guard))).Count);
        _inner.BreaksListsAfter = 2;
        Assert.Equal(BackendError.Unavailable, (await Assert.ThrowsAsync<BackendException>(() => PassAsync(ListAsync(guard)))).Error);
    }

    /// <summary>One that failed four times, and is left alone.</summary>
    private async Task<GuardedBackend> RestingAsync()
    {
        var guard = Guard(new() { Timeout = TimeSpan.FromDays(1), AttemptsMax = 1, RestAfterAttempts = 4 });
        _inner.Fails(4, BackendError.Unavailable);
        for (var i = 0; i < 4; i++) await Assert.ThrowsAsync<BackendException>(() => guard.StatAsync(Name, Ct));
        return guard;
    }

    private sealed class FailingSource(Exception failure) : BlobSource
    {
        public int Opened { get; private set; }

        public override long Length => 10;

        public override ValueTask<Stream> OpenAsync(long offset, CancellationToken ct)
        {
            Opened++;
            throw failure;
        }
    }

    [Fact]
    public async Task A_list_that_hangs_after_its_beginning_ends()
    {
        await using var guard = Guard(new() { Timeout = TimeSpan.FromMinutes(1) });
        _inner.ListsDeafAfter = 1;
        Assert.Equal(BackendError.Unavailable, (await Assert.ThrowsAsync<BackendException>(() => PassAsync(ListAsync(guard)))).Error);
    }

    private static async Task<byte[]> ReadAsync(GuardedBackend guard, ByteRange range)
    {
        await using var stream = await guard.OpenAsync(Name, range, Ct);
        using var content = new MemoryStream();
        await stream.CopyToAsync(content, Ct);
        return content.ToArray();
    }

    private static async Task<List<BackendBlob>> ListAsync(GuardedBackend guard)
    {
        var blobs = new List<BackendBlob>();
        await foreach (var blob in guard.ListAsync("", Ct)) blobs.Add(blob);
        return blobs;
    }
}
