namespace DarkStorage.Storage.Secrets;

/// <summary>Small files that only their owner may read, and that are replaced whole or not at all.</summary>
public static class PrivateFile
{
    private const string NewSuffix = ".new";

    /// <summary>Writes beside, flushes, moves into place, and flushes the folder: when it returns the new content outlives a loss of power;
    /// until the move it is the old one.</summary>
    public static void Replace(string path, ReadOnlySpan<byte> content) => Replace(path, content, static _ => { });

    /// <param name="reached">Told about each step, for tests that end the world there.</param>
    internal static void Replace(string path, ReadOnlySpan<byte> content, Action<Step> reached)
    {
        var partial = path + NewSuffix;
        File.Delete(partial);
        var options = new FileStreamOptions { Mode = FileMode.CreateNew, Access = FileAccess.Write };
        if (!OperatingSystem.IsWindows()) options.UnixCreateMode = UnixFileMode.UserRead | UnixFileMode.UserWrite;
        using (var file = new FileStream(partial, options))
        {
            file.Write(content[..(content.Length / 2)]);
            file.Flush();
            reached(Step.HalfWritten);
            file.Write(content[(content.Length / 2)..]);
            file.Flush(flushToDisk: true);
        }
        reached(Step.Written);
        File.Move(partial, path, overwrite: true);
        reached(Step.Moved);
        DurableFiles.SyncDirectory(Path.GetDirectoryName(Path.GetFullPath(path))!);
    }

    internal enum Step
    {
        HalfWritten,
        Written,
        Moved,
    }
}
