using DarkStorage.GrainInterfaces.Objects;

namespace DarkStorage.Rules.Buckets;

/// <summary>How objects are sealed whose writers do not say.</summary>
/// <param name="Mode">SSE-S3 or SSE-KMS: a customer's key can't be a default.</param>
/// <param name="KeyId">SSE-KMS: the key's name or ARN; null for the key service's default.</param>
/// <param name="BucketKeyEnabled">What objects are marked with where their writers do not say.</param>
public sealed record BucketEncryption(EncryptionMode Mode, string? KeyId, bool BucketKeyEnabled);
