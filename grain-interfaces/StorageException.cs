using Orleans;

namespace DarkStorage.GrainInterfaces;

/// <summary>The one exception of the domain; it crosses grains. The message says what was wanted and what was found, and never holds a secret.</summary>
[GenerateSerializer, Alias("storage-exception")]
public sealed class StorageException : Exception
{
    public StorageException(StorageError error, string message, Exception? inner = null) : base(message, inner) => Error = error;

    [Id(0)]
    public StorageError Error { get; private set; }
}
