using System.Buffers;
using System.Buffers.Binary;
using System.Runtime.CompilerServices;
using System.Security.Cryptography;
using System.Text.Json;
using System.Xml;
using Azure;
using Azure.Storage;
using Azure.Storage.Blobs;
using Azure.Storage.Blobs.Models;
using Azure.Storage.Blobs.Specialized;
using DarkStorage.GrainInterfaces.Objects;
using DarkStorage.Storage.Backends;

namespace DarkStorage.Connectors.Azure;

/// <summary>Blobs as block blobs of a container, over Azure's own client.</summary>
/// <remarks>A block blob is there whole or not at all: a long one's blocks are staged, and seen by nobody until the list of them is committed. Each request that brings content says its MD5, which the server compares. That it says it has taken a blob is not enough: it is asked what it has.
/// Blocks that are never committed can't be deleted, and go by themselves after a week. So there is nothing to clean.</remarks>
internal sealed class AzureBackend : IBackend
{
    /// <summary>Of one blob, and bytes of one block: Azure's limits.</summary>
    private const int BlocksMax = 50_000;
    private const long BlockBytesMax = 4_000L << 20;

    private const int BlocksAtOnce = 4;
    private const int HashBufferBytes = 64 << 10;

    /// <summary>Between two looks at a copy that is not done at once, as one within an account nearly always is.</summary>
    private static readonly TimeSpan CopyPollPeriod = TimeSpan.FromSeconds(1);

    private readonly AzureClients _clients;
    private readonly AzurePlace _place;
    private readonly TimeProvider _clock;
    private readonly BlobContainerClient _container;

    /// <param name="clients">Ended with the backend.</param>
    public AzureBackend(AzureClients clients, AzurePlace place, TimeProvider clock)
    {
        (_clients, _place, _clock) = (clients, place, clock);
        _container = clients.Container(place.Address);
    }

    public BackendTraits Traits => new(BlocksMax * BlockBytesMax) { IsCold = _place.IsArchive };

    private string What => $"The container {_place.Container}";

    /// <summary>Asks whether the container is there and may be listed. None is made: that is its owner's to decide, with all that containers have.</summary>
    public Task PrepareAsync(CancellationToken ct) => CallAsync(What, () => PageAsync(_place.Prefix, null, blobsMax: 1, ct), ct);

    public Task<BackendBlob> PutAsync(BlobName name, BlobSource content, CancellationToken ct) => CallAsync(name.Value, async () =>
    {
        if (content.Length > _place.BlockBytesMin) await PutInBlocksAsync(name, content, ct);
        else await PutAtOnceAsync(name, content, ct);
        return await RequireAsync(name, content.Length, ct);
    }, ct);

    public Task<Stream> OpenAsync(BlobName name, Storage.ByteRange range, CancellationToken ct) => CallAsync<Stream>(name.Value, async () =>
    {
        var answer = (await BlobOf(name).DownloadStreamingAsync(new() { Range = new(range.First, range.Length) }, ct)).Value;
        var details = answer.Details;
        if (IsWhole(details.CopyId, details.CopyStatus) && details.ContentLength == range.Length) return new ExactStream(new AzureStream(answer.Content, name), name, range.Length, answer);
        answer.Dispose();
        throw details.ContentLength == range.Length ? BackendException.NotFound(name) : BackendException.WrongLength(name, range.Length, details.ContentLength);
    }, ct);

    public Task<BackendBlob?> StatAsync(BlobName name, CancellationToken ct) => CallAsync(name.Value, async () => await HeadAsync(name, ct) is { } head ? BlobOf(name, head) : null, ct);

    public Task DeleteAsync(BlobName name, CancellationToken ct) => CallAsync(name.Value, async () =>
    {
        try
        {
            await BlobOf(name).DeleteAsync(DeleteSnapshotsOption.IncludeSnapshots, cancellationToken: ct);
        }
        catch (RequestFailedException e) when (e.ErrorCode is "BlobNotFound")
        {
            // As it is to be.
        }
        return true;
    }, ct);

    public async IAsyncEnumerable<BackendBlob> ListAsync(string prefix, [EnumeratorCancellation] CancellationToken ct)
    {
        var wanted = _place.Prefix + prefix;
        for (string? from = null; ;)
        {
            var after = from;
            var page = await PartAttempts.RunAsync(() => CallAsync(What, () => PageAsync(wanted, after, _place.PageBlobsMax, ct), ct), _clock, ct);
            foreach (var found in page.Values)
            {
                // What others put there need not be a name of a blob, and what a server lists need not be what it was asked for.
                if (!found.Name.StartsWith(wanted, StringComparison.Ordinal) || BlobName.Find(found.Name[_place.Prefix.Length..]) is not { } name) continue;
                var properties = found.Properties;
                if (!IsWhole(properties.CopyId, properties.CopyStatus)) continue;
                yield return new(name, properties.ContentLength ?? 0, properties.LastModified ?? DateTimeOffset.UnixEpoch)
                {
                    Warmth = WarmthOf(properties.AccessTier?.ToString(), properties.ArchiveStatus is not null),
                };
            }
            if (string.IsNullOrEmpty(page.ContinuationToken)) yield break;
            if (page.ContinuationToken == from) throw new BackendException(BackendError.Damaged, $"{What}: the server says that its list goes on where it was.");
            from = page.ContinuationToken;
        }
    }

    public Task<BackendBlob> CopyAsync(BlobName from, BlobName to, CancellationToken ct) => CallAsync(from.Value, async () =>
    {
        if (await HeadAsync(from, ct) is not { } head) throw BackendException.NotFound(from);
        // Azure would take hours to copy one, and would do it.
        if (BlobOf(from, head).Warmth != BlobWarmth.Readable) throw new BackendException(BackendError.Cold, $"{from} is in the archive tier, and has to be warmed up first.");
        var copy = BlobOf(to);
        await CopiedAsync(copy, to, await StartCopyAsync(from, head, copy, ct), ct);
        return await RequireAsync(to, head.ContentLength, ct);
    }, ct);

    /// <summary>What is put into the archive can't be read back: it goes there when it is known to be whole.</summary>
    public Task SettleAsync(BlobName name, CancellationToken ct) => _place.IsArchive
        ? CallAsync(name.Value, () => BlobOf(name).SetAccessTierAsync(AccessTier.Archive, cancellationToken: ct), ct)
        : Task.CompletedTask;

    /// <summary>Azure moves a blob out of the archive for good, and not for some days: it stays where it is moved to.</summary>
    public async Task WarmUpAsync(BlobName name, WarmUpSpeed speed, TimeSpan keep, CancellationToken ct)
    {
        if (await StatAsync(name, ct) is not { } blob) throw BackendException.NotFound(name);
        if (blob.Warmth == BlobWarmth.Readable || (blob.Warmth == BlobWarmth.Warming && speed != WarmUpSpeed.Expedited)) return;
        // Of the tiers that can be read, hot alone has no shortest stay that is paid for.
        var tier = _place.PutTier ?? AccessTier.Hot;
        await CallAsync(name.Value, async () =>
        {
            try
            {
                return await BlobOf(name).SetAccessTierAsync(tier, rehydratePriority: speed == WarmUpSpeed.Expedited ? RehydratePriority.High : RehydratePriority.Standard, cancellationToken: ct);
            }
            catch (RequestFailedException e) when (e.ErrorCode is "BlobBeingRehydrated")
            {
                // Somebody else asked meanwhile.
                return null;
            }
        }, ct);
    }

    public ValueTask DisposeAsync()
    {
        _clients.Dispose();
        return ValueTask.CompletedTask;
    }

    private Uri AddressOf(BlobName name) => _place.AddressOf(name);

    private BlockBlobClient BlobOf(BlobName name) => _clients.Blob(AddressOf(name));

    private static BackendBlob BlobOf(BlobName name, BlobProperties head) => new(name, head.ContentLength, head.LastModified) { Warmth = WarmthOf(head.AccessTier, !string.IsNullOrEmpty(head.ArchiveStatus)) };

    /// <returns>Null where there is none.</returns>
    private async Task<BlobProperties?> HeadAsync(BlobName name, CancellationToken ct)
    {
        try
        {
            var head = (await BlobOf(name).GetPropertiesAsync(cancellationToken: ct)).Value;
            return IsWhole(head.CopyId, head.BlobCopyStatus) ? head : null;
        }
        catch (RequestFailedException e) when (e.Status == 404 && e.ErrorCode is not "ContainerNotFound")
        {
            // Where what answered did not say which of the two is missing, a container that is gone must not pass for one where nothing is.
            if (e.ErrorCode is not "BlobNotFound") await PrepareAsync(ct);
            return null;
        }
    }

    /// <returns>What the server has, which is of the length that was sent.</returns>
    private async Task<BackendBlob> RequireAsync(BlobName name, long length, CancellationToken ct)
    {
        var blob = await StatAsync(name, ct) ?? throw new BackendException(BackendError.Unavailable, $"The server said that it has taken {name}, and does not have it.");
        return blob.Length == length ? blob : throw BackendException.WrongLength(name, length, blob.Length);
    }

    private async Task<Page<BlobItem>> PageAsync(string prefix, string? after, int? blobsMax, CancellationToken ct)
    {
        await foreach (var page in _container.GetBlobsAsync(BlobTraits.CopyStatus, BlobStates.None, prefix, ct).AsPages(after, blobsMax)) return page;
        throw new BackendException(BackendError.Damaged, $"{What}: the server's list has no page.");
    }

    private async Task PutAtOnceAsync(BlobName name, BlobSource content, CancellationToken ct)
    {
        var md5 = await Md5Async(content, 0, content.Length, ct);
        await using var stream = new SourceStream(content, 0, content.Length);
        // What has not less than InitialTransferSize, the SDK would put in blocks.
        await _clients.Blob(AddressOf(name), md5).UploadAsync(stream, new BlobUploadOptions { AccessTier = _place.PutTier, TransferOptions = new() { InitialTransferSize = content.Length + 1 } }, ct);
    }

    private async Task PutInBlocksAsync(BlobName name, BlobSource content, CancellationToken ct)
    {
        var blockBytes = Math.Max(_place.BlockBytesMin, (content.Length + BlocksMax - 1) / BlocksMax);
        var blob = BlobOf(name);
        // The blocks of two puts of one name lie beside each other until one is committed: each has names of its own, all of one length, as Azure wants them.
        var put = Guid.NewGuid();
        var blocks = new string[(content.Length + blockBytes - 1) / blockBytes];
        await Parallel.ForAsync(0, blocks.Length, new ParallelOptions { MaxDegreeOfParallelism = BlocksAtOnce, CancellationToken = ct }, async (i, blockCt) =>
        {
            var (offset, bytes) = (i * blockBytes, Math.Min(blockBytes, content.Length - (i * blockBytes)));
            blocks[i] = BlockId(put, i);
            await PartAttempts.RunAsync(() => CallAsync(name.Value, async () =>
            {
                var check = new UploadTransferValidationOptions { ChecksumAlgorithm = StorageChecksumAlgorithm.MD5, PrecalculatedChecksum = await Md5Async(content, offset, bytes, blockCt) };
                await using var stream = new SourceStream(content, offset, bytes);
                return await blob.StageBlockAsync(blocks[i], stream, new BlockBlobStageBlockOptions { TransferValidation = check }, blockCt);
            }, blockCt), _clock, blockCt);
        });
        await blob.CommitBlockListAsync(blocks, new CommitBlockListOptions { AccessTier = _place.PutTier }, ct);
    }

    private static string BlockId(Guid put, int number)
    {
        Span<byte> id = stackalloc byte[20];
        put.TryWriteBytes(id);
        BinaryPrimitives.WriteInt32BigEndian(id[16..], number);
        return Convert.ToBase64String(id);
    }

    /// <summary>The MD5 goes before the content, so the content is read twice: the SDK would do the same, and hold up a thread for it.</summary>
    private static async Task<byte[]> Md5Async(BlobSource content, long offset, long length, CancellationToken ct)
    {
        using var md5 = IncrementalHash.CreateHash(HashAlgorithmName.MD5);
        var buffer = ArrayPool<byte>.Shared.Rent(HashBufferBytes);
        try
        {
            await using var stream = await content.PeekAsync(offset, ct);
            for (var left = length; left > 0;)
            {
                var read = await stream.ReadAsync(buffer.AsMemory(0, (int)Math.Min(buffer.Length, left)), ct);
                if (read == 0) throw new EndOfStreamException($"The source ends {left} bytes early.");
                md5.AppendData(buffer, 0, read);
                left -= read;
            }
            return md5.GetHashAndReset();
        }
        finally
        {
            ArrayPool<byte>.Shared.Return(buffer);
        }
    }

    /// <returns>The copy's id.</returns>
    private async Task<string> StartCopyAsync(BlobName from, BlobProperties head, BlockBlobClient copy, CancellationToken ct)
    {
        try
        {
            return (await copy.StartCopyFromUriAsync(_clients.SourceOf(AddressOf(from)), new() { AccessTier = _place.PutTier, SourceConditions = new() { IfMatch = head.ETag } }, ct)).Id;
        }
        catch (RequestFailedException e) when (e.ErrorCode is "SourceConditionNotMet" or "ConditionNotMet")
        {
            throw new BackendException(BackendError.Unavailable, $"{from} was replaced while it was to be copied.");
        }
    }

    /// <summary>Waits for a copy to be whole. One that is not waited for to its end is taken back.</summary>
    private async Task CopiedAsync(BlockBlobClient copy, BlobName to, string id, CancellationToken ct)
    {
        try
        {
            while (true)
            {
                var head = (await copy.GetPropertiesAsync(cancellationToken: ct)).Value;
                // Of another put or copy, which came after.
                if (head.CopyId != id || head.BlobCopyStatus == CopyStatus.Success) return;
                if (head.BlobCopyStatus != CopyStatus.Pending) throw new BackendException(BackendError.Unavailable, $"{to}: the copy has {head.BlobCopyStatus}. {AzureFailures.Plain(head.CopyStatusDescription)}");
                await Task.Delay(CopyPollPeriod, _clock, ct);
            }
        }
        catch
        {
            await TakeBackAsync(copy, id);
            throw;
        }
    }

    /// <summary>A copy that was aborted leaves a blob without content.</summary>
    private async Task TakeBackAsync(BlockBlobClient copy, string id)
    {
        try
        {
            using var bounded = new CancellationTokenSource(TimeSpan.FromSeconds(10), _clock);
            await copy.AbortCopyFromUriAsync(id, cancellationToken: bounded.Token);
            await copy.DeleteAsync(cancellationToken: bounded.Token);
        }
        catch (Exception e) when (IsOfClient(e) || e is OperationCanceledException)
        {
            // Without a whole content it is nobody's blob. What failed before is what matters.
        }
    }

    /// <summary>What is being copied has its length before it has its content.</summary>
    private static bool IsWhole(string? copyId, CopyStatus? status) => string.IsNullOrEmpty(copyId) || status is null or CopyStatus.Success;

    private static BlobWarmth WarmthOf(string? tier, bool isWarming) => !"Archive".Equals(tier, StringComparison.OrdinalIgnoreCase) ? BlobWarmth.Readable : isWarming ? BlobWarmth.Warming : BlobWarmth.Cold;

    /// <summary>The second line is what the SDK says of an answer that makes no sense to it.</summary>
    private static bool IsOfClient(Exception e) => e is RequestFailedException or HttpRequestException or IOException or TimeoutException
        or XmlException or JsonException or KeyNotFoundException or FormatException or InvalidOperationException or ArgumentException or NullReferenceException;

    /// <summary>Says in the contract's words what the client throws.</summary>
    private static async Task<T> CallAsync<T>(string what, Func<Task<T>> call, CancellationToken ct)
    {
        try
        {
            return await call();
        }
        catch (BackendException)
        {
            throw;
        }
        catch (Exception e) when (IsOfClient(e) || (e is OperationCanceledException && !ct.IsCancellationRequested))
        {
            throw AzureFailures.Of(e, what);
        }
    }

    /// <summary>Content on its way here. A connection that breaks is made again by the SDK, a few times and at once, for what is left of the same content (If-Match); what is beyond that is said in the contract's words.</summary>
    private sealed class AzureStream(Stream inner, BlobName name) : ReadOnlyStream
    {
        public override async ValueTask<int> ReadAsync(Memory<byte> buffer, CancellationToken cancellationToken = default)
        {
            try
            {
                return await inner.ReadAsync(buffer, cancellationToken);
            }
            // The SDK gives up with all that happened at once.
            catch (Exception e) when (IsOfClient(e) || e is AggregateException || (e is OperationCanceledException && !cancellationToken.IsCancellationRequested))
            {
                throw AzureFailures.Of((e as AggregateException)?.Flatten().InnerExceptions[^1] ?? e, name.Value);
            }
        }

        public override async ValueTask DisposeAsync()
        {
            await inner.DisposeAsync();
            await base.DisposeAsync();
        }

        protected override void Dispose(bool disposing)
        {
            if (disposing) inner.Dispose();
            base.Dispose(disposing);
        }
    }
}

/// <summary>Where in Azure.</summary>
/// <param name="Account">The address of the account's blob service, without a slash behind.</param>
/// <param name="Prefix">Of every blob's name there; empty for none.</param>
/// <param name="Tier">Of what is there to stay; null for the account's own.</param>
internal sealed record AzurePlace(string Account, string Container, string Prefix, AccessTier? Tier)
{
    public bool IsArchive => Tier == AccessTier.Archive;

    /// <summary>Of what is put.</summary>
    public AccessTier? PutTier => IsArchive ? AccessTier.Hot : Tier;

    /// <summary>Blobs up to here go in one request, and longer ones in blocks of at least this.</summary>
    public long BlockBytesMin { get; init; } = 64L << 20;

    /// <summary>Of one page of a list; null for as many as the server has on one.</summary>
    public int? PageBlobsMax { get; init; }

    public Uri Address => new($"{Account}/{Container}");

    public Uri AddressOf(BlobName name) => new($"{Account}/{Container}/{Uri.EscapeDataString(Prefix + name.Value).Replace("%2F", "/", StringComparison.Ordinal)}");
}
