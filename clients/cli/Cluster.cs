using System.Net;
using System.Net.Http.Headers;
using System.Text;
using System.Text.Json;
using System.Text.Json.Nodes;
using Amazon.Runtime;
using Amazon.S3;

namespace DarkStorage.Cli;

/// <summary>The cluster that the environment names: its S3 API and its management API, with one key pair.</summary>
internal sealed class Cluster : IDisposable
{
    public const string ManagementUrlVariable = "DARKSTORAGE_URL";
    public const string S3UrlVariable = "DARKSTORAGE_S3_URL";
    public const string AccessKeyVariable = "DARKSTORAGE_ACCESS_KEY";
    public const string SecretKeyVariable = "DARKSTORAGE_SECRET_KEY";
    public const string ManagementUrlDefault = "http://127.0.0.1:9001";
    public const string S3UrlDefault = "http://127.0.0.1:9000";

    private readonly string _accessKey = Variable(AccessKeyVariable);
    private readonly string _secretKey = Variable(SecretKeyVariable);
    private readonly Lazy<AmazonS3Client> _s3;
    private readonly Lazy<HttpClient> _management;

    private Cluster()
    {
        _s3 = new(OpenS3);
        _management = new(OpenManagement);
    }

    /// <exception cref="UsageException">There is no key in the environment.</exception>
    public static Cluster FromEnvironment() => new();

    /// <summary>The cluster is on this machine, and has its paths.</summary>
    public static bool IsHere => Url(ManagementUrlVariable, ManagementUrlDefault).IsLoopback;

    public IAmazonS3 S3 => _s3.Value;

    /// <summary>As <see cref="AskAsync"/> where a list is answered.</summary>
    /// <exception cref="CommandFailedException">It was refused: the cluster's own sentence.</exception>
    public async Task<JsonArray> ListAsync(string path, CancellationToken ct) => await AskAsync(HttpMethod.Get, path, null, ct) as JsonArray ?? throw NoCluster(path, "something else than a list");

    /// <param name="path">Below <c>/v1/</c>.</param>
    /// <param name="body">Sent as JSON; null for none.</param>
    /// <returns>What was answered.</returns>
    /// <exception cref="CommandFailedException">It was refused: the cluster's own sentence.</exception>
    public async Task<JsonNode> AskAsync(HttpMethod method, string path, object? body, CancellationToken ct) => (await TryAskAsync(method, path, body, null, ct))!;

    /// <summary>The same where an answer of one status is to be tried again.</summary>
    /// <returns>Null for that status.</returns>
    public async Task<JsonNode?> TryAskAsync(HttpMethod method, string path, object? body, HttpStatusCode? again, CancellationToken ct)
    {
        using var request = new HttpRequestMessage(method, $"v1/{path}");
        if (body is not null) request.Content = new StringContent(JsonSerializer.Serialize(body), Encoding.UTF8, "application/json");
        using var answer = await _management.Value.SendAsync(request, ct);
        if (answer.StatusCode == again) return null;
        var text = await answer.Content.ReadAsStringAsync(ct);
        JsonNode? json;
        try
        {
            json = JsonNode.Parse(text);
        }
        catch (JsonException)
        {
            json = null;
        }
        if (answer.IsSuccessStatusCode && json is not null) return json;
        throw new CommandFailedException(json is JsonObject said && said["error"] is JsonValue sentence ? sentence.ToString() : NoCluster(path, $"{(int)answer.StatusCode}").Message);
    }

    private CommandFailedException NoCluster(string path, string answer) => new($"{_management.Value.BaseAddress}v1/{path} answered {answer}, and not as a node of DarkStorage does.");

    public void Dispose()
    {
        if (_s3.IsValueCreated) _s3.Value.Dispose();
        if (_management.IsValueCreated) _management.Value.Dispose();
    }

    private AmazonS3Client OpenS3() => new(new BasicAWSCredentials(_accessKey, _secretKey), new AmazonS3Config
    {
        ServiceURL = Url(S3UrlVariable, S3UrlDefault).AbsoluteUri,
        ForcePathStyle = true,
        AuthenticationRegion = Environment.GetEnvironmentVariable("DARKSTORAGE_REGION") is { Length: > 0 } region ? region : "us-east-1",
    });

    private HttpClient OpenManagement()
    {
        var http = new HttpClient { BaseAddress = Url(ManagementUrlVariable, ManagementUrlDefault) };
        http.DefaultRequestHeaders.Authorization = new AuthenticationHeaderValue("Basic", Convert.ToBase64String(Encoding.UTF8.GetBytes($"{_accessKey}:{_secretKey}")));
        return http;
    }

    private static string Variable(string name) => Environment.GetEnvironmentVariable(name) is { Length: > 0 } value ? value : throw new UsageException($"{name} is not set.");

    private static Uri Url(string variable, string fallback)
    {
        var text = Environment.GetEnvironmentVariable(variable) is { Length: > 0 } value ? value : fallback;
        return Uri.TryCreate(text, UriKind.Absolute, out var url) && url.Scheme is "http" or "https" ? url : throw new UsageException($"{variable} is '{text}', and no http:// or https:// URL.");
    }
}
