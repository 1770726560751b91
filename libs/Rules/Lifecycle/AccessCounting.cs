namespace DarkStorage.Rules.Lifecycle;

/// <summary>That accesses of a bucket's versions are counted.</summary>
/// <param name="Since">From when on: of the time before nobody knows.</param>
public sealed record AccessCounting(DateTimeOffset Since);
