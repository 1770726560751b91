using System.Runtime.CompilerServices;
using DarkStorage.Connectors.Http;
using DarkStorage.Storage;
using DarkStorage.Storage.Backends;

namespace DarkStorage.Connectors.GoogleDrive;

/// <summary>Blobs as files of Google Drive.</summary>
/// <remarks>Drive knows files by ids that it gives, may have several of one name, and finds them by queries whose answers lag behind. So each content that a blob gets is a file of its own, which says by its properties what it is of, which version, and with which content, and is never changed; of a name's files the last version is the blob (<see cref="DriveFile"/>).
/// A file gets its id before it is sent: the same put made again makes no second one. A put is done when lists show its file with the right checksums, and only then are the files of that name deleted that it replaces; a delete is done when no list shows one any more. What this node did itself it knows by ids, whatever lists show.
/// Files are the place's by their properties, and not by the folder that they are in: two nodes that make the folder at one time make two, and find the files in both. The folder shows that the place is there: without it nothing is said to be missing.</remarks>
internal sealed partial class DriveBackend(DriveApi drive, DrivePlace place, TimeProvider clock) : IBackend
{
    /// <summary>Drive's largest file.</summary>
    private const long FileBytesMax = 5L << 40;

    private const string Files = $"mimeType != '{DriveResource.FolderType}'";
    private const string Folders = $"mimeType = '{DriveResource.FolderType}'";

    /// <summary>Files of a name that lists show and that are gone when they are read.</summary>
    private const int GoneMax = 3;

    /// <summary>Of a file that was replaced, after which nobody is about to delete it.</summary>
    private static readonly TimeSpan LeftAfter = TimeSpan.FromDays(1);

    private readonly OwnFiles _own = new();

    /// <summary>The folder's id, once it is known.</summary>
    private string? _folder;

    public BackendTraits Traits { get; } = new(FileBytesMax) { ShowsWithin = place.VisibleWithin };

    private string What => $"The folder {place.Folder}";

    /// <summary>Makes the folder, where there is none of the place yet. Should somebody else do so at the same time, the older one counts.</summary>
    public async Task PrepareAsync(CancellationToken ct)
    {
        if (await FindFolderAsync(ct) is not null) return;
        await drive.MakeFolderAsync(ct);
        await WaitAsync($"{What} was made, and the list does not show it yet.", async () => await FindFolderAsync(ct) is not null, ct);
    }

    /// <summary>Deletes files that were replaced, and that whoever replaced them did not come to. One whose content is wrong, and that nothing has replaced, stays: what somebody has changed can be had back of Drive's revisions.</summary>
    public async Task CleanAsync(CancellationToken ct)
    {
        var last = new Dictionary<string, DriveFile>(StringComparer.Ordinal);
        var others = new List<DriveFile>();
        await foreach (var resource in drive.ListAsync(Files, ct))
        {
            if (DriveFile.Find(place, resource)?.WithoutContent() is not { } file) continue;
            var before = last.GetValueOrDefault(file.Key);
            var isLast = !file.IsWrong && DriveFile.IsLater(file, before);
            if (isLast) last[file.Key] = file;
            if ((isLast ? before : file) is { } other) others.Add(other);
        }
        var until = clock.GetUtcNow() - LeftAfter;
        foreach (var other in others)
        {
            // What it is deleted for is to be there, whatever the list shows, and old enough that nobody reads the other any more.
            if (last.GetValueOrDefault(other.Key) is not { } by || !DriveFile.IsLater(by, other) || RecordVersion.TimeOf(by.Version) >= until) continue;
            if (DriveFile.Find(place, await drive.FindAsync(What, by.Id, ct)) is { IsVerified: true }) await DeleteFileAsync(What, other.Id, ct);
        }
    }

    public async Task<Stream> OpenAsync(BlobName name, ByteRange range, CancellationToken ct)
    {
        var gone = new HashSet<string>(StringComparer.Ordinal);
        while (true)
        {
            var files = await FilesOfAsync(name, ct);
            var file = DriveFile.LastOf(files.Where(f => !gone.Contains(f.Id)));
            if (file is null)
            {
                if (gone.Count > 0) await RequireFolderAsync(ct);
                throw BackendException.NotFound(name);
            }
            if (range.Last >= file.Length) throw BackendException.WrongLength(name, range.Last + 1, file.Length);
            try
            {
                return await ContentStream.OpenAsync(drive.ContentOf(name, file, range, isThere: async ct => await FindAsync(name, ct) is not null), clock, ct);
            }
            catch (BackendException e) when (e.Error == BackendError.NotFound && gone.Count < GoneMax)
            {
                // Replaced or deleted since, which the list did not show.
                gone.Add(file.Id);
            }
        }
    }

    public async Task<BackendBlob?> StatAsync(BlobName name, CancellationToken ct) => (await FindAsync(name, ct))?.ToBlob(name);

    public async Task DeleteAsync(BlobName name, CancellationToken ct)
    {
        await WaitAsync($"{name}: it was deleted, and the list shows it still.", async () =>
        {
            // What was begun here may be there and not show.
            if (_own.Find(name) is { } own)
            {
                if (await drive.DeleteAsync(name.Value, own.Id, ct)) _own.Deleted(own.Id);
                _own.Remove(name, own.Id);
            }
            var isListed = false;
            await foreach (var file in ListFilesAsync(name, ct))
            {
                isListed = true;
                if (!_own.IsDeleted(file.Id)) await DeleteFileAsync(name.Value, file.Id, ct);
            }
            return !isListed;
        }, ct);
        await RequireFolderAsync(ct);
    }

    public async IAsyncEnumerable<BackendBlob> ListAsync(string prefix, [EnumeratorCancellation] CancellationToken ct)
    {
        var (own, isEmpty) = (_own.Below(prefix), true);
        var names = new HashSet<string>(StringComparer.Ordinal);
        await foreach (var resource in drive.ListAsync(Files, ct))
        {
            // The newest come first: of several of one name the others were replaced.
            if (DriveFile.Find(place, resource) is not { IsWrong: false, Name: { } name } file || !name.Value.StartsWith(prefix, StringComparison.Ordinal) || _own.IsDeleted(file.Id) || !names.Add(file.Key)) continue;
            isEmpty = false;
            yield return file.ToBlob(name);
        }
        foreach (var (name, made) in own)
        {
            if (!names.Add(made.Key) || await FindOwnAsync(name, made, ct) is not { IsWrong: false } file) continue;
            isEmpty = false;
            yield return file.ToBlob(name);
        }
        if (isEmpty) await RequireFolderAsync(ct);
    }

    public ValueTask DisposeAsync()
    {
        drive.Dispose();
        return ValueTask.CompletedTask;
    }

    private BackendException PlaceMissing() => new(BackendError.PlaceMissing, $"{What} is not there: it was deleted or is in the trash, or the account, or the application, is another.");

    /// <returns>The blob; null where there is none, in a place that is there.</returns>
    private async Task<DriveFile?> FindAsync(BlobName name, CancellationToken ct) => DriveFile.LastOf(await FilesOfAsync(name, ct));

    private async IAsyncEnumerable<DriveFile> ListFilesAsync(BlobName name, [EnumeratorCancellation] CancellationToken ct)
    {
        var key = DriveFile.KeyOf(name);
        await foreach (var resource in drive.ListAsync($"{Files} and {DriveFile.QueryFor(name)}", ct))
        {
            // What a server lists need not be what it was asked for.
            if (DriveFile.Find(place, resource) is { } file && file.Key == key) yield return file;
        }
    }

    /// <returns>All files of a name, in a place that is there.</returns>
    private async Task<IReadOnlyList<DriveFile>> FilesOfAsync(BlobName name, CancellationToken ct)
    {
        var files = new List<DriveFile>();
        await foreach (var file in ListFilesAsync(name, ct))
        {
            if (!_own.IsDeleted(file.Id)) files.Add(file);
        }
        if (_own.Find(name) is { } made && !files.Exists(f => f.Id == made.Id) && await FindOwnAsync(name, made, ct) is { } own) files.Add(own);
        if (files.Count == 0) await RequireFolderAsync(ct);
        return files;
    }

    /// <summary>Asks for what was made here by its id.</summary>
    private async Task<DriveFile?> FindOwnAsync(BlobName name, DriveFile made, CancellationToken ct)
    {
        if (_own.IsDeleted(made.Id)) return null;
        if (DriveFile.Find(place, await drive.FindAsync(name.Value, made.Id, ct)) is { } file && file.Key == made.Key) return file;
        // What was there once somebody else has deleted. What was only begun may be on its way still.
        if (made.IsVerified) _own.Remove(name, made.Id);
        return null;
    }

    private async Task DeleteFileAsync(string what, string id, CancellationToken ct)
    {
        await drive.DeleteAsync(what, id, ct);
        _own.Deleted(id);
    }

    /// <summary>Looks for the place's folder.</summary>
    /// <returns>The oldest that lists show and that is there; null for none.</returns>
    private async Task<string?> FindFolderAsync(CancellationToken ct)
    {
        var folders = new List<DriveResource>();
        await foreach (var folder in drive.ListAsync(Folders, ct))
        {
            if (IsFolder(folder)) folders.Add(folder);
        }
        foreach (var folder in folders.OrderBy(f => f.CreatedTime ?? DateTimeOffset.MaxValue).ThenBy(f => f.Id, StringComparer.Ordinal))
        {
            if (IsFolder(await drive.FindAsync(What, folder.Id!, ct))) return _folder = folder.Id;
        }
        return _folder = null;

        bool IsFolder(DriveResource? found) => found is { Trashed: not true, MimeType: DriveResource.FolderType } && found.Properties?.GetValueOrDefault(DrivePlace.PlaceProperty) == place.Folder;
    }

    /// <returns>The folder that new files go to.</returns>
    private async Task<string> RequireFolderAsync(CancellationToken ct)
    {
        if (_folder is { } known && await drive.FindAsync(What, known, ct) is not null) return known;
        return await FindFolderAsync(ct) ?? throw PlaceMissing();
    }

    private Task WaitAsync(string tooLate, Func<Task<bool>> isThere, CancellationToken ct) => Visibility.WaitAsync(isThere, place.VisibleWithin, tooLate, clock, ct);
}
