namespace DarkStorage.Cli;

/// <summary>What the shell gets.</summary>
internal static class ExitCodes
{
    public const int Done = 0;

    /// <summary>What was asked for was not done.</summary>
    public const int Failed = 1;

    /// <summary>What was asked for is not something that can be.</summary>
    public const int Usage = 2;

    /// <summary>As shells say it of a command that was ended by Ctrl-C.</summary>
    public const int Cancelled = 130;
}

/// <summary>The arguments or the environment can't be right.</summary>
internal sealed class UsageException(string message) : Exception(message);

/// <summary>The cluster refused, or something is not as it has to be.</summary>
internal sealed class CommandFailedException(string message) : Exception(message);
