namespace DarkStorage.Connectors.GoogleDrive;

/// <summary>A file or a folder as Drive tells of it. Numbers of 64 bits come as texts.</summary>
/// <param name="Sha256Checksum">Of the content, in hexadecimal digits; where Drive has it, as is <paramref name="Md5Checksum"/>.</param>
/// <param name="CreatedTime">When it got there.</param>
internal sealed record DriveResource(string? Id, string? Name, string? MimeType, long? Size, string? Sha256Checksum, string? Md5Checksum, DateTimeOffset? CreatedTime, bool? Trashed, Dictionary<string, string?>? Properties)
{
    /// <summary>What is asked for of each.</summary>
    public const string Fields = "id,name,mimeType,size,sha256Checksum,md5Checksum,createdTime,trashed,properties";

    public const string FolderType = "application/vnd.google-apps.folder";

    /// <summary>It becomes a part of addresses.</summary>
    public static bool IsId(string? text) => text is { Length: > 0 and <= 128 } && text.All(c => char.IsAsciiLetterOrDigit(c) || c is '-' or '_');
}

/// <summary>What a file or a folder is made with.</summary>
/// <param name="Id">One that Drive gave for this; null for any.</param>
/// <param name="Parents">The folder that it is in; null for the top of the user's drive.</param>
internal sealed record DriveMetadata(string? Id, string Name, string MimeType, IReadOnlyList<string>? Parents, IReadOnlyDictionary<string, string> Properties);

/// <summary>A page of a list.</summary>
/// <param name="Files">With ids that can be.</param>
/// <param name="Next">What the list goes on by, for some hours; null where it ends.</param>
internal sealed record DriveFiles(IReadOnlyList<DriveResource> Files, string? Next);

internal sealed record DrivePage(List<DriveResource?>? Files, string? NextPageToken, bool? IncompleteSearch);

internal sealed record GeneratedIds(List<string?>? Ids);
