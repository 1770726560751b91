using System.Buffers;
using System.Runtime.CompilerServices;
using System.Text;
using DarkStorage.Storage;
using DarkStorage.Storage.Backends;

namespace DarkStorage.Connectors.Filesystem;

/// <summary>Blobs as files of a folder: a drive, a NAS that is mounted, a share.</summary>
/// <remarks>Invariants: a file has its name only when all of it is on the drive: it is written beside, flushed, moved into place, and the folders that changed are flushed. The folder has
/// <see cref="OwnFolder"/> since it was made ready; where that is missing it is not the place it was (a mount that is gone leaves its empty mount point), and nothing is written there and nothing is said to be
/// missing. The same holds where the id in it is not the one that the place had: who made that folder anew, in the mount point, made another place. No link is followed below the folder: what others put there can't lead out of it, unless they do so in the instant between the look and the step behind it.
/// Calls to a file system can't be cancelled: one to a share that is gone goes on until the system gives up. A put that was cancelled meanwhile ends before it takes its name.</remarks>
/// <param name="root">The folder: an absolute path.</param>
/// <param name="placeId">What <see cref="IdentifyAsync"/> said of the place; null where it was not asked yet.</param>
internal sealed class FilesystemBackend(string root, TimeProvider clock, string? placeId = null) : IBackend
{
    /// <summary>What the connector keeps in the folder for itself. It is no blob, and no blob can be in it.</summary>
    internal const string OwnFolder = ".darkstorage";

    private const string PartialFolder = "partial";
    private const string IdFile = "id";
    private const int IdBytesMax = 64;
    private const int BufferBytes = 1 << 20;

    // Of Linux (asm-generic/errno-base.h and errno.h): .NET leaves them in HResult.
    private const int OtherFileSystem = 18;
    private const int NotADirectory = 20;
    private const int IsADirectory = 21;
    private const int NoSpace = 28;
    private const int ReadOnlyFileSystem = 30;
    private const int NameTooLong = 36;
    private const int QuotaExceeded = 122;
    private const int DirectoryNotEmpty = 39;

    /// <summary>COR_E_IO, which .NET gives no more than where a file can't be allocated (FileStreamOptions.PreallocationSize).</summary>
    private const int NoRoomBeforehand = unchecked((int)0x80131620);

    /// <summary>Bytes after which what was written is flushed, so that the last flush is a short one.</summary>
    private const long FlushBytes = 256L << 20;

    /// <summary>Entries of a folder that are looked at in one go.</summary>
    private const int PageEntries = 256;

    /// <summary>Files of puts that a crash cut off are deleted when they are this old: no put takes as long.</summary>
    private static readonly TimeSpan PartialLifetime = TimeSpan.FromDays(7);

    private static readonly EnumerationOptions EachEntry = new() { AttributesToSkip = FileAttributes.None, IgnoreInaccessible = false };

    private string Own => Path.Combine(root, OwnFolder);

    private string Partials => Path.Combine(Own, PartialFolder);

    private string IdPath => Path.Combine(Own, IdFile);

    public BackendTraits Traits { get; } = new(BlobBytesMax: long.MaxValue);

    public Task PrepareAsync(CancellationToken ct) => Told($"The folder {root}", () =>
    {
        Directory.CreateDirectory(root);
        RequireNoLink(Own);
        RequireNoLink(Partials);
        Directory.CreateDirectory(Partials);
        SyncUpwards(Own);
        if (Path.GetDirectoryName(root) is { } above) DurableFiles.SyncDirectory(above);
        return Task.CompletedTask;
    }, ct);

    public Task<string?> IdentifyAsync(CancellationToken ct) => Told($"The folder {root}", async () =>
    {
        RequirePlace();
        if (ReadId() is { } known) return known;
        var (partial, id) = (Path.Combine(Partials, $"{Guid.NewGuid():N}"), Guid.NewGuid().ToString("N"));
        try
        {
            await using (var file = Create(partial, id.Length + 1))
            {
                await file.WriteAsync(Encoding.ASCII.GetBytes(id + '\n'), ct);
                file.Flush(flushToDisk: true);
            }
            ct.ThrowIfCancellationRequested();
            DurableFiles.TryName(partial, IdPath); // else somebody was first, and that is its id
        }
        finally
        {
            DeletePartial(partial);
        }
        DurableFiles.SyncDirectory(Own);
        return ReadId();
    }, ct);

    public Task CleanAsync(CancellationToken ct) => Told($"The folder {root}", () =>
    {
        RequirePlace();
        foreach (var left in Directory.EnumerateFiles(Partials))
        {
            if (IsPartial(left) && clock.GetUtcNow() - File.GetLastWriteTimeUtc(left) > PartialLifetime) File.Delete(left);
        }
        return Task.CompletedTask;
    }, ct);

    public Task<BackendBlob> PutAsync(BlobName name, BlobSource content, CancellationToken ct) => Told($"The file {name}", async () =>
    {
        RequirePlace();
        await using var from = await content.OpenAsync(0, ct);
        return await PutAsync(name, from, content.Length, ct);
    }, ct);

    public Task<Stream> OpenAsync(BlobName name, ByteRange range, CancellationToken ct) => Told<Stream>($"The file {name}", () =>
    {
        var found = Find(name) ?? throw Missing(name);
        if (range.Last >= found.Length) throw BackendException.WrongLength(name, range.Last + 1, found.Length);
        var file = Open(found);
        file.Position = range.First;
        return Task.FromResult<Stream>(new ExactStream(file, name, range.Length));
    }, ct);

    public Task<BackendBlob?> StatAsync(BlobName name, CancellationToken ct) => Told($"The file {name}", () => Task.FromResult(Stat(name)), ct);

    public Task DeleteAsync(BlobName name, CancellationToken ct) => Told($"The file {name}", () =>
    {
        RequirePlace();
        if (Find(name) is not { } file) return Task.CompletedTask;
        file.Delete();
        var folder = file.DirectoryName!;
        DurableFiles.SyncDirectory(folder);
        RemoveEmptyFolders(folder);
        return Task.CompletedTask;
    }, ct);

    public async IAsyncEnumerable<BackendBlob> ListAsync(string prefix, [EnumeratorCancellation] CancellationToken ct)
    {
        var folders = new Stack<string>([""]);
        while (folders.TryPop(out var folder))
        {
            using var entries = await Told($"The folder {folder}", () => Task.FromResult(Entries(folder)), ct);
            for (List<BackendBlob> blobs; (blobs = await Told($"The folder {folder}", () => Task.FromResult(NextPage(folder, entries, prefix, folders)), ct)).Count > 0;)
            {
                foreach (var blob in blobs) yield return blob;
            }
        }
    }

    public Task<BackendBlob> CopyAsync(BlobName from, BlobName to, CancellationToken ct) => Told($"The file {from}", async () =>
    {
        RequirePlace();
        await using var file = Open(Find(from) ?? throw Missing(from));
        return await PutAsync(to, file, file.Length, ct);
    }, ct);

    public ValueTask DisposeAsync() => ValueTask.CompletedTask;

    private async Task<BackendBlob> PutAsync(BlobName name, Stream content, long length, CancellationToken ct)
    {
        PathOf(name);
        var partial = Path.Combine(Partials, $"{Guid.NewGuid():N}");
        try
        {
            await WriteAsync(partial, name, content, length, ct);
            // Looked at anew: writing may have taken hours.
            RequirePlace();
            MakeFolders(name);
            var path = PathOf(name);
            var blob = Blob(name, new FileInfo(partial));
            ct.ThrowIfCancellationRequested();
            DurableFiles.Rename(partial, path);
            SyncUpwards(Path.GetDirectoryName(path)!);
            return blob;
        }
        catch
        {
            DeletePartial(partial);
            throw;
        }
    }

    private static async Task WriteAsync(string path, BlobName name, Stream content, long length, CancellationToken ct)
    {
        await using var file = Create(path, length);
        var buffer = ArrayPool<byte>.Shared.Rent(BufferBytes);
        try
        {
            var (written, flushed) = (0L, 0L);
            for (int read; (read = await content.ReadAsync(buffer, ct)) > 0;)
            {
                if (written + read > length) throw BackendException.WrongLength(name, length, written + read);
                await file.WriteAsync(buffer.AsMemory(0, read), ct);
                written += read;
                if (written - flushed < FlushBytes) continue;
                file.Flush(flushToDisk: true);
                flushed = written;
            }
            if (written != length) throw BackendException.WrongLength(name, length, written);
        }
        finally
        {
            ArrayPool<byte>.Shared.Return(buffer);
        }
        file.Flush(flushToDisk: true);
    }

    /// <summary>With all the room at once: a drive that is too full says so before the bytes travel.</summary>
    private static FileStream Create(string path, long length)
    {
        try
        {
            return new(path, new FileStreamOptions { Mode = FileMode.CreateNew, Access = FileAccess.Write, BufferSize = 0, PreallocationSize = length, Options = FileOptions.Asynchronous });
        }
        catch (IOException e) when (e.HResult == NoRoomBeforehand)
        {
            throw new BackendException(BackendError.Full, e.Message, e);
        }
    }

    /// <summary>Makes the folders that a file is to be in.</summary>
    private void MakeFolders(BlobName name)
    {
        var folder = root;
        foreach (var segment in name.Parent.ToString().Split('/', StringSplitOptions.RemoveEmptyEntries))
        {
            folder = Path.Combine(folder, segment);
            if (File.Exists(folder)) throw new BackendException(BackendError.Refused, $"{name}: {segment} is a blob, and a folder can't have its name.");
        }
        if (folder != root) Directory.CreateDirectory(folder);
    }

    /// <summary>Flushes a folder and those above, to the root. Also those that were there: whoever made them may not have come to it yet.</summary>
    private void SyncUpwards(string folder)
    {
        for (; folder.Length > root.Length; folder = Path.GetDirectoryName(folder)!) DurableFiles.SyncDirectory(folder);
        DurableFiles.SyncDirectory(root);
    }

    /// <summary>Where nothing is left, or listings of years would walk them. One that a put just made and has not used yet is made again by the retry of that put.</summary>
    private void RemoveEmptyFolders(string folder)
    {
        try
        {
            for (; folder != root; folder = Path.GetDirectoryName(folder)!) Directory.Delete(folder, recursive: false);
        }
        catch (IOException)
        {
            // Not empty: done.
        }
    }

    private static FileStream Open(FileInfo file) => new(file.FullName,
        new FileStreamOptions { Mode = FileMode.Open, Access = FileAccess.Read, Share = FileShare.ReadWrite | FileShare.Delete, BufferSize = 0, Options = FileOptions.Asynchronous });

    private BackendBlob? Stat(BlobName name)
    {
        if (Find(name) is { } file) return Blob(name, file);
        RequirePlace();
        return null;
    }

    private static BackendBlob Blob(BlobName name, FileInfo file) => new(name, file.Length, file.LastWriteTimeUtc);

    /// <returns>Null where there is surely none: one that can't be looked at is not one that is not there, though .NET says of it that it does not exist.</returns>
    private FileInfo? Find(BlobName name)
    {
        var file = new FileInfo(PathOf(name));
        if (file.Exists) return file;
        try
        {
            return File.GetAttributes(file.FullName).HasFlag(FileAttributes.Directory) ? null : throw new IOException("It is there, and can't be looked at.");
        }
        catch (Exception e) when (e is FileNotFoundException or DirectoryNotFoundException)
        {
            return null;
        }
    }

    private IEnumerator<FileSystemInfo> Entries(string folder)
    {
        RequirePlace();
        try
        {
            return new DirectoryInfo(Path.Combine(root, folder)).EnumerateFileSystemInfos("*", EachEntry).GetEnumerator();
        }
        catch (DirectoryNotFoundException) when (folder.Length > 0)
        {
            return Enumerable.Empty<FileSystemInfo>().GetEnumerator(); // deleted meanwhile
        }
    }

    /// <returns>The next blobs of a folder; none at its end. Folders in it that may have more go to <paramref name="folders"/>.</returns>
    private List<BackendBlob> NextPage(string folder, IEnumerator<FileSystemInfo> entries, string prefix, Stack<string> folders)
    {
        var blobs = new List<BackendBlob>();
        while (blobs.Count < PageEntries && entries.MoveNext())
        {
            var entry = entries.Current;
            var path = folder.Length == 0 ? entry.Name : $"{folder}/{entry.Name}";
            if (path == OwnFolder || entry.LinkTarget is not null) continue;
            if (entry is DirectoryInfo)
            {
                var below = path + '/';
                if (below.StartsWith(prefix, StringComparison.Ordinal) || prefix.StartsWith(below, StringComparison.Ordinal)) folders.Push(path);
            }
            else if (path.StartsWith(prefix, StringComparison.Ordinal) && BlobName.Find(path) is { } name && Find(name) is { } file)
            {
                blobs.Add(Blob(name, file));
            }
        }
        return blobs;
    }

    /// <exception cref="BackendException"><see cref="BackendError.Refused"/>: it is the connector's own, or a link is in the way.</exception>
    private string PathOf(BlobName name)
    {
        // As one of the place's files that has it in other letters, where it does not tell them apart.
        if (IsCaseBlind && name.Value.Any(char.IsUpper)) throw new BackendException(BackendError.Refused, $"{name}: {root} does not tell upper from lower case, so that names with upper case are not taken.");
        var path = root;
        foreach (var segment in name.Value.Split('/'))
        {
            if (path == root && segment.Equals(OwnFolder, StringComparison.OrdinalIgnoreCase)) throw new BackendException(BackendError.Refused, $"{OwnFolder} is the store's own folder: no blob is in it.");
            path = Path.Combine(path, segment);
            RequireNoLink(path);
        }
        return path;
    }

    private bool IsCaseBlind => Directory.Exists(Path.Combine(root, OwnFolder.ToUpperInvariant()));

    private static void RequireNoLink(string path)
    {
        if (new FileInfo(path).LinkTarget is not null) throw new BackendException(BackendError.Refused, $"{path} is a link, and links are not followed.");
    }

    private static bool IsPartial(string path) => Guid.TryParseExact(Path.GetFileName(path), "N", out _);

    private void RequirePlace()
    {
        if (!Directory.Exists(Own)) throw new BackendException(BackendError.PlaceMissing, $"{root} has no folder {OwnFolder}: it is not the place that was made ready. Is it mounted?");
        RequireNoLink(Own);
        RequireNoLink(Partials);
        if (placeId is null || ReadId() is var found && found == placeId) return;
        throw new BackendException(BackendError.PlaceMissing,
            $"{root} is not the place of this integration: {(found is null ? $"there is no {IdPath}" : $"{IdPath} says {found}")}, and it should say {placeId}. Is the right one mounted? If this is it all the same, write that into the file.");
    }

    /// <returns>Null where the place has none.</returns>
    private string? ReadId()
    {
        try
        {
            RequireNoLink(IdPath);
            using var file = new FileStream(IdPath, FileMode.Open, FileAccess.Read, FileShare.ReadWrite | FileShare.Delete, bufferSize: 0);
            Span<byte> text = stackalloc byte[IdBytesMax];
            return Encoding.ASCII.GetString(text[..file.ReadAtLeast(text, IdBytesMax, throwOnEndOfStream: false)]).Trim();
        }
        catch (Exception e) when (e is FileNotFoundException or DirectoryNotFoundException)
        {
            return null;
        }
    }

    private BackendException Missing(BlobName name)
    {
        RequirePlace();
        return BackendException.NotFound(name);
    }

    private static void DeletePartial(string path)
    {
        try
        {
            File.Delete(path);
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            // It goes with its lifetime. What failed before is what matters.
        }
    }

    private static Task Told(string what, Func<Task> work, CancellationToken ct) => Told(what, async () =>
    {
        await work();
        return true;
    }, ct);

    /// <summary>Says in the contract's words what the file system throws. Calls to it block: a thread, and not the caller.</summary>
    private static async Task<T> Told<T>(string what, Func<Task<T>> work, CancellationToken ct)
    {
        try
        {
            return await Task.Run(work, ct);
        }
        catch (BackendException)
        {
            throw;
        }
        catch (UnauthorizedAccessException e)
        {
            throw new BackendException(BackendError.AccessDenied, $"{what}: {e.Message}", e);
        }
        catch (IOException e)
        {
            throw new BackendException(ErrorOf(e), $"{what}: {e.Message}", e);
        }
    }

    private static BackendError ErrorOf(IOException e) => e switch
    {
        PathTooLongException => BackendError.Refused,
        _ => e.HResult switch
        {
            NoSpace or QuotaExceeded => BackendError.Full,
            OtherFileSystem => BackendError.Refused,
            ReadOnlyFileSystem => BackendError.AccessDenied,
            NotADirectory or IsADirectory or NameTooLong or DirectoryNotEmpty => BackendError.Refused,
            _ => BackendError.Unavailable,
        },
    };
}
