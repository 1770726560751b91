using System.Collections.Immutable;
using Orleans;

namespace DarkStorage.GrainInterfaces.Objects;

/// <summary>Who keeps the key that a content's data key is wrapped under. The numbers are stored.</summary>
public enum EncryptionMode : byte
{
    /// <summary>The node's own key ring: <c>AES256</c>.</summary>
    SseS3 = 1,
    /// <summary>A key service, under a key that the client may name: <c>aws:kms</c>.</summary>
    SseKms = 2,
    /// <summary>The client, who sends the key with every request.</summary>
    SseC = 3,
}

/// <summary>How the bytes of a version, or of all parts of an upload, are sealed: all that opens them again but the key itself.</summary>
/// <param name="KeyId">The key's name or ARN as the client named it; null where it named none.</param>
/// <param name="Context">The client's KMS encryption context, a flat JSON object of strings; null where there is none.</param>
/// <param name="WrappedKey">The data key, sealed (docs/FORMATS.md, "Wrapped keys"). Names its key itself, so that another default changes nothing.</param>
/// <param name="CustomerKeyCheck">For <see cref="EncryptionMode.SseC"/> a salt and a salted HMAC, by which the client's key is known again;
/// otherwise empty. Neither the key nor its MD5 is kept.</param>
/// <param name="BucketKeyEnabled">What the client said and wants back.</param>
[GenerateSerializer, Immutable, Alias("content-encryption")]
public sealed record ContentEncryption(
    EncryptionMode Mode,
    string? KeyId,
    string? Context,
    ImmutableArray<byte> WrappedKey,
    ImmutableArray<byte> CustomerKeyCheck,
    bool BucketKeyEnabled)
{
    public bool Equals(ContentEncryption? other) =>
        other is not null && Mode == other.Mode && KeyId == other.KeyId && Context == other.Context && BucketKeyEnabled == other.BucketKeyEnabled
        && WrappedKey.AsSpan().SequenceEqual(other.WrappedKey.AsSpan()) && CustomerKeyCheck.AsSpan().SequenceEqual(other.CustomerKeyCheck.AsSpan());

    public override int GetHashCode() => HashCode.Combine(Mode, KeyId, WrappedKey.Length);

    /// <summary>Without the bytes: they are no secret, and no log needs them.</summary>
    public override string ToString() => KeyId is null ? $"{Mode}" : $"{Mode} under {KeyId}";
}
