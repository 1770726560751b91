using System.Collections.Immutable;
using DarkStorage.GrainInterfaces;
using DarkStorage.GrainInterfaces.Users;
using Orleans;
using Orleans.Runtime;

namespace DarkStorage.Grains.Users;

/// <summary>What is kept of a user.</summary>
[GenerateSerializer, Alias("user-state")]
public sealed class UserState
{
    [Id(0)]
    public UserRecord? User { get; set; }
}

/// <summary>One user and the policies attached to them.</summary>
internal sealed class UserGrain([PersistentState("user", StorageNames.Index)] IPersistentState<UserState> state) : Grain, IUserGrain
{
    public Task CreateAsync(UserRecord user, CancellationToken ct)
    {
        if (state.State.User is not null) throw new StorageException(StorageError.InvalidArgument, $"There is a user {user.Name}.");
        return WriteAsync(user, ct);
    }

    public Task<UserRecord?> FindAsync(CancellationToken ct) => Task.FromResult(state.State.User);

    public Task SetPoliciesAsync(ImmutableArray<AttachedPolicy> policies, CancellationToken ct) => WriteAsync(
        (state.State.User ?? throw new StorageException(StorageError.NoSuchUser, $"There is no user {this.GetPrimaryKeyString()}.")) with { Policies = policies }, ct);

    public Task AddKeyAsync(string accessKey, CancellationToken ct) =>
        state.State.User is { } user && !user.AccessKeys.Contains(accessKey) ? WriteAsync(user with { AccessKeys = user.AccessKeys.Add(accessKey) }, ct) : Task.CompletedTask;

    public Task RemoveKeyAsync(string accessKey, CancellationToken ct) =>
        state.State.User is { } user && user.AccessKeys.Contains(accessKey) ? WriteAsync(user with { AccessKeys = user.AccessKeys.Remove(accessKey) }, ct) : Task.CompletedTask;

    public async Task DeleteAsync(CancellationToken ct)
    {
        try
        {
            if (state.RecordExists) await state.ClearStateAsync(ct);
        }
        finally
        {
            DeactivateOnIdle(); // and where it failed memory may be behind the index: forget it
        }
    }

    private async Task WriteAsync(UserRecord user, CancellationToken ct)
    {
        state.State.User = user;
        try
        {
            await state.WriteStateAsync(ct);
        }
        catch
        {
            DeactivateOnIdle(); // memory is ahead of the index now: forget it
            throw;
        }
    }
}
