using System.Diagnostics;
using Npgsql;
using Orleans;
using Orleans.Runtime;

namespace DarkStorage.Engine;

internal sealed partial class ClusterNode
{
    private static readonly TimeSpan BuryDelay = TimeSpan.FromMilliseconds(50);

    /// <summary>A start waits so long for a database that is not there: machines of a cluster are switched on together.</summary>
    private static readonly TimeSpan StartPatience = TimeSpan.FromSeconds(30);

    private readonly AutoResetEvent _wake = new(false);
    private readonly CancellationTokenSource _ending = new();
    private readonly Lock _fenceGate = new();
    private Thread? _keeper;
    private Task _listening = Task.CompletedTask;
    private Task _reporting = Task.CompletedTask;
    private Timer? _fence;
    private volatile bool _isLeaving;
    private bool _isFenced;
    private int _refreshRequests;

    /// <summary>Listens, joins, and knows the others.</summary>
    public async Task StartAsync(CancellationToken ct)
    {
        Listen();
        await PatientlyAsync(
            async () =>
            {
                await _table.PrepareAsync(ct);
                return true;
            },
            ct);
        var joinedAt = await JoinAsync(ct);
        _control = new(Silo, Silo.Types.Find(SiloControl.Id.Type)!, SiloControl.Id);
        var view = await PatientlyAsync(() => Task.Run(_table.Read, ct), ct);
        Silo.Membership.Publish(view);
        Lease.Renewed(joinedAt);   // only now: nothing is to be served by no view at all
        Follow(view);
        _fence = new(static self => ((ClusterNode)self!).FenceIfLost(), this, Lease.Remaining, Timeout.InfiniteTimeSpan);
        _keeper = new(Keep) { IsBackground = true, Name = "Membership lease", Priority = ThreadPriority.AboveNormal };
        _keeper.Start();
        _listening = ListenForChangesAsync();
        _probing = ProbeAsync();
        _ = AcceptAsync();
    }

    /// <summary>From here on grains have their home here.</summary>
    public async Task BecomeActiveAsync(CancellationToken ct)
    {
        using var life = CancellationTokenSource.CreateLinkedTokenSource(ct, _ending.Token);
        try
        {
            await ReachOthersAsync(life.Token);
            if (!await PatientlyAsync(() => _table.SetStatusAsync(Silo.Address, SiloStatus.Active, life.Token), life.Token) && await IsNotActiveAsync(life.Token))
                throw LostBeforeActive();
            await ReadOwnAsync(SiloStatus.Active, life.Token);
        }
        catch (OperationCanceledException) when (!ct.IsCancellationRequested)
        {
            throw LostBeforeActive();
        }

        SiloUnavailableException LostBeforeActive() => new($"Silo {Silo.Address} lost its lease before it was active");
    }

    /// <summary>From here on grains have their home elsewhere. Without the database the others find out by the lease.</summary>
    public async Task BeginShutdownAsync(CancellationToken ct)
    {
        if (_isFenced) return;
        try
        {
            if (await _table.SetStatusAsync(Silo.Address, SiloStatus.ShuttingDown, ct)) await ReadOwnAsync(SiloStatus.ShuttingDown, ct);
        }
        catch (Exception error) when (error is NpgsqlException or TimeoutException or OperationCanceledException)
        {
            // The lease then ends by itself.
            Silo.Log.MembershipFailed(error, Silo.Address);
        }
    }

    public async Task LeaveAsync(CancellationToken ct)
    {
        if (_isLeaving) return;
        _isLeaving = true;
        try
        {
            if (!_isFenced && Silo.Address.Generation != 0) await _table.SetStatusAsync(Silo.Address, SiloStatus.Dead, ct);
        }
        catch (Exception error) when (error is NpgsqlException or TimeoutException or OperationCanceledException)
        {
            // As above.
            Silo.Log.MembershipFailed(error, Silo.Address);
        }

        await EndAsync();
    }

    public async ValueTask DisposeAsync()
    {
        _isLeaving = true;
        await EndAsync();
    }

    public void RequestRefresh()
    {
        Interlocked.Increment(ref _refreshRequests);
        _wake.Set();
    }

    /// <summary>Waits until the view is of this version, for as long as a lease lasts: whoever lives has seen a version by then.</summary>
    public async Task RefreshAsync(long version)
    {
        if (View.Version >= version) return;
        try
        {
            using var patience = CancellationTokenSource.CreateLinkedTokenSource(_ending.Token);
            patience.CancelAfter(Lease.Length);
            await Silo.Membership.Refresh(new(version), patience.Token);
        }
        catch (OperationCanceledException)
        {
            // On with what is known.
        }
    }

    public async Task SeeAsync(long version)
    {
        await RefreshAsync(version);
        if (View.Version < version) throw new SiloUnavailableException($"Silo {Silo.Address} cannot read the membership");
    }

    /// <summary>This silo has lost its lease: it is over, and the host is told to begin another life.</summary>
    private void Fence(string reason)
    {
        lock (_fenceGate)
        {
            if (_isFenced || _isLeaving) return;
            _isFenced = true;
        }

        Lease.Lose();
        Silo.Log.Fenced(Silo.Name, Silo.Address, reason);
        Silo.Timeouts.AnswerAll(Unfit);
        foreach (var activation in Silo.Catalog.Activations)
            activation.Deactivate(new(DeactivationReasonCode.RuntimeRequested, "The silo has lost its lease."), new(canceled: true));
        CloseConnections("This silo has lost its lease");
        _reporting = ReportDeadAsync();
        _ = _ending.CancelAsync();   // nothing else of it goes on: no renewal, no claim, no call to another
        Silo.WasLost();
    }

    private void FenceIfLost()
    {
        if (Lease.IsValid) _fence!.Change(Lease.Remaining + TimeSpan.FromMilliseconds(1), Timeout.InfiniteTimeSpan);
        else Fence("it could not be renewed in time");
    }

    /// <returns>When the lease was asked for.</returns>
    private async Task<long> JoinAsync(CancellationToken ct)
    {
        DateTime? seenLease = null;
        while (true)
        {
            var sentAt = 0L;
            var result = await PatientlyAsync(
                () =>
                {
                    sentAt = Stopwatch.GetTimestamp();
                    return _table.JoinAsync(_cluster.ServiceId, Silo.Name, Silo.Address, _options.DefunctSiloExpiration, ct);
                },
                ct);
            if (result.Address is { } address)
            {
                Silo.Address = address;
                return sentAt;
            }

            // A silo that crashed leaves a lease, which ends; one that lives renews it.
            if (seenLease is { } seen && result.OccupantLease > seen)
            {
                throw new OrleansConfigurationException(
                    $"The silo name \"{Silo.Name}\" or the endpoint {Silo.Address.Endpoint} is in use in cluster \"{Silo.ClusterId}\" "
                    + $"by {result.Occupant}: every silo needs its own");
            }

            seenLease = result.OccupantLease;
            var wait = result.OccupantRemaining + BuryDelay;
            await Task.Delay(wait < _options.ProbeTimeout ? wait > BuryDelay ? wait : BuryDelay : _options.ProbeTimeout, ct);
        }
    }

    /// <summary>The thread that renews the lease, reads what changed, and declares dead whose lease has ended.</summary>
    private void Keep()
    {
        var renewAt = Stopwatch.GetTimestamp();
        var seenRequests = 0;
        var mustRead = false;
        TimeSpan? buryIn = null;
        while (!_ending.IsCancellationRequested)
        {
            try
            {
                var version = View.Version;
                var requests = Volatile.Read(ref _refreshRequests);
                if (Stopwatch.GetTimestamp() >= renewAt || buryIn <= TimeSpan.Zero)
                {
                    var sentAt = Stopwatch.GetTimestamp();
                    renewAt = sentAt + (long)(_options.ProbeTimeout.TotalSeconds * Stopwatch.Frequency);
                    var result = _table.Renew(Silo.Address);
                    if (_isLeaving) return;
                    if (!result.IsRenewed)
                    {
                        Fence("the database says that it has ended");
                        return;
                    }

                    Lease.Renewed(sentAt);
                    version = result.Version;
                    if (result.EarliestOther < TimeSpan.Zero)
                    {
                        _table.Bury();
                        version = long.MaxValue;
                    }

                    buryIn = result.EarliestOther is { } earliest ? (earliest > TimeSpan.Zero ? earliest : TimeSpan.Zero) + BuryDelay : null;
                }

                if (version != View.Version || requests != seenRequests || mustRead)
                {
                    var view = _table.Read();
                    if (view.IsOfAnotherPast(View))
                    {
                        Fence("the database has another membership than was read from it: one that was behind has taken its place");
                        return;
                    }

                    OnView(view);
                }

                seenRequests = requests;
                mustRead = false;
            }
            catch (Exception error)
            {
                // Whatever it is: the lease decides how long it may go on. And the database that answers next may be another one.
                if (_ending.IsCancellationRequested) return;
                mustRead = true;
                Silo.Log.MembershipFailed(error, Silo.Address);
                renewAt = Stopwatch.GetTimestamp() + (Stopwatch.Frequency / 10);
                buryIn = null;
            }

            var wait = Stopwatch.GetElapsedTime(Stopwatch.GetTimestamp(), renewAt);
            if (buryIn < wait) wait = buryIn.Value;
            var waitedFrom = Stopwatch.GetTimestamp();
            if (wait > TimeSpan.Zero) _wake.WaitOne(wait);
            buryIn -= Stopwatch.GetElapsedTime(waitedFrom);
        }
    }

    /// <summary>An answer to the change of status may have been lost, and the change made.</summary>
    private async Task<bool> IsNotActiveAsync(CancellationToken ct) =>
        (await PatientlyAsync(() => Task.Run(_table.Read, ct), ct)).Snapshot.GetSiloStatus(Silo.Address) != SiloStatus.Active;

    private static async Task<T> PatientlyAsync<T>(Func<Task<T>> operation, CancellationToken ct)
    {
        var startedAt = Stopwatch.GetTimestamp();
        while (true)
        {
            try
            {
                return await operation();
            }
            catch (NpgsqlException error) when (error.IsTransient && Stopwatch.GetElapsedTime(startedAt) < StartPatience)
            {
                await Task.Delay(BuryDelay * (2 + (4 * Random.Shared.NextDouble())), ct);   // not all silos at once
            }
        }
    }

    private async Task ListenForChangesAsync()
    {
        while (!_ending.IsCancellationRequested)
        {
            try
            {
                await _table.ListenAsync(RequestRefresh, _ending.Token);
            }
            catch (Exception error) when (error is NpgsqlException or TimeoutException or OperationCanceledException or IOException or ObjectDisposedException)
            {
                // Renewals bring the version too, only later.
            }

            try
            {
                await Task.Delay(_options.ProbeTimeout / 2, _ending.Token);
            }
            catch (OperationCanceledException)
            {
                // The end.
            }
        }
    }

    private async Task ReadOwnAsync(SiloStatus status, CancellationToken ct)
    {
        RequestRefresh();
        while (!View.Snapshot.Members.TryGetValue(Silo.Address, out var self) || self.Status < status)
        {
            var changed = Silo.Membership.Changed;
            if (View.Snapshot.Members.TryGetValue(Silo.Address, out self) && self.Status >= status) return;
            await changed.WaitAsync(ct);
        }
    }

    private void OnView(ClusterView view)
    {
        if (Silo.Membership.Publish(view)) Follow(view);
    }

    private void Follow(ClusterView view)
    {
        if (view.Snapshot.GetSiloStatus(Silo.Address) is SiloStatus.Stopping or SiloStatus.Dead && !_isLeaving)
        {
            Fence(view.IsLive(Silo.Address) ? "most of the others cannot reach it" : "the others have declared it dead");
            return;
        }

        Silo.Log.Members(view.Version, view.Snapshot.Members.Values.Count(member => member.Status == SiloStatus.Active), Silo.Address);
        CloseDead(view);
        _ = SettleAsync(view);
        _ = Silo.Reminders.OnMembersChangedAsync(view);
    }

    private async Task EndAsync()
    {
        await _ending.CancelAsync();
        _wake.Set();
        if (_fence is not null) await _fence.DisposeAsync();
        CloseConnections($"Silo {Silo.Address} has stopped");
        if (_keeper is not null) await Task.Run(_keeper.Join);
        await _listening;
        await _probing;
        await _reporting;
        await _table.DisposeAsync();
    }
}
