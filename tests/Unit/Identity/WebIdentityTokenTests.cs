using System.Buffers.Text;
using System.Security.Cryptography;
using System.Text;
using System.Text.Json.Nodes;
using DarkStorage.Rules.Identity;
using DarkStorage.TestKit;
using Xunit;

namespace DarkStorage.Unit.Identity;

/// <summary>Tokens that are believed, and all the ways of not being.</summary>
public sealed class WebIdentityTokenTests
{
    private const string Issuer = "https://issuer.example";
    private static readonly DateTimeOffset Now = new(2026, 1, 2, 3, 4, 5, TimeSpan.Zero);
    private static readonly string[] Clients = ["client", "other-client"];

    public static TheoryData<string, string> Algorithms => new()
    {
        { "RSA", "RS256" }, { "RSA", "RS384" }, { "RSA", "RS512" }, { "RSA", "PS256" }, { "RSA", "PS384" }, { "RSA", "PS512" },
        { "P-256", "ES256" }, { "P-384", "ES384" }, { "P-521", "ES512" },
    };

    // RFC 7515, appendices A.2 and A.3: the same claims, {"iss":"joe","exp":1300819380,…}, which have no iat. So a right signature is known by what is refused next.
    private const string RfcClaims = "eyJpc3MiOiJqb2UiLA0KICJleHAiOjEzMDA4MTkzODAsDQogImh0dHA6Ly9leGFtcGxlLmNvbS9pc19yb290Ijp0cnVlfQ";

    [Theory]
    [InlineData("eyJhbGciOiJSUzI1NiJ9." + RfcClaims + ".cC4hiUPoj9Eetdgtv3hF80EGrhuB__dzERat0XF9g2VtQgr9PJbu3XOiZj5RZmh7AAuHIm4Bh-0Qc_lF5YKt_O8W2Fp5jujGbds9uJdbF9CUAr7t1dnZcAcQjbKBYNX4BAynRFdiuB--f_nZLgrnbyTyWzO75vRK5h6xBArLIARNPvkSjtQBMHlb1L07Qe7K0GarZRmB_eSN9383LcOLn6_dO--xi12jzDwusC-eOkHWEsqtFZESc6BfI7noOPqvhJ1phCnvWh6IeYI2w9QOYEUipUTI8np6LbgGY9Fs98rqVt5AXLIhWkWywlVmtVrBp0igcN_IoypGlUPQGe77Rw",
        """{"kty":"RSA","n":"ofgWCuLjybRlzo0tZWJjNiuSfb4p4fAkd_wWJcyQoTbji9k0l8W26mPddxHmfHQp-Vaw-4qPCJrcS2mJPMEzP1Pt0Bm4d4QlL-yRT-SFd2lZS-pCgNMsD1W_YpRPEwOWvG6b32690r2jZ47soMZo9wGzjb_7OMg0LOL-bSf63kpaSHSXndS5z5rexMdbBYUsLA9e-KXBdQOS-UTo7WTBEMa2R2CapHg665xsmtdVMTBQY4uDZlxvb3qCo5ZwKh9kG4LT6_I5IhlJH7aGhyxXFvUK-DWNmoudF8NAco9_h9iaGNj8q2ethFkMLs91kzk2PAcDTW9gb54h4FRWyuXpoQ","e":"AQAB"}""")]
    [InlineData("eyJhbGciOiJFUzI1NiJ9." + RfcClaims + ".DtEhU3ljbEg8L38VWAfUAqOyKAM6-Xx-F4GawxaepmXFCgfTjDxw5djxLa8ISlSApmWQxfKTUJqPP3-Kg6NU1Q",
        """{"kty":"EC","crv":"P-256","x":"f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU","y":"x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0"}""")]
    public void The_signatures_of_RFC_7515_are_right_and_changed_ones_are_not(string token, string key)
    {
        var keys = JsonWebKeySet.Parse(Encoding.UTF8.GetBytes($$"""{"keys":[{{key}}]}"""));
        var then = DateTimeOffset.FromUnixTimeSeconds(1300819000);
        Assert.Equal(WebIdentityProblem.RejectedClaim, Problem(() => WebIdentityToken.Parse(token).Verify(keys, "joe", Clients, then)));
        var changed = token[..^20] + (token[^20] == 'A' ? 'B' : 'A') + token[^19..];
        Assert.Equal(WebIdentityProblem.Invalid, Problem(() => WebIdentityToken.Parse(changed).Verify(keys, "joe", Clients, then)));
    }

    [Theory, MemberData(nameof(Algorithms))]
    public void Each_algorithm_verifies_with_its_key_and_with_no_other(string type, string algorithm)
    {
        using var key = NewKey(type);
        var token = OidcIssuer.Sign(key, algorithm, Header(algorithm), Claims());
        Assert.Equal(new WebIdentity(Issuer, "subject", "client"), Verify(token, key));
        foreach (var other in (string[])["RSA", "P-256", "P-384", "P-521"])
        {
            using var stranger = NewKey(other);
            Assert.Equal(WebIdentityProblem.Invalid, Problem(() => Verify(token, stranger)));
        }
    }

    [Fact]
    public void None_and_HMAC_with_the_public_key_are_not_algorithms()
    {
        using var rsa = RSA.Create(2048);
        foreach (var name in (string[])["none", "None", "", "HS256", "rs256", "RS1", "EdDSA"])
            Assert.Equal(WebIdentityProblem.Invalid, Problem(() => Verify($"{OidcIssuer.Encode(Header(name))}.{OidcIssuer.Encode(Claims())}.AAAA", rsa)));
        // The confusion: the public key's text as the secret of an HMAC.
        var signed = $"{OidcIssuer.Encode(Header("HS256"))}.{OidcIssuer.Encode(Claims())}";
        var mac = HMACSHA256.HashData(Encoding.UTF8.GetBytes(rsa.ExportSubjectPublicKeyInfoPem()), Encoding.ASCII.GetBytes(signed));
        Assert.Equal(WebIdentityProblem.Invalid, Problem(() => Verify($"{signed}.{Base64Url.EncodeToString(mac)}", rsa)));
    }

    [Fact]
    public void A_key_that_names_its_algorithm_or_another_use_verifies_nothing_else()
    {
        using var rsa = RSA.Create(2048);
        var token = OidcIssuer.Sign(rsa, "PS256", Header("PS256"), Claims());
        foreach (var (member, value, right) in ((string, JsonNode, bool)[])
            [("alg", "PS256", true), ("alg", "RS256", false), ("use", "enc", false), ("key_ops", new JsonArray("sign"), false), ("key_ops", new JsonArray("verify"), true)])
        {
            var key = OidcIssuer.Jwk("key", rsa);
            key[member] = value;
            var keys = JsonWebKeySet.Parse(Set(key));
            if (right) Assert.Equal("subject", WebIdentityToken.Parse(token).Verify(keys, Issuer, Clients, Now).Subject);
            else Assert.ThrowsAny<WebIdentityException>(() => WebIdentityToken.Parse(token).Verify(keys, Issuer, Clients, Now));
        }
    }

    [Fact]
    public void A_point_off_its_curve_a_small_modulus_and_a_curve_of_another_name_verify_nothing()
    {
        using var ec = ECDsa.Create(ECCurve.NamedCurves.nistP256);
        var token = OidcIssuer.Sign(ec, "ES256", Header("ES256"), Claims());
        var off = OidcIssuer.Jwk("key", ec);
        off["y"] = off["x"]!.DeepClone();
        Assert.Equal(WebIdentityProblem.Invalid, Problem(() => WebIdentityToken.Parse(token).Verify(JsonWebKeySet.Parse(Set(off)), Issuer, Clients, Now)));
        var renamed = OidcIssuer.Jwk("key", ec);
        renamed["crv"] = "P-384";
        Assert.Equal(0, JsonWebKeySet.Parse(Set(renamed)).Count);
        using var small = RSA.Create(1024);
        Assert.Equal(0, JsonWebKeySet.Parse(Set(OidcIssuer.Jwk("key", small))).Count);
    }

    [Fact]
    public void A_key_id_that_is_not_there_is_said_and_without_one_each_key_is_tried()
    {
        using var rsa = RSA.Create(2048);
        using var other = RSA.Create(2048);
        var keys = JsonWebKeySet.Parse(Set(OidcIssuer.Jwk("other", other), OidcIssuer.Jwk("key", rsa)));
        Assert.Equal(WebIdentityProblem.UnknownKey, Problem(() => WebIdentityToken.Parse(OidcIssuer.Sign(rsa, "RS256", new() { ["alg"] = "RS256", ["kid"] = "unknown" }, Claims())).Verify(keys, Issuer, Clients, Now)));
        Assert.Equal("subject", WebIdentityToken.Parse(OidcIssuer.Sign(rsa, "RS256", new() { ["alg"] = "RS256" }, Claims())).Verify(keys, Issuer, Clients, Now).Subject);
    }

    [Theory]
    [InlineData("exp", "59", true)]       // seconds that it is over: within the skew
    [InlineData("exp", "60", false)]
    [InlineData("nbf", "-60", true)]
    [InlineData("nbf", "-61", false)]
    [InlineData("iat", "-60", true)]
    [InlineData("iat", "-61", false)]
    public void Times_are_believed_to_a_minute(string claim, string secondsAgo, bool believed)
    {
        using var rsa = RSA.Create(2048);
        var claims = Claims();
        claims[claim] = Now.ToUnixTimeSeconds() - int.Parse(secondsAgo, System.Globalization.CultureInfo.InvariantCulture);
        var token = OidcIssuer.Sign(rsa, "RS256", Header("RS256"), claims);
        if (believed) Assert.Equal("subject", Verify(token, rsa).Subject);
        else Assert.Equal(claim == "exp" ? WebIdentityProblem.Expired : WebIdentityProblem.RejectedClaim, Problem(() => Verify(token, rsa)));
    }

    [Theory]
    [InlineData("aud", """["stranger","client"]""", WebIdentityProblem.RejectedClaim)]      // several, and nobody says who asked
    [InlineData("aud", """["stranger"]""", WebIdentityProblem.Invalid)]
    [InlineData("aud", "[]", WebIdentityProblem.Invalid)]
    [InlineData("aud", "null", WebIdentityProblem.Invalid)]
    [InlineData("azp", "\"stranger\"", WebIdentityProblem.RejectedClaim)]
    [InlineData("azp", "1", WebIdentityProblem.RejectedClaim)]
    [InlineData("exp", "\"2030-01-01\"", WebIdentityProblem.RejectedClaim)]
    [InlineData("exp", "1e300", WebIdentityProblem.RejectedClaim)]
    [InlineData("iss", "\"https://issuer.example/\"", WebIdentityProblem.Invalid)]
    [InlineData("sub", "\"a\\nb\"", WebIdentityProblem.RejectedClaim)]
    [InlineData("sub", "\"\\ud800\"", WebIdentityProblem.Invalid)]
    public void A_claim_that_cannot_be_is_refused(string claim, string json, WebIdentityProblem problem)
    {
        using var rsa = RSA.Create(2048);
        var claims = Claims();
        claims.Remove(claim);
        var body = $"{claims.ToJsonString()[..^1]},\"{claim}\":{json}";
        Assert.Equal(problem, Problem(() => Verify(Signed(body + "}"), rsa)));
        // Twice in one object is to say two things.
        Assert.Equal(WebIdentityProblem.Invalid, Problem(() => Verify(Signed($"{body},\"{claim}\":{json}}}"), rsa)));

        string Signed(string content)
        {
            var signed = $"{OidcIssuer.Encode(Header("RS256"))}.{Base64Url.EncodeToString(Encoding.UTF8.GetBytes(content))}";
            return $"{signed}.{Base64Url.EncodeToString(rsa.SignData(Encoding.ASCII.GetBytes(signed), HashAlgorithmName.SHA256, RSASignaturePadding.Pkcs1))}";
        }
    }

    [Fact]
    public void Who_asked_for_it_is_its_audience()
    {
        using var rsa = RSA.Create(2048);
        var claims = Claims();
        claims["aud"] = new JsonArray("client", "stranger");
        claims["azp"] = "other-client";
        Assert.Equal("other-client", Verify(OidcIssuer.Sign(rsa, "RS256", Header("RS256"), claims), rsa).Audience);
    }

    [Fact]
    public void Critical_extensions_and_what_is_no_JWT_are_refused()
    {
        using var rsa = RSA.Create(2048);
        var critical = Header("RS256");
        critical["crit"] = new JsonArray("b64");
        var right = OidcIssuer.Sign(rsa, "RS256", Header("RS256"), Claims());
        foreach (var token in (string[])[OidcIssuer.Sign(rsa, "RS256", critical, Claims()), "", ".", "..", "a.b", right + ".a", right + "=", right.Replace('.', ' '), new('a', 20_001)])
            Assert.Equal(WebIdentityProblem.Invalid, Problem(() => Verify(token, rsa)));
    }

    [Fact]
    public void A_key_set_that_is_huge_or_none_is_refused()
    {
        foreach (var json in (string[])["", "[]", "{}", """{"keys":{}}""", new('[', 1000), $$"""{"keys":[{{string.Join(',', Enumerable.Repeat("{}", 65))}}]}"""])
            Assert.Throws<FormatException>(() => JsonWebKeySet.Parse(Encoding.UTF8.GetBytes(json)));
        Assert.Throws<FormatException>(() => JsonWebKeySet.Parse(Encoding.UTF8.GetBytes($$"""{"keys":[],"x":"{{new string('x', 256 << 10)}}"}""")));
        Assert.Equal(0, JsonWebKeySet.Parse("""{"keys":[1,{},{"kty":"oct","k":"AAAA"},{"kty":"RSA","n":"!","e":"AQAB"},{"kty":"OKP","crv":"Ed25519","x":"AAAA"}]}"""u8.ToArray()).Count);
    }

    private static JsonObject Header(string algorithm) => new() { ["alg"] = algorithm, ["kid"] = "key", ["typ"] = "JWT" };

    private static JsonObject Claims() => new()
    {
        ["iss"] = Issuer, ["sub"] = "subject", ["aud"] = "client", ["iat"] = Now.ToUnixTimeSeconds(), ["exp"] = Now.AddMinutes(5).ToUnixTimeSeconds(),
    };

    private static AsymmetricAlgorithm NewKey(string type) => type switch
    {
        "RSA" => RSA.Create(2048),
        "P-256" => ECDsa.Create(ECCurve.NamedCurves.nistP256),
        "P-384" => ECDsa.Create(ECCurve.NamedCurves.nistP384),
        _ => ECDsa.Create(ECCurve.NamedCurves.nistP521),
    };

    private static byte[] Set(params JsonNode[] keys) => Encoding.UTF8.GetBytes(new JsonObject { ["keys"] = new JsonArray(keys) }.ToJsonString());

    private static WebIdentity Verify(string token, AsymmetricAlgorithm key) =>
        WebIdentityToken.Parse(token).Verify(JsonWebKeySet.Parse(Set(OidcIssuer.Jwk("key", key))), Issuer, Clients, Now);

    private static WebIdentityProblem Problem(Action action) => Assert.Throws<WebIdentityException>(action).Problem;
}
