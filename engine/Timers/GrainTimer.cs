using Orleans.Runtime;

namespace DarkStorage.Engine;

/// <summary>A timer of one activation: each tick is a call of the activation to itself. The next tick is set when one has finished.</summary>
internal sealed class GrainTimer : IGrainTimer
{
    private static readonly GrainMethod Tick = new("Tick", alwaysInterleaves: false);

    private readonly Activation _activation;
    private readonly Func<CancellationToken, Task> _callback;
    private readonly GrainTimerCreationOptions _options;
    private readonly CancellationTokenSource _cancellation = new();
    private readonly Lock _gate = new();
    private readonly ITimer _timer;
    private TimeSpan _dueTime, _period;
    private bool _isTicking, _isChanged, _isDisposed;

    public GrainTimer(Activation activation, Func<CancellationToken, Task> callback, GrainTimerCreationOptions options)
    {
        _activation = activation;
        _callback = callback;
        _options = options;
        _dueTime = Checked(options.DueTime, nameof(options.DueTime));
        _period = AtLeastOneMillisecond(Checked(options.Period, nameof(options.Period)));
        using (ExecutionContext.IsFlowSuppressed() ? default : ExecutionContext.SuppressFlow())
            _timer = activation.Silo.Clock.CreateTimer(static self => ((GrainTimer)self!).Fire(), this, Timeout.InfiniteTimeSpan, Timeout.InfiniteTimeSpan);
    }

    public void Start()
    {
        lock (_gate) Set(_dueTime);
    }

    public void Change(TimeSpan dueTime, TimeSpan period)
    {
        lock (_gate)
        {
            _dueTime = Checked(dueTime, nameof(dueTime));
            _period = AtLeastOneMillisecond(Checked(period, nameof(period)));
            if (_isTicking) _isChanged = true;   // it starts anew when the tick has finished
            else Set(_dueTime);
        }
    }

    public void Dispose()
    {
        lock (_gate)
        {
            if (_isDisposed) return;
            _isDisposed = true;
        }

        _timer.Dispose();
        _activation.Forget(this);
        _cancellation.Cancel();
    }

    private void Fire()
    {
        lock (_gate)
        {
            if (_isDisposed || _isTicking) return;
            _isTicking = true;
        }

        _activation.TryPost(new TickCall(this) { Method = Tick, Target = _activation.GrainReference });
    }

    private async Task RunAsync()
    {
        try
        {
            if (!_isDisposed) await _callback(_cancellation.Token);
        }
        catch (OperationCanceledException) when (_cancellation.IsCancellationRequested)
        {
            // The callback was told to stop, and did.
        }
        catch (Exception error)
        {
            // One bad tick does not end the timer.
            _activation.Silo.Log.TimerFailed(error, _activation.GrainId);
        }

        lock (_gate)
        {
            _isTicking = false;
            Set(_isChanged ? _dueTime : _period);
            _isChanged = false;
        }
    }

    private void Set(TimeSpan time)
    {
        if (!_isDisposed) _timer.Change(time, Timeout.InfiniteTimeSpan);
    }

    private static TimeSpan Checked(TimeSpan time, string name)
    {
        if (time != Timeout.InfiniteTimeSpan) ArgumentOutOfRangeException.ThrowIfLessThan(time, TimeSpan.Zero, name);
        ArgumentOutOfRangeException.ThrowIfGreaterThan(time, TimeSpan.FromMilliseconds(uint.MaxValue - 1), name);
        return time;
    }

    private static TimeSpan AtLeastOneMillisecond(TimeSpan period) => period == TimeSpan.Zero ? TimeSpan.FromMilliseconds(1) : period;

    private sealed class TickCall(GrainTimer timer) : EngineCall<VoidResult>
    {
        public override bool EndsWithActivation => true;

        public override bool CountsAsUse => timer._options.KeepAlive;

        public override bool Interleaves => timer._options.Interleave;

        protected override Task Invoke(object grain) => timer.RunAsync();
    }
}
