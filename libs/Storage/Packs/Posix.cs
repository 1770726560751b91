using System.Runtime.InteropServices;
using Microsoft.Win32.SafeHandles;

namespace DarkStorage.Storage.Packs;

/// <summary>The calls of Linux's C library that .NET has no name for. Used on Linux only (x64 and arm64).</summary>
internal static unsafe partial class Posix
{
    public const int Again = 11;
    public const int Interrupted = 4;
    public const int NoDeviceOrAddress = 6;
    public const int InvalidArgument = 22;
    public const int Exists = 17;
    public const int NoSpace = 28;
    public const int QuotaExceeded = 122;
    public const int NotSupported = 95;

    public const int ReadWrite = 2;
    public const int CloseOnExec = 0x80000;
    public static readonly int Direct = RuntimeInformation.ProcessArchitecture is Architecture.Arm64 or Architecture.Arm ? 0x10000 : 0x4000;

    public const int NoWait = 8;
    public const int KeepSizePunchHole = 1 | 2;
    public const int SeekData = 3;
    public const int SeekHole = 4;
    public const int AdviseRandom = 1;
    public const int AdviseWillNeed = 3;
    public const int VectorsMax = 1024;

    [LibraryImport("libc", EntryPoint = "open", SetLastError = true, StringMarshalling = StringMarshalling.Utf8)]
    public static partial int Open(string path, int flags, int mode);

    [LibraryImport("libc", EntryPoint = "rename", SetLastError = true, StringMarshalling = StringMarshalling.Utf8)]
    public static partial int Rename(string from, string to);

    [LibraryImport("libc", EntryPoint = "link", SetLastError = true, StringMarshalling = StringMarshalling.Utf8)]
    public static partial int Link(string from, string to);

    [LibraryImport("libc", EntryPoint = "pwritev", SetLastError = true)]
    public static partial nint Pwritev(SafeFileHandle file, IoVector* vectors, int count, long offset);

    [LibraryImport("libc", EntryPoint = "preadv2", SetLastError = true)]
    public static partial nint Preadv2(SafeFileHandle file, IoVector* vectors, int count, long offset, int flags);

    [LibraryImport("libc", EntryPoint = "preadv", SetLastError = true)]
    public static partial nint Preadv(SafeFileHandle file, IoVector* vectors, int count, long offset);

    [LibraryImport("libc", EntryPoint = "fdatasync", SetLastError = true)]
    public static partial int DataSync(SafeFileHandle file);

    [LibraryImport("libc", EntryPoint = "fsync", SetLastError = true)]
    public static partial int Sync(SafeFileHandle file);

    [LibraryImport("libc", EntryPoint = "fallocate", SetLastError = true)]
    public static partial int Allocate(SafeFileHandle file, int mode, long offset, long length);

    [LibraryImport("libc", EntryPoint = "posix_fadvise")]
    public static partial int Advise(SafeFileHandle file, long offset, long length, int advice);

    [LibraryImport("libc", EntryPoint = "lseek", SetLastError = true)]
    public static partial long Seek(SafeFileHandle file, long offset, int whence);

    /// <summary>The failure that the last call left.</summary>
    public static IOException LastFailure(string what)
    {
        var error = Marshal.GetLastPInvokeError();
        var message = $"{what}: {Marshal.GetPInvokeErrorMessage(error)} (errno {error}).";
        return error is NoSpace or QuotaExceeded ? new DiskFullException(message) { HResult = error } : new IOException(message, error);
    }
}
