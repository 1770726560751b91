using Orleans;

namespace DarkStorage.GrainInterfaces.AccessKeys;

/// <summary>One access key. The grain's key is the access key's id. Its secret is encrypted at rest.</summary>
[Alias("access-key")]
public interface IAccessKeyGrain : IGrainWithStringKey
{
    /// <exception cref="StorageException"><see cref="StorageError.InvalidArgument"/>: the id is taken.</exception>
    [Alias("create")]
    Task CreateAsync(AccessKey key, CancellationToken ct);

    /// <returns>Null where there is no such key.</returns>
    [Alias("find")]
    Task<AccessKey?> FindAsync(CancellationToken ct);

    /// <exception cref="StorageException"><see cref="StorageError.NoSuchAccessKey"/>.</exception>
    [Alias("set-enabled")]
    Task SetEnabledAsync(bool enabled, CancellationToken ct);

    [Alias("delete")]
    Task DeleteAsync(CancellationToken ct);

    /// <summary>Seals the secret under the newest key of the silo that has the grain, where it is sealed under another.</summary>
    /// <returns>Whether it was.</returns>
    /// <exception cref="StorageException"><see cref="StorageError.DataDamaged"/>: no key opens it.</exception>
    [Alias("seal-anew")]
    Task<bool> SealAnewAsync(CancellationToken ct);
}

/// <summary>A key that signs requests.</summary>
/// <param name="Secret">Never logged, never shown again: <see cref="ToString"/> leaves it out.</param>
/// <param name="Account">Who it acts as.</param>
[GenerateSerializer, Immutable, Alias("access-key-record")]
public sealed record AccessKey(string Id, string Secret, string Account, bool Enabled)
{
    public override string ToString() => $"AccessKey {Id} of {Account}{(Enabled ? "" : " (disabled)")}";
}
