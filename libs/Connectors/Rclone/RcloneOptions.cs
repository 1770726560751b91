namespace DarkStorage.Connectors.Rclone;

/// <summary>The program that the connector of that name drives.</summary>
public sealed record RcloneOptions
{
    /// <summary>Its path, or its name, which is looked for on PATH. Nothing is started before an integration needs it.</summary>
    public string Program { get; init; } = "rclone";
}
