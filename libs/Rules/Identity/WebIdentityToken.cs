using System.Buffers.Text;
using System.Text;
using System.Text.Json;

namespace DarkStorage.Rules.Identity;

/// <summary>Who a verified token is about.</summary>
/// <param name="Audience"><c>azp</c>, or where there is none the audience that is one of ours.</param>
public sealed record WebIdentity(string Issuer, string Subject, string Audience);

/// <summary>An ID token of OpenID Connect (Core 1.0, section 2) as it came: a signed JWT (RFC 7519) in compact form. Read first, to see whose keys are wanted; believed
/// only once <see cref="Verify"/> has returned.</summary>
public sealed class WebIdentityToken
{
    /// <summary>Characters of a token. AWS's limit.</summary>
    public const int CharactersMax = 20_000;

    /// <summary>How far the issuer's clock may be from ours.</summary>
    public static readonly TimeSpan SkewMax = TimeSpan.FromSeconds(60);

    private const int DepthMax = 16;
    private const int TextLengthMax = 255;

    private readonly byte[] _signed;
    private readonly byte[] _signature;
    private readonly SigningAlgorithm _algorithm;
    private readonly string? _keyId;
    private readonly JsonElement _claims;

    private WebIdentityToken(byte[] signed, byte[] signature, SigningAlgorithm algorithm, string? keyId, JsonElement claims, string issuer) =>
        (_signed, _signature, _algorithm, _keyId, _claims, Issuer) = (signed, signature, algorithm, keyId, claims, issuer);

    /// <summary>Who it says made it. Not verified.</summary>
    public string Issuer { get; }

    /// <exception cref="WebIdentityException"><see cref="WebIdentityProblem.Invalid"/>.</exception>
    public static WebIdentityToken Parse(string text)
    {
        if (text.Length > CharactersMax) throw Invalid($"The token has more than {CharactersMax} characters.");
        var parts = text.Split('.');
        if (parts.Length != 3) throw Invalid("The token is not a signed JWT in compact form.");
        var header = Object(parts[0], "header");
        // An extension that must be understood, and none is.
        if (header.TryGetProperty("crit", out _)) throw Invalid("The token's header has critical extensions.");
        var algorithm = Text(header, "alg") is { } name ? SigningAlgorithm.Find(name) : null;
        if (algorithm is null) throw Invalid("The token's algorithm is none of RS256, RS384, RS512, PS256, PS384, PS512, ES256, ES384 and ES512.");
        if (header.TryGetProperty("kid", out var kid) && kid.ValueKind != JsonValueKind.String) throw Invalid("The token's kid is not a text.");
        var claims = Object(parts[1], "claims");
        return new(Encoding.ASCII.GetBytes(text[..text.LastIndexOf('.')]), Decode(parts[2]), algorithm, Text(header, "kid"), claims,
            Text(claims, "iss") ?? throw Invalid("The token has no issuer."));
    }

    /// <summary>Checks the signature, then the claims.</summary>
    /// <param name="issuer">Whose keys they are.</param>
    /// <param name="clientIds">Audiences that are ours.</param>
    /// <exception cref="WebIdentityException"/>
    public WebIdentity Verify(JsonWebKeySet keys, string issuer, IReadOnlyCollection<string> clientIds, DateTimeOffset now)
    {
        if (Issuer != issuer) throw Invalid("The token is of another issuer.");
        if (!keys.Verify(_algorithm, _keyId, _signed, _signature)) throw Invalid("The token's signature is not valid.");
        if (Time("exp") is not { } expires) throw Rejected("exp");
        if (now >= expires + SkewMax) throw new WebIdentityException(WebIdentityProblem.Expired, "The token has expired.");
        if (Time("iat") is not { } issued || issued > now + SkewMax) throw Rejected("iat");
        if (_claims.TryGetProperty("nbf", out _) && (Time("nbf") is not { } notBefore || notBefore > now + SkewMax)) throw Rejected("nbf");

        var audiences = Audiences();
        if (audiences.Find(clientIds.Contains) is not { } audience) throw Invalid("The token is for another audience.");
        if (_claims.TryGetProperty("azp", out _))
        {
            // Who asked for it. Where that is a stranger, it was given to a stranger.
            if (Text(_claims, "azp") is not { } party || !clientIds.Contains(party)) throw Rejected("azp");
            audience = party;
        }
        else if (audiences.Count > 1) throw Rejected("azp");
        return Text(_claims, "sub") is { Length: > 0 and <= TextLengthMax } subject && subject.All(char.IsAscii) && !subject.Any(char.IsControl) ? new(issuer, subject, audience) : throw Rejected("sub");
    }

    private List<string> Audiences()
    {
        if (!_claims.TryGetProperty("aud", out var value)) return [];
        if (value.ValueKind == JsonValueKind.String) return [value.GetString()!];
        if (value.ValueKind != JsonValueKind.Array) return [];
        return [.. value.EnumerateArray().Where(a => a.ValueKind == JsonValueKind.String).Select(a => a.GetString()!)];
    }

    /// <summary>Seconds since 1970, perhaps with a fraction (RFC 7519, NumericDate).</summary>
    private DateTimeOffset? Time(string name) =>
        _claims.TryGetProperty(name, out var value) && value.ValueKind == JsonValueKind.Number && value.TryGetDouble(out var seconds) && seconds is >= 0 and < 253_402_300_000
            ? DateTimeOffset.UnixEpoch.AddSeconds(seconds)
            : null;

    private static string? Text(JsonElement element, string name) =>
        element.TryGetProperty(name, out var value) && value.ValueKind == JsonValueKind.String ? value.GetString() : null;

    /// <summary>JSON lets escapes for half a character through; reading them as text throws, and is to do so here.</summary>
    private static void RequireTexts(JsonElement element)
    {
        if (element.ValueKind == JsonValueKind.String) _ = element.GetString();
        else if (element.ValueKind == JsonValueKind.Array)
        {
            foreach (var item in element.EnumerateArray()) RequireTexts(item);
        }
        else if (element.ValueKind == JsonValueKind.Object)
        {
            foreach (var member in element.EnumerateObject())
            {
                _ = member.Name;
                RequireTexts(member.Value);
            }
        }
    }

    private static JsonElement Object(string part, string what)
    {
        try
        {
            using var document = JsonDocument.Parse(Decode(part), new() { MaxDepth = DepthMax, AllowDuplicateProperties = false });
            RequireTexts(document.RootElement);
            if (document.RootElement.ValueKind == JsonValueKind.Object) return document.RootElement.Clone();
        }
        catch (Exception e) when (e is JsonException or InvalidOperationException)
        {
            throw Invalid($"The token's {what} is not JSON.", e);
        }
        throw Invalid($"The token's {what} is not an object.");
    }

    /// <summary>Base64url without padding, as RFC 7515 has it.</summary>
    private static byte[] Decode(string part)
    {
        if (part.Length > 0 && part.All(c => char.IsAsciiLetterOrDigit(c) || c is '-' or '_'))
        {
            try
            {
                return Base64Url.DecodeFromChars(part);
            }
            catch (FormatException)
            {
                // said below
            }
        }
        throw Invalid("A part of the token is not base64url.");
    }

    private static WebIdentityException Invalid(string message, Exception? inner = null) => new(WebIdentityProblem.Invalid, message, inner);

    private static WebIdentityException Rejected(string claim) => new(WebIdentityProblem.RejectedClaim, $"The token's claim {claim} is missing, or says what can't be.");
}
