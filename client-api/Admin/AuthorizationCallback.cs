using System.Text;
using DarkStorage.GrainInterfaces;
using DarkStorage.GrainInterfaces.Integrations;
using Microsoft.AspNetCore.Http;
using Microsoft.Extensions.Logging;
using Orleans;

namespace DarkStorage.ClientApi.Admin;

/// <summary>Where a service of OAuth sends people back to: <c>GET /v1/integrations/oauth/callback?state=…&amp;code=…</c>. Nobody signs in here: what is asked for is a state that only who began knows, good once and for ten minutes.</summary>
/// <remarks>A code is as good as a password for a moment. The query is in no log and in no answer, and the page tells the browser to keep neither.</remarks>
internal sealed partial class AuthorizationCallback(IGrainFactory grains, ILogger<AuthorizationCallback> log) : IDisposable
{
    /// <summary>Characters. Codes of services have some hundred.</summary>
    private const int CodeLengthMax = 4_096;

    /// <summary>At one time, of all who come.</summary>
    private const int AtOnceMax = 8;

    private readonly SemaphoreSlim _places = new(AtOnceMax);

    private const string Nothing = "There is nothing under way here that this would end. Begin again: darkstorage integrations authorize NAME";

    private const string Busy = "It can't be done now. Begin again in a moment: darkstorage integrations authorize NAME";

    public void Dispose() => _places.Dispose();

    public static bool IsOne(HttpContext http) => http.Request.Path == IAuthorizationGrain.CallbackPath;

    public async Task HandleAsync(HttpContext http)
    {
        var (status, text) = await EndAsync(http);
        var body = Encoding.UTF8.GetBytes(text + "\n");
        http.Response.StatusCode = status;
        http.Response.ContentType = "text/plain; charset=utf-8";
        http.Response.ContentLength = body.Length;
        http.Response.Headers.CacheControl = "no-store";
        http.Response.Headers["Referrer-Policy"] = "no-referrer";
        http.Response.Headers.XContentTypeOptions = "nosniff";
        await http.Response.BodyWriter.WriteAsync(body, http.RequestAborted);
    }

    private async Task<(int Status, string Text)> EndAsync(HttpContext http)
    {
        if (!HttpMethods.IsGet(http.Request.Method)) return (StatusCodes.Status405MethodNotAllowed, "Only GET is answered here.");
        var (state, code, error) = (One(http, "state"), One(http, "code"), One(http, "error"));
        // The random part, and behind it the integration's name.
        if (state?.Split('.', 2) is not [var random, var name] || !AdminRequests.IsName(name) || (code is null && error is null) || code?.Length > CodeLengthMax) return (StatusCodes.Status400BadRequest, Nothing);
        if (!_places.Wait(0)) return (StatusCodes.Status503ServiceUnavailable, Busy);
        try
        {
            // Nobody has to have signed in to come here: no grain is made for a name that is none.
            if (!(await grains.GetGrain<IIntegrationsGrain>(IIntegrationsGrain.Key).ListAsync(CancellationToken.None)).Contains(name)) return (StatusCodes.Status400BadRequest, Nothing);
            // Whoever came may leave: the code is good once.
            var outcome = await grains.GetGrain<IAuthorizationGrain>(name).CompleteAsync(random, code, error, CancellationToken.None);
            return outcome.IsAuthorized ? (StatusCodes.Status200OK, $"{outcome.Message} This page can be closed.") : (StatusCodes.Status400BadRequest, outcome.Message);
        }
        catch (Exception e) when (e is not OutOfMemoryException)
        {
            LogFailed(log, name, e is StorageException known ? known.Error.ToString() : e.GetType().Name);
            return (StatusCodes.Status503ServiceUnavailable, Busy);
        }
        finally
        {
            _places.Release();
        }
    }

    private static string? One(HttpContext http, string name) => http.Request.Query.TryGetValue(name, out var values) && values is [{ Length: > 0 } value] ? value : null;

    [LoggerMessage(LogLevel.Warning, "Somebody came back to authorize the integration {Integration}, which failed: {Failure}")]
    private static partial void LogFailed(ILogger log, string integration, string failure);
}
