using System.Security.Cryptography;
using Amazon;
using Amazon.KeyManagementService;
using Amazon.KeyManagementService.Model;
using Amazon.Runtime;
using DarkStorage.GrainInterfaces;
using DarkStorage.Storage.Encryption;

namespace DarkStorage.Connectors.Keys;

/// <summary>Keys of AWS KMS: GenerateDataKey, Decrypt and DescribeKey through AWS's own client.</summary>
internal sealed class AwsKmsKeyService : IKeyService, IDisposable
{
    private readonly AwsKmsOptions _options;
    private readonly AmazonKeyManagementServiceClient _kms;

    /// <param name="options">Valid.</param>
    public AwsKmsKeyService(AwsKmsOptions options)
    {
        _options = options;
        // Retries are around this class, for every service the same.
        var config = new AmazonKeyManagementServiceConfig { Timeout = options.Timeout, MaxErrorRetry = 0 };
        if (options.Url is null) config.RegionEndpoint = RegionEndpoint.GetBySystemName(options.Region);
        else (config.ServiceURL, config.AuthenticationRegion) = (options.Url.ToString(), options.Region);
        _kms = options.AccessKey.Length > 0 ? new(new BasicAWSCredentials(options.AccessKey, options.SecretKey), config) : new(config);
    }

    public string DefaultKeyId => _options.DefaultKey;

    public ValueTask<GeneratedKey> GenerateAsync(string keyId, KeyContext context, CancellationToken ct) => CallAsync(keyId, async () =>
    {
        var answer = await _kms.GenerateDataKeyAsync(new() { KeyId = keyId, KeySpec = DataKeySpec.AES_256, EncryptionContext = Of(context) }, ct);
        return new GeneratedKey(ToKey(answer.Plaintext, keyId), answer.CiphertextBlob.ToArray());
    }, ct);

    public ValueTask<DataKey> DecryptAsync(string keyId, ReadOnlyMemory<byte> wrapped, KeyContext context, CancellationToken ct) => CallAsync(keyId, async () =>
    {
        using var blob = new MemoryStream(wrapped.ToArray());
        var answer = await _kms.DecryptAsync(new() { KeyId = keyId, CiphertextBlob = blob, EncryptionContext = Of(context) }, ct);
        return ToKey(answer.Plaintext, keyId);
    }, ct);

    public ValueTask<KeyDescription?> DescribeAsync(string keyId, CancellationToken ct) => CallAsync<KeyDescription?>(keyId, async () =>
    {
        try
        {
            var answer = await _kms.DescribeKeyAsync(new DescribeKeyRequest { KeyId = keyId }, ct);
            return new(answer.KeyMetadata.Arn ?? keyId, answer.KeyMetadata.Enabled ?? false, answer.KeyMetadata.CreationDate);
        }
        catch (NotFoundException)
        {
            return null;
        }
    }, ct);

    public void Dispose() => _kms.Dispose();

    /// <summary>Nothing rather than an empty one: they are the same to KMS.</summary>
    private static Dictionary<string, string>? Of(KeyContext context) => context.Pairs.Count == 0 ? null : new(context.Pairs);

    private static async ValueTask<T> CallAsync<T>(string keyId, Func<Task<T>> call, CancellationToken ct)
    {
        try
        {
            return await call();
        }
        catch (AmazonKeyManagementServiceException e)
        {
            throw new StorageException(ErrorOf(e), $"AWS KMS answered {e.ErrorCode} for the key {keyId}.", e);
        }
        catch (Exception e) when (e is AmazonClientException or HttpRequestException or IOException or TimeoutException || (e is OperationCanceledException && !ct.IsCancellationRequested))
        {
            throw new StorageException(StorageError.KeyServiceUnavailable, $"AWS KMS did not answer for the key {keyId}.", e);
        }
    }

    private static StorageError ErrorOf(AmazonKeyManagementServiceException failure) => failure switch
    {
        NotFoundException or InvalidArnException => StorageError.KeyNotFound,
        DisabledException or KMSInvalidStateException => StorageError.KeyDisabled,
        InvalidCiphertextException or IncorrectKeyException => StorageError.DataDamaged,
        InvalidKeyUsageException => StorageError.InvalidArgument,
        { ErrorCode: "AccessDeniedException" or "UnrecognizedClientException" or "InvalidSignatureException" or "IncompleteSignatureException" } => StorageError.KeyAccessDenied,
        { ErrorCode: "ValidationException" } => StorageError.InvalidArgument,
        _ => StorageError.KeyServiceUnavailable,        // throttling, timeouts of its own, KeyUnavailableException, 5xx
    };

    private static DataKey ToKey(MemoryStream? plaintext, string keyId)
    {
        if (plaintext is not { Length: SecretKey.Length })
            throw new StorageException(StorageError.KeyServiceUnavailable, $"AWS KMS's answer for the key {keyId} has no key of 256 bits.");
        var bytes = plaintext.TryGetBuffer(out var buffer) ? buffer.AsSpan() : plaintext.ToArray();
        var key = new DataKey(bytes);
        CryptographicOperations.ZeroMemory(bytes);
        return key;
    }
}
