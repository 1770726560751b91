using System.Collections.Immutable;
using Orleans;

namespace DarkStorage.GrainInterfaces.Users;

/// <summary>One user: whose keys they are, what they may do. The grain's key is the user's name, which is also the account that owns what they make.</summary>
[Alias("user")]
public interface IUserGrain : IGrainWithStringKey
{
    /// <exception cref="StorageException"><see cref="StorageError.InvalidArgument"/>: there is such a user.</exception>
    [Alias("create")]
    Task CreateAsync(UserRecord user, CancellationToken ct);

    /// <returns>Null where there is no such user.</returns>
    [Alias("find")]
    Task<UserRecord?> FindAsync(CancellationToken ct);

    /// <summary>Puts other policies in the place of those the user had.</summary>
    /// <exception cref="StorageException"><see cref="StorageError.NoSuchUser"/>.</exception>
    [Alias("set-policies")]
    Task SetPoliciesAsync(ImmutableArray<AttachedPolicy> policies, CancellationToken ct);

    /// <summary>Remembers a key that acts as this user, so that it can go with them. Nothing where there is no such user.</summary>
    [Alias("add-key")]
    Task AddKeyAsync(string accessKey, CancellationToken ct);

    /// <summary>Forgets a key that was deleted. Nothing where there is no such user.</summary>
    [Alias("remove-key")]
    Task RemoveKeyAsync(string accessKey, CancellationToken ct);

    /// <summary>Removes the user. Their buckets stay, and so do their keys: who removes a user removes these first.</summary>
    [Alias("delete")]
    Task DeleteAsync(CancellationToken ct);
}

/// <summary>A user.</summary>
/// <param name="AccessKeys">Ids of the keys that act as this user: the one made with them, and those made later.</param>
/// <param name="Policies">What the user may do; none: everything with what is theirs.</param>
[GenerateSerializer, Immutable, Alias("user-record")]
public sealed record UserRecord(string Name, DateTimeOffset Created, ImmutableArray<string> AccessKeys, ImmutableArray<AttachedPolicy> Policies);

/// <param name="Name">For people.</param>
/// <param name="Document">In the language of AWS's identity policies, checked by who attached it.</param>
[GenerateSerializer, Immutable, Alias("attached-policy")]
public sealed record AttachedPolicy(string Name, string Document);
