using DarkStorage.GrainInterfaces;
using DarkStorage.GrainInterfaces.Buckets;
using DarkStorage.GrainInterfaces.Objects;
using DarkStorage.Rules.Buckets;
using DarkStorage.Rules.Logging;
using DarkStorage.Storage;
using DarkStorage.Storage.Encryption;
using Microsoft.AspNetCore.Http;
using Orleans;

namespace DarkStorage.ClientApi.S3;

/// <summary>What every S3 request needs of the node.</summary>
internal sealed record S3Services(
    IIndexReader Index, IBlobStore Blobs, IDataKeys Keys, IGrainFactory Grains, SignatureVerifier Verifier, Credentials Credentials, S3Options Options, TimeProvider Clock, IAccessLog AccessLog, IAccessCounter Accesses, ITrafficCounter Traffic, IndexMemory Memory)
{
    /// <summary>Places for queries that run.</summary>
    public SemaphoreSlim QueryPlaces { get; } = new(Options.QueriesMax);

    /// <summary>As one request has them: reads may get what is remembered while the index is away.</summary>
    public S3Services For(HttpContext http) => Memory.For(http) is var index && index == Index ? this : this with { Index = index, MayBeStale = Index.IsAway };

    /// <summary>The index is away, and this is for a request that only reads, of an operator who has said that it may be answered from memory.</summary>
    public bool MayBeStale { get; private init; }
}

/// <summary>An authenticated request of one operation: what handlers work with.</summary>
/// <param name="headers">In place of the request's own; null for those.</param>
/// <param name="upload">The file of a form, in place of the request's body; null for that.</param>
internal sealed partial class S3Request(
    HttpContext http, S3Target target, S3Services services, Caller caller, SigningContext signing, IHeaderDictionary? headers = null, RequestContent? upload = null)
{
    public HttpContext Http => http;
    public HttpResponse Response => http.Response;
    public IHeaderDictionary Headers => headers ?? http.Request.Headers;
    public S3Query Query => target.Query;
    public Caller Caller => caller;
    public IIndexReader Index => services.Index;
    public IBlobStore Blobs => services.Blobs;
    public IDataKeys Keys => services.Keys;
    public IGrainFactory Grains => services.Grains;
    public S3Options Options => services.Options;
    public TimeProvider Clock => services.Clock;
    public SemaphoreSlim QueryPlaces => services.QueryPlaces;

    public string BucketName => target.Bucket!;
    public string Key => target.Key!;

    /// <summary>The path as it was asked for: what an answer names as its resource.</summary>
    public string RawPath => target.RawPath;

    public SigningContext Signing => signing;

    public ObjectId ObjectId => new(BucketName, Key);

    public IObjectGrain ObjectGrain => services.Grains.GetGrain<IObjectGrain>(ObjectId.ToString());

    public IBucketGrain BucketGrain => services.Grains.GetGrain<IBucketGrain>(BucketName);

    /// <summary>What events tell of a change that this request makes.</summary>
    public ChangeOrigin OriginOf(ChangeMeans means) => new(IsForm ? ChangeMeans.Post : means, caller.Principal.ToString(), ClientAddress, http.TraceIdentifier);

    /// <summary>The network address that the request came from; null where it came over no network.</summary>
    public string? ClientAddress => AddressOf(http);

    /// <summary>What the access logs are told of the request; null where none is kept.</summary>
    public RequestLog? Log => RequestLog.Of(http);

    /// <summary>The request reads a version's content: counted, where the bucket has that counted.</summary>
    public void CountAccess(BucketRecord bucket, string key, ObjectVersion version)
    {
        if (BucketRules.Of(bucket).AccessCounting is not null) services.Accesses.Count(bucket.Id, key, version.Manifest.Version);
    }

    /// <summary>The request is counted for this storage class, and not for the usual one.</summary>
    public void CountAs(string storageClass) => RequestTraffic.Of(http).Concerns(storageClass);

    /// <summary>As <see cref="ClientAddress"/>.</summary>
    public static string? AddressOf(HttpContext http) => http.Connection.RemoteIpAddress is { } address ? (address.IsIPv4MappedToIPv6 ? address.MapToIPv4() : address).ToString() : null;

    /// <summary>An integer parameter within bounds, or its default where it is not there.</summary>
    /// <exception cref="S3Exception"><c>InvalidArgument</c>.</exception>
    public int QueryInt32(string name, int otherwise, int min, int max)
    {
        if (!Query.TryGet(name, out var text) || text.Length == 0) return otherwise;
        if (int.TryParse(text, System.Globalization.NumberStyles.AllowLeadingSign, System.Globalization.CultureInfo.InvariantCulture, out var value) && value >= min && value <= max) return value;
        throw S3Exception.InvalidArgument($"Argument {name} must be an integer between {min} and {max}", name, text);
    }

    /// <summary>Answers with XML, built in a buffer so that its length is known and an error on the way is still an error.</summary>
    public async Task WriteXmlAsync(int status, Action<S3XmlWriter> write, CancellationToken ct)
    {
        using var buffer = new PooledBuffer(4096);
        var xml = new S3XmlWriter(buffer);
        write(xml);
        xml.Complete();
        Response.StatusCode = status;
        Response.ContentType = "application/xml";
        Response.ContentLength = buffer.WrittenCount;
        await Response.BodyWriter.WriteAsync(buffer.WrittenMemory, ct);
    }

    /// <summary>The content that the request brings, free of what its transfer added.</summary>
    /// <param name="lengthMax">Bytes past which the request is refused, before any is read where the length is stated.</param>
    /// <exception cref="S3Exception"><c>MissingContentLength</c>, <c>EntityTooLarge</c>, and what a malformed chunked body answers.</exception>
    public RequestContent OpenContent(long lengthMax)
    {
        var content = upload ?? RequestContent.Open(http, signing);
        if (content.Length > lengthMax)
        {
            throw new S3Exception(S3Error.EntityTooLarge)
                .With("ProposedSize", content.Length.ToString(System.Globalization.CultureInfo.InvariantCulture))
                .With("MaxSizeAllowed", lengthMax.ToString(System.Globalization.CultureInfo.InvariantCulture));
        }
        return content;
    }

    /// <summary>A document that the request brings, whole, and checked against the digests it states.</summary>
    /// <exception cref="S3Exception"><c>MaxMessageLengthExceeded</c>, <c>BadDigest</c> and its kin.</exception>
    public async Task<byte[]> ReadDocumentAsync(int bytesMax, CancellationToken ct)
    {
        var expected = ExpectedChecksums.Parse(Headers, signing.Payload, ChecksumAlgorithm.None);
        var content = RequestContent.Open(http, signing, lengthRequired: false);
        var document = await S3XmlReader.ReadBodyAsync(content.Reader, bytesMax, ct);
        using var hasher = new ContentHasher(expected.Digests);
        Log?.TakenIn();
        hasher.Append(document);
        expected.Verify(hasher.Finish(), content.Trailers);
        return document;
    }
}
