using System.Collections.Immutable;

namespace DarkStorage.Storage.Backends;

/// <summary>A service by which people let an application into what is theirs (OAuth 2.0, RFC 6749): data. Each address and the scope may be said otherwise in the settings.</summary>
/// <param name="Title">For people.</param>
/// <param name="When">The settings of the places that it is for; empty for all of the kind.</param>
/// <param name="InsteadOf">Fields with other credentials: where one is given nobody is asked for access.</param>
public sealed record OAuthService(string Title, ImmutableSortedDictionary<string, string> When, ImmutableArray<string> InsteadOf)
{
    /// <summary>The fields of the settings.</summary>
    public const string ClientId = "client-id";

    public const string ClientSecret = "client-secret";
    public const string AuthorizationUrlField = "authorization-url";
    public const string TokenUrlField = "token-url";
    public const string DeviceUrlField = "device-url";
    public const string ScopeField = "scope";

    /// <summary>Where people are sent to, as is the rest; null where the settings have to say it.</summary>
    public string? AuthorizationUrl { get; init; }

    /// <summary>What hands out tokens.</summary>
    public string? TokenUrl { get; init; }

    /// <summary>Begins the flow of devices (RFC 8628); null where there is none.</summary>
    public string? DeviceUrl { get; init; }

    /// <summary>What is asked for; empty where the application itself says it.</summary>
    public string Scope { get; init; } = "";

    /// <summary>More of the address that people are sent to: mostly that access is wanted for longer than they are there.</summary>
    public ImmutableSortedDictionary<string, string> Parameters { get; init; } = ImmutableSortedDictionary<string, string>.Empty;

    /// <summary>It knows PKCE (RFC 7636).</summary>
    public bool UsesPkce { get; init; } = true;

    /// <summary>What of settings it is asked of.</summary>
    public bool IsFor(IReadOnlyDictionary<string, string> settings) =>
        When.All(w => settings.GetValueOrDefault(w.Key) == w.Value) && !InsteadOf.Any(settings.ContainsKey);
}

/// <summary>An application that an operator has registered with a service, which asks for access there.</summary>
/// <param name="ClientSecret">Null for an application that has none.</param>
/// <param name="DeviceUrl">Null where the service has no flow for devices.</param>
public sealed record OAuthApplication(OAuthService Service, string ClientId, string? ClientSecret, Uri AuthorizationUrl, Uri TokenUrl, Uri? DeviceUrl, string Scope)
{
    /// <summary>What tokens are given to: they are of use to no other, and are sent nowhere else.</summary>
    public string Identity => $"{ClientId} at {TokenUrl}";

    /// <summary>Not the secret.</summary>
    public override string ToString() => Identity;

    /// <param name="redirect">Where people are sent back to, with a code.</param>
    /// <param name="state">Comes back with it.</param>
    /// <param name="challenge">Of PKCE; null for none.</param>
    /// <returns>The address for people to open (RFC 6749, section 4.1.1).</returns>
    public Uri AddressFor(Uri redirect, string state, string? challenge)
    {
        List<(string Name, string Value)> query = [("response_type", "code"), ("client_id", ClientId), ("redirect_uri", redirect.AbsoluteUri), ("state", state)];
        if (Scope.Length > 0) query.Add(("scope", Scope));
        if (challenge is not null) query.AddRange([("code_challenge", challenge), ("code_challenge_method", "S256")]);
        query.AddRange(Service.Parameters.Select(p => (p.Key, p.Value)));
        return new($"{AuthorizationUrl.AbsoluteUri}?{string.Join('&', query.Select(q => $"{q.Name}={Uri.EscapeDataString(q.Value)}"))}");
    }

    internal static OAuthApplication From(OAuthService service, IReadOnlyDictionary<string, string> settings)
    {
        return new(service, settings[OAuthService.ClientId], settings.GetValueOrDefault(OAuthService.ClientSecret), Required(OAuthService.AuthorizationUrlField, service.AuthorizationUrl),
            Required(OAuthService.TokenUrlField, service.TokenUrl), Address(OAuthService.DeviceUrlField, service.DeviceUrl), settings.GetValueOrDefault(OAuthService.ScopeField, service.Scope));

        Uri Required(string field, string? known) =>
            Address(field, known) ?? throw ConnectorType.Invalid($"{service.Title} needs {field} where {OAuthService.ClientId} is to ask for access, or else {string.Join(" or ", service.InsteadOf)}.");

        Uri? Address(string field, string? known)
        {
            if ((settings.GetValueOrDefault(field) ?? known) is not { } text) return null;
            var url = new Uri(text);
            return SafeAddress.Is(url) ? url : throw ConnectorType.Invalid($"{field}: https, or http on this machine: codes and tokens go there.");
        }
    }
}
