using System.ComponentModel.DataAnnotations;
using DarkStorage.Storage.Backends;

namespace DarkStorage.Grains.Integrations;

/// <summary>How places outside are looked after.</summary>
public sealed record IntegrationOptions : IValidatableObject
{
    /// <summary>Between two questions for the health of one place. Default 5 minutes: soon enough to act before clients notice, and 9,000 requests a month, which cost less than a cent where requests cost.</summary>
    [Range(typeof(TimeSpan), "00:00:01", "1.00:00:00")]
    public TimeSpan HealthPeriod { get; init; } = TimeSpan.FromMinutes(5);

    /// <summary>Where a browser reaches the management API, https://HOST:PORT: services of OAuth send people back to there, and have to be told of it. Default: this machine, http://127.0.0.1 with the management API's port, for a browser on it or behind a tunnel to it.</summary>
    public Uri? CallbackAddress { get; init; }

    /// <summary>Places outside are read, and nothing is put, copied, restored or deleted there by this node: for a copy of a node or of a database (a restore that is tried), whose index names content that is production's. Default: false.</summary>
    public bool ReadOnly { get; init; }

    public IEnumerable<ValidationResult> Validate(ValidationContext validationContext)
    {
        if (CallbackAddress is { } address && !(address.IsAbsoluteUri && SafeAddress.Is(address) && address is { AbsolutePath: "/", Query: "", Fragment: "", UserInfo: "" }))
            yield return new($"{nameof(CallbackAddress)} has to be https://HOST:PORT, or http on this machine: codes come there.");
    }
}
