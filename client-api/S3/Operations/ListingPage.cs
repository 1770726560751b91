using DarkStorage.GrainInterfaces;
using DarkStorage.GrainInterfaces.Objects;

namespace DarkStorage.ClientApi.S3.Operations;

/// <summary>Writes a page's entries as they are read: from the index's rows to XML without a string between. Objects or versions first, folded prefixes after them, as S3 orders them.</summary>
internal sealed class ListingPage : IObjectListingSink, IVersionListingSink, IDisposable
{
    private readonly PooledBuffer _entriesBuffer = new(256 << 10);
    private readonly PooledBuffer _prefixesBuffer = new(4 << 10);
    private readonly S3XmlWriter _entries;
    private readonly S3XmlWriter _prefixes;
    private readonly bool _urlEncoded;
    private readonly string? _owner;

    /// <param name="owner">Written with each object, or null. Versions have their own.</param>
    public ListingPage(bool urlEncoded, string? owner = null)
    {
        _urlEncoded = urlEncoded;
        _owner = owner;
        _entries = new(_entriesBuffer);
        _prefixes = new(_prefixesBuffer);
    }

    /// <summary>Entries and prefixes so far.</summary>
    public int Count { get; private set; }

    public void Object(in ListedObject entry)
    {
        Count++;
        _entries.Start("Contents"u8);
        _entries.Key("Key"u8, entry.Key, _urlEncoded);
        _entries.Element("LastModified"u8, entry.Modified);
        WriteContent(entry);
        if (_owner is not null) _entries.Account("Owner"u8, _owner);
        _entries.End("Contents"u8);
    }

    public void Version(in ListedObject entry)
    {
        Count++;
        ReadOnlySpan<byte> element = entry.IsDeleteMarker ? "DeleteMarker"u8 : "Version"u8;
        _entries.Start(element);
        _entries.Key("Key"u8, entry.Key, _urlEncoded);
        _entries.Element("VersionId"u8, entry.Version.ToString());
        _entries.Element("IsLatest"u8, entry.IsLatest);
        _entries.Element("LastModified"u8, entry.Modified);
        if (!entry.IsDeleteMarker) WriteContent(entry);
        _entries.Account("Owner"u8, System.Text.Encoding.UTF8.GetString(entry.Owner));
        _entries.End(element);
    }

    public void CommonPrefix(ReadOnlySpan<byte> prefix)
    {
        Count++;
        _prefixes.Start("CommonPrefixes"u8);
        _prefixes.Key("Prefix"u8, prefix, _urlEncoded);
        _prefixes.End("CommonPrefixes"u8);
    }

    public void WriteTo(S3XmlWriter xml)
    {
        _entries.Complete();
        _prefixes.Complete();
        xml.Fragment(_entriesBuffer.WrittenSpan);
        xml.Fragment(_prefixesBuffer.WrittenSpan);
    }

    public void Dispose()
    {
        _entriesBuffer.Dispose();
        _prefixesBuffer.Dispose();
    }

    private void WriteContent(in ListedObject entry)
    {
        _entries.ETag(entry.ETag);
        if (entry.ChecksumAlgorithm != ChecksumAlgorithm.None)
        {
            _entries.Element("ChecksumAlgorithm"u8, ChecksumHeaders.NameOf(entry.ChecksumAlgorithm));
            _entries.Element("ChecksumType"u8, ChecksumHeaders.NameOf(entry.ChecksumType));
        }
        _entries.Element("Size"u8, entry.Length);
        _entries.Element("StorageClass"u8, entry.StorageClass);
    }
}
