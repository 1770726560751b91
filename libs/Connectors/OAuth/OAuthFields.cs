using System.Collections.Immutable;
using DarkStorage.Storage.Backends;

namespace DarkStorage.Connectors.OAuth;

/// <summary>What places that are authorized by OAuth can be told, besides the application and its secret.</summary>
internal static class OAuthFields
{
    public static readonly ImmutableArray<ConnectorField> Addresses =
    [
        new(OAuthService.AuthorizationUrlField, "Where people are sent to give access, where it is not the service's usual address: of another cloud, or of a tenant.", ConnectorFieldKind.Url),
        new(OAuthService.TokenUrlField, "What hands out tokens, where it is not the service's usual address.", ConnectorFieldKind.Url),
        new(OAuthService.DeviceUrlField, "What begins the flow for devices (RFC 8628), where the service has one and it is not the usual address.", ConnectorFieldKind.Url),
        new(OAuthService.ScopeField, "What access is asked for, where it is not the usual."),
    ];
}
