using System.Collections.Immutable;

namespace DarkStorage.Rules.Buckets;

/// <summary>The tags of a bucket, in the order they were given.</summary>
public sealed record TagSet(ImmutableArray<KeyValuePair<string, string>> Tags);
