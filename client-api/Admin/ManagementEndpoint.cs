using System.Text.Json;
using DarkStorage.ClientApi.S3;
using DarkStorage.GrainInterfaces;
using Microsoft.AspNetCore.Http;
using Microsoft.Extensions.Logging;

namespace DarkStorage.ClientApi.Admin;

/// <summary>What the node says of itself: filled by the composition root.</summary>
public sealed class NodeStatus
{
    private volatile bool _ready;

    public required string Name { get; init; }

    /// <summary>The engine that runs the grains: Orleans or Embedded.</summary>
    public required string Engine { get; init; }

    /// <summary>"SQLite 3.40.1".</summary>
    public required string Index { get; init; }

    public required string Version { get; init; }

    /// <summary>It shares its index with others.</summary>
    public bool IsMember { get; init; }

    /// <summary>What the node waits for before it can take requests, or null.</summary>
    public Func<string?> WaitsFor { get; init; } = static () => null;

    /// <summary>Whether it serves reads while it waits, from memory: then it stays among those that requests are sent to.</summary>
    public Func<bool> ServesReads { get; init; } = static () => false;

    /// <summary>Takes requests: from the end of the start to the beginning of the stop, while it waits for nothing that reads need.</summary>
    public bool Ready
    {
        get => _ready && (WaitsFor() is null || ServesReads());
        set => _ready = value;
    }
}

/// <summary>The management API: health for orchestrators, metrics for Prometheus, users, roles, access keys, lifecycles, event targets, integrations, tiers, usage, encryption keys, the cluster.</summary>
internal sealed partial class ManagementEndpoint(
    NodeStatus node, PrometheusMetrics metrics, AccessKeysApi accessKeys, UsersApi users, RolesApi roles, LifecycleApi lifecycle, EventTargetsApi eventTargets, IntegrationsApi integrations, AuthorizationCallback callback, TiersApi tiers, UsageApi usage, EncryptionKeysApi encryptionKeys, ClusterApi cluster, Credentials credentials,
    ILogger<ManagementEndpoint> log)
{
    public async Task HandleAsync(HttpContext http)
    {
        if (AuthorizationCallback.IsOne(http))
        {
            await callback.HandleAsync(http);
            return;
        }
        Func<HttpContext, CancellationToken, Task<(int, object)>>? api =
            http.Request.Path.StartsWithSegments(AccessKeysApi.Path, StringComparison.Ordinal) ? accessKeys.HandleAsync
            : http.Request.Path.StartsWithSegments(UsersApi.Path, StringComparison.Ordinal) ? users.HandleAsync
            : http.Request.Path.StartsWithSegments(RolesApi.Path, StringComparison.Ordinal) ? roles.HandleAsync
            : http.Request.Path.StartsWithSegments(LifecycleApi.Path, StringComparison.Ordinal) ? lifecycle.HandleAsync
            : http.Request.Path.StartsWithSegments(EventTargetsApi.Path, StringComparison.Ordinal) ? eventTargets.HandleAsync
            : http.Request.Path.StartsWithSegments(IntegrationsApi.Path, StringComparison.Ordinal) ? integrations.HandleAsync
            : http.Request.Path.StartsWithSegments(TiersApi.Path, StringComparison.Ordinal) ? tiers.HandleAsync
            : http.Request.Path.StartsWithSegments(UsageApi.Path, StringComparison.Ordinal) ? usage.HandleAsync
            : http.Request.Path.StartsWithSegments(EncryptionKeysApi.Path, StringComparison.Ordinal) ? encryptionKeys.HandleAsync
            : http.Request.Path.StartsWithSegments(ClusterApi.Path, StringComparison.Ordinal) ? cluster.HandleAsync
            : null;
        if (api is not null)
        {
            var (status, body) = await AskAsync(api, http);
            // Where it failed it may have been done, or may have been anybody's.
            if ((status is < StatusCodes.Status300MultipleChoices or >= StatusCodes.Status500InternalServerError) && !HttpMethods.IsGet(http.Request.Method))
                credentials.Forget(isSure: status < StatusCodes.Status300MultipleChoices);
            await AnswerAsync(http, status, body);
            return;
        }
        if (!HttpMethods.IsGet(http.Request.Method) && !HttpMethods.IsHead(http.Request.Method))
        {
            http.Response.Headers.Allow = "GET, HEAD";
            await AnswerAsync(http, StatusCodes.Status405MethodNotAllowed, new { error = "Only GET and HEAD are answered here." });
            return;
        }
        await (http.Request.Path.Value switch
        {
            "/health/live" => AnswerAsync(http, StatusCodes.Status200OK, new { status = "live" }),
            "/health/ready" => AnswerAsync(http, node.Ready ? StatusCodes.Status200OK : StatusCodes.Status503ServiceUnavailable,
                new { status = node.Ready ? "ready" : "not ready", waitsFor = node.WaitsFor() }),
            "/health" => AnswerAsync(http, StatusCodes.Status200OK, new { node = node.Name, version = node.Version, engine = node.Engine, index = node.Index, ready = node.Ready }),
            "/metrics" => AnswerMetricsAsync(http),
            _ => AnswerAsync(http, StatusCodes.Status404NotFound, new { error = "There are /health, /health/live, /health/ready, /metrics, /v1/access-keys, /v1/users, /v1/roles, /v1/lifecycle, /v1/event-targets, /v1/integrations, /v1/tiers, /v1/usage, /v1/encryption-keys and /v1/cluster." }),
        });
    }

    /// <summary>What is thrown is an answer too, as the S3 API would have it: that the index or a silo is away is 503, and worth another try.</summary>
    private async Task<(int Status, object Body)> AskAsync(Func<HttpContext, CancellationToken, Task<(int, object)>> api, HttpContext http)
    {
        try
        {
            return await api(http, http.RequestAborted);
        }
        catch (Exception e) when (!http.RequestAborted.IsCancellationRequested)
        {
            var error = S3Endpoint.ToS3(e);
            if (error.Error == S3Error.InternalError) LogFailed(log, http.Request.Method, http.Request.Path, e);
            return ((int)error.Error.Status, new { error = e is StorageException && error.Error != S3Error.InternalError ? e.Message : error.Message });
        }
    }

    private async Task AnswerMetricsAsync(HttpContext http)
    {
        http.Response.ContentType = "text/plain; version=0.0.4; charset=utf-8";
        await http.Response.BodyWriter.WriteAsync(metrics.Write(), http.RequestAborted);
    }

    private static async Task AnswerAsync<T>(HttpContext http, int status, T body)
    {
        var json = JsonSerializer.SerializeToUtf8Bytes(body, JsonSerializerOptions.Web);
        http.Response.StatusCode = status;
        http.Response.ContentType = "application/json";
        http.Response.ContentLength = json.Length;
        if (!HttpMethods.IsHead(http.Request.Method)) await http.Response.BodyWriter.WriteAsync(json, http.RequestAborted);
    }

    [LoggerMessage(LogLevel.Error, "{Method} {Path} failed")]
    private static partial void LogFailed(ILogger log, string method, string path, Exception exception);
}
