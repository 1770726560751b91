using System.Security.Cryptography;

namespace DarkStorage.Rules.Identity;

/// <summary>A signature algorithm of RFC 7518 that is taken: all with public keys. <c>none</c> and the HMACs are not among them, or whoever knows the
/// public key could sign.</summary>
/// <param name="KeyType"><c>kty</c> that the key must have.</param>
/// <param name="Curve"><c>crv</c> that the key must have; empty for RSA.</param>
internal sealed record SigningAlgorithm(string Name, string KeyType, string Curve, HashAlgorithmName Hash, RSASignaturePadding? Padding)
{
    private static readonly SigningAlgorithm[] All =
    [
        new("RS256", "RSA", "", HashAlgorithmName.SHA256, RSASignaturePadding.Pkcs1),
        new("RS384", "RSA", "", HashAlgorithmName.SHA384, RSASignaturePadding.Pkcs1),
        new("RS512", "RSA", "", HashAlgorithmName.SHA512, RSASignaturePadding.Pkcs1),
        new("PS256", "RSA", "", HashAlgorithmName.SHA256, RSASignaturePadding.Pss),
        new("PS384", "RSA", "", HashAlgorithmName.SHA384, RSASignaturePadding.Pss),
        new("PS512", "RSA", "", HashAlgorithmName.SHA512, RSASignaturePadding.Pss),
        new("ES256", "EC", "P-256", HashAlgorithmName.SHA256, null),
        new("ES384", "EC", "P-384", HashAlgorithmName.SHA384, null),
        new("ES512", "EC", "P-521", HashAlgorithmName.SHA512, null),
    ];

    /// <returns>Null where it is none of those. Names have case.</returns>
    public static SigningAlgorithm? Find(string name) => Array.Find(All, a => a.Name == name);
}
