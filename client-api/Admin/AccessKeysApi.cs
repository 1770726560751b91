using System.Security.Cryptography;
using System.Text;
using System.Text.Json;
using DarkStorage.ClientApi.S3;
using DarkStorage.GrainInterfaces;
using DarkStorage.GrainInterfaces.AccessKeys;
using Microsoft.AspNetCore.Http;
using Orleans;

namespace DarkStorage.ClientApi.Admin;

/// <summary>Access keys besides root's: <c>POST /v1/access-keys</c>, <c>PUT /v1/access-keys/ID</c>, <c>DELETE /v1/access-keys/ID</c>, for root with Basic authentication.</summary>
internal sealed class AccessKeysApi(RootKey root, IGrainFactory grains)
{
    public const string Path = "/v1/access-keys";

    private const int BodyBytesMax = 16 << 10;
    private const int SecretBytes = 30;

    /// <param name="AccessKey">Made where it is not given: 3 to 128 letters, digits, '-', '_' or '.'.</param>
    /// <param name="SecretKey">Made where it is not given: at least 8 characters.</param>
    private sealed record NewKey(string? Account, string? AccessKey, string? SecretKey);

    private sealed record Change(bool? Enabled);

    /// <returns>The status and the body of the answer.</returns>
    public async Task<(int Status, object Body)> HandleAsync(HttpContext http, CancellationToken ct)
    {
        if (!IsRoot(http.Request.Headers.Authorization.ToString())) return (StatusCodes.Status401Unauthorized, new { error = "Root's access key and secret key are wanted, by Basic authentication." });
        var id = http.Request.Path.Value![Path.Length..].TrimStart('/');
        try
        {
            return (http.Request.Method, id.Length > 0) switch
            {
                ("POST", false) => await CreateAsync(await ReadAsync<NewKey>(http, ct), ct),
                ("PUT", true) => await ChangeAsync(id, await ReadAsync<Change>(http, ct), ct),
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
        if (string.IsNullOrEmpty(wanted.Account) || !IsName(wanted.Account)) return Refused("account: 3 to 128 letters, digits, '-', '_' or '.'.");
        if (wanted.AccessKey is not null && !IsName(wanted.AccessKey)) return Refused("accessKey: 3 to 128 letters, digits, '-', '_' or '.'.");
        if (wanted.SecretKey is { Length: < 8 or > 128 }) return Refused("secretKey: 8 to 128 characters.");
        var id = wanted.AccessKey ?? RandomNumberGenerator.GetString("ABCDEFGHIJKLMNOPQRSTUVWXYZ234567", 20);
        if (id == root.AccessKeyId) return (StatusCodes.Status409Conflict, new { error = "That is root's access key." });
        var secret = wanted.SecretKey ?? Convert.ToBase64String(RandomNumberGenerator.GetBytes(SecretBytes));
        await grains.GetGrain<IAccessKeyGrain>(id).CreateAsync(new(id, secret, wanted.Account, Enabled: true), ct);
        return (StatusCodes.Status201Created, new { accessKey = id, secretKey = secret, account = wanted.Account });
    }

    private async Task<(int, object)> ChangeAsync(string id, Change change, CancellationToken ct)
    {
        if (change.Enabled is not { } enabled) return Refused("enabled: true or false.");
        await grains.GetGrain<IAccessKeyGrain>(id).SetEnabledAsync(enabled, ct);
        return (StatusCodes.Status200OK, new { accessKey = id, enabled });
    }

    private async Task<(int, object)> DeleteAsync(string id, CancellationToken ct)
    {
        await grains.GetGrain<IAccessKeyGrain>(id).DeleteAsync(ct);
        return (StatusCodes.Status200OK, new { accessKey = id, deleted = true });
    }

    private static (int, object) Refused(string error) => (StatusCodes.Status400BadRequest, new { error });

    private static bool IsName(string text) => text.Length is >= 3 and <= 128 && text.All(c => char.IsAsciiLetterOrDigit(c) || c is '-' or '_' or '.');

    private static async Task<T> ReadAsync<T>(HttpContext http, CancellationToken ct)
    {
        if (http.Request.ContentLength is null or > BodyBytesMax) throw new JsonException($"A Content-Length of at most {BodyBytesMax} is wanted.");
        return await JsonSerializer.DeserializeAsync<T>(http.Request.Body, JsonSerializerOptions.Web, ct) ?? throw new JsonException("It is null.");
    }

    private bool IsRoot(string authorization)
    {
        const string scheme = "Basic ";
        if (!authorization.StartsWith(scheme, StringComparison.OrdinalIgnoreCase)) return false;
        // Hashed first, so that the comparison tells nothing of the lengths either.
        var given = new byte[authorization.Length];
        if (!Convert.TryFromBase64Chars(authorization.AsSpan(scheme.Length), given, out var length)) return false;
        var wanted = Encoding.UTF8.GetBytes($"{root.AccessKeyId}:{root.Secret}");
        return CryptographicOperations.FixedTimeEquals(SHA256.HashData(given.AsSpan(0, length)), SHA256.HashData(wanted));
    }
}
