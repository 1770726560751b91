namespace DarkStorage.Storage.Backends;

/// <summary>Where keys, tokens and codes may be sent: whoever sees one can do what its owner may.</summary>
public static class SafeAddress
{
    /// <returns>True for https, and for http on this machine.</returns>
    public static bool Is(Uri url) => url.Scheme == "https" || (url.Scheme == "http" && url.IsLoopback);
}
