using System.Collections.Immutable;
using DarkStorage.GrainInterfaces.Users;
using Orleans;

namespace DarkStorage.GrainInterfaces.Roles;

/// <summary>One role: who may take it on for a while, and what they may do then. The grain's key is the role's name.</summary>
[Alias("role")]
public interface IRoleGrain : IGrainWithStringKey
{
    /// <exception cref="StorageException"><see cref="StorageError.InvalidArgument"/>: there is such a role.</exception>
    [Alias("create")]
    Task CreateAsync(RoleRecord role, CancellationToken ct);

    /// <returns>Null where there is no such role.</returns>
    [Alias("find")]
    Task<RoleRecord?> FindAsync(CancellationToken ct);

    /// <summary>Puts other terms in the place of those the role had. Its sessions go by the new policies.</summary>
    /// <exception cref="StorageException"><see cref="StorageError.NoSuchRole"/>.</exception>
    [Alias("change")]
    Task ChangeAsync(RoleTerms terms, CancellationToken ct);

    /// <summary>Removes the role. Its sessions end; what they made stays the role's.</summary>
    [Alias("delete")]
    Task DeleteAsync(CancellationToken ct);
}

/// <summary>A role.</summary>
/// <param name="Id">Of this role alone: one that is made later under the same name has another, and sessions of the old one end.</param>
[GenerateSerializer, Immutable, Alias("role-record")]
public sealed record RoleRecord(string Name, string Id, DateTimeOffset Created, RoleTerms Terms);

/// <summary>What of a role can be changed.</summary>
/// <param name="TrustPolicy">Who may assume it, in the language of AWS's trust policies, checked by who put it.</param>
/// <param name="Policies">What its sessions may do; none: nothing.</param>
/// <param name="MaxSessionSeconds">The longest life of a session, 3,600 to 43,200.</param>
[GenerateSerializer, Immutable, Alias("role-terms")]
public sealed record RoleTerms(string TrustPolicy, ImmutableArray<AttachedPolicy> Policies, int MaxSessionSeconds);
