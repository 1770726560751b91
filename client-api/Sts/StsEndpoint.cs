using System.Globalization;
using System.Text;
using DarkStorage.ClientApi.S3;
using DarkStorage.GrainInterfaces;
using Microsoft.AspNetCore.Http;
using Microsoft.Extensions.Logging;

namespace DarkStorage.ClientApi.Sts;

/// <summary>AWS's Security Token Service, version 2011-06-15, on the S3 listener: <c>POST /</c> with a form, or <c>GET /?Action=…</c>.</summary>
/// <remarks>The body is read, up to its bound, before the signature is looked at, which covers it whole. Nothing is written anywhere: what is given out is in the token.</remarks>
internal sealed partial class StsEndpoint(S3Services services, Roles roles, Sessions sessions, WebIdentities identities, ILogger<StsEndpoint> log)
{
    private const string Version = "2011-06-15";

    /// <summary>What metrics call a request whose action is none.</summary>
    public static readonly S3Operation Unknown = new("Sts");

    private static readonly S3Operation AssumeRole = new("AssumeRole");
    private static readonly S3Operation AssumeRoleWithWebIdentity = new("AssumeRoleWithWebIdentity");
    private static readonly S3Operation GetCallerIdentity = new("GetCallerIdentity");
    private static readonly S3Operation GetSessionToken = new("GetSessionToken");

    /// <summary>S3 has neither: no operation of its own is a POST to the service or has an Action.</summary>
    public static bool IsFor(string method, S3Target target) =>
        target.Bucket is null && (HttpMethods.IsPost(method) || (HttpMethods.IsGet(method) && target.Query.Has("Action")));

    /// <returns>The operation that was asked for.</returns>
    public async Task<S3Operation> HandleAsync(HttpContext http, S3Target target, string requestId)
    {
        var operation = Unknown;
        http.Response.Headers["x-amzn-RequestId"] = requestId;
        try
        {
            var body = HttpMethods.IsPost(http.Request.Method) ? await S3XmlReader.ReadBodyAsync(http.Request.BodyReader, StsParameters.BodyBytesMax, http.RequestAborted) : [];
            var parameters = new StsParameters(HttpMethods.IsPost(http.Request.Method) ? S3Query.Parse(Encoding.UTF8.GetString(body)) : target.Query);
            var request = new StsRequest(http, target, body, parameters);
            operation = Find(parameters);
            var answer = await AnswerAsync(operation, request, http.RequestAborted);
            await WriteAsync(http, StatusCodes.Status200OK, xml =>
            {
                var name = Encoding.UTF8.GetBytes(operation.Name + "Response");
                xml.Start(name, "xmlns=\"https://sts.amazonaws.com/doc/2011-06-15/\""u8);
                var result = Encoding.UTF8.GetBytes(operation.Name + "Result");
                xml.Start(result);
                answer(xml);
                xml.End(result);
                xml.Start("ResponseMetadata"u8);
                xml.Element("RequestId"u8, requestId);
                xml.End("ResponseMetadata"u8);
                xml.End(name);
            });
        }
        catch (Exception e) when (!http.RequestAborted.IsCancellationRequested && !http.Response.HasStarted)
        {
            await AnswerErrorAsync(http, operation, requestId, ToSts(e));
        }
        return operation;
    }

    private static S3Operation Find(StsParameters parameters)
    {
        var action = parameters.Find("Action");
        if (string.IsNullOrEmpty(action)) throw new StsException(StsError.MissingAction, "The request is missing an action.");
        if (parameters.Find("Version") is { } version && version != Version) throw new StsException(StsError.InvalidAction, $"The action is not there in that version; there is {Version}.");
        return action switch
        {
            "AssumeRole" => AssumeRole,
            "AssumeRoleWithWebIdentity" => AssumeRoleWithWebIdentity,
            "GetCallerIdentity" => GetCallerIdentity,
            "GetSessionToken" => GetSessionToken,
            _ => throw new StsException(StsError.InvalidAction, "There are AssumeRole, AssumeRoleWithWebIdentity, GetCallerIdentity and GetSessionToken."),
        };
    }

    private Task<Action<S3XmlWriter>> AnswerAsync(S3Operation operation, StsRequest request, CancellationToken ct) =>
        operation == AssumeRole ? AssumeRoleAsync(request, ct)
        : operation == AssumeRoleWithWebIdentity ? AssumeRoleWithWebIdentityAsync(request, ct)
        : operation == GetCallerIdentity ? GetCallerIdentityAsync(request, ct)
        : GetSessionTokenAsync(request, ct);

    /// <exception cref="StsException"><c>MissingAuthenticationToken</c>.</exception>
    /// <exception cref="S3Exception">As the signature of an S3 request is refused.</exception>
    private async Task<(Caller Caller, string AccessKeyId, string Secret)> AuthenticateAsync(StsRequest request, CancellationToken ct)
    {
        var http = request.Http;
        var signed = new SignedRequest(http.Request.Method, request.Target, http.Request.Headers);
        if (services.Verifier.Parse(signed, PayloadHash.Of(request.Body)) is not { } signature) throw new StsException(StsError.MissingAuthenticationToken, "Request is missing Authentication Token");
        var (caller, secret) = await services.Credentials.FindAsync(signature.AccessKeyId, S3Endpoint.SessionTokenOf(signed), mayBeStale: false, ct);
        services.Verifier.Verify(signed, signature, secret);
        return (caller, signature.AccessKeyId, secret);
    }

    private async Task AnswerErrorAsync(HttpContext http, S3Operation operation, string requestId, StsException e)
    {
        if ((int)e.Error.Status >= StatusCodes.Status500InternalServerError) LogFailed(log, operation.Name, e);
        // Strangers can ask for this as often as they like: a line, and no trace.
        if (e.Error == StsError.IdpCommunicationError) LogProviderFailed(log, e.InnerException!.Message);
        if (http.Request.Headers.Expect.Count > 0) http.Response.Headers.Connection = "close";
        await WriteAsync(http, (int)e.Error.Status, xml =>
        {
            xml.Start("ErrorResponse"u8, "xmlns=\"https://sts.amazonaws.com/doc/2011-06-15/\""u8);
            xml.Start("Error"u8);
            xml.Element("Type"u8, (int)e.Error.Status < StatusCodes.Status500InternalServerError ? "Sender" : "Receiver");
            xml.Element("Code"u8, e.Error.Code);
            xml.Element("Message"u8, e.Message);
            xml.End("Error"u8);
            xml.Element("RequestId"u8, requestId);
            xml.End("ErrorResponse"u8);
        });
    }

    private static async Task WriteAsync(HttpContext http, int status, Action<S3XmlWriter> write)
    {
        using var buffer = new PooledBuffer(4096);
        var xml = new S3XmlWriter(buffer);
        write(xml);
        xml.Complete();
        http.Response.StatusCode = status;
        http.Response.ContentType = "text/xml";
        http.Response.Headers.CacheControl = "no-store";
        http.Response.ContentLength = buffer.WrittenCount;
        await http.Response.BodyWriter.WriteAsync(buffer.WrittenMemory, http.RequestAborted);
    }

    private static StsException ToSts(Exception exception) => exception switch
    {
        StsException e => e,
        S3Exception e => StsException.Of(e),
        StorageException { Error: StorageError.Unavailable or StorageError.IndexAway } or TimeoutException => new(StsError.ServiceUnavailable, "The request has failed due to a temporary failure of the server.", exception),
        BadHttpRequestException { StatusCode: StatusCodes.Status413PayloadTooLarge } => new(StsError.RequestEntityTooLarge, "The request is too large.", exception),
        BadHttpRequestException => new(StsError.MalformedQueryString, "The request's body is not complete.", exception),
        _ => new(StsError.InternalFailure, "The request processing has failed because of an unknown error.", exception),
    };

    private static string Time(DateTimeOffset time) => time.UtcDateTime.ToString("yyyy-MM-dd'T'HH:mm:ss'Z'", CultureInfo.InvariantCulture);

    // Who became whom is worth a line: it is what an administrator asks afterwards.
    [LoggerMessage(LogLevel.Information, "{Principal} assumed {Role} as {Session} until {Expires}")]
    private static partial void LogAssumed(ILogger log, string principal, string role, string session, DateTimeOffset expires);

    [LoggerMessage(LogLevel.Warning, "An identity provider's keys can't be had: {Reason}")]
    private static partial void LogProviderFailed(ILogger log, string reason);

    [LoggerMessage(LogLevel.Error, "{Operation} failed")]
    private static partial void LogFailed(ILogger log, string operation, Exception exception);
}

/// <summary>A request to STS.</summary>
internal sealed record StsRequest(HttpContext Http, S3Target Target, byte[] Body, StsParameters Parameters);
