using DarkStorage.GrainInterfaces.Roles;
using DarkStorage.Rules.Policies;
using Orleans;

namespace DarkStorage.ClientApi.S3;

/// <summary>A role with its policies read.</summary>
internal sealed record KnownRole(RoleRecord Record, TrustPolicy Trust, IReadOnlyList<IdentityPolicy> Policies);

/// <summary>Finds roles.</summary>
internal sealed class Roles
{
    private const string Prefix = "role/";

    private readonly IGrainFactory _grains;
    private readonly RememberedAnswers<KnownRole?> _roles;

    public Roles(IGrainFactory grains, S3Options options, TimeProvider clock) => (_grains, _roles) = (grains, new(ReadAsync, options.StaleReadsMax, clock));

    /// <summary>Whom the buckets and objects belong to that a role's sessions make. No user's name has a slash.</summary>
    public static string CanonicalId(string name) => Prefix + name;

    /// <returns>The role's name, or null where the id is no role's.</returns>
    public static string? NameOf(string canonicalId) => canonicalId.StartsWith(Prefix, StringComparison.Ordinal) ? canonicalId[Prefix.Length..] : null;

    /// <returns>Null where there is no such role.</returns>
    /// <param name="mayBeStale">As for <see cref="RememberedAnswers{T}.FindAsync"/>.</param>
    public ValueTask<KnownRole?> FindAsync(string name, bool mayBeStale, CancellationToken ct) => _roles.FindAsync(name, mayBeStale, ct);

    /// <summary>The same, of this moment: for who begins a session.</summary>
    public Task<KnownRole?> AskAsync(string name, CancellationToken ct) => _roles.AskAsync(name, ct);

    public void Forget(bool isSure) => _roles.Forget(isSure);

    private async Task<KnownRole?> ReadAsync(string name, CancellationToken ct) => await _grains.GetGrain<IRoleGrain>(name).FindAsync(ct) is { } record
        ? new(record, StoredPolicy.ReadTrust(record.Terms.TrustPolicy), [.. record.Terms.Policies.Select(p => StoredPolicy.Read(p.Name, p.Document))])
        : null;
}
