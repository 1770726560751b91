using DarkStorage.GrainInterfaces;
using DarkStorage.GrainInterfaces.Objects;

namespace DarkStorage.Storage.Encryption;

/// <summary>Makes the data key of an object or an upload, and gives it back to who may have it.</summary>
public interface IDataKeys
{
    /// <summary>Makes a data key, and what is kept to open it again.</summary>
    /// <exception cref="StorageException"><see cref="StorageError.EncryptionKeyRequired"/>, <see cref="StorageError.EncryptionKeyNotApplicable"/>: SSE-C and no
    /// customer's key, or the other way round. <see cref="StorageError.InvalidArgument"/>: the context is not allowed. And those of <see cref="IKeyService.GenerateAsync"/>.</exception>
    ValueTask<NewDataKey> CreateAsync(EncryptionRequest request, CancellationToken ct);

    /// <summary>Opens a data key. The caller disposes it.</summary>
    /// <param name="customerKey">For SSE-C, and for nothing else.</param>
    /// <exception cref="StorageException"><see cref="StorageError.EncryptionKeyRequired"/>, <see cref="StorageError.EncryptionKeyNotApplicable"/>,
    /// <see cref="StorageError.InvalidEncryptionKey"/>: the customer's key is missing, not wanted, or another one. And those of <see cref="IKeyService.DecryptAsync"/>.</exception>
    ValueTask<DataKey> OpenAsync(ContentEncryption encryption, CustomerKey? customerKey, CancellationToken ct);

    /// <summary>Checks a customer's key without opening anything, as HEAD must.</summary>
    /// <exception cref="StorageException">As <see cref="OpenAsync"/> has them for the customer's key.</exception>
    void RequireCustomerKey(ContentEncryption encryption, CustomerKey? customerKey);

    /// <summary>The key that the data key is wrapped under: as the client named it, else the default it got.</summary>
    /// <param name="encryption">SSE-S3 or SSE-KMS.</param>
    string KeyIdOf(ContentEncryption encryption);
}

/// <summary>What a client asks for.</summary>
/// <param name="KeyId">SSE-KMS: the key as the client named it; null for the default.</param>
/// <param name="Context">SSE-KMS: a flat JSON object of texts.</param>
/// <param name="CustomerKey">SSE-C: the client's key. The caller disposes it.</param>
public sealed record EncryptionRequest(
    EncryptionMode Mode, string? KeyId = null, string? Context = null, bool BucketKeyEnabled = false, CustomerKey? CustomerKey = null);

/// <summary>A new data key and what is kept of it. The caller disposes the key.</summary>
public readonly record struct NewDataKey(DataKey Key, ContentEncryption Encryption);
