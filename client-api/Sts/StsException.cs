using System.Net;
using DarkStorage.ClientApi.S3;

namespace DarkStorage.ClientApi.Sts;

/// <summary>One error of STS: the code that SDKs switch on, and its HTTP status.</summary>
internal sealed record StsError(string Code, HttpStatusCode Status)
{
    public static readonly StsError AccessDenied = new("AccessDenied", HttpStatusCode.Forbidden);
    public static readonly StsError ValidationError = new("ValidationError", HttpStatusCode.BadRequest);
    public static readonly StsError MissingAction = new("MissingAction", HttpStatusCode.BadRequest);
    public static readonly StsError InvalidAction = new("InvalidAction", HttpStatusCode.BadRequest);
    public static readonly StsError MalformedQueryString = new("MalformedQueryString", HttpStatusCode.BadRequest);
    public static readonly StsError MalformedPolicyDocument = new("MalformedPolicyDocument", HttpStatusCode.BadRequest);
    public static readonly StsError PackedPolicyTooLarge = new("PackedPolicyTooLarge", HttpStatusCode.BadRequest);
    public static readonly StsError InvalidIdentityToken = new("InvalidIdentityToken", HttpStatusCode.BadRequest);
    public static readonly StsError ExpiredTokenException = new("ExpiredTokenException", HttpStatusCode.BadRequest);
    public static readonly StsError IdpRejectedClaim = new("IDPRejectedClaim", HttpStatusCode.Forbidden);
    public static readonly StsError IdpCommunicationError = new("IDPCommunicationError", HttpStatusCode.BadRequest);
    public static readonly StsError MissingAuthenticationToken = new("MissingAuthenticationToken", HttpStatusCode.Forbidden);
    public static readonly StsError InvalidClientTokenId = new("InvalidClientTokenId", HttpStatusCode.Forbidden);
    public static readonly StsError ExpiredToken = new("ExpiredToken", HttpStatusCode.Forbidden);
    public static readonly StsError SignatureDoesNotMatch = new("SignatureDoesNotMatch", HttpStatusCode.Forbidden);
    public static readonly StsError IncompleteSignature = new("IncompleteSignature", HttpStatusCode.BadRequest);
    public static readonly StsError RequestEntityTooLarge = new("RequestEntityTooLarge", HttpStatusCode.RequestEntityTooLarge);
    public static readonly StsError InternalFailure = new("InternalFailure", HttpStatusCode.InternalServerError);
    public static readonly StsError ServiceUnavailable = new("ServiceUnavailable", HttpStatusCode.ServiceUnavailable);
}

/// <summary>A request that is answered with one of STS's errors. The message goes to the client.</summary>
internal sealed class StsException(StsError error, string message, Exception? inner = null) : Exception(message, inner)
{
    public StsError Error => error;

    public static StsException Invalid(string message) => new(StsError.ValidationError, message);

    /// <summary>What signatures and keys are refused for, in STS's words.</summary>
    public static StsException Of(S3Exception e)
    {
        var code = e.Error.Code;
        if (code is "InvalidAccessKeyId" or "InvalidToken") return new(StsError.InvalidClientTokenId, "The security token included in the request is invalid.", e);
        if (code is "ExpiredToken") return new(StsError.ExpiredToken, "The security token included in the request is expired", e);
        if (code is "SignatureDoesNotMatch") return new(StsError.SignatureDoesNotMatch, e.Message, e);
        if (code is "RequestTimeTooSkewed") return new(StsError.SignatureDoesNotMatch, "Signature expired: " + e.Message, e);
        if (code is "InvalidURI") return new(StsError.MalformedQueryString, "The request's parameters are not form-urlencoded.", e);
        if (code is "MaxMessageLengthExceeded") return new(StsError.RequestEntityTooLarge, e.Message, e);
        if (code is "ServiceUnavailable" or "SlowDown") return new(StsError.ServiceUnavailable, e.Message, e);
        return (int)e.Error.Status >= 500 ? new(StsError.InternalFailure, "The request processing has failed because of an unknown error.", e) : new(StsError.IncompleteSignature, e.Message, e);
    }
}
