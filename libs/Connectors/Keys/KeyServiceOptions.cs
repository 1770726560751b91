using System.ComponentModel.DataAnnotations;

namespace DarkStorage.Connectors.Keys;

/// <summary>How any key service outside is called, and for how long what it answered is remembered.</summary>
public record KeyServiceOptions
{
    /// <summary>Time for one call. Default 5 s: a request of a client waits for it.</summary>
    [Range(typeof(TimeSpan), "00:00:00.1", "00:01:00")]
    public TimeSpan Timeout { get; init; } = TimeSpan.FromSeconds(5);

    /// <summary>Calls that are made at most for one answer, where the service does not answer. Default 3.</summary>
    [Range(1, 10)]
    public int AttemptsMax { get; init; } = 3;

    /// <summary>Wait before the second call; doubled for each one after, and up to half of it taken away by chance. Default 100 ms.</summary>
    [Range(typeof(TimeSpan), "00:00:00.01", "00:00:10")]
    public TimeSpan RetryDelay { get; init; } = TimeSpan.FromMilliseconds(100);

    /// <summary>For how long a data key that was opened is remembered, and so for how long one still opens after its key was disabled. 0 remembers nothing.
    /// Default 5 min, which is also the most.</summary>
    [Range(typeof(TimeSpan), "00:00:00", "00:05:00")]
    public TimeSpan CacheLifetime { get; init; } = TimeSpan.FromMinutes(5);

    /// <summary>Data keys that are remembered at most. Default 1,000, which is also the most.</summary>
    [Range(1, 1000)]
    public int CacheEntriesMax { get; init; } = 1000;
}

/// <summary>HashiCorp Vault's transit engine, or OpenBao's, which has the same API.</summary>
public sealed record VaultOptions : KeyServiceOptions
{
    /// <summary>Where Vault listens: <c>https://vault.example.com:8200</c>. <c>http</c> is for a proxy on this machine.</summary>
    [Required]
    public Uri Url { get; init; } = null!;

    /// <summary>A token that may use the keys. Either this or <see cref="TokenFile"/>.</summary>
    [StringLength(4096)]
    public string Token { get; init; } = "";

    /// <summary>A file that holds the token, such as Vault Agent's sink: read before each call, since the agent renews it.</summary>
    [StringLength(4096)]
    public string TokenFile { get; init; } = "";

    /// <summary>Where the transit engine is mounted. Default <c>transit</c>.</summary>
    [Required, RegularExpression("[A-Za-z0-9_-]+(/[A-Za-z0-9_-]+)*")]
    public string Mount { get; init; } = "transit";

    /// <summary>Vault Enterprise's namespace; empty for none.</summary>
    [StringLength(256)]
    public string Namespace { get; init; } = "";

    /// <summary>The key for who names none.</summary>
    [Required, StringLength(256, MinimumLength = 1)]
    public string DefaultKey { get; init; } = "darkstorage";

    /// <summary>A file of certificates (PEM) that Vault's must be signed by; empty for those that the system trusts.</summary>
    [StringLength(4096)]
    public string CaFile { get; init; } = "";

    /// <summary>Without the token.</summary>
    public override string ToString() => $"Vault at {Url}";
}

/// <summary>AWS KMS, or what speaks its API.</summary>
public sealed record AwsKmsOptions : KeyServiceOptions
{
    /// <summary>The region of the keys.</summary>
    [Required, StringLength(64, MinimumLength = 1)]
    public string Region { get; init; } = "us-east-1";

    /// <summary>Where it listens, where that is not AWS's own endpoint of the region.</summary>
    public Uri? Url { get; init; }

    /// <summary>Credentials; where both are empty, those that the AWS SDK finds (environment, profile, instance role).</summary>
    [StringLength(256)]
    public string AccessKey { get; init; } = "";

    [StringLength(256)]
    public string SecretKey { get; init; } = "";

    /// <summary>The key for who names none: an id, an ARN or an alias.</summary>
    [Required, StringLength(2048, MinimumLength = 1)]
    public string DefaultKey { get; init; } = "alias/aws/s3";

    /// <summary>Without the credentials.</summary>
    public override string ToString() => $"AWS KMS in {Region}";
}
