using System.Security.Cryptography;
using System.Text;

namespace DarkStorage.Storage.Secrets;

/// <summary>Keeps secrets at rest: what is sealed can be opened only with the node's master key, and only for the purpose it was sealed for.</summary>
public interface ISecretBox
{
    /// <param name="purpose">What the secret is, and whose: opening it under another name fails.</param>
    byte[] Seal(string secret, string purpose);

    /// <exception cref="CryptographicException">Another key, another purpose, or damage.</exception>
    string Open(ReadOnlySpan<byte> box, string purpose);
}

/// <summary>AES-256-GCM under one master key. A box is a format byte, a random nonce of 12 bytes, a tag of 16 bytes, the ciphertext.</summary>
public sealed class MasterKeyBox : ISecretBox
{
    private const byte Format = 1;
    private const int NonceLength = 12;
    private const int TagLength = 16;
    private const int HeaderLength = 1 + NonceLength + TagLength;

    /// <summary>Bytes of a master key.</summary>
    public const int KeyLength = 32;

    private readonly byte[] _key;

    /// <param name="masterKey"><see cref="KeyLength"/> bytes.</param>
    public MasterKeyBox(ReadOnlySpan<byte> masterKey)
    {
        ArgumentOutOfRangeException.ThrowIfNotEqual(masterKey.Length, KeyLength, nameof(masterKey));
        _key = masterKey.ToArray();
    }

    public byte[] Seal(string secret, string purpose)
    {
        var plain = Encoding.UTF8.GetBytes(secret);
        var box = new byte[HeaderLength + plain.Length];
        box[0] = Format;
        var nonce = box.AsSpan(1, NonceLength);
        RandomNumberGenerator.Fill(nonce);
        using var aes = new AesGcm(_key, TagLength);
        aes.Encrypt(nonce, plain, box.AsSpan(HeaderLength), box.AsSpan(1 + NonceLength, TagLength), Encoding.UTF8.GetBytes(purpose));
        CryptographicOperations.ZeroMemory(plain);
        return box;
    }

    public string Open(ReadOnlySpan<byte> box, string purpose)
    {
        if (box.Length < HeaderLength || box[0] != Format) throw new CryptographicException("This is not a sealed secret, or a newer format of one.");
        var plain = new byte[box.Length - HeaderLength];
        using var aes = new AesGcm(_key, TagLength);
        aes.Decrypt(box.Slice(1, NonceLength), box[HeaderLength..], box.Slice(1 + NonceLength, TagLength), plain, Encoding.UTF8.GetBytes(purpose));
        var secret = Encoding.UTF8.GetString(plain);
        CryptographicOperations.ZeroMemory(plain);
        return secret;
    }
}
