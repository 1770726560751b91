using System.Security.Cryptography;
using System.Text.Json;
using DarkStorage.ClientApi.S3;
using DarkStorage.GrainInterfaces;
using DarkStorage.GrainInterfaces.Roles;
using DarkStorage.Rules.Policies;
using Microsoft.AspNetCore.Http;
using Orleans;

namespace DarkStorage.ClientApi.Admin;

/// <summary>Roles: <c>POST /v1/roles</c>, <c>GET /v1/roles/NAME</c>, <c>PUT /v1/roles/NAME</c>, <c>DELETE /v1/roles/NAME</c>, for administrators with Basic
/// authentication.</summary>
internal sealed class RolesApi(Credentials credentials, IGrainFactory grains, S3Options options, TimeProvider clock)
{
    public const string Path = "/v1/roles";

    /// <summary>AWS's.</summary>
    private const int NameLengthMax = 64;
    private const int MaxSessionSecondsMin = 3600;
    private const int MaxSessionSecondsMax = 43_200;

    /// <param name="TrustPolicy">A document, or a text that holds one.</param>
    /// <param name="Policies">Each the name of a canned policy, a policy document, or an object of <c>name</c> and <c>document</c>.</param>
    private sealed record Wanted(string? Name, JsonElement? TrustPolicy, JsonElement[]? Policies, int? MaxSessionSeconds);

    /// <returns>The status and the body of the answer.</returns>
    public async Task<(int Status, object Body)> HandleAsync(HttpContext http, CancellationToken ct)
    {
        if (!await credentials.IsAdministratorAsync(http, ct)) return AdminRequests.Unauthorized;
        var rest = http.Request.Path.Value![Path.Length..].Split('/', StringSplitOptions.RemoveEmptyEntries);
        try
        {
            return (http.Request.Method, rest) switch
            {
                ("POST", []) => await CreateAsync(await AdminRequests.ReadAsync<Wanted>(http, ct), ct),
                ("GET", [var name]) => await GetAsync(name, ct),
                ("PUT", [var name]) => await ChangeAsync(name, await AdminRequests.ReadAsync<Wanted>(http, ct), ct),
                ("DELETE", [var name]) => await DeleteAsync(name, ct),
                _ => (StatusCodes.Status405MethodNotAllowed, new { error = $"There are POST {Path}, GET {Path}/NAME, PUT {Path}/NAME and DELETE {Path}/NAME." }),
            };
        }
        catch (JsonException e)
        {
            return AdminRequests.Refused($"The body is not the JSON that is wanted: {e.Message}");
        }
        catch (PolicyFormatException e)
        {
            return AdminRequests.Refused(e.Message);
        }
        catch (StorageException e) when (e.Error is StorageError.InvalidArgument)
        {
            return (StatusCodes.Status409Conflict, new { error = e.Message });
        }
        catch (StorageException e) when (e.Error is StorageError.NoSuchRole)
        {
            return (StatusCodes.Status404NotFound, new { error = e.Message });
        }
    }

    private async Task<(int, object)> CreateAsync(Wanted wanted, CancellationToken ct)
    {
        if (wanted.Name is null || !AdminRequests.IsName(wanted.Name) || wanted.Name.Length > NameLengthMax) return AdminRequests.Refused($"name: 3 to {NameLengthMax} letters, digits, '-', '_' or '.'.");
        var role = new RoleRecord(wanted.Name, NewId(), clock.GetUtcNow(), Read(wanted));
        await grains.GetGrain<IRoleGrain>(role.Name).CreateAsync(role, ct);
        return (StatusCodes.Status201Created, Describe(role));
    }

    private async Task<(int, object)> GetAsync(string name, CancellationToken ct) => (StatusCodes.Status200OK, Describe(await FindAsync(name, ct)));

    private async Task<(int, object)> ChangeAsync(string name, Wanted wanted, CancellationToken ct)
    {
        if (wanted.Name is not null && wanted.Name != name) return AdminRequests.Refused("name: a role keeps its name.");
        await grains.GetGrain<IRoleGrain>(name).ChangeAsync(Read(wanted), ct);
        return await GetAsync(name, ct);
    }

    private async Task<(int, object)> DeleteAsync(string name, CancellationToken ct)
    {
        await FindAsync(name, ct);
        await grains.GetGrain<IRoleGrain>(name).DeleteAsync(ct);
        return (StatusCodes.Status200OK, new { name, deleted = true });
    }

    private async Task<RoleRecord> FindAsync(string name, CancellationToken ct) =>
        await grains.GetGrain<IRoleGrain>(name).FindAsync(ct) ?? throw new StorageException(StorageError.NoSuchRole, $"There is no role {name}.");

    /// <exception cref="PolicyFormatException"/>
    private static RoleTerms Read(Wanted wanted)
    {
        if (wanted.TrustPolicy is not { ValueKind: JsonValueKind.Object or JsonValueKind.String } trust) throw new PolicyFormatException("trustPolicy: a policy document that says who may assume the role.");
        var document = trust.ValueKind == JsonValueKind.String ? trust.GetString()! : trust.GetRawText();
        try
        {
            TrustPolicy.Parse(document);
        }
        catch (PolicyFormatException e)
        {
            throw new PolicyFormatException($"trustPolicy: {e.Message}");
        }
        var seconds = wanted.MaxSessionSeconds ?? MaxSessionSecondsMin;
        if (seconds is < MaxSessionSecondsMin or > MaxSessionSecondsMax) throw new PolicyFormatException($"maxSessionSeconds: {MaxSessionSecondsMin} to {MaxSessionSecondsMax}.");
        try
        {
            return new(document, UsersApi.Read(wanted.Policies), seconds);
        }
        catch (PolicyFormatException e)
        {
            throw new PolicyFormatException($"policies: {e.Message}");
        }
    }

    private object Describe(RoleRecord role) => new
    {
        name = role.Name,
        id = role.Id,
        arn = $"arn:aws:iam::{options.AccountId}:role/{role.Name}",
        created = role.Created,
        trustPolicy = JsonDocument.Parse(role.Terms.TrustPolicy).RootElement,
        policies = role.Terms.Policies.Select(p => new { name = p.Name, document = JsonDocument.Parse(p.Document).RootElement }),
        maxSessionSeconds = role.Terms.MaxSessionSeconds,
    };

    /// <summary>As AWS's ids of roles look.</summary>
    private static string NewId() => "AROA" + RandomNumberGenerator.GetString("ABCDEFGHIJKLMNOPQRSTUVWXYZ234567", 17);
}
