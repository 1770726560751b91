using System.Collections.Immutable;
using DarkStorage.Storage.Backends;

namespace DarkStorage.Connectors.Rclone;

/// <summary>A place, as rclone is told of it.</summary>
/// <param name="Root">Where below it the blobs are; empty for all of it.</param>
/// <param name="Parameters">Options of rclone's backend, secrets among them, which it obscures itself.</param>
/// <param name="Secrets">What is in no message: texts that may occur in what servers say, the longest first.</param>
internal sealed record RcloneRemote(RcloneKind Kind, string Root, ImmutableSortedDictionary<string, string> Parameters, ImmutableArray<string> Secrets)
{
    /// <summary>What rclone connects to by itself, and not by the proxy; null for nothing.</summary>
    public string? Host { get; init; }

    /// <summary>Lines of a file known_hosts; null where any server is believed.</summary>
    public string? HostKeys { get; init; }

    /// <summary>What things are called here and by the operator: in an error they say nothing of what went wrong.</summary>
    public IEnumerable<string> WordsWith(BlobName? name) => new[] { name?.Value, Root.Contains('/', StringComparison.Ordinal) ? Root : null, Host, Parameters.GetValueOrDefault("url") }.OfType<string>();
}

/// <summary>One of rclone's backends.</summary>
/// <param name="Name">As rclone calls it.</param>
/// <param name="Options">By the connector's fields, what the backend calls them.</param>
internal sealed record RcloneKind(string Name, ImmutableSortedDictionary<string, string> Options)
{
    /// <summary>Options where nothing else is said.</summary>
    public ImmutableSortedDictionary<string, string> Defaults { get; init; } = ImmutableSortedDictionary<string, string>.Empty;

    /// <summary>Fields that have to be there.</summary>
    public ImmutableArray<string> Needs { get; init; } = [];

    /// <summary>The server itself refuses to remove a folder that is not empty. Elsewhere rclone looks, and then has all of it removed: what was put in between would go with it.</summary>
    public bool RemovesEmptyFoldersOnly { get; init; }
}
