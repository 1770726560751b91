using System.Buffers.Binary;
using System.Security.Cryptography;
using System.Text;

namespace DarkStorage.Storage.Secrets;

/// <summary>Keeps secrets at rest: what is sealed can be opened only with one of the node's master keys, and only for the purpose it was sealed for.</summary>
public interface ISecretBox
{
    /// <param name="purpose">What the secret is, and whose: opening it under another name fails.</param>
    byte[] Seal(ReadOnlySpan<byte> secret, string purpose);

    /// <exception cref="CryptographicException">Another key, another purpose, or damage.</exception>
    byte[] OpenBytes(ReadOnlySpan<byte> box, string purpose);

    /// <summary>Whether it is sealed under the newest master key, in the newest format. One that is not opens all the same.</summary>
    bool IsCurrent(ReadOnlySpan<byte> box);

    /// <summary>The same for a text.</summary>
    byte[] Seal(string secret, string purpose)
    {
        var plain = Encoding.UTF8.GetBytes(secret);
        var box = Seal(plain, purpose);
        CryptographicOperations.ZeroMemory(plain);
        return box;
    }

    /// <summary>The same for a text.</summary>
    /// <exception cref="CryptographicException">Another key, another purpose, or damage.</exception>
    string Open(ReadOnlySpan<byte> box, string purpose)
    {
        var plain = OpenBytes(box, purpose);
        var secret = Encoding.UTF8.GetString(plain);
        CryptographicOperations.ZeroMemory(plain);
        return secret;
    }
}

/// <summary>AES-256-GCM under the master keys: the newest seals, all open. docs/FORMATS.md, "Sealed secrets", has the bytes.</summary>
public sealed class MasterKeyBox : ISecretBox
{
    /// <summary>Boxes of the time when there was one master key. They do not say which.</summary>
    private const byte WithoutKeyId = 1;

    private const byte Format = 2;
    private const int KeyIdLength = 8;
    private const int NonceLength = 12;
    private const int TagLength = 16;

    /// <summary>Bytes of a master key.</summary>
    public const int KeyLength = 32;

    /// <summary>Master keys that a node keeps at most: the newest, and those that older boxes need.</summary>
    public const int KeysMax = 32;

    private readonly List<(ulong Id, byte[] Key)> _keys = [];

    /// <param name="masterKeys">One to <see cref="KeysMax"/> keys of <see cref="KeyLength"/> bytes, one behind the other, the newest first.</param>
    public MasterKeyBox(ReadOnlySpan<byte> masterKeys)
    {
        if (masterKeys.IsEmpty || masterKeys.Length % KeyLength != 0 || masterKeys.Length > KeysMax * KeyLength)
            throw new ArgumentException($"There are {masterKeys.Length} bytes of master keys, and each has {KeyLength}.", nameof(masterKeys));
        Span<byte> id = stackalloc byte[HMACSHA256.HashSizeInBytes];
        for (; !masterKeys.IsEmpty; masterKeys = masterKeys[KeyLength..])
        {
            var key = GC.AllocateUninitializedArray<byte>(KeyLength, pinned: true);
            masterKeys[..KeyLength].CopyTo(key);
            HMACSHA256.HashData(key, "darkstorage/master-key-id/1"u8, id);
            _keys.Add((BinaryPrimitives.ReadUInt64BigEndian(id), key));
        }
    }

    /// <summary>What boxes name the keys by, the newest first. They tell nothing of the keys.</summary>
    public IReadOnlyList<ulong> KeyIds => [.. _keys.Select(k => k.Id)];

    /// <returns>The key that a box is sealed under; null where it does not say.</returns>
    public static ulong? KeyIdOf(ReadOnlySpan<byte> box) => IsOf(box, Format) && box.Length > KeyIdLength ? BinaryPrimitives.ReadUInt64BigEndian(box[1..]) : null;

    public byte[] Seal(ReadOnlySpan<byte> secret, string purpose)
    {
        var (id, key) = _keys[0];
        var box = new byte[1 + KeyIdLength + NonceLength + TagLength + secret.Length];
        box[0] = Format;
        BinaryPrimitives.WriteUInt64BigEndian(box.AsSpan(1), id);
        var rest = box.AsSpan(1 + KeyIdLength);
        RandomNumberGenerator.Fill(rest[..NonceLength]);
        using var aes = new AesGcm(key, TagLength);
        aes.Encrypt(rest[..NonceLength], secret, rest[(NonceLength + TagLength)..], rest.Slice(NonceLength, TagLength), Encoding.UTF8.GetBytes(purpose));
        return box;
    }

    public byte[] OpenBytes(ReadOnlySpan<byte> box, string purpose)
    {
        var header = 1 + (IsOf(box, Format) ? KeyIdLength : 0);
        if ((!IsOf(box, Format) && !IsOf(box, WithoutKeyId)) || box.Length < header + NonceLength + TagLength)
            throw new CryptographicException("This is not a sealed secret, or a newer format of one.");
        var rest = box[header..];
        var purposeBytes = Encoding.UTF8.GetBytes(purpose);
        var plain = new byte[rest.Length - NonceLength - TagLength];
        foreach (var (id, key) in _keys)
        {
            if (header > 1 && id != BinaryPrimitives.ReadUInt64BigEndian(box[1..])) continue;
            try
            {
                using var aes = new AesGcm(key, TagLength);
                aes.Decrypt(rest[..NonceLength], rest[(NonceLength + TagLength)..], rest.Slice(NonceLength, TagLength), plain, purposeBytes);
                return plain;
            }
            catch (AuthenticationTagMismatchException)
            {
                // One of the first format may be under another key.
            }
        }
        throw new CryptographicException("No master key here opens this secret for that purpose, or it is damaged.");
    }

    public bool IsCurrent(ReadOnlySpan<byte> box) => KeyIdOf(box) == _keys[0].Id;

    private static bool IsOf(ReadOnlySpan<byte> box, byte format) => !box.IsEmpty && box[0] == format;
}
