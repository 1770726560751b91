using System.Buffers.Text;
using System.Security.Cryptography;
using System.Text.Json;

namespace DarkStorage.Rules.Identity;

/// <summary>The public keys of an issuer (RFC 7517). Keys that can't verify what is taken here are left out: a set may hold others for others.</summary>
public sealed class JsonWebKeySet
{
    /// <summary>Bytes of a document.</summary>
    public const int BytesMax = 256 << 10;

    /// <summary>Keys of a set: it bounds the work of a token that names none.</summary>
    public const int KeysMax = 64;

    private const int DepthMax = 8;
    private const int RsaBytesMin = 2048 / 8;
    private const int RsaBytesMax = 8192 / 8;
    private const int ExponentBytesMax = 4;

    private readonly List<Key> _keys = [];

    private sealed record Key(string? Id, string? Algorithm, string KeyType, string Curve, RSAParameters Rsa, ECParameters Ec);

    private JsonWebKeySet()
    {
    }

    public int Count => _keys.Count;

    /// <param name="json">At most <see cref="BytesMax"/>.</param>
    /// <exception cref="FormatException">It is no set of keys, or too large a one.</exception>
    public static JsonWebKeySet Parse(ReadOnlyMemory<byte> json)
    {
        if (json.Length > BytesMax) throw new FormatException($"A key set has at most {BytesMax} bytes.");
        try
        {
            using var document = JsonDocument.Parse(json, new() { MaxDepth = DepthMax, AllowDuplicateProperties = false });
            if (document.RootElement.ValueKind != JsonValueKind.Object || !document.RootElement.TryGetProperty("keys", out var keys) || keys.ValueKind != JsonValueKind.Array)
                throw new FormatException("A key set is an object with a list of keys.");
            if (keys.GetArrayLength() > KeysMax) throw new FormatException($"A key set has at most {KeysMax} keys.");
            var set = new JsonWebKeySet();
            foreach (var element in keys.EnumerateArray())
            {
                if (Read(element) is { } key) set._keys.Add(key);
            }
            return set;
        }
        catch (Exception e) when (e is JsonException or InvalidOperationException)
        {
            throw new FormatException("The key set is not JSON.", e);
        }
    }

    /// <summary>Whether one of the keys made the signature. A key must be of the algorithm's kind and, where it names its algorithm, of that one.</summary>
    /// <param name="keyId">Null where the token names none: then each key is tried that could be meant.</param>
    /// <exception cref="WebIdentityException"><see cref="WebIdentityProblem.UnknownKey"/>.</exception>
    internal bool Verify(SigningAlgorithm algorithm, string? keyId, ReadOnlySpan<byte> signed, ReadOnlySpan<byte> signature)
    {
        var known = false;
        foreach (var key in _keys)
        {
            if (keyId is not null && key.Id != keyId) continue;
            known = true;
            if (key.KeyType != algorithm.KeyType || key.Curve != algorithm.Curve || (key.Algorithm is not null && key.Algorithm != algorithm.Name)) continue;
            if (Verify(key, algorithm, signed, signature)) return true;
        }
        return known ? false : throw new WebIdentityException(WebIdentityProblem.UnknownKey, "No key of the issuer has the id that the token names.");
    }

    private static bool Verify(Key key, SigningAlgorithm algorithm, ReadOnlySpan<byte> signed, ReadOnlySpan<byte> signature)
    {
        try
        {
            if (algorithm.Padding is { } padding)
            {
                using var rsa = RSA.Create(key.Rsa);
                return rsa.VerifyData(signed, signature, algorithm.Hash, padding);
            }
            using var ec = ECDsa.Create(key.Ec);
            return ec.VerifyData(signed, signature, algorithm.Hash, DSASignatureFormat.IeeeP1363FixedFieldConcatenation);
        }
        catch (CryptographicException)
        {
            return false;   // a point that is not on its curve, a modulus that is none
        }
    }

    private static Key? Read(JsonElement element)
    {
        if (element.ValueKind != JsonValueKind.Object) return null;
        if (Text(element, "use") is { } use && use != "sig") return null;
        if (element.TryGetProperty("key_ops", out var operations)
            && (operations.ValueKind != JsonValueKind.Array || !operations.EnumerateArray().Any(o => o.ValueKind == JsonValueKind.String && o.ValueEquals("verify"u8)))) return null;
        var (id, algorithm, type) = (Text(element, "kid"), Text(element, "alg"), Text(element, "kty"));
        return type switch
        {
            "RSA" when Bytes(element, "n") is { Length: >= RsaBytesMin and <= RsaBytesMax } n && Bytes(element, "e") is { Length: > 0 and <= ExponentBytesMax } e =>
                new(id, algorithm, type, "", new() { Modulus = n, Exponent = e }, default),
            "EC" when Text(element, "crv") is { } name && CurveOf(name) is var (curve, length) && Bytes(element, "x") is { } x && Bytes(element, "y") is { } y && x.Length == length && y.Length == length =>
                new(id, algorithm, type, name, default, new() { Curve = curve, Q = new() { X = x, Y = y } }),
            _ => null,
        };
    }

    private static (ECCurve Curve, int Bytes)? CurveOf(string name) => name switch
    {
        "P-256" => (ECCurve.NamedCurves.nistP256, 32),
        "P-384" => (ECCurve.NamedCurves.nistP384, 48),
        "P-521" => (ECCurve.NamedCurves.nistP521, 66),
        _ => null,
    };

    private static string? Text(JsonElement element, string name) =>
        element.TryGetProperty(name, out var value) && value.ValueKind == JsonValueKind.String ? value.GetString() : null;

    private static byte[]? Bytes(JsonElement element, string name)
    {
        if (Text(element, name) is not { } text) return null;
        try
        {
            return Base64Url.DecodeFromChars(text);
        }
        catch (FormatException)
        {
            return null;
        }
    }
}
