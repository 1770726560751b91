using System.Buffers.Binary;
using System.Collections.Immutable;
using System.Security.Cryptography;
using System.Text;
using System.Text.Json;
using DarkStorage.GrainInterfaces;
using DarkStorage.Storage.Secrets;

namespace DarkStorage.Storage.Encryption;

/// <summary>The key service of a node that has no other: named keys with versions, sealed as a whole under the master key.</summary>
/// <remarks>Invariants: a key wraps nothing before the ring that holds it is durable. A version once made is never changed or dropped, so what it wrapped opens
/// for as long as the key is enabled. Each wrap has a key and a nonce of its own, derived with 32 random bytes, so that no number of objects wears a version out.</remarks>
public sealed class KeyRing : IKeyService, IDisposable
{
    /// <summary>What SSE-S3 wraps under.</summary>
    public const string ObjectsKeyId = "darkstorage/objects";

    /// <summary>What SSE-KMS wraps under for who names no key, named as AWS names its own.</summary>
    public const string KmsKeyId = "aws/s3";

    private const string Purpose = "key-ring/1";
    private const int KeysMax = 10_000;
    private const int VersionsMax = 1_000;
    private const int NameMax = 256;
    private const int SaltLength = 32;
    private const int NonceLength = 12;
    private const int WrappedLength = sizeof(int) + SaltLength + SecretKey.Length + TagLength;
    private const int TagLength = 16;

    private readonly IKeyRingStorage _storage;
    private readonly ISecretBox _box;
    private readonly TimeProvider _clock;
    private readonly SemaphoreSlim _changing = new(1);
    private volatile ImmutableDictionary<string, RingKey> _keys = ImmutableDictionary<string, RingKey>.Empty;
    private long _revision;

    private KeyRing(IKeyRingStorage storage, ISecretBox box, TimeProvider clock) => (_storage, _box, _clock) = (storage, box, clock);

    public string DefaultKeyId => KmsKeyId;

    /// <summary>Reads the ring, or makes one with the two default keys. One of this node alone that is sealed under an older master key is sealed anew; one that is shared is
    /// by <see cref="SealAnewAsync"/>, lest two nodes of which each has the other's newest key as its second do so in turn for ever.</summary>
    /// <exception cref="StorageStartupException">No master key here opens it.</exception>
    public static async Task<KeyRing> OpenAsync(IKeyRingStorage storage, ISecretBox box, TimeProvider clock, CancellationToken ct)
    {
        var ring = new KeyRing(storage, box, clock);
        if (storage.IsShared) await ring.ReadAsync(ct);
        else await ring.SealAnewAsync(ct);
        await ring.ChangeAsync(keys =>
        {
            foreach (var name in (string[])[ObjectsKeyId, KmsKeyId])
            {
                if (!keys.ContainsKey(name)) keys = keys.Add(name, ring.NewKey(name));
            }
            return keys;
        }, ct);
        return ring;
    }

    /// <summary>The keys in the order of their names.</summary>
    public IReadOnlyList<RingKeyInfo> List() =>
        [.. _keys.Values.OrderBy(k => k.Name, StringComparer.Ordinal).Select(k => new RingKeyInfo(k.Name, k.Enabled, k.Created, k.Versions.Count))];

    /// <summary>Makes a key.</summary>
    /// <param name="name">1 to 256 letters, digits and <c>-_./:</c>; what clients send as the key's id, also behind <c>arn:…:key/</c>.</param>
    /// <exception cref="StorageException"><see cref="StorageError.InvalidArgument"/>: the name is not allowed or taken, or there are too many keys.</exception>
    public Task CreateAsync(string name, CancellationToken ct) => ChangeAsync(keys =>
    {
        if (name.Length is 0 or > NameMax || name.StartsWith("arn:", StringComparison.Ordinal) || name.Any(c => !char.IsAsciiLetterOrDigit(c) && !"-_./:".Contains(c, StringComparison.Ordinal)))
            throw Invalid($"A key's name has 1 to {NameMax} letters, digits and -_./: and does not begin with arn:");
        if (keys.ContainsKey(name)) throw Invalid($"There is a key {name} already.");
        if (keys.Count >= KeysMax) throw Invalid($"There are {KeysMax} keys already.");
        return keys.Add(name, NewKey(name));
    }, ct);

    /// <summary>Adds a version, which wraps from now on. What older ones wrapped still opens.</summary>
    /// <exception cref="StorageException"><see cref="StorageError.KeyNotFound"/>; <see cref="StorageError.InvalidArgument"/>: it has too many versions.</exception>
    public Task RotateAsync(string name, CancellationToken ct) => ChangeAsync(keys =>
    {
        var key = Find(keys, name);
        if (key.Versions.Count >= VersionsMax) throw Invalid($"The key {key.Name} has {VersionsMax} versions already.");
        return keys.SetItem(key.Name, key with { Versions = [.. key.Versions, NewVersion(key.Versions.Count + 1)] });
    }, ct);

    /// <summary>A key that is disabled neither wraps nor opens, until it is enabled again.</summary>
    /// <exception cref="StorageException"><see cref="StorageError.KeyNotFound"/>.</exception>
    public Task SetEnabledAsync(string name, bool enabled, CancellationToken ct) => ChangeAsync(keys =>
    {
        var key = Find(keys, name);
        return keys.SetItem(key.Name, key with { Enabled = enabled });
    }, ct);

    public ValueTask<GeneratedKey> GenerateAsync(string keyId, KeyContext context, CancellationToken ct)
    {
        var key = FindEnabled(keyId);
        var data = DataKey.Create();
        return new(new GeneratedKey(data, Wrap(key, data, context)));
    }

    public async ValueTask<DataKey> DecryptAsync(string keyId, ReadOnlyMemory<byte> wrapped, KeyContext context, CancellationToken ct)
    {
        // Another node that shares the ring may have made the key, or the version, since this one read it.
        if (!Knows(keyId, wrapped.Span)) await RefreshAsync(ct);
        return Unwrap(FindEnabled(keyId), wrapped.Span, context);
    }

    /// <summary>Reads what other nodes that share the ring made of it.</summary>
    public async Task RefreshAsync(CancellationToken ct)
    {
        await _changing.WaitAsync(ct);
        try
        {
            await ReadAsync(ct);
        }
        finally
        {
            _changing.Release();
        }
    }

    /// <summary>Reads the ring, and seals it under the newest master key where it is sealed under another.</summary>
    /// <returns>Whether it was.</returns>
    public async Task<bool> SealAnewAsync(CancellationToken ct)
    {
        await _changing.WaitAsync(ct);
        try
        {
            while (true)
            {
                if (await ReadAsync(ct)) return false;
                if (await TryWriteAsync(_keys, ct)) return true;
            }
        }
        finally
        {
            _changing.Release();
        }
    }

    public ValueTask<KeyDescription?> DescribeAsync(string keyId, CancellationToken ct) =>
        new(_keys.TryGetValue(NameOf(keyId), out var key) ? new KeyDescription(key.Name, key.Enabled, key.Created) : null);

    public void Dispose()
    {
        _changing.Dispose();
        foreach (var version in _keys.Values.SelectMany(k => k.Versions)) CryptographicOperations.ZeroMemory(version.Key);
    }

    /// <summary>The name in an ARN of AWS's form, <c>arn:aws:kms:REGION:ACCOUNT:key/NAME</c>; anything else is a name itself.</summary>
    private static string NameOf(string keyId)
    {
        const string Marker = ":key/";
        var at = keyId.StartsWith("arn:", StringComparison.Ordinal) ? keyId.IndexOf(Marker, StringComparison.Ordinal) : -1;
        return at < 0 ? keyId : keyId[(at + Marker.Length)..];
    }

    private static RingKey Find(ImmutableDictionary<string, RingKey> keys, string keyId) => keys.TryGetValue(NameOf(keyId), out var key)
        ? key
        : throw new StorageException(StorageError.KeyNotFound, $"The key ring has no key {Shown(keyId)}.");

    private RingKey FindEnabled(string keyId)
    {
        var key = Find(_keys, keyId);
        return key.Enabled ? key : throw new StorageException(StorageError.KeyDisabled, $"The key {key.Name} is disabled.");
    }

    private bool Knows(string keyId, ReadOnlySpan<byte> wrapped) =>
        _keys.TryGetValue(NameOf(keyId), out var key) && (wrapped.Length < sizeof(int) || BinaryPrimitives.ReadInt32BigEndian(wrapped) <= key.Versions.Count);

    private static string Shown(string keyId) => keyId.Length <= NameMax ? keyId : keyId[..NameMax];

    private static StorageException Invalid(string message) => new(StorageError.InvalidArgument, message);

    private RingKey NewKey(string name) => new(name, true, _clock.GetUtcNow(), [NewVersion(1)]);

    private RingKeyVersion NewVersion(int number) => new(number, _clock.GetUtcNow(), RandomNumberGenerator.GetBytes(SecretKey.Length));

    /// <summary>The version's number, 32 random bytes, the sealed key, the tag.</summary>
    private static byte[] Wrap(RingKey key, DataKey data, KeyContext context)
    {
        var version = key.Versions[^1];
        var wrapped = new byte[WrappedLength];
        BinaryPrimitives.WriteInt32BigEndian(wrapped, version.Number);
        var salt = wrapped.AsSpan(sizeof(int), SaltLength);
        RandomNumberGenerator.Fill(salt);
        Seal(version.Key, salt, wrapped.AsSpan(sizeof(int) + SaltLength), Bound(key, context), data.Bytes);
        return wrapped;
    }

    private static DataKey Unwrap(RingKey key, ReadOnlySpan<byte> wrapped, KeyContext context)
    {
        if (wrapped.Length != WrappedLength) throw Damaged(key);
        var number = BinaryPrimitives.ReadInt32BigEndian(wrapped);
        // Numbers count from 1 without gaps.
        if (number < 1 || number > key.Versions.Count) throw Damaged(key);
        Span<byte> derived = stackalloc byte[SecretKey.Length + NonceLength];
        Span<byte> plain = stackalloc byte[SecretKey.Length];
        try
        {
            HKDF.DeriveKey(HashAlgorithmName.SHA256, key.Versions[number - 1].Key, derived, wrapped.Slice(sizeof(int), SaltLength), WrapLabel);
            using var aes = new AesGcm(derived[..SecretKey.Length], TagLength);
            aes.Decrypt(derived[SecretKey.Length..], wrapped[(sizeof(int) + SaltLength)..^TagLength], wrapped[^TagLength..], plain, Bound(key, context));
            return new(plain);
        }
        catch (AuthenticationTagMismatchException)
        {
            throw Damaged(key);
        }
        finally
        {
            CryptographicOperations.ZeroMemory(derived);
            CryptographicOperations.ZeroMemory(plain);
        }
    }

    internal static ReadOnlySpan<byte> WrapLabel => "darkstorage/ring/1"u8;

    /// <summary>Seals under a key and a nonce that are derived from a secret and a salt.</summary>
    internal static void Seal(ReadOnlySpan<byte> secret, ReadOnlySpan<byte> salt, Span<byte> destination, ReadOnlySpan<byte> bound, ReadOnlySpan<byte> plain)
    {
        Span<byte> derived = stackalloc byte[SecretKey.Length + NonceLength];
        HKDF.DeriveKey(HashAlgorithmName.SHA256, secret, derived, salt, WrapLabel);
        using var aes = new AesGcm(derived[..SecretKey.Length], TagLength);
        aes.Encrypt(derived[SecretKey.Length..], plain, destination[..^TagLength], destination[^TagLength..], bound);
        CryptographicOperations.ZeroMemory(derived);
    }

    /// <summary>The key's name, a zero byte, the context: wrapped for another it does not open.</summary>
    private static byte[] Bound(RingKey key, KeyContext context) => [.. Encoding.UTF8.GetBytes(key.Name), 0, .. context.Canonical.Span];

    private static StorageException Damaged(RingKey key) =>
        new(StorageError.DataDamaged, $"A data key does not open under the key {key.Name} and its context.");

    /// <summary>Decides on the newest ring, and shows the outcome only when it is durable.</summary>
    private async Task ChangeAsync(Func<ImmutableDictionary<string, RingKey>, ImmutableDictionary<string, RingKey>> change, CancellationToken ct)
    {
        await _changing.WaitAsync(ct);
        try
        {
            while (true)
            {
                var next = change(_keys);
                if (ReferenceEquals(next, _keys)) return;
                if (await TryWriteAsync(next, ct)) return;
                await ReadAsync(ct);        // another node was first
            }
        }
        finally
        {
            _changing.Release();
        }
    }

    /// <returns>Whether it is sealed under the newest master key, or there is none.</returns>
    private async Task<bool> ReadAsync(CancellationToken ct)
    {
        if (await _storage.ReadAsync(ct) is not { } stored) return true;
        byte[] plain;
        try
        {
            plain = _box.OpenBytes(stored.Sealed, Purpose);
        }
        catch (CryptographicException e)
        {
            throw new StorageStartupException("The key ring does not open under the master key: what it sealed can't be read without the key it was made with.", e);
        }
        try
        {
            var ring = JsonSerializer.Deserialize<RingDocument>(plain);
            if (ring is not { Format: 1, Keys: not null }) throw new StorageStartupException("The key ring has a format that this program does not know.");
            _keys = ring.Keys.ToImmutableDictionary(k => k.Name, StringComparer.Ordinal);
            _revision = stored.Revision;
        }
        catch (JsonException e)
        {
            throw new StorageStartupException("The key ring is damaged.", e);
        }
        finally
        {
            CryptographicOperations.ZeroMemory(plain);
        }
        return _box.IsCurrent(stored.Sealed);
    }

    private async Task<bool> TryWriteAsync(ImmutableDictionary<string, RingKey> keys, CancellationToken ct)
    {
        var plain = JsonSerializer.SerializeToUtf8Bytes(new RingDocument(1, [.. keys.Values.OrderBy(k => k.Name, StringComparer.Ordinal)]));
        var box = _box.Seal(plain, Purpose);
        CryptographicOperations.ZeroMemory(plain);
        if (!await _storage.TryReplaceAsync(box, _revision, ct)) return false;
        (_keys, _revision) = (keys, _revision + 1);
        return true;
    }

    private sealed record RingDocument(int Format, List<RingKey> Keys);

    private sealed record RingKey(string Name, bool Enabled, DateTimeOffset Created, List<RingKeyVersion> Versions);

    private sealed record RingKeyVersion(int Number, DateTimeOffset Created, byte[] Key);
}

/// <summary>What an operator is told of a key of the ring.</summary>
/// <param name="Versions">How many it has; the last one wraps.</param>
public sealed record RingKeyInfo(string Name, bool Enabled, DateTimeOffset Created, int Versions);

/// <summary>Where the ring is kept: a file of the node, or a row that all nodes share.</summary>
public interface IKeyRingStorage
{
    /// <summary>Whether other nodes have it too, whose newest master key may be another.</summary>
    bool IsShared { get; }

    /// <returns>Null where there is none yet; its first revision will be 1.</returns>
    ValueTask<StoredKeyRing?> ReadAsync(CancellationToken ct);

    /// <summary>Replaces the ring, durably, if it still has the revision it was decided on (0: there is none yet).</summary>
    /// <returns>False where it has another one.</returns>
    ValueTask<bool> TryReplaceAsync(ReadOnlyMemory<byte> sealedRing, long revision, CancellationToken ct);
}

/// <summary>The ring as it is kept.</summary>
/// <param name="Revision">Grows by one with each change.</param>
public sealed record StoredKeyRing(byte[] Sealed, long Revision);
