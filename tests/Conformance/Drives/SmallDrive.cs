using System.Diagnostics;
using System.Globalization;

namespace DarkStorage.Conformance.Drives;

/// <summary>A small file system of its own, so that it can be filled to the last byte. Mounting needs root; without, the test is skipped and says so.</summary>
internal sealed class SmallDrive : IDisposable
{
    private readonly string _folder = Directory.CreateTempSubdirectory("darkstorage-drive-").FullName;

    private SmallDrive() => Directory.CreateDirectory(Mountpoint);

    private string Mountpoint => Path.Combine(_folder, "mnt");
    private string Foreign => Path.Combine(Mountpoint, "foreign");

    /// <summary>Where a node may keep its data: a folder on the drive.</summary>
    public string DataDirectory => Path.Combine(Mountpoint, "data");

    public static SmallDrive Mount(string kind, int mebibytes)
    {
        if (!OperatingSystem.IsLinux()) Assert.Skip("Only on Linux can a test mount a drive.");
        var drive = new SmallDrive();
        try
        {
            var size = mebibytes.ToString(CultureInfo.InvariantCulture);
            if (kind == "tmpfs")
            {
                MountOrSkip("mount", "-t", "tmpfs", "-o", $"size={size}m", "tmpfs", drive.Mountpoint);
                return drive;
            }
            var image = Path.Combine(drive._folder, "image");
            // Nothing is kept back for root: full shall mean full.
            MountOrSkip("mkfs.ext4", "-q", "-F", "-m", "0", image, $"{size}M");
            MountOrSkip("mount", "-o", "loop", image, drive.Mountpoint);
            return drive;
        }
        catch
        {
            Directory.Delete(drive._folder, recursive: true);
            throw;
        }
    }

    /// <summary>Takes all the room there is, to the last byte.</summary>
    public void FillCompletely()
    {
        using var file = File.OpenHandle(Foreign, FileMode.Create, FileAccess.Write);
        var (position, zeros) = (0L, new byte[1 << 20]);
        for (var step = zeros.Length; step > 0; step /= 16)
        {
            while (true)
            {
                try
                {
                    RandomAccess.Write(file, zeros.AsSpan(0, step), position);
                    position += step;
                }
                catch (IOException)
                {
                    break; // no room for a piece of this size: the next smaller
                }
                // What a failed write put down all the same is part of the file.
                position = Math.Max(position, RandomAccess.GetLength(file));
            }
            position = Math.Max(position, RandomAccess.GetLength(file));
        }
        Assert.Equal(0, new DriveInfo(Mountpoint).AvailableFreeSpace);
    }

    public void RemoveForeignFile() => File.Delete(Foreign);

    public void MakeReadOnly() => MountOrSkip("mount", "-o", "remount,ro", Mountpoint);

    public void Dispose()
    {
        _ = Shell.Run("umount", Mountpoint);
        Directory.Delete(_folder, recursive: true);
    }

    private static void MountOrSkip(params string[] command)
    {
        try
        {
            var (exitCode, output) = Shell.Run(command);
            if (exitCode != 0) Assert.Skip($"'{string.Join(' ', command)}' is not possible here: {output.Trim()}");
        }
        catch (System.ComponentModel.Win32Exception e)
        {
            Assert.Skip($"There is no {command[0]} here: {e.Message}");
        }
    }
}

/// <summary>Short commands of the system.</summary>
internal static class Shell
{
    public static (int ExitCode, string Output) Run(params string[] command)
    {
        var info = new ProcessStartInfo(command[0], command[1..]) { RedirectStandardOutput = true, RedirectStandardError = true };
        using var process = Process.Start(info)!;
        var error = process.StandardError.ReadToEndAsync();
        var output = process.StandardOutput.ReadToEnd();
        process.WaitForExit();
        return (process.ExitCode, output + error.GetAwaiter().GetResult());
    }

    /// <summary>Bytes that the files below a folder take on their drive: holes count nothing, what is preallocated counts.</summary>
    public static long BytesOnDrive(string folder)
    {
        var (exitCode, output) = Run("du", "-s", "--block-size=1", folder);
        // A file that goes while du looks makes it complain; its sum is right all the same.
        return long.TryParse(output.Split('\t')[0], CultureInfo.InvariantCulture, out var bytes) ? bytes : throw new InvalidOperationException($"du ended with {exitCode}: {output}");
    }
}
