using System.Buffers.Text;
using System.Security.Cryptography;
using System.Text.Json.Nodes;

namespace DarkStorage.Connectors.Arweave;

/// <summary>Wallets of this run of the tests: keys of that length take seconds to make.</summary>
internal static class Wallets
{
    private static readonly Lazy<string> FirstWallet = new(New), SecondWallet = new(New);

    /// <summary>A JWK as Arweave's wallets export it.</summary>
    public static string First => FirstWallet.Value;

    public static string Second => SecondWallet.Value;

    public static string Jwk(RSA key)
    {
        var numbers = key.ExportParameters(includePrivateParameters: true);
        var jwk = new JsonObject { ["kty"] = "RSA" };
        foreach (var (name, value) in new[] { ("n", numbers.Modulus), ("e", numbers.Exponent), ("d", numbers.D), ("p", numbers.P), ("q", numbers.Q), ("dp", numbers.DP), ("dq", numbers.DQ), ("qi", numbers.InverseQ) })
            jwk[name] = Base64Url.EncodeToString(value!.AsSpan().TrimStart((byte)0)); // as RFC 7518 has numbers
        return jwk.ToJsonString();
    }

    private static string New()
    {
        using var key = RSA.Create(4096);
        return Jwk(key);
    }
}
