using DarkStorage.GrainInterfaces;

namespace DarkStorage.Storage.Encryption;

/// <summary>Keeps the keys that data keys are wrapped under, and never gives them away: what a KMS does.</summary>
public interface IKeyService
{
    /// <summary>The key for who names none.</summary>
    string DefaultKeyId { get; }

    /// <summary>Makes a data key, and wraps it under the newest version of a key.</summary>
    /// <exception cref="StorageException"><see cref="StorageError.KeyNotFound"/>, <see cref="StorageError.KeyDisabled"/>,
    /// <see cref="StorageError.KeyAccessDenied"/>, <see cref="StorageError.KeyServiceUnavailable"/>.</exception>
    ValueTask<GeneratedKey> GenerateAsync(string keyId, KeyContext context, CancellationToken ct);

    /// <summary>Unwraps a data key. The caller disposes it.</summary>
    /// <exception cref="StorageException">As <see cref="GenerateAsync"/>, and <see cref="StorageError.DataDamaged"/>: it was not wrapped under this key and context.</exception>
    ValueTask<DataKey> DecryptAsync(string keyId, ReadOnlyMemory<byte> wrapped, KeyContext context, CancellationToken ct);

    /// <returns>Null where there is no key of that name.</returns>
    /// <exception cref="StorageException"><see cref="StorageError.KeyAccessDenied"/>, <see cref="StorageError.KeyServiceUnavailable"/>.</exception>
    ValueTask<KeyDescription?> DescribeAsync(string keyId, CancellationToken ct);
}

/// <summary>A new data key, in the clear and wrapped. The caller disposes the key.</summary>
public readonly record struct GeneratedKey(DataKey Key, byte[] Wrapped);

/// <summary>What is told of a key.</summary>
/// <param name="Enabled">Whether it seals and opens.</param>
public sealed record KeyDescription(string KeyId, bool Enabled, DateTimeOffset? Created);
