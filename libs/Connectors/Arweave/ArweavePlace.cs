using System.Buffers.Text;
using System.Security.Cryptography;
using System.Text;
using DarkStorage.Storage.Backends;

namespace DarkStorage.Connectors.Arweave;

/// <summary>Which of a wallet's items.</summary>
/// <param name="Name">What they are tagged with. Plain letters.</param>
internal sealed record ArweavePlace(string Name)
{
    /// <summary>Levels of folders that names can be listed by; more would not fit beside the longest name.</summary>
    public const int FoldersMax = 8;

    private const int FolderLength = 16;

    /// <summary>Of the largest blob.</summary>
    public long BlobBytesMax { get; init; } = (2L << 30) - DataItem.HeadBytesMax;

    /// <summary>For what was taken to be found: a put or a delete that is not by then has failed, and can be made again.</summary>
    public TimeSpan VisibleWithin { get; init; } = TimeSpan.FromMinutes(5);

    /// <summary>Items of one answer of the index. The schema says that there are no more.</summary>
    public int PageItemsMax { get; init; } = 100;

    /// <summary>What the item is found by that says that this is the place.</summary>
    public string MarkerKey => KeyOf([]);

    /// <summary>What the items of a name are found by: a hash, since who keeps tags may change texts (their case, their form of Unicode, spaces around them).</summary>
    public string KeyOf(BlobName name) => KeyOf([0, .. Encoding.UTF8.GetBytes(name.Value)]);

    /// <summary>What the blobs below a folder are found by.</summary>
    /// <param name="folder">With a slash behind it; empty for all.</param>
    public string FolderOf(ReadOnlySpan<char> folder) => KeyOf([1, .. Encoding.UTF8.GetBytes(folder.ToString())])[..FolderLength];

    /// <summary>The folders that a text leads to, from the outermost; each with a slash behind it.</summary>
    public static IEnumerable<string> FoldersOf(string text)
    {
        yield return "";
        for (int at = text.IndexOf('/'), level = 1; at >= 0 && level < FoldersMax; at = text.IndexOf('/', at + 1), level++) yield return text[..(at + 1)];
    }

    private string KeyOf(ReadOnlySpan<byte> what) => Base64Url.EncodeToString(SHA256.HashData([.. Encoding.UTF8.GetBytes(Name), .. what]));
}
