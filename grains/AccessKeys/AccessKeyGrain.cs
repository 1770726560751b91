using System.Security.Cryptography;
using DarkStorage.GrainInterfaces;
using DarkStorage.GrainInterfaces.AccessKeys;
using DarkStorage.Storage.Secrets;
using Orleans;
using Orleans.Runtime;

namespace DarkStorage.Grains.AccessKeys;

/// <summary>What is kept of an access key. The secret is sealed.</summary>
[GenerateSerializer, Alias("access-key-state")]
public sealed class AccessKeyState
{
    /// <summary>The name of the state in the index.</summary>
    public const string Name = "access-key";

    [Id(0)]
    public byte[] SealedSecret { get; set; } = [];

    [Id(1)]
    public string Account { get; set; } = "";

    [Id(2)]
    public bool Enabled { get; set; }
}

/// <summary>One access key and its secret, sealed with the master key before it is written.</summary>
internal sealed class AccessKeyGrain(
    [PersistentState(AccessKeyState.Name, StorageNames.Index)] IPersistentState<AccessKeyState> state, ISecretBox secrets) : Grain, IAccessKeyGrain
{
    private string Id => this.GetPrimaryKeyString();

    /// <summary>Binds a sealed secret to its key: moved under another id it does not open.</summary>
    private string Purpose => $"access-key/{Id}";

    public Task CreateAsync(AccessKey key, CancellationToken ct)
    {
        if (state.RecordExists) throw new StorageException(StorageError.InvalidArgument, $"The access key {Id} exists.");
        if (key.Id != Id) throw new StorageException(StorageError.InvalidArgument, $"The access key {key.Id} was sent to the grain of {Id}.");
        return ChangeAsync(s => (s.SealedSecret, s.Account, s.Enabled) = (secrets.Seal(key.Secret, Purpose), key.Account, key.Enabled), ct);
    }

    public Task<AccessKey?> FindAsync(CancellationToken ct) => Task.FromResult(state.RecordExists
        ? new AccessKey(Id, secrets.Open(state.State.SealedSecret, Purpose), state.State.Account, state.State.Enabled)
        : null);

    public Task SetEnabledAsync(bool enabled, CancellationToken ct)
    {
        if (!state.RecordExists) throw new StorageException(StorageError.NoSuchAccessKey, $"There is no access key {Id}.");
        return ChangeAsync(s => s.Enabled = enabled, ct);
    }

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

    public async Task<bool> SealAnewAsync(CancellationToken ct)
    {
        if (!state.RecordExists || secrets.IsCurrent(state.State.SealedSecret)) return false;
        string secret;
        try
        {
            secret = secrets.Open(state.State.SealedSecret, Purpose);
        }
        catch (CryptographicException e)
        {
            throw new StorageException(StorageError.DataDamaged, $"The secret of the access key {Id} does not open: delete the key.", e);
        }
        await ChangeAsync(s => s.SealedSecret = secrets.Seal(secret, Purpose), ct);
        return true;
    }

    private async Task ChangeAsync(Action<AccessKeyState> change, CancellationToken ct)
    {
        change(state.State);
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
