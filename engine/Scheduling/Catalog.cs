using System.Collections.Concurrent;
using Orleans.Runtime;

namespace DarkStorage.Engine;

/// <summary>Which activation of this silo answers for which grain.</summary>
internal sealed class Catalog(Silo silo)
{
    private readonly ConcurrentDictionary<GrainId, object> _targets = new();   // Activation, or WorkerPool of a stateless worker

    public IEnumerable<Activation> Activations =>
        _targets.SelectMany(entry => entry.Value is WorkerPool pool ? pool.Workers : [(Activation)entry.Value]);

    public bool Contains(GrainId id) => _targets.ContainsKey(id);

    public Activation? Find(GrainId id) => _targets.GetValueOrDefault(id) as Activation;

    /// <summary>Takes the call to the activation of its grain; the first call makes one.</summary>
    public void Post(Call call)
    {
        while (true)
        {
            if (!_targets.TryGetValue(call.Target.GrainId, out var target)) target = _targets.GetOrAdd(call.Target.GrainId, Create);
            if (target is Activation activation ? activation.TryPost(call) : ((WorkerPool)target).TryPost(call)) return;
        }
    }

    public void Remove(Activation activation) => _targets.TryRemove(new(activation.GrainId, activation));

    /// <summary>
    /// Puts the next activation in the place of one that is gone, if calls wait for it. Called under the lock of the one that is gone.
    /// </summary>
    /// <returns>Calls that the next activation should not have.</returns>
    public Call? Succeed(Activation gone, Call? waiting)
    {
        Activation? successor = null;
        Call? rejected = null;
        var mayStay = silo.MayStay(gone.Class, gone.GrainId);
        for (var call = waiting; call is not null;)
        {
            var next = call.NextWaiting;
            call.NextWaiting = null;
            if (!gone.HasRunCalls) call.FruitlessForwards++;
            if (!mayStay || call.EndsWithActivation || !silo.Accepts(call) || call.FruitlessForwards > silo.Messaging.MaxForwardCount)
            {
                call.NextWaiting = rejected;
                rejected = call;
            }
            else
            {
                successor ??= new(silo, gone.Class, gone.GrainId);
                successor.Inherit(call);
            }

            call = next;
        }

        if (successor is null)
        {
            Remove(gone);
            if (gone.Class.IsPlaced && silo.Cluster is { } cluster) _ = Task.Run(() => cluster.TellGoneAsync(gone.GrainId));
        }
        else
        {
            _targets.TryUpdate(gone.GrainId, successor, gone);
            successor.Begin();
        }

        return rejected;
    }

    private object Create(GrainId id)
    {
        var grainClass = silo.Types.Find(id.Type)
            ?? throw new ArgumentException($"No grain class of type \"{id.Type}\" is known: {id} cannot be activated");
        return grainClass.MaxWorkers > 0 ? new WorkerPool(silo, grainClass, id) : new Activation(silo, grainClass, id);
    }
}

/// <summary>The activations of one stateless worker.</summary>
internal sealed class WorkerPool(Silo silo, GrainClass grainClass, GrainId id)
{
    private readonly List<Activation> _workers = [];

    public Activation[] Workers
    {
        get
        {
            lock (_workers) return [.. _workers];
        }
    }

    /// <summary>An idle worker if there is one, a fresh one if there may be more, else the one with the least to do.</summary>
    public bool TryPost(Call call)
    {
        // The call is posted under the lock, or two calls would take the same idle worker. A worker never takes this lock under its own.
        lock (_workers)
        {
            while (true)
            {
                var worker = _workers.Find(w => w.IsIdle);
                if (worker is null && _workers.Count < grainClass.MaxWorkers) _workers.Add(worker = new(silo, grainClass, id, this));
                worker ??= _workers.MinBy(w => w.Load)!;
                if (worker.TryPost(call)) return true;
                _workers.Remove(worker);
            }
        }
    }

    public void Remove(Activation worker)
    {
        lock (_workers) _workers.Remove(worker);
    }
}
