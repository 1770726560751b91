using BenchmarkDotNet.Attributes;
using DarkStorage.ClientApi.S3;
using DarkStorage.ClientApi.S3.Operations;
using DarkStorage.GrainInterfaces;
using DarkStorage.GrainInterfaces.Objects;
using DarkStorage.Metadata;

namespace DarkStorage.Micro;

/// <summary>The bytes of a manifest in the index, and a page of a listing as XML.</summary>
[MemoryDiagnoser]
public class Codec
{
    private const int PageEntries = 1000;

    private readonly byte[][] _keys = [.. Enumerable.Range(0, PageEntries).Select(i => System.Text.Encoding.UTF8.GetBytes($"photos/2026/01/picture-{i:D6}.jpg"))];
    private readonly byte[] _etag = [.. "0123456789abcdef0123456789abcdef"u8];
    private readonly byte[] _class = [.. "STANDARD"u8];
    private ObjectVersion _version = null!;
    private byte[] _detail = [];
    private VersionColumns _columns;

    /// <summary>Parts of the object: one for a PUT, many for a multipart upload.</summary>
    [Params(1, 1000)]
    public int Parts { get; set; }

    [GlobalSetup]
    public void Prepare()
    {
        _version = Samples.Stored(1, Parts);
        _detail = DetailCodec.Encode(_version);
        var manifest = _version.Manifest;
        _columns = new(manifest.Version, manifest.Length, manifest.ETag, _version.Modified, _version.Revision, _version.IsNull, _version.IsDeleteMarker, _version.StorageClass, _version.Owner, []);
    }

    [Benchmark]
    public int EncodeManifest() => DetailCodec.Encode(_version).Length;

    [Benchmark]
    public long DecodeManifest() => DetailCodec.Decode(_detail, _columns).Manifest.Length;

    /// <summary>A full page: 1,000 entries. The number of parts does not matter to it.</summary>
    [Benchmark]
    public int WriteListingPage()
    {
        using var output = new PooledBuffer(1 << 20);
        using var page = new ListingPage(new("", null, ListingQuery.EntriesMax, UrlEncoded: false, TellsRestores: false));
        foreach (var key in _keys)
            page.Object(new ListedObject { Key = key, ETag = _etag, StorageClass = _class, Length = 1_000_000, Modified = Samples.Now, ChecksumAlgorithm = ChecksumAlgorithm.Crc64Nvme });
        var xml = new S3XmlWriter(output);
        xml.StartDocument("ListBucketResult"u8);
        page.WriteTo(xml, Samples.Now);
        xml.End("ListBucketResult"u8);
        xml.Complete();
        return output.WrittenCount;
    }
}
