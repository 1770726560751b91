namespace DarkStorage.Grains;

/// <summary>The grain storage that the grains name.</summary>
public static class StorageNames
{
    /// <summary>Grain state in the object index.</summary>
    public const string Index = "index";
}
