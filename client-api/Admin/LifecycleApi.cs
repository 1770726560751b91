using DarkStorage.ClientApi.S3;
using DarkStorage.GrainInterfaces;
using DarkStorage.GrainInterfaces.Lifecycle;
using Microsoft.AspNetCore.Http;
using Orleans;

namespace DarkStorage.ClientApi.Admin;

/// <summary>What lifecycles did and would do: <c>GET /v1/lifecycle/BUCKET</c>, <c>GET /v1/lifecycle/BUCKET/preview</c>, for administrators with Basic authentication.</summary>
internal sealed class LifecycleApi(Credentials credentials, IIndexReader index, IGrainFactory grains)
{
    public const string Path = "/v1/lifecycle";

    /// <summary>Versions that a preview looks at: some seconds of reading, less than a call may take.</summary>
    private const int PreviewMax = 100_000;

    /// <returns>The status and the body of the answer.</returns>
    public async Task<(int Status, object Body)> HandleAsync(HttpContext http, CancellationToken ct)
    {
        if (!await credentials.IsAdministratorAsync(http, ct)) return AdminRequests.Unauthorized;
        var rest = http.Request.Path.Value![Path.Length..].Split('/', StringSplitOptions.RemoveEmptyEntries);
        if (!HttpMethods.IsGet(http.Request.Method) || rest is not ([_] or [_, "preview"]))
            return (StatusCodes.Status405MethodNotAllowed, new { error = $"There are GET {Path}/BUCKET and GET {Path}/BUCKET/preview." });
        if (await index.FindBucketAsync(rest[0], ct) is null) return (StatusCodes.Status404NotFound, new { error = $"There is no bucket {rest[0]}." });
        var grain = grains.GetGrain<ILifecycleGrain>(rest[0]);
        return (StatusCodes.Status200OK, rest.Length == 1 ? await grain.GetStatusAsync(ct) : await grain.PreviewAsync(PreviewMax, ct));
    }
}
