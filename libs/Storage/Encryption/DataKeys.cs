using System.Buffers.Binary;
using System.Runtime.InteropServices;
using System.Security.Cryptography;
using System.Text;
using DarkStorage.GrainInterfaces;
using DarkStorage.GrainInterfaces.Objects;

namespace DarkStorage.Storage.Encryption;

/// <summary>Envelope encryption: a data key for each object, wrapped by a key service or under the customer's key (docs/FORMATS.md, "Wrapped keys").</summary>
/// <param name="objects">Wraps for SSE-S3: the node's own ring.</param>
/// <param name="kms">Wraps for SSE-KMS: the same ring, or a service outside.</param>
public sealed class DataKeys(KeyRing objects, IKeyService kms) : IDataKeys
{
    private const byte Format = 1;
    private const int SaltLength = 32;
    private const int CheckLength = 32;
    private const int NonceLength = 12;
    private const int TagLength = 16;
    private const int KeyIdLengthMax = 2048;    // AWS's limit

    public async ValueTask<NewDataKey> CreateAsync(EncryptionRequest request, CancellationToken ct)
    {
        if (request.Mode == EncryptionMode.SseC) return CreateForCustomer(request.CustomerKey ?? throw KeyRequired());
        if (request.CustomerKey is not null) throw NotApplicable();
        var (service, keyId) = request.Mode == EncryptionMode.SseS3 ? (objects, KeyRing.ObjectsKeyId) : (kms, request.KeyId ?? kms.DefaultKeyId);
        if (Encoding.UTF8.GetByteCount(keyId) is 0 or > KeyIdLengthMax)
            throw new StorageException(StorageError.InvalidArgument, $"A key id has 1 to {KeyIdLengthMax} bytes.");
        var generated = await service.GenerateAsync(keyId, KeyContext.Parse(request.Context), ct);
        return new(generated.Key, new(request.Mode, request.KeyId, request.Context, Name(keyId, generated.Wrapped), [], request.BucketKeyEnabled));
    }

    public ValueTask<DataKey> OpenAsync(ContentEncryption encryption, CustomerKey? customerKey, CancellationToken ct)
    {
        RequireCustomerKey(encryption, customerKey);
        if (encryption.Mode == EncryptionMode.SseC) return new(OpenForCustomer(encryption, customerKey!));
        var (keyId, wrapped) = Named(encryption);
        return ServiceOf(encryption).DecryptAsync(keyId, wrapped, KeyContext.Parse(encryption.Context), ct);
    }

    public void RequireCustomerKey(ContentEncryption encryption, CustomerKey? customerKey)
    {
        if (encryption.Mode != EncryptionMode.SseC)
        {
            if (customerKey is not null) throw NotApplicable();
            return;
        }
        if (customerKey is null) throw KeyRequired();
        using var derived = new CustomerDerived(customerKey, SaltOf(encryption));
        if (!CryptographicOperations.FixedTimeEquals(derived.Check, encryption.CustomerKeyCheck.AsSpan()[SaltLength..]))
            throw new StorageException(StorageError.InvalidEncryptionKey, "The customer's key is not the one that the object was stored with.");
    }

    public string KeyIdOf(ContentEncryption encryption) => encryption.KeyId ?? Named(encryption).KeyId;

    private IKeyService ServiceOf(ContentEncryption encryption) => encryption.Mode switch
    {
        EncryptionMode.SseS3 => objects,
        EncryptionMode.SseKms => kms,
        var mode => throw Damaged($"has the mode {mode}"),
    };

    private static NewDataKey CreateForCustomer(CustomerKey customerKey)
    {
        var check = new byte[SaltLength + CheckLength];
        RandomNumberGenerator.Fill(check.AsSpan(0, SaltLength));
        using var derived = new CustomerDerived(customerKey, check.AsSpan(0, SaltLength));
        derived.Check.CopyTo(check.AsSpan(SaltLength));
        var wrapped = new byte[1 + SecretKey.Length + TagLength];
        wrapped[0] = Format;
        var key = DataKey.Create();
        using var aes = new AesGcm(derived.WrappingKey, TagLength);
        aes.Encrypt(derived.Nonce, key.Bytes, wrapped.AsSpan(1, SecretKey.Length), wrapped.AsSpan(1 + SecretKey.Length));
        return new(key, new(EncryptionMode.SseC, null, null, ImmutableCollectionsMarshal.AsImmutableArray(wrapped), ImmutableCollectionsMarshal.AsImmutableArray(check), false));
    }

    private static DataKey OpenForCustomer(ContentEncryption encryption, CustomerKey customerKey)
    {
        var wrapped = encryption.WrappedKey.AsSpan();
        if (wrapped.Length != 1 + SecretKey.Length + TagLength || wrapped[0] != Format) throw Damaged("has a wrapped key of another form");
        using var derived = new CustomerDerived(customerKey, SaltOf(encryption));
        Span<byte> plain = stackalloc byte[SecretKey.Length];
        try
        {
            using var aes = new AesGcm(derived.WrappingKey, TagLength);
            aes.Decrypt(derived.Nonce, wrapped.Slice(1, SecretKey.Length), wrapped[(1 + SecretKey.Length)..], plain);
            return new(plain);
        }
        catch (AuthenticationTagMismatchException)
        {
            throw Damaged("has a wrapped key that does not open, though the customer's key is the right one");
        }
        finally
        {
            CryptographicOperations.ZeroMemory(plain);
        }
    }

    private static ReadOnlySpan<byte> SaltOf(ContentEncryption encryption) => encryption.CustomerKeyCheck.Length == SaltLength + CheckLength
        ? encryption.CustomerKeyCheck.AsSpan()[..SaltLength]
        : throw Damaged("has no check of the customer's key");

    /// <summary>The format, the length of the key's id in two bytes, the id, and what the service gave.</summary>
    private static System.Collections.Immutable.ImmutableArray<byte> Name(string keyId, byte[] wrapped)
    {
        var length = Encoding.UTF8.GetByteCount(keyId);
        var named = new byte[1 + sizeof(ushort) + length + wrapped.Length];
        named[0] = Format;
        BinaryPrimitives.WriteUInt16BigEndian(named.AsSpan(1), (ushort)length);
        Encoding.UTF8.GetBytes(keyId, named.AsSpan(1 + sizeof(ushort)));
        wrapped.CopyTo(named, 1 + sizeof(ushort) + length);
        return ImmutableCollectionsMarshal.AsImmutableArray(named);
    }

    private static (string KeyId, ReadOnlyMemory<byte> Wrapped) Named(ContentEncryption encryption)
    {
        var named = encryption.WrappedKey.AsMemory();
        if (named.Length < 1 + sizeof(ushort) || named.Span[0] != Format) throw Damaged("has a wrapped key of another form");
        var length = BinaryPrimitives.ReadUInt16BigEndian(named.Span[1..]);
        var rest = named[(1 + sizeof(ushort))..];
        if (length > rest.Length) throw Damaged("has a wrapped key that ends too early");
        return (Encoding.UTF8.GetString(rest.Span[..length]), rest[length..]);
    }

    private static StorageException KeyRequired() => new(StorageError.EncryptionKeyRequired, "The content is sealed under a customer's key, and there is none.");

    private static StorageException NotApplicable() => new(StorageError.EncryptionKeyNotApplicable, "There is a customer's key, and the content is not sealed under one.");

    private static StorageException Damaged(string how) => new(StorageError.DataDamaged, $"The encryption of a version {how}.");

    /// <summary>What HKDF makes of a customer's key and a salt: a key to wrap with, a nonce for that one wrap, and a check that tells nothing of the key.</summary>
    private readonly ref struct CustomerDerived : IDisposable
    {
        private readonly byte[] _bytes = GC.AllocateUninitializedArray<byte>(SecretKey.Length + NonceLength + CheckLength, pinned: true);

        public CustomerDerived(CustomerKey key, ReadOnlySpan<byte> salt) =>
            HKDF.DeriveKey(HashAlgorithmName.SHA256, key.Bytes, _bytes, salt, "darkstorage/sse-c/1"u8);

        public ReadOnlySpan<byte> WrappingKey => _bytes.AsSpan(0, SecretKey.Length);
        public ReadOnlySpan<byte> Nonce => _bytes.AsSpan(SecretKey.Length, NonceLength);
        public ReadOnlySpan<byte> Check => _bytes.AsSpan(SecretKey.Length + NonceLength);

        public void Dispose() => CryptographicOperations.ZeroMemory(_bytes);
    }
}
