using System.Collections.Concurrent;
using DarkStorage.GrainInterfaces.AccessKeys;
using DarkStorage.GrainInterfaces.Buckets;
using Orleans;

namespace DarkStorage.ClientApi.S3;

/// <summary>Who makes a request.</summary>
/// <param name="Account">Whom buckets belong to.</param>
/// <param name="IsRoot">May do everything.</param>
internal sealed record Caller(string Account, string AccessKeyId, bool IsRoot)
{
    /// <summary>The account of the root credentials.</summary>
    public const string RootAccount = "root";

    /// <summary>Deny by default: a bucket is its owner's and root's.</summary>
    public bool Owns(BucketRecord bucket) => IsRoot || bucket.Owner == Account;
}

/// <summary>The key pair that may do everything, as it was configured.</summary>
public sealed record RootKey(string AccessKeyId, string Secret)
{
    public override string ToString() => $"RootKey {AccessKeyId}";
}

/// <summary>Finds the secret of an access key. Answers are remembered for <see cref="Lifetime"/>: a key that is disabled elsewhere works that much longer.</summary>
internal sealed class Credentials(RootKey root, IGrainFactory grains, TimeProvider clock)
{
    private static readonly TimeSpan Lifetime = TimeSpan.FromSeconds(5);

    /// <summary>Keys remembered at the most; unknown ones are remembered too, so that guessing does not wake grains.</summary>
    private const int RememberedMax = 10_000;

    private readonly Caller _rootCaller = new(Caller.RootAccount, root.AccessKeyId, IsRoot: true);
    private readonly ConcurrentDictionary<string, Remembered> _remembered = new(StringComparer.Ordinal);

    private sealed record Remembered(Caller? Caller, string Secret, long Until);

    /// <exception cref="S3Exception"><c>InvalidAccessKeyId</c>: unknown or disabled.</exception>
    public async ValueTask<(Caller Caller, string Secret)> FindAsync(string accessKeyId, CancellationToken ct)
    {
        if (accessKeyId == root.AccessKeyId) return (_rootCaller, root.Secret);
        if (!_remembered.TryGetValue(accessKeyId, out var known) || known.Until < clock.GetTimestamp()) known = await AskAsync(accessKeyId, ct);
        if (known.Caller is null) throw new S3Exception(S3Error.InvalidAccessKeyId).With("AWSAccessKeyId", accessKeyId);
        return (known.Caller, known.Secret);
    }

    private async Task<Remembered> AskAsync(string accessKeyId, CancellationToken ct)
    {
        var key = await grains.GetGrain<IAccessKeyGrain>(accessKeyId).FindAsync(ct);
        var until = clock.GetTimestamp() + (long)(Lifetime.TotalSeconds * clock.TimestampFrequency);
        var answer = key is { Enabled: true } ? new Remembered(new(key.Account, key.Id, IsRoot: false), key.Secret, until) : new(null, "", until);
        if (_remembered.Count >= RememberedMax) _remembered.Clear();
        return _remembered[accessKeyId] = answer;
    }
}
