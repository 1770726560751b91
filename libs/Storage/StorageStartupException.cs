namespace DarkStorage.Storage;

/// <summary>The data directory can't be used; the message says why in one sentence for the operator.</summary>
public sealed class StorageStartupException : Exception
{
    public StorageStartupException() { }
    public StorageStartupException(string message) : base(message) { }
    public StorageStartupException(string message, Exception? inner) : base(message, inner) { }
}
