using DarkStorage.ClientApi.S3;
using DarkStorage.GrainInterfaces;
using Orleans.Runtime;
using Xunit;

namespace DarkStorage.Unit.Identity;

public sealed class RememberedAnswersTests
{
    private static readonly TimeSpan StaleMax = TimeSpan.FromMinutes(10);
    private static readonly CancellationToken Ct = TestContext.Current.CancellationToken;

    private readonly Clock _clock = new();
    private Exception? _failure;
    private int _asked;

    [Fact]
    public async Task An_answer_is_good_for_a_few_seconds_and_then_asked_for_again()
    {
        var answers = Answers(StaleMax);
        Assert.Equal("1 of key", await answers.FindAsync("key", mayBeStale: false, Ct));
        Assert.Equal("1 of key", await answers.FindAsync("key", mayBeStale: true, Ct));
        _clock.Now += TimeSpan.FromSeconds(6);
        Assert.Equal("2 of key", await answers.FindAsync("key", mayBeStale: true, Ct));
    }

    [Theory]
    [InlineData(typeof(StorageException))]
    [InlineData(typeof(SiloUnavailableException))]
    [InlineData(typeof(TimeoutException))]
    public async Task Only_who_may_be_told_what_is_stale_is_and_not_for_ever(Type failure)
    {
        var answers = Answers(StaleMax);
        await answers.FindAsync("key", mayBeStale: false, Ct);
        _failure = failure == typeof(StorageException) ? new StorageException(StorageError.IndexAway, "away") : (Exception)Activator.CreateInstance(failure, "away")!;
        _clock.Now += StaleMax;
        Assert.Equal("1 of key", await answers.FindAsync("key", mayBeStale: true, Ct));
        await Assert.ThrowsAsync(failure, async () => await answers.FindAsync("key", mayBeStale: false, Ct));
        await Assert.ThrowsAsync(failure, async () => await answers.FindAsync("another", mayBeStale: true, Ct));
        _clock.Now += TimeSpan.FromSeconds(6);
        await Assert.ThrowsAsync(failure, async () => await answers.FindAsync("key", mayBeStale: true, Ct));
    }

    [Fact]
    public async Task Nothing_is_stale_where_no_operator_wants_that_and_nothing_that_was_forgotten()
    {
        var (strict, loose) = (Answers(TimeSpan.Zero), Answers(StaleMax));
        await strict.FindAsync("key", mayBeStale: true, Ct);
        await loose.FindAsync("key", mayBeStale: true, Ct);
        loose.Forget(isSure: true);
        _failure = new StorageException(StorageError.IndexAway, "away");
        _clock.Now += TimeSpan.FromSeconds(6);
        await Assert.ThrowsAsync<StorageException>(async () => await strict.FindAsync("key", mayBeStale: true, Ct));
        await Assert.ThrowsAsync<StorageException>(async () => await loose.FindAsync("key", mayBeStale: true, Ct));
    }

    [Fact]
    public async Task What_may_have_changed_is_asked_for_anew_and_is_what_it_was_where_nobody_can_be_asked()
    {
        var answers = Answers(StaleMax);
        await answers.FindAsync("key", mayBeStale: false, Ct);
        answers.Forget(isSure: false);
        Assert.Equal("2 of key", await answers.FindAsync("key", mayBeStale: true, Ct));
        answers.Forget(isSure: false);
        _failure = new StorageException(StorageError.IndexAway, "away");
        Assert.Equal("2 of key", await answers.FindAsync("key", mayBeStale: true, Ct));
        await Assert.ThrowsAsync<StorageException>(async () => await answers.FindAsync("key", mayBeStale: false, Ct));
    }

    private RememberedAnswers<string> Answers(TimeSpan staleMax) => new((name, _) => _failure is null ? Task.FromResult($"{++_asked} of {name}") : Task.FromException<string>(_failure), staleMax, _clock);

    private sealed class Clock : TimeProvider
    {
        public TimeSpan Now { get; set; }

        public override long TimestampFrequency => TimeSpan.TicksPerSecond;

        public override long GetTimestamp() => Now.Ticks;
    }
}
