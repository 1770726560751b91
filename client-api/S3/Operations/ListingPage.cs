using System.Text;
using DarkStorage.GrainInterfaces;
using DarkStorage.GrainInterfaces.Objects;
using DarkStorage.Rules.Tiers;

namespace DarkStorage.ClientApi.S3.Operations;

/// <summary>Writes a page's entries as they are read: from the index's rows to XML without a string between. Objects or versions first, folded prefixes after them, as S3 orders them.</summary>
internal sealed class ListingPage : IObjectListingSink, IVersionListingSink, IDisposable
{
    private const int LookUpsAtOnce = 16;

    private readonly PooledBuffer _entriesBuffer = new(256 << 10);
    private readonly PooledBuffer _prefixesBuffer = new(4 << 10);
    private readonly S3XmlWriter _entries;
    private readonly S3XmlWriter _prefixes;
    private readonly bool _urlEncoded;
    private readonly string? _owner;

    /// <summary>What is archived, and where in the entries its restore is told of: a row does not say it. Null where nobody asked.</summary>
    private readonly List<Archived>? _archived;
    private ArchiveRestore?[] _restores = [];

    /// <param name="query">What was asked for.</param>
    /// <param name="owner">Written with each object, or null. Versions have their own.</param>
    public ListingPage(ListingQuery query, string? owner = null)
    {
        _urlEncoded = query.UrlEncoded;
        _owner = owner;
        _archived = query.TellsRestores ? [] : null;
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
        WriteContent(entry, null);
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
        if (!entry.IsDeleteMarker) WriteContent(entry, entry.Version);
        _entries.Account("Owner"u8, Encoding.UTF8.GetString(entry.Owner));
        _entries.End(element);
    }

    public void CommonPrefix(ReadOnlySpan<byte> prefix)
    {
        Count++;
        _prefixes.Start("CommonPrefixes"u8);
        _prefixes.Key("Prefix"u8, prefix, _urlEncoded);
        _prefixes.End("CommonPrefixes"u8);
    }

    /// <summary>Looks up how it stands with what is archived, where that was asked for.</summary>
    public async Task ReadRestoresAsync(IIndexReader index, BucketId bucket, CancellationToken ct)
    {
        if (_archived is null) return;
        var restores = new ArchiveRestore?[_archived.Count];
        await Parallel.ForAsync(0, restores.Length, new ParallelOptions { MaxDegreeOfParallelism = LookUpsAtOnce, CancellationToken = ct }, async (i, ct) =>
        {
            var (_, key, name, modified) = _archived[i];
            var version = name is { } wanted ? await index.FindVersionAsync(bucket, key, wanted, ct) : await index.FindObjectAsync(bucket, key, ct);
            // What took its place since the page was read is not what is listed.
            if (version?.Modified == modified) restores[i] = version.Restore;
        });
        _restores = restores;
    }

    /// <param name="now">What restores are over by.</param>
    public void WriteTo(S3XmlWriter xml, DateTimeOffset now)
    {
        _entries.Complete();
        _prefixes.Complete();
        var entries = _entriesBuffer.WrittenSpan;
        var written = 0;
        for (var i = 0; i < _restores.Length; i++)
        {
            if (_restores[i] is not { } restore || !restore.IsActive(now)) continue;
            var offset = _archived![i].Offset;
            xml.Fragment(entries[written..offset]);
            written = offset;
            xml.Start("RestoreStatus"u8);
            xml.Element("IsRestoreInProgress"u8, restore.Until is null);
            if (restore.Until is { } until) xml.Element("RestoreExpiryDate"u8, until);
            xml.End("RestoreStatus"u8);
        }
        xml.Fragment(entries[written..]);
        xml.Fragment(_prefixesBuffer.WrittenSpan);
    }

    public void Dispose()
    {
        _entriesBuffer.Dispose();
        _prefixesBuffer.Dispose();
    }

    /// <param name="version">Null of an object.</param>
    private void WriteContent(in ListedObject entry, VersionName? version)
    {
        _entries.ETag(entry.ETag);
        if (entry.ChecksumAlgorithm != ChecksumAlgorithm.None)
        {
            _entries.Element("ChecksumAlgorithm"u8, ChecksumHeaders.NameOf(entry.ChecksumAlgorithm));
            _entries.Element("ChecksumType"u8, ChecksumHeaders.NameOf(entry.ChecksumType));
        }
        _entries.Element("Size"u8, entry.Length);
        _entries.Element("StorageClass"u8, entry.StorageClass);
        if (_archived is null || !ArchiveRules.IsArchive(Encoding.UTF8.GetString(entry.StorageClass))) return;
        _entries.Complete();
        _archived.Add(new(_entriesBuffer.WrittenSpan.Length, Encoding.UTF8.GetString(entry.Key), version, entry.Modified));
    }

    /// <param name="Offset">In the bytes of the entries, behind the last of its own that was written by then.</param>
    /// <param name="Version">Null of an object: the current one.</param>
    private readonly record struct Archived(int Offset, string Key, VersionName? Version, DateTimeOffset Modified);
}
