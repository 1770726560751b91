using System.Buffers.Text;
using System.Security.Cryptography;
using System.Text.Json;
using System.Text.Json.Serialization;
using DarkStorage.GrainInterfaces;
using DarkStorage.Storage.Backends;

namespace DarkStorage.Connectors.Arweave;

/// <summary>A key of RSA with 4,096 bits, which owns what it has signed. Its file is a JWK (RFC 7517).</summary>
internal sealed class ArweaveWallet : IDisposable
{
    /// <summary>Of a signature too. Arweave's key type 1 has no other.</summary>
    public const int OwnerBytes = 512;

    /// <summary>Arweave has no other.</summary>
    private const string Exponent = "AQAB";

    private readonly RSA _key;
    private readonly byte[] _sealKey;

    private ArweaveWallet(RSA key, byte[] owner)
    {
        (_key, Owner, Address) = (key, owner, Base64Url.EncodeToString(SHA256.HashData(owner)));
        // Of a signature that is always the same, and not of a number of the key: those can be written in more than one way.
        var secret = key.SignData("darkstorage arweave seal"u8, HashAlgorithmName.SHA256, RSASignaturePadding.Pkcs1);
        _sealKey = HKDF.DeriveKey(HashAlgorithmName.SHA256, secret, SHA256.HashSizeInBytes);
    }

    /// <summary>The public key: its modulus.</summary>
    public ReadOnlyMemory<byte> Owner { get; }

    /// <summary>What the public key is called: its SHA-256.</summary>
    public string Address { get; }

    /// <param name="field">What the setting is called.</param>
    /// <exception cref="StorageException"><see cref="StorageError.InvalidArgument"/>, with nothing of the text in it.</exception>
    public static ArweaveWallet Parse(string field, string text)
    {
        Jwk? jwk;
        try
        {
            jwk = JsonSerializer.Deserialize<Jwk>(text);
        }
        catch (JsonException)
        {
            jwk = null;
        }
        if (jwk is not { Type: "RSA" }) throw ConnectorType.Invalid($"{field}: the JSON file of a wallet (a JWK with \"kty\": \"RSA\"), as Arweave's wallets export it.");
        if (jwk.D is null) throw ConnectorType.Invalid($"{field}: it has no private key.");
        if (jwk.E != Exponent) throw ConnectorType.Invalid($"{field}: its exponent is not 65537.");
        var key = RSA.Create();
        try
        {
            var owner = Base64Url.DecodeFromChars(jwk.N);
            if (owner.Length != OwnerBytes) throw ConnectorType.Invalid($"{field}: a key of 4,096 bits, as Arweave has it.");
            key.ImportParameters(new()
            {
                Modulus = owner, Exponent = Base64Url.DecodeFromChars(jwk.E), D = Number(jwk.D, OwnerBytes), P = Number(jwk.P, OwnerBytes / 2), Q = Number(jwk.Q, OwnerBytes / 2),
                DP = Number(jwk.DP, OwnerBytes / 2), DQ = Number(jwk.DQ, OwnerBytes / 2), InverseQ = Number(jwk.QI, OwnerBytes / 2),
            });
            return new(key, owner);
        }
        catch (Exception e) when (e is CryptographicException or FormatException)
        {
            key.Dispose();
            throw ConnectorType.Invalid($"{field}: its numbers make no key.");
        }
        catch
        {
            key.Dispose();
            throw;
        }
    }

    /// <summary>With RSA-PSS, SHA-256 and a salt of 32 bytes. Each signature of a message is another.</summary>
    public byte[] Sign(ReadOnlySpan<byte> message) => _key.SignData(message, HashAlgorithmName.SHA256, RSASignaturePadding.Pss);

    /// <summary>A code of a text that nobody can make who does not have the wallet (HMAC-SHA256).</summary>
    public string Seal(ReadOnlySpan<byte> text) => Base64Url.EncodeToString(HMACSHA256.HashData(_sealKey, text));

    public void Dispose()
    {
        _key.Dispose();
        CryptographicOperations.ZeroMemory(_sealKey);
    }

    /// <summary>A JWK has no zeros in front of its numbers (RFC 7518, section 2), and .NET wants them.</summary>
    private static byte[] Number(string? text, int length)
    {
        var bytes = Base64Url.DecodeFromChars(text);
        return bytes.Length >= length ? bytes : [.. new byte[length - bytes.Length], .. bytes];
    }

    private sealed record Jwk(
        [property: JsonPropertyName("kty")] string? Type,
        [property: JsonPropertyName("n")] string? N,
        [property: JsonPropertyName("e")] string? E,
        [property: JsonPropertyName("d")] string? D,
        [property: JsonPropertyName("p")] string? P,
        [property: JsonPropertyName("q")] string? Q,
        [property: JsonPropertyName("dp")] string? DP,
        [property: JsonPropertyName("dq")] string? DQ,
        [property: JsonPropertyName("qi")] string? QI)
    {
        /// <summary>A record would print its members.</summary>
        public override string ToString() => "a wallet";
    }
}
