using System.Security.Cryptography;
using System.Text;
using DarkStorage.GrainInterfaces.Buckets;
using DarkStorage.GrainInterfaces.Objects;
using DarkStorage.Rules.Buckets;
using DarkStorage.Storage;
using DarkStorage.Storage.Encryption;

namespace DarkStorage.ClientApi.S3.Operations;

/// <summary>What a write seals its content under: both null where it is to lie open. Dispose it after the write has begun.</summary>
internal readonly record struct ContentSeal(DataKey? Key, ContentEncryption? Encryption) : IDisposable
{
    public void Dispose() => Key?.Dispose();
}

/// <summary>Server-side encryption in a request's headers and in its answer's.</summary>
internal static class RequestEncryption
{
    private const string Header = "x-amz-server-side-encryption";
    private const string KeyIdHeader = "x-amz-server-side-encryption-aws-kms-key-id";
    private const string ContextHeader = "x-amz-server-side-encryption-context";
    private const string BucketKeyHeader = "x-amz-server-side-encryption-bucket-key-enabled";
    private const string Kms = "aws:kms";
    private const string KmsTwice = "aws:kms:dsse";

    /// <summary>The seal of a new content, as the headers ask for it, else as the bucket has it by default.</summary>
    /// <exception cref="S3Exception"><c>InvalidArgument</c>, <c>InvalidEncryptionAlgorithmError</c>, <c>InvalidRequest</c>, <c>NotImplemented</c>.</exception>
    /// <exception cref="GrainInterfaces.StorageException">Those of <see cref="IDataKeys.CreateAsync"/>.</exception>
    public static async ValueTask<ContentSeal> SealAsync(S3Request s3, BucketRecord bucket, CancellationToken ct)
    {
        using var customer = CustomerKeyHeaders.Read(s3, CustomerKeyHeaders.OfRequest);
        if (OfWrite(s3, bucket, customer) is not { } wanted) return default;
        var made = await s3.Keys.CreateAsync(wanted, ct);
        return new(made.Key, made.Encryption);
    }

    /// <summary>The seal of a part, which its upload settled when it began. A customer's key comes again with each part.</summary>
    /// <exception cref="S3Exception"><c>InvalidRequest</c>: the key is missing, or not asked for.</exception>
    public static async ValueTask<ContentSeal> SealPartAsync(S3Request s3, ContentEncryption? upload, CancellationToken ct)
    {
        using var customer = CustomerKeyHeaders.Read(s3, CustomerKeyHeaders.OfRequest);
        if (upload?.Mode == EncryptionMode.SseC && customer is null)
            throw new S3Exception(S3Error.InvalidRequest, "The multipart upload initiate requested encryption. Subsequent part requests must include the appropriate encryption parameters.");
        if (upload?.Mode != EncryptionMode.SseC && customer is not null)
            throw new S3Exception(S3Error.InvalidRequest, "The multipart upload initiate did not request encryption. Please resend the request without sending encryption parameters.");
        return upload is null ? default : new(await s3.Keys.OpenAsync(upload, customer, ct), upload);
    }

    /// <summary>What a stored content opens with. The caller disposes it.</summary>
    /// <param name="prefix">Where a customer's key is: <see cref="CustomerKeyHeaders.OfRequest"/> or <see cref="CustomerKeyHeaders.OfCopySource"/>.</param>
    /// <returns>Null where the content lies open.</returns>
    public static async ValueTask<DataKey?> OpenAsync(S3Request s3, ContentEncryption? encryption, string prefix, CancellationToken ct)
    {
        using var customer = CustomerKeyHeaders.Read(s3, prefix);
        if (encryption is not null) return await s3.Keys.OpenAsync(encryption, customer, ct);
        return customer is null ? null : throw NotApplicable();
    }

    /// <summary>Makes sure that who asks about a content under a customer's key has that key; the content is not opened.</summary>
    public static void RequireCustomerKey(S3Request s3, ContentEncryption? encryption)
    {
        using var customer = CustomerKeyHeaders.Read(s3, CustomerKeyHeaders.OfRequest);
        if (encryption is not null) s3.Keys.RequireCustomerKey(encryption, customer);
        else if (customer is not null) throw NotApplicable();
    }

    /// <summary>A read says nothing of encryption but a customer's key: how the content is sealed was settled when it was written.</summary>
    /// <exception cref="S3Exception"><c>InvalidArgument</c>.</exception>
    public static void RefuseOfRead(S3Request s3)
    {
        foreach (var header in (ReadOnlySpan<string>)[Header, KeyIdHeader, ContextHeader, BucketKeyHeader])
        {
            if (Text(s3, header) is { } value) throw S3Exception.InvalidArgument($"{header} header is not supported for this operation.", header, value);
        }
    }

    /// <summary>The request names an encryption, so a copy of an object onto itself changes something.</summary>
    public static bool IsNamed(S3Request s3) => s3.Headers.ContainsKey(Header) || s3.Headers.ContainsKey(CustomerKeyHeaders.OfRequest + "algorithm");

    /// <summary>Tells how the content is sealed. For a customer's key, what the request said of it: nothing of it is kept.</summary>
    public static void WriteHeaders(S3Request s3, ContentEncryption? encryption)
    {
        var headers = s3.Response.Headers;
        switch (encryption?.Mode)
        {
            case EncryptionMode.SseS3:
                headers[Header] = CustomerKeyHeaders.Algorithm;
                break;
            case EncryptionMode.SseKms:
                headers[Header] = Kms;
                headers[KeyIdHeader] = ObjectHeaders.Sendable(KeyIdHeader, s3.Keys.KeyIdOf(encryption));
                if (encryption.BucketKeyEnabled) headers[BucketKeyHeader] = "true";
                break;
            case EncryptionMode.SseC:
                CustomerKeyHeaders.Answer(s3);
                break;
        }
    }

    /// <summary>The entity tag of a content written in one piece, without quotes. Under a key that is not the node's own it tells nothing of the content, as in AWS;
    /// it is random, and stays what it was because it is stored.</summary>
    public static string ETagOf(BlobContent content, ContentEncryption? encryption) => encryption is { Mode: not EncryptionMode.SseS3 }
        ? RandomNumberGenerator.GetHexString(2 * MD5.HashSizeInBytes, lowercase: true)
        : content.Digests.ETag;

    /// <summary>What a bucket has by default, as it is asked for.</summary>
    /// <param name="bucketKey">What the request says of the bucket key; null where it says nothing.</param>
    public static EncryptionRequest ByDefault(BucketEncryption encryption, bool? bucketKey) =>
        new(encryption.Mode, encryption.KeyId, null, encryption.Mode == EncryptionMode.SseKms && (bucketKey ?? encryption.BucketKeyEnabled));

    private static S3Exception NotApplicable() => new(S3Error.InvalidRequest, "The encryption parameters are not applicable to this object.");

    private static EncryptionRequest? OfWrite(S3Request s3, BucketRecord bucket, CustomerKey? customer)
    {
        var (method, keyId, context) = (Text(s3, Header), Text(s3, KeyIdHeader), Text(s3, ContextHeader));
        var bucketKey = BucketKey(s3);
        if (method is not null && customer is not null)
            throw S3Exception.InvalidArgument("Server Side Encryption with Customer provided key is incompatible with the encryption method specified", Header, method);
        if (method != Kms && (keyId ?? context) is not null)
            throw S3Exception.InvalidArgument($"Server Side Encryption with AWS KMS managed key requires HTTP header {Header} : {Kms}", Header, method ?? "null");
        if (customer is not null) return new(EncryptionMode.SseC, CustomerKey: customer);
        switch (method)
        {
            case null:
                if (BucketRules.Of(bucket).Encryption is not { } otherwise) return null;
                return ByDefault(otherwise, bucketKey);
            case CustomerKeyHeaders.Algorithm: return new(EncryptionMode.SseS3);
            case Kms:
                if (keyId is "") throw S3Exception.InvalidArgument("The key ID is empty.", KeyIdHeader, "");
                if (keyId is not null) ObjectHeaders.Sendable(KeyIdHeader, keyId);
                return new(EncryptionMode.SseKms, keyId, Context(context), bucketKey ?? BucketRules.Of(bucket).Encryption?.BucketKeyEnabled ?? false);
            case KmsTwice: throw new S3Exception(S3Error.NotImplemented).With("Header", Header);
            default: throw S3Exception.InvalidArgument("The encryption method specified is not supported", Header, method);
        }
    }

    private static bool? BucketKey(S3Request s3) => Text(s3, BucketKeyHeader)?.ToLowerInvariant() switch
    {
        null => null,
        "true" => true,
        "false" => false,
        var other => throw S3Exception.InvalidArgument("Value for the bucket key header must be true or false.", BucketKeyHeader, other),
    };

    /// <summary>The JSON inside; whether it is a flat object of texts is for the keys to say.</summary>
    private static string? Context(string? header)
    {
        if (header is null) return null;
        try
        {
            return new UTF8Encoding(false, throwOnInvalidBytes: true).GetString(Convert.FromBase64String(header));
        }
        catch (Exception e) when (e is FormatException or DecoderFallbackException)
        {
            throw S3Exception.InvalidArgument($"The header '{ContextHeader}' shall be Base64-encoded UTF-8 string holding JSON which represents a string-string map", ContextHeader, header);
        }
    }

    private static string? Text(S3Request s3, string name) => s3.Headers.TryGetValue(name, out var value) ? value.ToString() : null;
}
