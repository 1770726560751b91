namespace DarkStorage.Engine;

/// <summary>
/// The calls that wait for an answer, in a few linked lists (a call's links are in the call, so watching one allocates nothing).
/// A timer looks through them; a call times out up to <see cref="Resolution"/> late.
/// </summary>
internal sealed class CallTimeouts : IDisposable
{
    private static readonly TimeSpan Resolution = TimeSpan.FromMilliseconds(100);

    private readonly Stripe[] _stripes;
    private readonly TimeProvider _clock;
    private readonly ITimer _timer;

    public CallTimeouts(TimeProvider clock)
    {
        _clock = clock;
        _stripes = new Stripe[Environment.ProcessorCount * 2];
        for (var i = 0; i < _stripes.Length; i++) _stripes[i] = new();
        _timer = clock.CreateTimer(static self => ((CallTimeouts)self!).Expire(), this, Resolution, Resolution);
    }

    public void Add(Call call, TimeSpan timeout)
    {
        if (timeout == Timeout.InfiniteTimeSpan) return;
        var stripe = _stripes[(uint)Environment.CurrentManagedThreadId % (uint)_stripes.Length];
        lock (stripe)
        {
            call.Timeout = new() { Stripe = stripe, Deadline = _clock.GetTimestamp() + ToTicks(timeout), Later = stripe.First };
            if (stripe.First is { } first) first.Timeout.Earlier = call;
            stripe.First = call;
        }
    }

    public static void Remove(Call call)
    {
        if (call.Timeout.Stripe is not { } stripe) return;
        lock (stripe)
        {
            ref var entry = ref call.Timeout;
            if (entry.Stripe is null) return;
            if (entry.Earlier is { } earlier) earlier.Timeout.Later = entry.Later;
            else stripe.First = entry.Later;
            if (entry.Later is { } later) later.Timeout.Earlier = entry.Earlier;
            entry = default;
        }
    }

    public void Dispose() => _timer.Dispose();

    private long ToTicks(TimeSpan time) => (long)(time.TotalSeconds * _clock.TimestampFrequency);

    /// <summary>The end of the silo: whoever still waits is told why, and what runs for nobody any more is cancelled.</summary>
    public void AnswerAll(Func<Call, Exception> error)
    {
        foreach (var call in Find(long.MaxValue))
        {
            call.Answer(error(call));
            call.Cancel();
        }
    }

    private void Expire()
    {
        foreach (var call in Find(_clock.GetTimestamp())) call.TimedOut();   // which takes it off the list
    }

    private List<Call> Find(long deadline)
    {
        var found = new List<Call>();
        foreach (var stripe in _stripes)
        {
            lock (stripe)
            {
                for (var call = stripe.First; call is not null; call = call.Timeout.Later)
                    if (call.Timeout.Deadline <= deadline) found.Add(call);
            }
        }

        return found;
    }

    /// <summary>A call's place in the lists.</summary>
    internal struct Entry
    {
        public Stripe? Stripe;
        public long Deadline;
        public Call? Earlier, Later;
    }

    internal sealed class Stripe
    {
        public Call? First;
    }
}
