using Npgsql;
using Orleans;
using Orleans.Runtime;
using Orleans.Serialization;

namespace DarkStorage.Engine;

/// <summary>
/// Silos that reach the database and not each other. A lease says that a silo lives, not that the others can call it: one whose wires to
/// the others are cut would keep its grains, and nobody could ask them. So silos probe each other, and one that most of the others have
/// not reached for as long as a lease lasts is told to go, in the database. It serves until it reads that, or its lease ends: only
/// then is it dead, and its grains are woken elsewhere. Who starts waits until it reaches the others, or it would be told to go again and again.
/// </summary>
internal sealed partial class ClusterNode
{
    private Task _probing = Task.CompletedTask;

    /// <summary>Waits until this silo reaches so many of the others, and they it, that it would not be told to go.</summary>
    private async Task ReachOthersAsync(CancellationToken ct)
    {
        for (var isSaid = false; ; await Task.Delay(AskAgain, ct))
        {
            if (_isFenced) throw new SiloUnavailableException($"Silo {Silo.Address} lost its lease before it was active");
            var others = ActiveOthers();
            var reached = await Task.WhenAll(others.Select(other => AnswersAsync(control => control.Reach(Silo.Address), other, ct)));
            var unreached = others.Where((_, i) => !reached[i]).ToArray();
            if (unreached.Length * 2 < others.Length + 1) return;
            if (!isSaid) Silo.Log.WaitsForOthers(Silo.Name, string.Join(", ", unreached.Select(silo => silo.Endpoint)));
            isSaid = true;
        }
    }

    /// <summary>Asked by a silo that starts: whether its port can be reached from here.</summary>
    public async Task ReachAsync(SiloAddress silo)
    {
        if (!await AnswersAsync(control => control.See(-1), silo, _ending.Token)) throw new SiloUnavailableException($"Silo {silo} cannot be reached from {Silo.Address}");
    }

    private async Task ProbeAsync()
    {
        var missed = new Dictionary<SiloAddress, int>();
        var suspects = Array.Empty<SiloAddress>();
        while (!_ending.IsCancellationRequested)
        {
            var round = Task.Delay(_options.ProbeTimeout, _ending.Token);
            try
            {
                var others = ActiveOthers();
                var reached = await Task.WhenAll(others.Select(other => AnswersAsync(static control => control.See(-1), other, _ending.Token)));
                missed = others.Zip(reached).Where(o => !o.Second).ToDictionary(o => o.First, o => missed.GetValueOrDefault(o.First) + 1);
                var before = suspects;
                suspects = [.. missed.Where(m => m.Value >= _options.NumMissedProbesLimit).Select(m => m.Key)];
                if (suspects.Length + before.Length > 0 && MayServe && !_isLeaving) await _table.SuspectAsync(Silo.Address, suspects, _options.ProbeTimeout * 3, _ending.Token);
            }
            catch (Exception error) when (error is NpgsqlException or TimeoutException or OperationCanceledException)
            {
                // Who does not reach the database has no say; and the next round says it again.
            }

            // Whatever came of it: what is counted is misses a period apart.
            await round.ConfigureAwait(ConfigureAwaitOptions.SuppressThrowing);
        }
    }

    private SiloAddress[] ActiveOthers() =>
        [.. View.Snapshot.Members.Values.Where(member => member.Status == SiloStatus.Active && member.SiloAddress != Silo.Address).Select(member => member.SiloAddress)];

    private async Task<bool> AnswersAsync(Func<ISiloControl, Task> ask, SiloAddress silo, CancellationToken ct)
    {
        try
        {
            await ask(Control(silo)).WaitAsync(_options.ProbeTimeout, ct);
            return true;
        }
        catch (SerializerException)
        {
            // Of another version, which does not know what it is asked: all the same it was reached, and its answer came back.
            return true;
        }
        catch (Exception error) when (error is OrleansException or TimeoutException)
        {
            return false;
        }
    }

    /// <summary>Told to go, or out of its lease: it serves nothing any more, so the others need not wait for the lease's end.</summary>
    private async Task ReportDeadAsync()
    {
        try
        {
            await _table.SetStatusAsync(Silo.Address, SiloStatus.Dead, CancellationToken.None);
        }
        catch (Exception error) when (error is NpgsqlException or TimeoutException or OperationCanceledException or ObjectDisposedException)
        {
            // They find out by the lease.
        }
    }
}
