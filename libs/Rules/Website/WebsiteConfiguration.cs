using System.Collections.Immutable;

namespace DarkStorage.Rules.Website;

/// <summary>How a bucket answers browsers.</summary>
/// <param name="IndexSuffix">What is put behind a path that ends with a slash; null where everything is redirected.</param>
/// <param name="ErrorKey">The object that is sent with an error, or null.</param>
/// <param name="RedirectAll">Where everything is redirected to, or null.</param>
public sealed record WebsiteConfiguration(string? IndexSuffix, string? ErrorKey, RedirectTarget? RedirectAll, ImmutableArray<RoutingRule> Rules)
{
    /// <summary>S3's bound.</summary>
    public const int RulesMax = 50;
}

/// <param name="KeyPrefix">Of the keys that the rule is for; null for all.</param>
/// <param name="ErrorStatus">The rule is for requests that would be answered so; null for those not yet tried.</param>
public sealed record RoutingRule(string? KeyPrefix, int? ErrorStatus, RedirectTarget Redirect);

/// <param name="Host">Null for the same host, as is the protocol.</param>
/// <param name="Status">301 where it is null.</param>
/// <param name="KeyPrefix">Put in the place of the rule's prefix.</param>
/// <param name="Key">Put in the place of the whole key.</param>
public sealed record RedirectTarget(string? Host, string? Protocol, int? Status, string? KeyPrefix, string? Key);
