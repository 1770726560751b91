using System.Collections.Immutable;
using System.Text.Json;
using DarkStorage.ClientApi.S3;
using DarkStorage.GrainInterfaces;
using DarkStorage.GrainInterfaces.Cluster;
using DarkStorage.GrainInterfaces.Integrations;
using DarkStorage.Storage.Backends;
using Microsoft.AspNetCore.Http;
using Orleans;

namespace DarkStorage.ClientApi.Admin;

/// <summary>Places outside: <c>GET /v1/integrations/types</c>; <c>GET</c> and <c>POST /v1/integrations</c>; <c>GET</c>, <c>PUT</c> and <c>DELETE /v1/integrations/NAME</c>;
/// <c>POST /v1/integrations/NAME/test</c>, <c>…/authorize</c>, <c>…/enable</c> and <c>…/disable</c>. For administrators with Basic authentication.</summary>
/// <param name="reader">Null on a node that stands alone.</param>
internal sealed class IntegrationsApi(Credentials credentials, IGrainFactory grains, IConnectors connectors, IClusterReader? reader = null)
{
    public const string Path = "/v1/integrations";

    /// <summary>A part of the path, and so no integration's name.</summary>
    private const string TypesName = "types";

    private sealed record NewIntegration(string? Name, string? Type, string? Preset, Dictionary<string, string?>? Settings);

    private sealed record Authorize(string? Flow);

    private sealed record Change(Dictionary<string, string?>? Settings);

    /// <returns>The status and the body of the answer.</returns>
    public async Task<(int Status, object Body)> HandleAsync(HttpContext http, CancellationToken ct)
    {
        if (!await credentials.IsAdministratorAsync(http, ct)) return AdminRequests.Unauthorized;
        if (await RefusalAsync(ClusterLevels.Integrations, ct) is { } refusal) return (StatusCodes.Status409Conflict, new { error = refusal });
        var rest = http.Request.Path.Value![Path.Length..].Split('/', StringSplitOptions.RemoveEmptyEntries);
        try
        {
            return (http.Request.Method, rest) switch
            {
                ("GET", []) => (StatusCodes.Status200OK, await ListAsync(ct)),
                ("POST", []) => await AddAsync(await AdminRequests.ReadAsync<NewIntegration>(http, ct), ct),
                ("GET", [TypesName]) => (StatusCodes.Status200OK, connectors.Types.Select(Describe)),
                ("GET", [var name]) => await Grain(name).FindAsync(ct) is { } status ? (StatusCodes.Status200OK, Describe(status)) : Missing(name),
                ("PUT", [var name]) => await ChangeAsync(name, await AdminRequests.ReadAsync<Change>(http, ct), ct),
                ("DELETE", [var name]) => await Grain(name).RemoveAsync(ct) ? (StatusCodes.Status200OK, new { name, deleted = true }) : Missing(name),
                ("POST", [var name, "test"]) => (StatusCodes.Status200OK, Describe(await Grain(name).TestAsync(ct))),
                ("POST", [var name, "authorize"]) => await AuthorizeAsync(name, http, ct),
                ("POST", [var name, "enable"]) => (StatusCodes.Status200OK, await Grain(name).SetEnabledAsync(true, ct)),
                ("POST", [var name, "disable"]) => (StatusCodes.Status200OK, await Grain(name).SetEnabledAsync(false, ct)),
                _ => (StatusCodes.Status405MethodNotAllowed, new { error = $"There are GET {Path}/{TypesName}, GET and POST {Path}, GET, PUT and DELETE {Path}/NAME, and POST {Path}/NAME/test, …/authorize, …/enable and …/disable." }),
            };
        }
        catch (JsonException e)
        {
            return AdminRequests.Refused($"The body is not the JSON that is wanted: {e.Message}");
        }
        catch (StorageException e) when (e.Error is StorageError.InvalidArgument)
        {
            return AdminRequests.Refused(e.Message);
        }
        catch (StorageException e) when (e.Error is StorageError.NoSuchIntegration)
        {
            return (StatusCodes.Status404NotFound, new { error = e.Message });
        }
        // Damaged are credentials that no key opens: it says what to do.
        catch (StorageException e) when (e.Error is StorageError.IntegrationExists or StorageError.TooManySettings or StorageError.Conflict or StorageError.DataDamaged)
        {
            return (StatusCodes.Status409Conflict, new { error = e.Message });
        }
        catch (StorageException e) when (e.Error is StorageError.BackendFailed)
        {
            return (StatusCodes.Status502BadGateway, new { error = e.Message });
        }
    }

    /// <returns>Why it can't be done yet: a grain may be on a node that does not know what is asked of it; null where all know.</returns>
    private async Task<string?> RefusalAsync(int level, CancellationToken ct) => reader is null ? null : (await reader.DescribeAsync(ct)).RefusalByOlder(level);

    private IIntegrationGrain Grain(string name) => grains.GetGrain<IIntegrationGrain>(name);

    private static (int, object) Missing(string name) => (StatusCodes.Status404NotFound, new { error = $"There is no integration {name}." });

    private async Task<object> ListAsync(CancellationToken ct)
    {
        var names = await grains.GetGrain<IIntegrationsGrain>(IIntegrationsGrain.Key).ListAsync(ct);
        var found = await Task.WhenAll(names.Select(n => Grain(n).FindAsync(ct)));
        return found.OfType<IntegrationStatus>().Select(Describe);
    }

    private async Task<(int, object)> AddAsync(NewIntegration wanted, CancellationToken ct)
    {
        if (wanted.Name is null || !AdminRequests.IsName(wanted.Name) || wanted.Name == TypesName) return AdminRequests.Refused($"name: 3 to 128 letters, digits, '-', '_' or '.', and not '{TypesName}'.");
        if (wanted.Type is null) return AdminRequests.Refused($"type: one of {string.Join(", ", connectors.Types.Select(t => t.Name))}.");
        var settings = Texts(wanted.Settings);
        if (connectors.Types.FirstOrDefault(t => t.Name == wanted.Type) is { } type && type.ApplicationOf(type.Complete(wanted.Preset, settings)) is not null && await RefusalAsync(ClusterLevels.Authorizations, ct) is { } refusal)
            return (StatusCodes.Status409Conflict, new { error = refusal });
        return (StatusCodes.Status201Created, await Grain(wanted.Name).AddAsync(wanted.Type, wanted.Preset, settings, ct));
    }

    private async Task<(int, object)> ChangeAsync(string name, Change wanted, CancellationToken ct) => wanted.Settings is null or { Count: 0 }
        ? AdminRequests.Refused("settings: what is to be changed.")
        : (StatusCodes.Status200OK, await Grain(name).ChangeAsync(Texts(wanted.Settings), ct));

    private async Task<(int, object)> AuthorizeAsync(string name, HttpContext http, CancellationToken ct)
    {
        AuthorizationFlow? flow = (await AdminRequests.ReadAsync<Authorize>(http, ct)).Flow switch { "code" => AuthorizationFlow.Code, "device" => AuthorizationFlow.Device, _ => null };
        if (flow is null) return AdminRequests.Refused("flow: code or device.");
        if (await RefusalAsync(ClusterLevels.Authorizations, ct) is { } refusal) return (StatusCodes.Status409Conflict, new { error = refusal });
        // Nothing of the name is known to be an integration before its grain says so.
        if (await Grain(name).FindAsync(ct) is null) return Missing(name);
        var start = await grains.GetGrain<IAuthorizationGrain>(name).BeginAsync(flow.Value, new($"http://127.0.0.1:{http.Connection.LocalPort}"), ct);
        // Who opens the address can end what it begins: it is kept by nobody on the way.
        http.Response.Headers.CacheControl = "no-store";
        return (StatusCodes.Status200OK, new { flow = flow == AuthorizationFlow.Code ? "code" : "device", url = start.Address.AbsoluteUri, start.UserCode, completeUrl = start.CompleteAddress?.AbsoluteUri, start.Until });
    }

    private static ImmutableDictionary<string, string> Texts(Dictionary<string, string?>? settings) => settings?.ToImmutableDictionary(s => s.Key, s => s.Value ?? "") ?? ImmutableDictionary<string, string>.Empty;

    private static object Describe(ConnectorType type) => new
    {
        type.Name,
        type.Title,
        type.Help,
        fields = type.Fields.Select(f => new
        {
            f.Name,
            f.Help,
            kind = JsonNamingPolicy.CamelCase.ConvertName(f.Kind.ToString()),
            required = f.IsRequired,
            f.Default,
            choices = f.Choices.IsDefault ? [] : f.Choices,
        }),
        presets = type.Presets,
        oauth = type.OAuth.Select(s => new { s.Title, s.When, s.AuthorizationUrl, s.TokenUrl, s.DeviceUrl, s.Scope, s.Parameters, pkce = s.UsesPkce }),
    };

    private static object Describe(IntegrationStatus status) => new
    {
        status.Integration,
        health = status.Health is { } health ? new { healthy = health.IsHealthy, health.Checked, health.Since, health.Failure } : null,
        authorization = status.Authorization is { } access ? new { authorized = access.IsAuthorized, access.Granted, access.Renewed, access.Failure, access.PendingUntil, access.FlowFailure } : null,
        usage = new
        {
            status.Usage.Calls,
            status.Usage.Failures,
            status.Usage.BytesWritten,
            status.Usage.BytesRead,
            meanMilliseconds = status.Usage.Calls == 0 ? 0 : Math.Round(status.Usage.Busy.TotalMilliseconds / status.Usage.Calls, 1),
        },
    };

    private static object Describe(IntegrationTest test) =>
        new { passed = test.Passed, steps = test.Steps.Select(s => new { s.Name, passed = s.Failure is null, s.Failure, milliseconds = Math.Round(s.Took.TotalMilliseconds, 1) }) };
}
