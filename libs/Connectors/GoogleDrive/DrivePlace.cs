using DarkStorage.Connectors.Google;

namespace DarkStorage.Connectors.GoogleDrive;

/// <summary>Where in Google Drive.</summary>
/// <param name="Folder">What the place is called: the name that its folder was made with, and what each of its files says that it is of.</param>
/// <param name="DriveId">A shared drive; null for the user's own.</param>
internal sealed record DrivePlace(string Folder, string? DriveId)
{
    /// <summary>Blobs up to here go in one request. Google has that for up to 5 MB.</summary>
    public long AtOnceBytesMax { get; init; } = 5_000_000;

    /// <summary>Of longer ones. A multiple of <see cref="ResumableUpload.ChunkUnit"/>: at a gigabit a second and 50 ms to the server, waiting for the answer to each costs a tenth.</summary>
    public long ChunkBytes { get; init; } = 64L << 20;

    /// <summary>Asked for of one page of a list. Drive took no more than 1,000; by its newer documents it gives 100 at the most, and takes what is beyond for that.</summary>
    public int PageFilesMax { get; init; } = 1000;

    /// <summary>For what was done to show in lists.</summary>
    public TimeSpan VisibleWithin { get; init; } = TimeSpan.FromMinutes(2);

    /// <summary>The place's name, as a property of its folder and of each of its files.</summary>
    public const string PlaceProperty = "darkstorage-place";
}
