using System.Runtime.InteropServices;
using Microsoft.Win32.SafeHandles;

namespace DarkStorage.Storage.Packs;

/// <summary>Packs as files of one directory. On Linux preallocated, written past the page cache where the file system allows it, and punched;
/// elsewhere (a developer's machine) with what .NET offers, where a deleted chunk's header is overwritten and its space comes back by compaction.</summary>
/// <remarks>Reads go through the page cache, writes of chunks past it: the two agree, because Linux drops cached pages under a direct write.</remarks>
internal sealed class FileChunkDisk : IChunkDisk
{
    private readonly string _directory;
    private readonly DriveInfo _drive;

    public FileChunkDisk(string directory)
    {
        _directory = directory;
        Directory.CreateDirectory(directory);
        _drive = new DriveInfo(Path.GetFullPath(directory));
    }

    public bool PunchesHoles { get; private set; } = OperatingSystem.IsLinux();

    public long FreeBytes => _drive.AvailableFreeSpace;

    public IReadOnlyList<string> List() => [.. Directory.EnumerateFiles(_directory).Select(static path => Path.GetFileName(path))];

    public IPackFile Create(string name, long bytes)
    {
        var path = Path.Combine(_directory, name);
        SafeFileHandle? file = null;
        try
        {
            file = File.OpenHandle(path, FileMode.CreateNew, FileAccess.ReadWrite, FileShare.ReadWrite | FileShare.Delete);
            if (OperatingSystem.IsLinux()) Preallocate(file, bytes);
            else RandomAccess.SetLength(file, bytes);
            return new PackFile(file, path, writes: true, PunchesHoles);
        }
        catch
        {
            file?.Dispose();
            File.Delete(path);
            throw;
        }
    }

    public IPackFile Open(string name)
    {
        var path = Path.Combine(_directory, name);
        return new PackFile(File.OpenHandle(path, FileMode.Open, FileAccess.ReadWrite, FileShare.ReadWrite | FileShare.Delete), path, writes: false, PunchesHoles);
    }

    public void Delete(string name) => File.Delete(Path.Combine(_directory, name));

    public void SyncDirectory() => DurableFiles.SyncDirectory(_directory);

    public void WriteWhole(string name, ReadOnlySpan<byte> content)
    {
        WriteWhole(_directory, name, content);
    }

    public byte[]? ReadWhole(string name)
    {
        var path = Path.Combine(_directory, name);
        return File.Exists(path) ? File.ReadAllBytes(path) : null;
    }

    public void Dispose() { }

    internal static void WriteWhole(string directory, string name, ReadOnlySpan<byte> content)
    {
        var path = Path.Combine(directory, name);
        var partial = path + ".tmp";
        using (var file = File.OpenHandle(partial, FileMode.Create, FileAccess.Write))
        {
            RandomAccess.Write(file, content, 0);
            RandomAccess.FlushToDisk(file);
        }
        File.Move(partial, path, overwrite: true);
        DurableFiles.SyncDirectory(directory);
    }

    private void Preallocate(SafeFileHandle file, long bytes)
    {
        while (Posix.Allocate(file, 0, 0, bytes) != 0)
        {
            var error = Marshal.GetLastPInvokeError();
            if (error == Posix.Interrupted) continue;
            if (error != Posix.NotSupported) throw Posix.LastFailure("Preallocating a pack");
            PunchesHoles = false;       // a file system without fallocate: sparse instead
            RandomAccess.SetLength(file, bytes);
            return;
        }
    }

    private sealed unsafe class PackFile : IPackFile
    {
        private readonly SafeFileHandle _file;
        private readonly string _path;
        private readonly bool _punches;
        private SafeFileHandle? _direct;
        private static bool _noWaitRefused;

        public PackFile(SafeFileHandle file, string path, bool writes, bool punches)
        {
            (_file, _path, _punches) = (file, path, punches);
            if (!OperatingSystem.IsLinux()) return;
            // Requests come from everywhere at once: what is to be read ahead is said by WillNeed, not guessed.
            _ = Posix.Advise(_file, 0, 0, Posix.AdviseRandom);
            if (writes) _direct = OpenDirect();
        }

        public long Length => RandomAccess.GetLength(_file);

        public void Write(long offset, ReadOnlySpan<IoVector> vectors)
        {
            if (!OperatingSystem.IsLinux())
            {
                foreach (var vector in vectors)
                {
                    RandomAccess.Write(_file, new ReadOnlySpan<byte>(vector.Address, (int)vector.Length), offset);
                    offset += (long)vector.Length;
                }
                return;
            }
            fixed (IoVector* pinned = vectors)
            {
                var next = pinned;
                var left = vectors.Length;
                while (left > 0)
                {
                    var written = Posix.Pwritev(_direct ?? _file, next, Math.Min(left, Posix.VectorsMax), offset);
                    if (written <= 0)
                    {
                        var error = Marshal.GetLastPInvokeError();
                        if (written < 0 && error == Posix.Interrupted) continue;
                        if (written < 0 && error == Posix.InvalidArgument && _direct is not null)
                        {
                            _direct.Dispose();      // it opened but won't write: a file system without O_DIRECT after all
                            _direct = null;
                            continue;
                        }
                        throw Posix.LastFailure($"Writing {_path}");
                    }
                    offset += written;
                    for (var rest = (nuint)written; rest > 0 && left > 0;)
                    {
                        if (rest >= next->Length)
                        {
                            rest -= next->Length;
                            next++;
                            left--;
                            continue;
                        }
                        next->Address += rest;
                        next->Length -= rest;
                        rest = 0;
                        if (_direct is not null && (offset & PackFormat.Page - 1) != 0)
                        {
                            _direct.Dispose();      // a short write ended amid a page: go on through the cache, which asks for no alignment
                            _direct = null;
                        }
                    }
                }
            }
        }

        public int Read(long offset, Span<byte> first, Span<byte> second, bool mayBlock)
        {
            if (!OperatingSystem.IsLinux() || !mayBlock && _noWaitRefused) return mayBlock ? ReadPlain(_file, offset, first, second) : -1;
            fixed (byte* one = first, two = second)
            {
                var vectors = stackalloc IoVector[2] { new(one, (nuint)first.Length), new(two, (nuint)second.Length) };
                if (!mayBlock)
                {
                    var now = TryReadNow(vectors, offset);
                    return now < first.Length + second.Length ? -1 : (int)now;
                }
                var total = 0;
                while (total < first.Length + second.Length)
                {
                    var read = Posix.Preadv(_file, vectors, 2, offset + total);
                    if (read == 0) break;
                    if (read < 0)
                    {
                        if (Marshal.GetLastPInvokeError() == Posix.Interrupted) continue;
                        throw Posix.LastFailure($"Reading {_path}");
                    }
                    total += (int)read;
                    var inFirst = Math.Min((nuint)read, vectors[0].Length);
                    vectors[0] = new(vectors[0].Address + inFirst, vectors[0].Length - inFirst);
                    var inSecond = (nuint)read - inFirst;
                    vectors[1] = new(vectors[1].Address + inSecond, vectors[1].Length - inSecond);
                }
                return total;
            }
        }

        public int ReadMedium(long offset, Span<byte> destination)
        {
            if (!OperatingSystem.IsLinux()) return ReadPlain(_file, offset, destination, default);
            using var direct = OpenDirect();
            if (direct is null) return ReadPlain(_file, offset, destination, default);
            return ReadPlain(direct, offset, destination, default);
        }

        public void WillNeed(long offset, long bytes)
        {
            if (OperatingSystem.IsLinux()) _ = Posix.Advise(_file, offset, bytes, Posix.AdviseWillNeed);
        }

        public void Sync()
        {
            if (!OperatingSystem.IsLinux())
            {
                RandomAccess.FlushToDisk(_file);
                return;
            }
            // Not repeated on EINTR: what an interrupted sync did is not known, and asking twice is how a lost write is taken for a kept one.
            if (Posix.DataSync(_direct ?? _file) != 0) throw Posix.LastFailure($"Syncing {_path}");
        }

        public void Punch(long offset, long bytes)
        {
            if (_punches)
            {
                while (Posix.Allocate(_file, Posix.KeepSizePunchHole, offset, bytes) != 0)
                {
                    if (Marshal.GetLastPInvokeError() != Posix.Interrupted) throw Posix.LastFailure($"Punching {_path}");
                }
                return;
            }
            Span<byte> zeros = stackalloc byte[PackFormat.FrameFixedBytes];
            zeros.Clear();
            RandomAccess.Write(_file, zeros, offset);
        }

        public void Truncate(long bytes)
        {
            RandomAccess.SetLength(_file, bytes);
            RandomAccess.FlushToDisk(_file);
        }

        public long NextData(long offset)
        {
            if (!OperatingSystem.IsLinux()) return offset < Length ? offset : -1;
            var found = Posix.Seek(_file, offset, Posix.SeekData);
            if (found >= 0) return found;
            return Marshal.GetLastPInvokeError() == Posix.NoDeviceOrAddress ? -1 : offset;
        }

        public long NextHole(long offset)
        {
            if (!OperatingSystem.IsLinux()) return Length;
            var found = Posix.Seek(_file, offset, Posix.SeekHole);
            return found >= 0 ? found : Length;
        }

        public void EndWriting()
        {
            _direct?.Dispose();
            _direct = null;
        }

        public void Dispose()
        {
            _direct?.Dispose();
            _file.Dispose();
        }

        private nint TryReadNow(IoVector* vectors, long offset)
        {
            try
            {
                var read = Posix.Preadv2(_file, vectors, 2, offset, Posix.NoWait);
                if (read < 0 && Marshal.GetLastPInvokeError() is Posix.NotSupported or Posix.InvalidArgument) _noWaitRefused = true;
                return read;
            }
            catch (EntryPointNotFoundException)     // an old C library
            {
                _noWaitRefused = true;
                return -1;
            }
        }

        private SafeFileHandle? OpenDirect()
        {
            var direct = new SafeFileHandle(Posix.Open(_path, Posix.ReadWrite | Posix.CloseOnExec | Posix.Direct, 0), ownsHandle: true);
            if (!direct.IsInvalid) return direct;
            direct.Dispose();
            return null;        // a file system without O_DIRECT: through the cache then
        }

        private static int ReadPlain(SafeFileHandle file, long offset, Span<byte> first, Span<byte> second)
        {
            var total = ReadFully(file, offset, first);
            return total < first.Length ? total : total + ReadFully(file, offset + total, second);
        }

        private static int ReadFully(SafeFileHandle file, long offset, Span<byte> destination)
        {
            var total = 0;
            while (total < destination.Length)
            {
                var read = RandomAccess.Read(file, destination[total..], offset + total);
                if (read == 0) break;
                total += read;
            }
            return total;
        }
    }
}
