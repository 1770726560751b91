using System.Runtime.InteropServices;
using DarkStorage.Storage.Packs;
using Microsoft.Win32.SafeHandles;

namespace DarkStorage.Storage;

/// <summary>What files outside of packs need to outlive a loss of power.</summary>
public static class DurableFiles
{
    /// <summary>Gives a file another name, in place of one that has it, at one moment. Where the two are on different file systems it fails (EXDEV, as <see cref="Exception.HResult"/>): File.Move would then copy, in plain sight.</summary>
    public static void Rename(string from, string to)
    {
        if (!OperatingSystem.IsLinux()) File.Move(from, to, overwrite: true);
        else if (Posix.Rename(from, to) != 0) throw Posix.LastFailure($"Moving {from} to {to}");
    }

    /// <summary>Gives a file a name that none has, at one moment: of many that do, one does. It may have its old name besides, which is the caller's to delete.</summary>
    /// <returns>False where a file has that name.</returns>
    public static bool TryName(string file, string name)
    {
        if (OperatingSystem.IsLinux())
        {
            if (Posix.Link(file, name) == 0) return true;
            if (Marshal.GetLastPInvokeError() == Posix.Exists) return false;
        }
        try
        {
            // What has no links (FAT, some shares) leaves an instant between the look and the step behind it; whatever else was wrong is so here too.
            File.Move(file, name, overwrite: false);
            return true;
        }
        catch (IOException) when (File.Exists(name))
        {
            return false;
        }
    }

    /// <summary>Flushes a folder: names that were given, moved or taken in it stay so.</summary>
    public static void SyncDirectory(string directory)
    {
        if (!OperatingSystem.IsLinux()) return;     // .NET can't open a directory elsewhere
        using var handle = new SafeFileHandle(Posix.Open(directory, Posix.CloseOnExec, 0), ownsHandle: true);
        if (handle.IsInvalid || Posix.Sync(handle) != 0) throw Posix.LastFailure($"Syncing the directory {directory}");
    }
}
