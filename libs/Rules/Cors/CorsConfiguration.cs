using System.Collections.Immutable;

namespace DarkStorage.Rules.Cors;

/// <summary>Which pages of other origins may use a bucket (the Fetch standard's CORS protocol, with S3's rules).</summary>
public sealed record CorsConfiguration(ImmutableArray<CorsRule> Rules)
{
    /// <summary>S3's bound.</summary>
    public const int RulesMax = 100;

    /// <summary>The first rule that allows a request, or null.</summary>
    /// <param name="method">The method of the request, or the one that a preflight asks for.</param>
    /// <param name="headers">What a preflight asks for; empty for the request itself.</param>
    public CorsRule? Find(string origin, string method, IReadOnlyList<string> headers) => Rules.FirstOrDefault(rule =>
        rule.AllowedMethods.Contains(method) && rule.AllowsOrigin(origin) && headers.All(rule.AllowsHeader));
}

/// <param name="AllowedOrigins">Each with one <c>*</c> at the most, which stands for anything.</param>
/// <param name="AllowedHeaders">As origins; compared without regard to case.</param>
public sealed record CorsRule(
    string? Id,
    ImmutableArray<string> AllowedOrigins,
    ImmutableArray<string> AllowedMethods,
    ImmutableArray<string> AllowedHeaders,
    ImmutableArray<string> ExposeHeaders,
    int? MaxAgeSeconds)
{
    /// <summary>The rule is for everyone: the answer says <c>*</c> and lets no credentials of the browser along.</summary>
    public bool AllowsEveryOrigin => AllowedOrigins.Contains("*");

    public bool AllowsOrigin(string origin) => AllowedOrigins.Any(pattern => Matches(pattern, origin, StringComparison.Ordinal));

    public bool AllowsHeader(string header) => AllowedHeaders.Any(pattern => Matches(pattern, header, StringComparison.OrdinalIgnoreCase));

    private static bool Matches(string pattern, string text, StringComparison comparison)
    {
        var star = pattern.IndexOf('*', StringComparison.Ordinal);
        if (star < 0) return pattern.Equals(text, comparison);
        return text.Length >= pattern.Length - 1 && text.StartsWith(pattern[..star], comparison) && text.EndsWith(pattern[(star + 1)..], comparison);
    }
}
