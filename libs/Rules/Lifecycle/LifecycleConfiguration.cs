using System.Collections.Immutable;

namespace DarkStorage.Rules.Lifecycle;

/// <summary>What becomes of a bucket's objects with time: S3's lifecycle document.</summary>
public sealed record LifecycleConfiguration(ImmutableArray<LifecycleRule> Rules)
{
    /// <summary>S3's bound.</summary>
    public const int RulesMax = 1_000;

    /// <summary>Time changes nothing.</summary>
    public static readonly LifecycleConfiguration None = new([]);
}

/// <param name="Expiration">Of the current version, or null.</param>
/// <param name="NoncurrentExpiration">Of the others, or null.</param>
/// <param name="AbortUploadsAfterDays">Uploads that were begun so long ago and are not finished end; or null.</param>
/// <param name="Transitions">Of the current version; the latest that is due counts.</param>
/// <param name="HasLegacyPrefix">The document gave the prefix outside a filter, and is answered so.</param>
public sealed record LifecycleRule(
    string Id,
    bool IsEnabled,
    LifecycleFilter Filter,
    LifecycleExpiration? Expiration,
    NoncurrentExpiration? NoncurrentExpiration,
    int? AbortUploadsAfterDays,
    ImmutableArray<LifecycleTransition> Transitions,
    ImmutableArray<NoncurrentTransition> NoncurrentTransitions,
    bool HasLegacyPrefix);

/// <summary>Which objects a rule is for: all that is given must hold.</summary>
/// <param name="SizeGreaterThan">Bytes, exclusive, as is the next.</param>
public sealed record LifecycleFilter(string? Prefix, ImmutableArray<KeyValuePair<string, string>> Tags, long? SizeGreaterThan, long? SizeLessThan)
{
    public static readonly LifecycleFilter Everything = new(null, [], null, null);

    public bool MatchesKey(string key) => Prefix is null || key.StartsWith(Prefix, StringComparison.Ordinal);

    public bool MatchesSize(long length) => !(length <= SizeGreaterThan) && !(length >= SizeLessThan);

    public bool MatchesTags(IReadOnlyList<KeyValuePair<string, string>> tags) => Tags.All(tags.Contains);
}

/// <summary>One of the three is given.</summary>
/// <param name="Days">After the version was made.</param>
/// <param name="Date">Midnight, UTC.</param>
/// <param name="ExpiredDeleteMarker">A delete marker goes once no version is under it.</param>
public sealed record LifecycleExpiration(int? Days, DateTimeOffset? Date, bool? ExpiredDeleteMarker);

/// <param name="Days">After the version was replaced.</param>
/// <param name="Newer">So many newer noncurrent versions are kept whatever their age.</param>
public sealed record NoncurrentExpiration(int Days, int? Newer);

/// <summary>One of days and a date is given.</summary>
public sealed record LifecycleTransition(int? Days, DateTimeOffset? Date, string StorageClass);

public sealed record NoncurrentTransition(int Days, int? Newer, string StorageClass);
