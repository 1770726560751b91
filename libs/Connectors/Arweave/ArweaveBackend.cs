using System.Buffers.Binary;
using System.Buffers.Text;
using System.Runtime.CompilerServices;
using DarkStorage.Connectors.Http;
using DarkStorage.Storage;
using DarkStorage.Storage.Backends;

namespace DarkStorage.Connectors.Arweave;

/// <summary>Blobs as signed data items in Arweave: a bundler takes them, an index finds them by their tags, and a gateway has their data.</summary>
/// <remarks>Nothing there can be changed or deleted. So an item says that a blob has a content from then on, or that it is deleted from then on (<see cref="BlobRecord"/>), and of a name's items the last is true: by the time that they say themselves, since blocks are made of them in any order.
/// A put or a delete is done when the index shows its item, for everybody who asks it, and the gateway has the data. Until then an attempt that is made again sends the same item. What the index does not show is said to be missing only where it shows the item that marks the place: one that knows only a part of Arweave, or is somebody else's, does not pass for an empty place.
/// What others signed is nothing here, and what the index says of our own is sealed. What it keeps back can't be known.</remarks>
internal sealed partial class ArweaveBackend(ArweaveWallet wallet, ArweavePlace place, Bundler bundler, ArweaveIndex index, ContentGateway gateway, HttpClient http, TimeProvider clock) : IBackend
{
    /// <summary>Pages of one list: ten million items. Each name is remembered, so that it shows once, with some 40 bytes.</summary>
    private const int PagesMax = 100_000;

    private readonly OwnRecords _own = new();

    public BackendTraits Traits { get; } = new(place.BlobBytesMax) { ShowsWithin = 2 * place.VisibleWithin }; // by the index, and then by the gateway

    /// <summary>Marks the place: with an item that is there from then on.</summary>
    public async Task PrepareAsync(CancellationToken ct)
    {
        if (LatestOf(place.MarkerKey, (await index.FindAsync([place.MarkerKey], ct)).Select(f => f.Record)) is not null) return;
        await WriteAsync("The place", new(place.MarkerKey, null, RecordKind.Place, "", 0, "", null), null, null, null, ct);
    }

    public async Task<Stream> OpenAsync(BlobName name, ByteRange range, CancellationToken ct)
    {
        var record = await FindAsync(name, ct) ?? throw BackendException.NotFound(name);
        if (range.Last >= record.Length) throw BackendException.WrongLength(name, range.Last + 1, record.Length);
        return await gateway.OpenAsync(name, new(record.ContentId, record.Length, record.Length, record.Sha256), range, clock, ct);
    }

    public async Task<BackendBlob?> StatAsync(BlobName name, CancellationToken ct) => (await FindAsync(name, ct))?.ToBlob();

    public async IAsyncEnumerable<BackendBlob> ListAsync(string prefix, [EnumeratorCancellation] CancellationToken ct)
    {
        await RequirePlaceAsync(ct);
        var own = _own.BlobsBelow(prefix);
        var (folder, level) = ArweavePlace.FoldersOf(prefix).Select((f, i) => (f, i)).Last();
        var seen = new HashSet<UInt128>();
        string? after = null;
        var pages = 0;
        do
        {
            if (++pages > PagesMax) throw new BackendException(BackendError.Refused, $"A list that begins with {folder} has more than {PagesMax} pages.");
            var from = after;
            var page = await PartAttempts.RunAsync(() => index.PageAsync(BlobRecord.Tag.Folder(level), [place.FolderOf(folder)], from, ct), clock, ct);
            foreach (var blob in await LatestAsync(New(page.Found.Select(f => f.Record)), ct)) yield return blob;
            after = page.Next;
        }
        while (after is not null);
        foreach (var some in own.Chunk(place.PageItemsMax))
        {
            foreach (var blob in await LatestAsync(New(some), ct)) yield return blob;
        }

        // Of a name that was met in any of its versions the last is looked up: it may be in front, where this has been already.
        List<BlobRecord> New(IEnumerable<BlobRecord> records) =>
            [.. records.Where(r => r is { Kind: RecordKind.Put, Name: { } name } && name.Value.StartsWith(prefix, StringComparison.Ordinal) && seen.Add(BinaryPrimitives.ReadUInt128BigEndian(Base64Url.DecodeFromChars(r.Key))))];

        async Task<IEnumerable<BackendBlob>> LatestAsync(List<BlobRecord> records, CancellationToken ct)
        {
            if (records.Count == 0) return [];
            var found = await PartAttempts.RunAsync(() => index.FindAsync([.. records.Select(r => r.Key)], ct), clock, ct);
            var all = found.Select(f => f.Record).Concat(records).ToLookup(r => r.Key, StringComparer.Ordinal);
            return records.Select(r => LatestOf(r.Key, all[r.Key])).OfType<BlobRecord>().Where(r => r.Kind == RecordKind.Put).Select(r => r.ToBlob());
        }
    }

    public ValueTask DisposeAsync()
    {
        http.Dispose();
        wallet.Dispose();
        return ValueTask.CompletedTask;
    }

    /// <returns>Null where there is no such blob, in a place that is there.</returns>
    private async Task<BlobRecord?> FindAsync(BlobName name, CancellationToken ct) => await LastAsync(name, ct) is { Kind: RecordKind.Put } found ? found : null;

    /// <returns>The last that is known of a name, which may be that it is deleted; null where nothing is, in a place that is there.</returns>
    private async Task<BlobRecord?> LastAsync(BlobName name, CancellationToken ct)
    {
        var key = place.KeyOf(name);
        // The marker comes with the same answer, so that it is one answer that shows the place and not the name. That this node has seen it once does not count here: it may ask another index now.
        var found = (await index.FindAsync([key, place.MarkerKey], ct)).Select(f => f.Record).ToList();
        if (LatestOf(key, found.Where(r => r.Key == key)) is { } last) return last;
        return found.Exists(r => r.Key == place.MarkerKey) ? null : throw PlaceMissing();
    }

    private BlobRecord? LatestOf(string key, IEnumerable<BlobRecord> found) => found.Aggregate(_own.FindSeen(key), (last, record) => BlobRecord.IsLater(record, last) ? record : last);

    private async Task RequirePlaceAsync(CancellationToken ct)
    {
        if ((await index.FindAsync([place.MarkerKey], ct)).Count == 0) throw PlaceMissing();
    }

    private BackendException PlaceMissing() => new(BackendError.PlaceMissing, $"The index does not show that {place.Name} was made ready by the wallet {wallet.Address}: it does not know all, or not yet, or the place or the wallet is another.");
}
