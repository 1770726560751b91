using System.Collections.Concurrent;
using DarkStorage.GrainInterfaces.Roles;
using DarkStorage.Rules.Policies;
using Orleans;

namespace DarkStorage.ClientApi.S3;

/// <summary>A role with its policies read.</summary>
internal sealed record KnownRole(RoleRecord Record, TrustPolicy Trust, IReadOnlyList<IdentityPolicy> Policies);

/// <summary>Finds roles. Answers are remembered for <see cref="Lifetime"/>, as those about keys are: a role that is deleted works that much longer.</summary>
internal sealed class Roles(IGrainFactory grains, TimeProvider clock)
{
    private const string Prefix = "role/";
    private static readonly TimeSpan Lifetime = TimeSpan.FromSeconds(5);
    private const int RememberedMax = 10_000;

    private readonly ConcurrentDictionary<string, (KnownRole? Role, long Until)> _remembered = new(StringComparer.Ordinal);

    /// <summary>Whom the buckets and objects belong to that a role's sessions make. No user's name has a slash.</summary>
    public static string CanonicalId(string name) => Prefix + name;

    /// <returns>The role's name, or null where the id is no role's.</returns>
    public static string? NameOf(string canonicalId) => canonicalId.StartsWith(Prefix, StringComparison.Ordinal) ? canonicalId[Prefix.Length..] : null;

    /// <returns>Null where there is no such role.</returns>
    public async ValueTask<KnownRole?> FindAsync(string name, CancellationToken ct) =>
        _remembered.TryGetValue(name, out var known) && known.Until >= clock.GetTimestamp() ? known.Role : await AskAsync(name, ct);

    /// <summary>The same, of this moment: for who begins a session.</summary>
    public async Task<KnownRole?> AskAsync(string name, CancellationToken ct)
    {
        var record = await grains.GetGrain<IRoleGrain>(name).FindAsync(ct);
        var role = record is null ? null
            : new KnownRole(record, StoredPolicy.ReadTrust(record.Terms.TrustPolicy), [.. record.Terms.Policies.Select(p => StoredPolicy.Read(p.Name, p.Document))]);
        if (_remembered.Count >= RememberedMax) _remembered.Clear();
        _remembered[name] = (role, clock.GetTimestamp() + (long)(Lifetime.TotalSeconds * clock.TimestampFrequency));
        return role;
    }
}
