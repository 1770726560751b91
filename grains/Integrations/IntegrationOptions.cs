using System.ComponentModel.DataAnnotations;

namespace DarkStorage.Grains.Integrations;

/// <summary>How places outside are looked after.</summary>
public sealed record IntegrationOptions
{
    /// <summary>Between two questions for the health of one place. Default 5 minutes: soon enough to act before clients notice, and 9,000 requests a month, which cost less than a cent where requests cost.</summary>
    [Range(typeof(TimeSpan), "00:00:01", "1.00:00:00")]
    public TimeSpan HealthPeriod { get; init; } = TimeSpan.FromMinutes(5);
}
