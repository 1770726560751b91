using System.Text.Json;
using DarkStorage.ClientApi.S3;
using DarkStorage.GrainInterfaces;
using DarkStorage.GrainInterfaces.Events;
using DarkStorage.Rules.Notifications;
using Microsoft.AspNetCore.Http;
using Orleans;

namespace DarkStorage.ClientApi.Admin;

/// <summary>Where bucket notifications can go: <c>GET</c> and <c>POST /v1/event-targets</c>; <c>GET</c>, <c>PUT</c> and <c>DELETE /v1/event-targets/NAME</c>;
/// <c>POST /v1/event-targets/NAME/test</c> and <c>…/replay</c>. For administrators with Basic authentication.</summary>
internal sealed class EventTargetsApi(Credentials credentials, IGrainFactory grains, TimeProvider clock)
{
    public const string Path = "/v1/event-targets";

    private const int UrlLengthMax = 2048;
    private const int SecretLengthMax = 256;

    /// <param name="Secret">What messages are signed with: 8 to 256 characters. Left out, a change keeps the one there is; empty takes it away.</param>
    private sealed record Wanted(string? Name, string? Url, string? Secret);

    /// <param name="Since">Only events that occurred then or later; left out, all that are kept.</param>
    private sealed record Replay(DateTimeOffset? Since);

    /// <returns>The status and the body of the answer.</returns>
    public async Task<(int Status, object Body)> HandleAsync(HttpContext http, CancellationToken ct)
    {
        if (!await credentials.IsAdministratorAsync(http, ct)) return AdminRequests.Unauthorized;
        var rest = http.Request.Path.Value![Path.Length..].Split('/', StringSplitOptions.RemoveEmptyEntries);
        try
        {
            return (http.Request.Method, rest) switch
            {
                ("GET", []) => (StatusCodes.Status200OK, await grains.GetGrain<IEventTargetsGrain>(IEventTargetsGrain.Key).ListAsync(ct)),
                ("POST", []) => await CreateAsync(await AdminRequests.ReadAsync<Wanted>(http, ct), ct),
                ("GET", [var name]) => (StatusCodes.Status200OK, await Grain(name).GetStatusAsync(ct)),
                ("PUT", [var name]) => await ChangeAsync(name, await AdminRequests.ReadAsync<Wanted>(http, ct), ct),
                ("DELETE", [var name]) => await Grain(name).RemoveAsync(ct) ? (StatusCodes.Status200OK, new { name, deleted = true }) : Missing(name),
                ("POST", [var name, "test"]) => await TestAsync(name, http, ct),
                ("POST", [var name, "replay"]) => await ReplayAsync(name, await AdminRequests.ReadAsync<Replay>(http, ct), ct),
                _ => (StatusCodes.Status405MethodNotAllowed, new { error = $"There are GET and POST {Path}, GET, PUT and DELETE {Path}/NAME, POST {Path}/NAME/test and POST {Path}/NAME/replay." }),
            };
        }
        catch (JsonException e)
        {
            return AdminRequests.Refused($"The body is not the JSON that is wanted: {e.Message}");
        }
        catch (StorageException e) when (e.Error is StorageError.NoSuchEventTarget)
        {
            return (StatusCodes.Status404NotFound, new { error = e.Message });
        }
        catch (StorageException e) when (e.Error is StorageError.TooManySettings)
        {
            return (StatusCodes.Status409Conflict, new { error = e.Message });
        }
    }

    private IEventTargetGrain Grain(string name) => grains.GetGrain<IEventTargetGrain>(name);

    private static (int, object) Missing(string name) => (StatusCodes.Status404NotFound, new { error = $"There is no event target {name}." });

    private async Task<(int, object)> CreateAsync(Wanted wanted, CancellationToken ct)
    {
        if (wanted.Name is null || !AdminRequests.IsName(wanted.Name)) return AdminRequests.Refused("name: 3 to 128 letters, digits, '-', '_' or '.'.");
        if (await Grain(wanted.Name).FindAsync(ct) is not null) return (StatusCodes.Status409Conflict, new { error = $"There is an event target {wanted.Name}." });
        return await SaveAsync(wanted.Name, wanted, StatusCodes.Status201Created, ct);
    }

    private async Task<(int, object)> ChangeAsync(string name, Wanted wanted, CancellationToken ct) =>
        await Grain(name).FindAsync(ct) is { } target ? await SaveAsync(name, wanted with { Url = wanted.Url ?? target.Url.AbsoluteUri }, StatusCodes.Status200OK, ct) : Missing(name);

    private async Task<(int, object)> SaveAsync(string name, Wanted wanted, int status, CancellationToken ct)
    {
        if (!IsUrl(wanted.Url, out var url)) return AdminRequests.Refused($"url: http:// or https://, at most {UrlLengthMax} characters, without a user's name and without a fragment.");
        if (wanted.Secret is { Length: > 0 and < 8 or > SecretLengthMax }) return AdminRequests.Refused($"secret: 8 to {SecretLengthMax} characters.");
        return (status, await Grain(name).SaveAsync(url, wanted.Secret, ct));
    }

    private static bool IsUrl(string? text, [System.Diagnostics.CodeAnalysis.NotNullWhen(true)] out Uri? url)
    {
        url = null;
        return text is { Length: <= UrlLengthMax } && Uri.TryCreate(text, UriKind.Absolute, out url)
            && url.Scheme is "http" or "https" && url.UserInfo.Length == 0 && url.Fragment.Length == 0 && url.Host.Length > 0;
    }

    private async Task<(int, object)> TestAsync(string name, HttpContext http, CancellationToken ct)
    {
        var answer = await Grain(name).TestAsync(BucketEvents.Test("", http.TraceIdentifier, clock.GetUtcNow()), ct);
        return (StatusCodes.Status200OK, new { delivered = answer.Outcome == EventOutcome.Delivered, detail = answer.Detail });
    }

    private async Task<(int, object)> ReplayAsync(string name, Replay replay, CancellationToken ct) =>
        (StatusCodes.Status200OK, new { events = await Grain(name).ReplayAsync(replay.Since ?? DateTimeOffset.UnixEpoch, ct) });
}
