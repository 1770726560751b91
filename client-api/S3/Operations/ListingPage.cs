using DarkStorage.GrainInterfaces;
using DarkStorage.GrainInterfaces.Objects;

namespace DarkStorage.ClientApi.S3.Operations;

/// <summary>Writes a page's entries as they are read: from the index's rows to XML without a string between. Objects first, folded prefixes after them, as S3 orders them.</summary>
internal sealed class ListingPage : IObjectListingSink, IDisposable
{
    private readonly PooledBuffer _objectsBuffer = new(256 << 10);
    private readonly PooledBuffer _prefixesBuffer = new(4 << 10);
    private readonly S3XmlWriter _objects;
    private readonly S3XmlWriter _prefixes;
    private readonly bool _urlEncoded;
    private readonly string? _owner;

    /// <param name="owner">Written with each object, or null.</param>
    public ListingPage(bool urlEncoded, string? owner = null)
    {
        _urlEncoded = urlEncoded;
        _owner = owner;
        _objects = new(_objectsBuffer);
        _prefixes = new(_prefixesBuffer);
    }

    /// <summary>Objects and prefixes so far.</summary>
    public int Count { get; private set; }

    public void Object(in ListedObject entry)
    {
        Count++;
        _objects.Start("Contents"u8);
        _objects.Key("Key"u8, entry.Key, _urlEncoded);
        _objects.Element("LastModified"u8, entry.Modified);
        _objects.ETag(entry.ETag);
        if (entry.ChecksumAlgorithm != ChecksumAlgorithm.None)
        {
            _objects.Element("ChecksumAlgorithm"u8, ChecksumHeaders.NameOf(entry.ChecksumAlgorithm));
            _objects.Element("ChecksumType"u8, ChecksumHeaders.NameOf(entry.ChecksumType));
        }
        _objects.Element("Size"u8, entry.Length);
        _objects.Element("StorageClass"u8, entry.StorageClass);
        if (_owner is not null) _objects.Account("Owner"u8, _owner);
        _objects.End("Contents"u8);
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
        _objects.Complete();
        _prefixes.Complete();
        xml.Fragment(_objectsBuffer.WrittenSpan);
        xml.Fragment(_prefixesBuffer.WrittenSpan);
    }

    public void Dispose()
    {
        _objectsBuffer.Dispose();
        _prefixesBuffer.Dispose();
    }
}
