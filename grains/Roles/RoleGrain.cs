using DarkStorage.GrainInterfaces;
using DarkStorage.GrainInterfaces.Roles;
using Orleans;
using Orleans.Runtime;

namespace DarkStorage.Grains.Roles;

/// <summary>What is kept of a role.</summary>
[GenerateSerializer, Alias("role-state")]
public sealed class RoleState
{
    [Id(0)]
    public RoleRecord? Role { get; set; }
}

/// <summary>One role and its terms.</summary>
internal sealed class RoleGrain([PersistentState("role", StorageNames.Index)] IPersistentState<RoleState> state) : Grain, IRoleGrain
{
    public Task CreateAsync(RoleRecord role, CancellationToken ct) =>
        state.State.Role is null ? WriteAsync(role, ct) : throw new StorageException(StorageError.InvalidArgument, $"There is a role {role.Name}.");

    public Task<RoleRecord?> FindAsync(CancellationToken ct) => Task.FromResult(state.State.Role);

    public Task ChangeAsync(RoleTerms terms, CancellationToken ct) => WriteAsync(
        (state.State.Role ?? throw new StorageException(StorageError.NoSuchRole, $"There is no role {this.GetPrimaryKeyString()}.")) with { Terms = terms }, ct);

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

    private async Task WriteAsync(RoleRecord role, CancellationToken ct)
    {
        state.State.Role = role;
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
