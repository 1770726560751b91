using System.Security.Cryptography;
using System.Text;
using System.Text.Json;
using DarkStorage.ClientApi.S3;
using DarkStorage.GrainInterfaces;
using DarkStorage.GrainInterfaces.AccessKeys;
using DarkStorage.GrainInterfaces.Users;
using Microsoft.AspNetCore.Http;
using Orleans;

namespace DarkStorage.ClientApi.Admin;

/// <summary>Access keys besides root's: <c>POST /v1/access-keys</c>, <c>PUT /v1/access-keys/ID</c>, <c>DELETE /v1/access-keys/ID</c>, for administrators with Basic authentication.</summary>
internal sealed class AccessKeysApi(RootKey root, Credentials credentials, IGrainFactory grains)
{
    public const string Path = "/v1/access-keys";

    private const int SecretBytes = 30;

    /// <param name="AccessKey">Made where it is not given: 3 to 128 letters, digits, '-', '_' or '.'.</param>
    /// <param name="SecretKey">Made where it is not given: at least 8 characters.</param>
    private sealed record NewKey(string? Account, string? AccessKey, string? SecretKey);

    private sealed record Change(bool? Enabled);

    /// <returns>The status and the body of the answer.</returns>
    public async Task<(int Status, object Body)> HandleAsync(HttpContext http, CancellationToken ct)
    {
        if (!await credentials.IsAdministratorAsync(http, ct)) return AdminRequests.Unauthorized;
        var id = http.Request.Path.Value![Path.Length..].TrimStart('/');
        try
        {
            return (http.Request.Method, id.Length > 0) switch
            {
                ("POST", false) => await CreateAsync(await AdminRequests.ReadAsync<NewKey>(http, ct), ct),
                ("PUT", true) => await ChangeAsync(id, await AdminRequests.ReadAsync<Change>(http, ct), ct),
                ("DELETE", true) => await DeleteAsync(id, ct),
                _ => (StatusCodes.Status405MethodNotAllowed, new { error = $"There are POST {Path}, PUT {Path}/ID and DELETE {Path}/ID." }),
            };
        }
        catch (JsonException e)
        {
            return (StatusCodes.Status400BadRequest, new { error = $"The body is not the JSON that is wanted: {e.Message}" });
        }
        catch (StorageException e) when (e.Error is StorageError.InvalidArgument)
        {
            return (StatusCodes.Status409Conflict, new { error = e.Message });
        }
        catch (StorageException e) when (e.Error is StorageError.NoSuchAccessKey)
        {
            return (StatusCodes.Status404NotFound, new { error = e.Message });
        }
    }

    private async Task<(int, object)> CreateAsync(NewKey wanted, CancellationToken ct)
    {
        if (string.IsNullOrEmpty(wanted.Account) || !AdminRequests.IsName(wanted.Account)) return AdminRequests.Refused("account: 3 to 128 letters, digits, '-', '_' or '.'.");
        if (wanted.AccessKey is not null && !AdminRequests.IsName(wanted.AccessKey)) return AdminRequests.Refused("accessKey: 3 to 128 letters, digits, '-', '_' or '.'.");
        if (wanted.SecretKey is { Length: < 8 or > 128 }) return AdminRequests.Refused("secretKey: 8 to 128 characters.");
        var (id, secret) = await CreateKeyAsync(wanted.Account, wanted.AccessKey, wanted.SecretKey, ct);
        return (StatusCodes.Status201Created, new { accessKey = id, secretKey = secret, account = wanted.Account });
    }

    /// <summary>Makes a key; what is not given is made up.</summary>
    /// <exception cref="StorageException"><see cref="StorageError.InvalidArgument"/>: the id is taken.</exception>
    public async Task<(string Id, string Secret)> CreateKeyAsync(string account, string? accessKey, string? secretKey, CancellationToken ct)
    {
        var (id, secret) = (accessKey ?? NewId(), secretKey ?? NewSecret());
        await RequireFreeAsync(id, ct);
        // The user is told first: a key that a user does not know of would outlive them, and act without their policies.
        await grains.GetGrain<IUserGrain>(account).AddKeyAsync(id, ct);
        await grains.GetGrain<IAccessKeyGrain>(id).CreateAsync(new(id, secret, account, Enabled: true), ct);
        return (id, secret);
    }

    public static string NewId() => "AK" + RandomNumberGenerator.GetString("ABCDEFGHIJKLMNOPQRSTUVWXYZ234567", 18);

    public static string NewSecret() => Convert.ToBase64String(RandomNumberGenerator.GetBytes(SecretBytes));

    /// <exception cref="StorageException"><see cref="StorageError.InvalidArgument"/>: the id is taken.</exception>
    public async Task RequireFreeAsync(string id, CancellationToken ct)
    {
        if (id == root.AccessKeyId) throw new StorageException(StorageError.InvalidArgument, "That is root's access key.");
        if (await grains.GetGrain<IAccessKeyGrain>(id).FindAsync(ct) is not null) throw new StorageException(StorageError.InvalidArgument, $"The access key {id} exists.");
    }

    private async Task<(int, object)> ChangeAsync(string id, Change change, CancellationToken ct)
    {
        if (change.Enabled is not { } enabled) return AdminRequests.Refused("enabled: true or false.");
        await grains.GetGrain<IAccessKeyGrain>(id).SetEnabledAsync(enabled, ct);
        return (StatusCodes.Status200OK, new { accessKey = id, enabled });
    }

    private async Task<(int, object)> DeleteAsync(string id, CancellationToken ct)
    {
        var key = grains.GetGrain<IAccessKeyGrain>(id);
        var account = (await key.FindAsync(ct))?.Account;
        await key.DeleteAsync(ct);
        if (account is not null) await grains.GetGrain<IUserGrain>(account).RemoveKeyAsync(id, ct);
        return (StatusCodes.Status200OK, new { accessKey = id, deleted = true });
    }
}
