using System.Diagnostics.Metrics;
using DarkStorage.GrainInterfaces;
using DarkStorage.GrainInterfaces.AccessKeys;
using DarkStorage.GrainInterfaces.Events;
using DarkStorage.GrainInterfaces.Integrations;
using DarkStorage.Grains.AccessKeys;
using DarkStorage.Grains.Integrations;
using DarkStorage.Grains.Cluster;
using DarkStorage.Metadata;
using DarkStorage.Storage.Encryption;
using Orleans;
using Orleans.Runtime;

namespace DarkStorage.Silo.Cluster;

/// <summary>When the cluster's secret is changed: seals all that the nodes share under the new one, once every node seals under that.</summary>
/// <remarks>Not before: a node that still seals under the one before would make new work for ever, and nobody would know when it is done. What was begun is begun again after a crash, and what is
/// sealed anew already is let be. If a node that seals under another was started meanwhile, the document of seals has another revision, and it was in vain.</remarks>
internal sealed partial class SealingAnew : BackgroundService
{
    /// <summary>Without a message, in case one was lost.</summary>
    private static readonly TimeSpan LookEvery = TimeSpan.FromSeconds(15);

    private static readonly TimeSpan RetryAfter = TimeSpan.FromSeconds(2);

    /// <summary>Two that seal anew at one time do no harm, and work for nothing.</summary>
    private static readonly TimeSpan Turn = TimeSpan.FromMinutes(1);

    private const int PageMax = 256;
    private const int ParallelMax = 8;

    private readonly IClusterIndex _cluster;
    private readonly IMetadataIndex _index;
    private readonly Guid _self;
    private readonly ClusterSecret _secret;
    private readonly KeyRing _ring;
    private readonly IGrainFactory _grains;
    private readonly ILogger _log;
    private readonly WakeUp _wake = new();
    private readonly Meter _meter = new("DarkStorage.Silo");
    private volatile int _inUse;
    private bool _isSaid;

    public SealingAnew(IClusterIndex cluster, IMetadataIndex index, NodeIdentity self, ClusterSecret secret, KeyRing ring, IGrainFactory grains, ILogger<SealingAnew> log)
    {
        (_cluster, _index, _self, _secret, _ring, _grains, _log) = (cluster, index, self.Store, secret, ring, grains, log);
        _meter.CreateObservableGauge("darkstorage.cluster.secrets", InUse, "{secret}", "Cluster secrets that something may be sealed under: 1 where no change of it is under way.");
    }

    protected override async Task ExecuteAsync(CancellationToken stoppingToken)
    {
        _cluster.Changed += Wake;
        try
        {
            for (string? failure = null; ;)
            {
                try
                {
                    await LookAsync(stoppingToken);
                    failure = null;
                }
                catch (Exception e) when (!stoppingToken.IsCancellationRequested)
                {
                    if (failure != e.Message) LogPutOff(_log, e.Message);
                    failure = e.Message;
                }
                await _wake.WaitAsync(failure is null ? LookEvery : RetryAfter, stoppingToken);
            }
        }
        finally
        {
            _cluster.Changed -= Wake;
        }
    }

    public override void Dispose()
    {
        base.Dispose();
        _wake.Dispose();
        _meter.Dispose();
    }

    /// <summary>Nothing before the index was asked.</summary>
    private IEnumerable<Measurement<int>> InUse() => _inUse is > 0 and var count ? [new(count)] : [];

    private void Wake(string? what)
    {
        if (what is null or ClusterDocuments.Seals or IClusterIndex.NodesChanged) _wake.Wake();
    }

    private async Task LookAsync(CancellationToken ct)
    {
        var (seals, revision) = await _secret.ReadSealsAsync(_cluster, ct);
        var nodes = await ClusterSecret.NodesOfAsync(_cluster, ct);
        _inUse = seals.InUse.Length;
        if (!seals.Has(_self, _secret.KeyIds))
        {
            // The others had taken this node out, and forgot it. Where it is among the nodes again it has to be known for what it seals under.
            if (nodes.Exists(n => n.Store == _self)) await _secret.EnterAsync(_cluster, _self, ct);
            return;
        }
        var key = _secret.KeyIds[0];
        if (!seals.AllSealUnder(key, nodes)) return;
        if (seals.InUse.Length > 1)
        {
            if (!await _cluster.TryTakeTurnAsync("sealing-anew", _self, Turn, ct)) return;
            var count = await SealAsync(ct);
            if (!await _cluster.TryReplaceDocumentAsync(ClusterDocuments.Seals, seals.SealedAnew(key).Encode(), revision, ct)) return; // and is woken for what is there now
            LogSealed(_log, count);
        }
        await _secret.SealProofAnewAsync(_cluster, ct);
        _inUse = 1;
        if (_isSaid || _secret.KeyIds.Length == 1) return;
        _isSaid = true;
        LogOthersUnneeded(_log);
    }

    /// <returns>How many were sealed under another.</returns>
    private async Task<int> SealAsync(CancellationToken ct)
    {
        var count = 0;
        if (await _ring.SealAnewAsync(ct)) count++;
        if (await SharedRootCredentials.SealAnewAsync(_cluster, _secret.Box, ct)) count++;
        for (var after = ""; await _index.ListGrainStatesAsync(AccessKeyState.Name, after, PageMax, ct) is { Count: > 0 } page; after = page[^1])
            await EachAsync(page.Select(g => GrainId.Parse(g).Key.ToString()!), id => _grains.GetGrain<IAccessKeyGrain>(id).SealAnewAsync(ct));
        for (var after = ""; await _index.ListGrainStatesAsync(IntegrationState.Name, after, PageMax, ct) is { Count: > 0 } page; after = page[^1])
            await EachAsync(page.Select(g => GrainId.Parse(g).Key.ToString()!), name => _grains.GetGrain<IIntegrationGrain>(name).SealAnewAsync(ct));
        for (var after = ""; await _index.ListGrainStatesAsync(AuthorizationState.Name, after, PageMax, ct) is { Count: > 0 } page; after = page[^1])
            await EachAsync(page.Select(g => GrainId.Parse(g).Key.ToString()!), name => _grains.GetGrain<IAuthorizationGrain>(name).SealAnewAsync(ct));
        await EachAsync(await _grains.GetGrain<IEventTargetsGrain>(IEventTargetsGrain.Key).ListAsync(ct), name => _grains.GetGrain<IEventTargetGrain>(name).SealAnewAsync(ct));
        return count;

        async Task EachAsync(IEnumerable<string> ids, Func<string, Task<bool>> sealAnew)
        {
            foreach (var some in ids.Chunk(ParallelMax)) count += (await Task.WhenAll(some.Select(sealAnew))).Count(static isNew => isNew);
        }
    }

    [LoggerMessage(LogLevel.Information, "All that the nodes share is sealed under the first cluster secret; {Count} were under another")]
    private static partial void LogSealed(ILogger log, int count);

    [LoggerMessage(LogLevel.Information, "Everything is sealed under the first cluster secret: nodes may be started with that one alone")]
    private static partial void LogOthersUnneeded(ILogger log);

    [LoggerMessage(LogLevel.Warning, "The change of the cluster secret is put off: {Why}")]
    private static partial void LogPutOff(ILogger log, string why);
}
