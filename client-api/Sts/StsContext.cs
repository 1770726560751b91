using System.Globalization;
using DarkStorage.ClientApi.S3;
using DarkStorage.Rules.Policies;
using Microsoft.AspNetCore.Http;

namespace DarkStorage.ClientApi.Sts;

/// <summary>What trust policies may ask of a request besides the caller's identity.</summary>
internal sealed class StsContext(HttpContext http, S3Options options, TimeProvider clock, StsParameters parameters) : IConditionContext
{
    public ConditionValues Find(ConditionKey key) => key.Name switch
    {
        "aws:SourceIp" => new(http.Connection.RemoteIpAddress is { } address ? (address.IsIPv4MappedToIPv6 ? address.MapToIPv4() : address).ToString() : null),
        "aws:SecureTransport" => new(http.Request.IsHttps ? "true" : "false"),
        "aws:UserAgent" => new((string?)http.Request.Headers.UserAgent),
        "aws:Referer" => new((string?)http.Request.Headers.Referer),
        "aws:CurrentTime" => new(clock.GetUtcNow().UtcDateTime.ToString("yyyy-MM-dd'T'HH:mm:ss'Z'", CultureInfo.InvariantCulture)),
        "aws:EpochTime" => new(clock.GetUtcNow().ToUnixTimeSeconds().ToString(CultureInfo.InvariantCulture)),
        "aws:RequestedRegion" => new(options.Region),
        "sts:ExternalId" => new(parameters.Find("ExternalId")),
        "sts:RoleSessionName" => new(parameters.Find("RoleSessionName")),
        _ => default,
    };
}
