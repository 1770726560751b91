using DarkStorage.Storage.Backends;

namespace DarkStorage.Connectors.Rclone;

/// <summary>This node's rclone: one process for all its integrations, started when the first needs it, started again where it died, and ended with the last of them.</summary>
internal sealed class RcloneProgram(string program, TimeProvider clock) : IDisposable
{
    /// <summary>Wait before it is started again, where it died soon after it was started; doubled each time.</summary>
    private static readonly TimeSpan RestartDelay = TimeSpan.FromSeconds(1);

    private static readonly TimeSpan RestartDelayMax = TimeSpan.FromMinutes(1);

    /// <summary>One that ran for so long did not die of how it was started.</summary>
    private static readonly TimeSpan Settled = TimeSpan.FromMinutes(1);

    internal static readonly TimeSpan TimerSlack = TimeSpan.FromMilliseconds(50);

    private readonly Lock _lock = new();
    private RcloneProcess? _process;
    private Task<RcloneProcess>? _starting;
    private ContentListener? _contents;
    private GuardedProxy? _proxy;
    private int _users;
    private int _deaths;
    private long _startedAt;
    private bool _isDisposed;

    /// <summary>Where it fetches what is to be put.</summary>
    /// <exception cref="BackendException">It has not been started, or has ended.</exception>
    public ContentListener Contents => _contents ?? throw NotNeeded();

    /// <summary>Told by who may need it, and by the same one when it does not any more (<see cref="Leave"/>).</summary>
    public void Join()
    {
        lock (_lock) _users++;
    }

    public void Leave()
    {
        lock (_lock)
        {
            if (--_users == 0) End();
        }
    }

    /// <exception cref="BackendException">It can't be started, or has died and is not started again yet.</exception>
    public Task<RcloneProcess> RunningAsync(CancellationToken ct)
    {
        lock (_lock)
        {
            if (_process is { HasExited: false } running) return Task.FromResult(running);
            // Whoever asks first may leave: the others wait for it too.
            if (_starting is not { IsCompleted: false }) _starting = StartAsync();
            return _starting.WaitAsync(ct);
        }
    }

    public void Dispose()
    {
        lock (_lock)
        {
            _isDisposed = true;
            End();
        }
    }

    private async Task<RcloneProcess> StartAsync()
    {
        GuardedProxy proxy;
        lock (_lock)
        {
            if (_isDisposed || _users == 0) throw NotNeeded();
            if (_process is not null)
            {
                _deaths = clock.GetElapsedTime(_startedAt) >= Settled ? 1 : _deaths + 1;
                _process.Dispose();
                _process = null;
            }
            // The first time at once: an accident. Then later and later.
            var delay = _deaths <= 1 ? TimeSpan.Zero : RestartDelay * Math.Pow(2, Math.Min(_deaths - 2, 10));
            var wait = (delay < RestartDelayMax ? delay : RestartDelayMax) - clock.GetElapsedTime(_startedAt);
            // Timers count whole milliseconds, and whoever comes back a moment too early has come in vain.
            if (wait > TimeSpan.Zero) throw new BackendException(BackendError.Unavailable, $"rclone died {_deaths} times soon after it was started, and is started again in {wait.TotalSeconds:0.0} s.") { RetryAfter = wait + TimerSlack };
            _contents ??= new();
            proxy = _proxy ??= new();
            _startedAt = clock.GetTimestamp();
        }
        RcloneProcess process;
        try
        {
            process = await RcloneProcess.StartAsync(program, proxy.Address);
        }
        catch (BackendException e) when (e.IsTransient)
        {
            lock (_lock) _deaths++;
            throw;
        }
        lock (_lock)
        {
            // All may have left meanwhile, and others come: its proxy is gone then.
            if (_proxy == proxy) return _process = process;
        }
        process.Dispose();
        throw NotNeeded();
    }

    private static BackendException NotNeeded() => new(BackendError.Unavailable, "rclone is not needed any more.");

    private void End()
    {
        _process?.Dispose();
        _contents?.Dispose();
        _proxy?.Dispose();
        (_process, _contents, _proxy) = (null, null, null);
    }
}
