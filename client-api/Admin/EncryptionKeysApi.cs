using System.Text.Json;
using DarkStorage.ClientApi.S3;
using DarkStorage.GrainInterfaces;
using DarkStorage.Storage.Encryption;
using Microsoft.AspNetCore.Http;

namespace DarkStorage.ClientApi.Admin;

/// <summary>The keys of the node's ring, which SSE-S3 uses and SSE-KMS by default: <c>GET</c> and <c>POST /v1/encryption-keys</c>, <c>PUT /v1/encryption-keys/NAME</c>,
/// <c>POST /v1/encryption-keys/NAME/rotate</c>. For administrators with Basic authentication.</summary>
/// <remarks>There is no way to delete a key: what was sealed under it would be lost with it.</remarks>
internal sealed class EncryptionKeysApi(Credentials credentials, KeyRing ring)
{
    public const string Path = "/v1/encryption-keys";
    private const string Rotate = "/rotate";

    private sealed record NewKey(string? Name);

    private sealed record Change(bool? Enabled);

    /// <returns>The status and the body of the answer.</returns>
    public async Task<(int Status, object Body)> HandleAsync(HttpContext http, CancellationToken ct)
    {
        if (!await credentials.IsAdministratorAsync(http, ct)) return AdminRequests.Unauthorized;
        // A key's name may have slashes in it.
        var name = http.Request.Path.Value![Path.Length..].TrimStart('/');
        try
        {
            switch (http.Request.Method, name)
            {
                case ("GET", ""):
                    return (StatusCodes.Status200OK, ring.List());
                case ("POST", ""):
                    var wanted = await AdminRequests.ReadAsync<NewKey>(http, ct);
                    if (wanted.Name is null) return AdminRequests.Refused("name: 1 to 256 letters, digits and -_./:");
                    await ring.CreateAsync(wanted.Name, ct);
                    return (StatusCodes.Status201Created, Described(wanted.Name));
                case ("POST", _) when name.EndsWith(Rotate, StringComparison.Ordinal):
                    name = name[..^Rotate.Length];
                    await ring.RotateAsync(name, ct);
                    return (StatusCodes.Status200OK, Described(name));
                case ("PUT", not ""):
                    if ((await AdminRequests.ReadAsync<Change>(http, ct)).Enabled is not { } enabled) return AdminRequests.Refused("enabled: true or false.");
                    await ring.SetEnabledAsync(name, enabled, ct);
                    return (StatusCodes.Status200OK, Described(name));
                default:
                    return (StatusCodes.Status405MethodNotAllowed, new { error = $"There are GET and POST {Path}, PUT {Path}/NAME and POST {Path}/NAME{Rotate}." });
            }
        }
        catch (JsonException e)
        {
            return AdminRequests.Refused($"The body is not the JSON that is wanted: {e.Message}");
        }
        catch (StorageException e) when (e.Error is StorageError.InvalidArgument)
        {
            return AdminRequests.Refused(e.Message);
        }
        catch (StorageException e) when (e.Error is StorageError.KeyNotFound)
        {
            return (StatusCodes.Status404NotFound, new { error = $"There is no key {name}." });
        }
    }

    private RingKeyInfo Described(string name) => ring.List().First(k => k.Name == name);
}
