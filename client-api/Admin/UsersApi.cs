using System.Collections.Immutable;
using System.Text.Json;
using DarkStorage.ClientApi.S3;
using DarkStorage.GrainInterfaces;
using DarkStorage.GrainInterfaces.AccessKeys;
using DarkStorage.GrainInterfaces.Users;
using DarkStorage.Rules.Policies;
using Microsoft.AspNetCore.Http;
using Orleans;

namespace DarkStorage.ClientApi.Admin;

/// <summary>Users: <c>POST /v1/users</c>, <c>GET /v1/users/NAME</c>, <c>PUT /v1/users/NAME/policies</c>, <c>DELETE /v1/users/NAME</c>, for administrators with Basic
/// authentication.</summary>
internal sealed class UsersApi(Credentials credentials, AccessKeysApi keys, IGrainFactory grains, TimeProvider clock)
{
    public const string Path = "/v1/users";

    /// <summary>AWS attaches ten to a user or a role.</summary>
    private const int PoliciesMax = 10;

    /// <param name="Policies">Each the name of a canned policy, a policy document, or an object of <c>name</c> and <c>document</c>.</param>
    private sealed record NewUser(string? Name, string? AccessKey, string? SecretKey, JsonElement[]? Policies);

    private sealed record NewPolicies(JsonElement[]? Policies);

    /// <returns>The status and the body of the answer.</returns>
    public async Task<(int Status, object Body)> HandleAsync(HttpContext http, CancellationToken ct)
    {
        if (!await credentials.IsAdministratorAsync(http, ct)) return AdminRequests.Unauthorized;
        var rest = http.Request.Path.Value![Path.Length..].Split('/', StringSplitOptions.RemoveEmptyEntries);
        try
        {
            return (http.Request.Method, rest) switch
            {
                ("POST", []) => await CreateAsync(await AdminRequests.ReadAsync<NewUser>(http, ct), ct),
                ("GET", [var name]) => await GetAsync(name, ct),
                ("PUT", [var name, "policies"]) => await SetPoliciesAsync(name, await AdminRequests.ReadAsync<NewPolicies>(http, ct), ct),
                ("DELETE", [var name]) => await DeleteAsync(name, ct),
                _ => (StatusCodes.Status405MethodNotAllowed, new { error = $"There are POST {Path}, GET {Path}/NAME, PUT {Path}/NAME/policies and DELETE {Path}/NAME." }),
            };
        }
        catch (JsonException e)
        {
            return AdminRequests.Refused($"The body is not the JSON that is wanted: {e.Message}");
        }
        catch (PolicyFormatException e)
        {
            return AdminRequests.Refused($"policies: {e.Message}");
        }
        catch (StorageException e) when (e.Error is StorageError.InvalidArgument)
        {
            return (StatusCodes.Status409Conflict, new { error = e.Message });
        }
        catch (StorageException e) when (e.Error is StorageError.NoSuchUser)
        {
            return (StatusCodes.Status404NotFound, new { error = e.Message });
        }
    }

    private async Task<(int, object)> CreateAsync(NewUser wanted, CancellationToken ct)
    {
        if (wanted.Name is null || !AdminRequests.IsName(wanted.Name) || wanted.Name == Caller.RootAccount) return AdminRequests.Refused("name: 3 to 128 letters, digits, '-', '_' or '.', and not root.");
        if (wanted.AccessKey is not null && !AdminRequests.IsName(wanted.AccessKey)) return AdminRequests.Refused("accessKey: 3 to 128 letters, digits, '-', '_' or '.'.");
        if (wanted.SecretKey is { Length: < 8 or > 128 }) return AdminRequests.Refused("secretKey: 8 to 128 characters.");
        var policies = Read(wanted.Policies);
        var user = grains.GetGrain<IUserGrain>(wanted.Name);
        if (await user.FindAsync(ct) is not null) throw new StorageException(StorageError.InvalidArgument, $"There is a user {wanted.Name}.");
        // The user first: a key whose user is not there yet would act without the policies that are to bind it.
        var (id, secret) = (wanted.AccessKey ?? AccessKeysApi.NewId(), wanted.SecretKey ?? AccessKeysApi.NewSecret());
        await keys.RequireFreeAsync(id, ct);
        await user.CreateAsync(new(wanted.Name, clock.GetUtcNow(), [id], policies), ct);
        await keys.CreateKeyAsync(wanted.Name, id, secret, ct);
        return (StatusCodes.Status201Created, new { name = wanted.Name, accessKey = id, secretKey = secret, policies = policies.Select(p => p.Name) });
    }

    private async Task<(int, object)> GetAsync(string name, CancellationToken ct)
    {
        var user = await grains.GetGrain<IUserGrain>(name).FindAsync(ct) ?? throw new StorageException(StorageError.NoSuchUser, $"There is no user {name}.");
        return (StatusCodes.Status200OK, new { name = user.Name, created = user.Created, accessKeys = user.AccessKeys, policies = user.Policies.Select(p => new { name = p.Name, document = JsonDocument.Parse(p.Document).RootElement }) });
    }

    private async Task<(int, object)> SetPoliciesAsync(string name, NewPolicies wanted, CancellationToken ct)
    {
        var policies = Read(wanted.Policies);
        await grains.GetGrain<IUserGrain>(name).SetPoliciesAsync(policies, ct);
        return (StatusCodes.Status200OK, new { name, policies = policies.Select(p => p.Name) });
    }

    private async Task<(int, object)> DeleteAsync(string name, CancellationToken ct)
    {
        var grain = grains.GetGrain<IUserGrain>(name);
        var user = await grain.FindAsync(ct) ?? throw new StorageException(StorageError.NoSuchUser, $"There is no user {name}.");
        // The keys first: one that outlived its user would act without the user's policies.
        foreach (var id in user.AccessKeys)
        {
            // Some other account's, where the user's own was never made or its id was given anew.
            var key = grains.GetGrain<IAccessKeyGrain>(id);
            if ((await key.FindAsync(ct))?.Account == name) await key.DeleteAsync(ct);
        }
        await grain.DeleteAsync(ct);
        return (StatusCodes.Status200OK, new { name, deleted = true });
    }

    /// <summary>Policies as users and roles are given them.</summary>
    /// <exception cref="PolicyFormatException"/>
    public static ImmutableArray<AttachedPolicy> Read(JsonElement[]? wanted)
    {
        if (wanted is null) return [];
        if (wanted.Length > PoliciesMax) throw new PolicyFormatException($"There are at most {PoliciesMax} policies.");
        var policies = wanted.Select((element, i) => Read(element, $"inline-{i + 1}")).ToImmutableArray();
        foreach (var policy in policies) IdentityPolicy.Parse(policy.Name, policy.Document);
        return policies.Select(p => p.Name).Distinct(StringComparer.Ordinal).Count() == policies.Length ? policies : throw new PolicyFormatException("Two policies have one name.");
    }

    private static AttachedPolicy Read(JsonElement element, string otherwise)
    {
        if (element.ValueKind == JsonValueKind.String)
        {
            var name = element.GetString()!;
            return new(name, CannedPolicies.Find(name) ?? throw new PolicyFormatException($"There is no policy named {name}; there are administrator, readwrite, readonly and writeonly."));
        }
        if (element.ValueKind != JsonValueKind.Object) throw new PolicyFormatException("A policy is a name or an object.");
        if (!element.TryGetProperty("document", out var document)) return new(otherwise, element.GetRawText());
        var given = element.TryGetProperty("name", out var text) && text.ValueKind == JsonValueKind.String ? text.GetString()! : otherwise;
        // That name is a right of its own, and comes with its own document.
        if (!AdminRequests.IsName(given) || CannedPolicies.Find(given) is not null) throw new PolicyFormatException("A policy's name has 3 to 128 letters, digits, '-', '_' or '.', and is none of those that are there by name.");
        return new(given, document.ValueKind == JsonValueKind.String ? document.GetString()! : document.GetRawText());
    }
}
