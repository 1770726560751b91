using System.Security.Cryptography;
using DarkStorage.Storage.Backends;

namespace DarkStorage.Connectors.GoogleDrive;

/// <remarks>What is written. Where there is something already it is looked at: the same content is that of an earlier attempt whose answer was lost, and is not sent again.</remarks>
internal sealed partial class DriveBackend
{
    /// <summary>For what has to be taken back, also for who has left.</summary>
    private static readonly TimeSpan TakingBackMax = TimeSpan.FromSeconds(10);

    public async Task<BackendBlob> PutAsync(BlobName name, BlobSource content, CancellationToken ct)
    {
        if (content.Length > FileBytesMax) throw new BackendException(BackendError.Refused, $"{name} has {content.Length} bytes, and a file {FileBytesMax} at most.");
        // Drive compares nothing before it makes a file; what the file says of itself shows it to whoever finds it.
        var hashes = await SourceDigest.OfAsync(name, content, ct, HashAlgorithmName.SHA256, HashAlgorithmName.MD5);
        return await WriteAsync(name, content.Length, new(Convert.ToHexStringLower(hashes[0]), Convert.ToHexStringLower(hashes[1])), metadata => drive.MakeAsync(name, metadata, content, ct), ct);
    }

    /// <summary>Made by the server.</summary>
    public async Task<BackendBlob> CopyAsync(BlobName from, BlobName to, CancellationToken ct)
    {
        var source = await FindAsync(from, ct) ?? throw BackendException.NotFound(from);
        return await WriteAsync(to, source.Length, source.Hashes, metadata => drive.CopyAsync(to, metadata, source.Id, ct), ct);
    }

    /// <param name="make">Makes a file; null where there is one of its id already.</param>
    private async Task<BackendBlob> WriteAsync(BlobName name, long length, ContentHashes hashes, Func<DriveMetadata, Task<DriveResource?>> make, CancellationToken ct)
    {
        // Who tests a place may have just put it in order.
        if (BackendProbe.IsOf(name)) await FindFolderAsync(ct);
        var before = await FilesOfAsync(name, ct);
        var last = DriveFile.LastOf(before);
        if (last?.HasSame(length, hashes) != true)
        {
            var file = _own.Find(name) is { } begun && DriveFile.IsLater(begun, last) && begun.HasSame(length, hashes) ? begun
                : new(await drive.NewIdAsync(ct), DriveFile.KeyOf(name), RecordVersion.Next(clock.GetUtcNow(), last?.Version), length, hashes);
            _own.Add(name, file);
            ct.ThrowIfCancellationRequested();
            last = await MakeAsync(name, file, make, ct);
        }
        var (there, listed) = await WaitForAsync(name, last, ct);
        _own.Add(name, there);
        // Those too that were known and that lists do not show any more, or not yet: they are not to come to light when this one is deleted.
        foreach (var old in listed.Concat(before).Append(last))
        {
            if (DriveFile.IsLater(there, old) && !_own.IsDeleted(old.Id)) await DeleteFileAsync(name.Value, old.Id, ct);
        }
        return there.ToBlob(name);
    }

    /// <summary>Makes a file, and compares what the server says that it has with what was sent.</summary>
    private async Task<DriveFile> MakeAsync(BlobName name, DriveFile file, Func<DriveMetadata, Task<DriveResource?>> make, CancellationToken ct)
    {
        var metadata = file.ToMetadata(place, name, KnownFolder ?? await RequireFolderAsync(ct));
        DriveResource? resource;
        try
        {
            // One that is there already is that of an attempt before, whose answer was lost.
            resource = await make(metadata) ?? await drive.FindAsync(name.Value, file.Id, ct);
        }
        catch (BackendException e) when (e.Error == BackendError.NotFound)
        {
            // Nothing is missing to a new file but its folder, or the file that it is to be a copy of.
            await RequireFolderAsync(ct);
            throw new BackendException(BackendError.Unavailable, e.Message, e);
        }
        catch (BackendException e) when (!e.IsTransient)
        {
            // It may be the id that is refused.
            _own.Remove(name, file.Id);
            throw;
        }
        if (DriveFile.Find(place, resource) is { } made && made.Id == file.Id && made.Key == file.Key && made.Version == file.Version && made.Hashes == file.Hashes)
        {
            if (made is { IsWrong: false } && made.Length == file.Length) return made;
            await TakeBackAsync(name, file);
            if (made.Length != file.Length) throw BackendException.WrongLength(name, file.Length, made.Length);
            throw new BackendException(BackendError.Unavailable, $"{name} has another checksum there than was sent.");
        }
        // An id that is somebody else's is of no use. Or the folder is in the trash, and with it what is put there.
        _own.Remove(name, file.Id);
        await RequireFolderAsync(ct);
        throw new BackendException(BackendError.Unavailable, $"The server said that it has taken {name}, and has another file.");
    }

    /// <summary>Waits until the list shows a file, with the right checksums.</summary>
    /// <returns>The file, or a later one of that name, which has replaced it; and all of the name that the list shows.</returns>
    private async Task<(DriveFile There, IReadOnlyList<DriveFile> Listed)> WaitForAsync(BlobName name, DriveFile file, CancellationToken ct)
    {
        DriveFile? there = null;
        var listed = new List<DriveFile>();
        await WaitAsync($"{name}: the server has taken it, and does not list it yet.", async () =>
        {
            there = null;
            listed.Clear();
            foreach (var found in await ListFilesAsync(name, ct))
            {
                listed.Add(found);
                if (found.Id == file.Id && found.IsWrong) throw new BackendException(BackendError.Damaged, $"{name} has another checksum there than was sent.");
                if ((found.Id == file.Id || DriveFile.IsLater(found, file)) && found.IsVerified && !_own.IsDeleted(found.Id) && DriveFile.IsLater(found, there)) there = found;
            }
            return there is not null;
        }, ct);
        return (there!, listed);
    }

    /// <summary>Deletes a file that is not what it is to be.</summary>
    private async Task TakeBackAsync(BlobName name, DriveFile file)
    {
        _own.Remove(name, file.Id);
        try
        {
            using var bounded = new CancellationTokenSource(TakingBackMax, clock);
            await DeleteFileAsync(name.Value, file.Id, bounded.Token);
        }
        catch (Exception e) when (e is BackendException or OperationCanceledException)
        {
            // What is wrong with it is what matters: it is no blob, and goes with what replaces it, or with the name.
        }
    }
}
