using System.Collections.Immutable;
using DarkStorage.Connectors.Http;
using DarkStorage.Connectors.OAuth;
using DarkStorage.Storage.Backends;

namespace DarkStorage.Connectors.Google;

/// <summary>Whose places at Google these are: a service account's, by the file of its key, or a user's, who lets an application in. What both kinds of settings have, and the client that they make.</summary>
internal static class GoogleAccount
{
    public const string Endpoint = "endpoint";
    public const string Key = "service-account-key";

    /// <param name="scope">What is asked for.</param>
    public static OAuthService ServiceFor(string scope) => new("Google", ImmutableSortedDictionary<string, string>.Empty, [Key])
    {
        AuthorizationUrl = "https://accounts.google.com/o/oauth2/v2/auth",
        TokenUrl = "https://oauth2.googleapis.com/token",
        Scope = scope,
        // Google gives a refresh token with consent alone, and so is to ask for that each time.
        Parameters = ImmutableSortedDictionary.CreateRange(StringComparer.Ordinal, [KeyValuePair.Create("access_type", "offline"), KeyValuePair.Create("prompt", "consent")]),
    };

    /// <param name="settings">Of a place whose fields have the names above.</param>
    /// <param name="type">What the connector is called.</param>
    /// <param name="scope">What a service account asks for.</param>
    /// <param name="tokens">A user's; null for those of the service account.</param>
    public static GoogleClient Open(IReadOnlyDictionary<string, string> settings, string type, string scope, GoogleFailures failures, IAccessTokens? tokens, TimeProvider clock)
    {
        var endpoint = new Uri(settings[Endpoint]);
        if (!SafeAddress.Is(endpoint)) throw ConnectorType.Invalid($"{Endpoint}: https, or http on this machine: who sees an access token can do all that the account may.");
        if (endpoint.AbsolutePath != "/") throw ConnectorType.Invalid($"{Endpoint}: without a path behind the host.");
        if (tokens is not null) return new(endpoint, tokens, failures, OutboundConnections.NewClient());
        if (!settings.TryGetValue(Key, out var text)) throw ConnectorType.Invalid($"{type} needs {Key}, or {OAuthService.ClientId} for a user's account.");
        if (settings.ContainsKey(OAuthService.ClientId)) throw ConnectorType.Invalid($"{Key} and {OAuthService.ClientId}: one or the other.");
        var key = ServiceAccountKey.Parse(Key, text, scope);
        var http = OutboundConnections.NewClient();
        var ofAccount = new ServiceAccountTokens(key, http, clock);
        return new(endpoint, ofAccount, failures, http, ofAccount);
    }
}
