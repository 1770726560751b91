using System.Globalization;

namespace DarkStorage.Rules.Policies;

/// <summary>What policies may ask of temporary credentials.</summary>
/// <param name="Issued">When they were given out.</param>
/// <param name="Provider">The identity provider whose token they were given for, without <c>https://</c>; empty for none.</param>
/// <param name="Subject">The token's claim <c>sub</c>.</param>
/// <param name="Audience">The token's claim <c>azp</c>, or <c>aud</c> where it has none, as AWS has it.</param>
public sealed record SessionFacts(DateTimeOffset Issued, string Provider = "", string Subject = "", string Audience = "")
{
    internal ConditionValues Find(ConditionKey key) => key.Name switch
    {
        "aws:TokenIssueTime" => new(Issued.UtcDateTime.ToString("yyyy-MM-dd'T'HH:mm:ss'Z'", CultureInfo.InvariantCulture)),
        "aws:FederatedProvider" => new(Provider.Length == 0 ? null : Provider),
        _ when Provider.Length == 0 || !key.Name.StartsWith(Provider, StringComparison.Ordinal) => default,
        _ => key.Name[Provider.Length..] switch
        {
            ":sub" => new(Subject),
            ":aud" => new(Audience),
            _ => default,
        },
    };
}
