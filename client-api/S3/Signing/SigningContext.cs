using Microsoft.AspNetCore.Http;

namespace DarkStorage.ClientApi.S3;

/// <summary>A verified signature, and what the signatures of the body's chunks go on from.</summary>
/// <param name="SigningKey">Derived from the secret for one day and region: as secret as that. Not to be changed: it is shared with the cache.</param>
/// <param name="SeedSignature">64 lower-case hexadecimal digits.</param>
internal sealed record SigningContext(string AccessKeyId, byte[] SigningKey, string Timestamp, string Scope, string SeedSignature, PayloadHash Payload)
{
    /// <summary>Of a request without a signature that says nothing of its body.</summary>
    public static readonly SigningContext Unsigned = new("", [], "", "", "", PayloadHash.Unsigned);

    /// <summary>Of a request without a signature. Its body may state its hash, and may come in unsigned chunks.</summary>
    /// <exception cref="S3Exception"><c>InvalidArgument</c>; <c>AccessDenied</c>: signed chunks with nothing to check them against.</exception>
    public static SigningContext Anonymous(IHeaderDictionary headers)
    {
        var payload = (string?)headers[PayloadHash.Header] is { } text ? PayloadHash.Parse(text.Trim()) : PayloadHash.Unsigned;
        if (payload.Kind is PayloadKind.SignedChunks or PayloadKind.SignedChunksWithTrailer) throw new S3Exception(S3Error.AccessDenied);
        return new("", [], "", "", "", payload);
    }

    /// <summary>Of a request signed by version 2, which says nothing of chunks.</summary>
    public static SigningContext OfVersion2(string accessKeyId, PayloadHash payload) => new(accessKeyId, [], "", "", "", payload) { IsVersion2 = true };

    public bool IsVersion2 { get; private init; }

    public override string ToString() => $"signature of {AccessKeyId} for {Scope}";   // the key stays out of logs
}
