using System.Diagnostics;
using System.Globalization;

namespace DarkStorage.Cluster.Drives;

/// <summary>A small file system of its own, in a file: it can be filled to the last byte, and fail under the program that uses it. Mounting needs root; without, the test is skipped and says so.</summary>
internal sealed class SmallDrive : IDisposable
{
    private readonly string _folder = Directory.CreateTempSubdirectory("darkstorage-drive-").FullName;

    private SmallDrive() => Directory.CreateDirectory(Mountpoint);

    /// <summary>Where a node may keep its data: a folder on the drive.</summary>
    public string DataDirectory => Path.Combine(Mountpoint, "data");

    private string Mountpoint => Path.Combine(_folder, "mnt");
    private string Image => Path.Combine(_folder, "image");
    private string Foreign => Path.Combine(Mountpoint, "foreign");

    public static SmallDrive Mount(int mebibytes)
    {
        var drive = new SmallDrive();
        try
        {
            // Nothing is kept back for root: full shall mean full.
            RunOrSkip("mkfs.ext4", "-q", "-F", "-m", "0", drive.Image, string.Create(CultureInfo.InvariantCulture, $"{mebibytes}M"));
            RunOrSkip("mount", "-o", "loop", drive.Image, drive.Mountpoint);
            Directory.CreateDirectory(drive.DataDirectory);
            return drive;
        }
        catch
        {
            drive.Dispose();
            throw;
        }
    }

    /// <summary>Takes the room there is, but for less than one block.</summary>
    public void Fill()
    {
        using var file = File.OpenHandle(Foreign, FileMode.Create, FileAccess.Write);
        var zeros = new byte[1 << 20];
        for (var (position, step) = (0L, zeros.Length); step >= 4096; step /= 4)
        {
            try
            {
                for (; ; position += step) RandomAccess.Write(file, zeros.AsSpan(0, step), position);
            }
            catch (IOException)
            {
                // No room for a piece of this size: the next smaller.
            }
        }
    }

    public void RemoveForeignFile() => File.Delete(Foreign);

    /// <summary>The medium under the file system is gone: what is not in memory can be neither read nor written.</summary>
    public void Break()
    {
        using (var image = File.OpenHandle(Image, FileMode.Open, FileAccess.ReadWrite)) RandomAccess.SetLength(image, 0);
        File.WriteAllText("/proc/sys/vm/drop_caches", "1");
    }

    public void Dispose()
    {
        _ = Run("umount", "-l", Mountpoint);
        Directory.Delete(_folder, recursive: true);
    }

    private static void RunOrSkip(params string[] command)
    {
        try
        {
            var (exitCode, output) = Run(command);
            Assert.SkipWhen(exitCode != 0, $"'{string.Join(' ', command)}' is not possible here: {output.Trim()}");
        }
        catch (System.ComponentModel.Win32Exception e)
        {
            Assert.Skip($"There is no {command[0]} here: {e.Message}");
        }
    }

    private static (int ExitCode, string Output) Run(params string[] command)
    {
        using var process = Process.Start(new ProcessStartInfo(command[0], command[1..]) { RedirectStandardOutput = true, RedirectStandardError = true })!;
        var error = process.StandardError.ReadToEndAsync();
        var output = process.StandardOutput.ReadToEnd();
        process.WaitForExit();
        return (process.ExitCode, output + error.GetAwaiter().GetResult());
    }
}
