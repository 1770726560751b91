using System.Buffers.Text;
using System.Security.Cryptography;
using DarkStorage.Storage.Backends;

namespace DarkStorage.Connectors.Arweave;

/// <remarks>What is written. Each item costs, and stays for good: so it is looked before whether it is there already.</remarks>
internal sealed partial class ArweaveBackend
{
    /// <summary>What was taken and does not show for so long the bundler has lost, or will not bring: another item is made of it.</summary>
    private static readonly TimeSpan SignedAnewAfter = TimeSpan.FromHours(1);

    private static readonly byte[] NoDataSha384 = SHA384.HashData(BlobRecord.NoData.Span);

    public async Task<BackendBlob> PutAsync(BlobName name, BlobSource content, CancellationToken ct)
    {
        if (content.Length > Traits.BlobBytesMax) throw new BackendException(BackendError.Refused, $"{name} has {content.Length} bytes, and an item {Traits.BlobBytesMax} at most.");
        var hashes = await SourceDigest.OfAsync(name, content, ct, HashAlgorithmName.SHA256, HashAlgorithmName.SHA384);
        var sha256 = Base64Url.EncodeToString(hashes[0]);
        var last = await LastAsync(name, ct);
        // The same put again, as somebody does who did not hear the answer.
        if (last is { Kind: RecordKind.Put } there && there.Length == content.Length && there.Sha256 == sha256)
        {
            await WaitForDataAsync(name.Value, there, ct);
            _own.Seen(there);
            return there.ToBlob();
        }
        return (await WriteAsync(name.Value, new(place.KeyOf(name), name, RecordKind.Put, "", content.Length, sha256, null), last, content, hashes[1], ct)).ToBlob();
    }

    /// <summary>Also where nothing is found: what an earlier put has left on its way would come to light after it was deleted, and nobody would delete it again.</summary>
    public async Task DeleteAsync(BlobName name, CancellationToken ct)
    {
        var last = await LastAsync(name, ct);
        var key = place.KeyOf(name);
        if (last is { Kind: RecordKind.Deleted } && _own.FindUnseen(key) is not { Record.Kind: RecordKind.Put }) return;
        await WriteAsync(name.Value, new(key, name, RecordKind.Deleted, "", 0, "", null), last, null, null, ct);
    }

    /// <summary>An item without a content of its own that says where the content is. That one can't go, whatever becomes of the blob that it was put for.</summary>
    public async Task<BackendBlob> CopyAsync(BlobName from, BlobName to, CancellationToken ct)
    {
        var source = await FindAsync(from, ct) ?? throw BackendException.NotFound(from);
        var last = await LastAsync(to, ct);
        if (last is { Kind: RecordKind.Put } there && there.Length == source.Length && there.Sha256 == source.Sha256) return there.ToBlob();
        return (await WriteAsync(to.Value, new(place.KeyOf(to), to, RecordKind.Put, "", source.Length, source.Sha256, source.ContentId), last, null, null, ct)).ToBlob();
    }

    /// <summary>Signs an item, has it taken, and waits until it is found.</summary>
    /// <param name="record">Without a version yet.</param>
    /// <param name="last">What is known of the name: the new one is later.</param>
    /// <param name="content">Null for a record without content of its own, as is <paramref name="sha384"/>.</param>
    /// <returns>The record as it is there.</returns>
    private async Task<BlobRecord> WriteAsync(string what, BlobRecord record, BlobRecord? last, BlobSource? content, byte[]? sha384, CancellationToken ct)
    {
        var unseen = BeginWrite(record, last, sha384);
        ct.ThrowIfCancellationRequested();
        _own.AddUnseen(unseen);
        if (!unseen.IsTaken) unseen.IsTaken = await bundler.UploadAsync(what, unseen.Item, record.HasData ? content! : BlobSource.Of(BlobRecord.NoData), ct);
        await WaitForRecordAsync(what, unseen.Record, ct);
        await WaitForDataAsync(what, unseen.Record, ct);
        _own.Seen(unseen.Record);
        return unseen.Record;
    }

    /// <returns>The very item that an attempt before this has sent; else a new one.</returns>
    private UnseenItem BeginWrite(BlobRecord record, BlobRecord? last, byte[]? sha384)
    {
        if (_own.FindUnseen(record.Key) is { } begun)
        {
            if (BlobRecord.IsLater(begun.Record, last)) last = begun.Record;
            var isSame = last == begun.Record && begun.Record with { Id = "", Version = "" } == record;
            if (isSame && clock.GetUtcNow() - begun.Record.Made < SignedAnewAfter) return begun;
        }
        record = record with { Version = RecordVersion.Next(clock.GetUtcNow(), last?.Version) };
        var item = DataItem.Sign(wallet, record.ToTags(wallet, place), record.DataLength, record.HasData ? sha384 : NoDataSha384);
        return new(record with { Id = item.Id }, item);
    }

    private Task WaitForRecordAsync(string what, BlobRecord record, CancellationToken ct) => WaitAsync($"{what}: the bundler has taken it, and the index does not show it yet.", async () =>
    {
        if ((await index.FindAsync([record.Key], ct)).FirstOrDefault(f => f.Record.Id == record.Id) is not { } found) return false;
        if (found.Record != record) throw new BackendException(BackendError.Damaged, $"{what}: the index shows another record under the id of the one that was sent.");
        // Some do not know it of what is in no block yet.
        if (found.DataLength != 0 && found.DataLength != record.DataLength) throw new BackendException(BackendError.WrongLength, $"{what}: {record.DataLength} bytes were sent, and the index says {found.DataLength}.");
        return true;
    }, ct);

    private Task WaitForDataAsync(string what, BlobRecord record, CancellationToken ct) => !record.HasData ? Task.CompletedTask
        : WaitAsync($"{what}: the index shows it, and the gateway does not have its content yet.", () => gateway.HasAsync(what, record.Id, record.Length, record.Sha256, ct), ct);

    private Task WaitAsync(string tooLate, Func<Task<bool>> isThere, CancellationToken ct) => Visibility.WaitAsync(isThere, place.VisibleWithin, tooLate, clock, ct);
}
