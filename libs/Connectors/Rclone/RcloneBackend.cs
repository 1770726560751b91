using System.Globalization;
using System.Net;
using System.Net.Http;
using System.Net.Sockets;
using System.Runtime.CompilerServices;
using System.Text.Json;
using System.Text.Json.Nodes;
using System.Text.RegularExpressions;
using DarkStorage.Connectors.Http;
using DarkStorage.Storage;
using DarkStorage.Storage.Backends;

namespace DarkStorage.Connectors.Rclone;

/// <summary>Blobs as files of whatever rclone can reach.</summary>
/// <remarks>Invariants: a blob has its name only when all of it is there: it is sent to a name of its own under <see cref="OwnFolder"/>, the place is asked what it has (its length, and its checksum where it knows one), and the place moves it.
/// rclone deletes what has the name before it moves, so that for a moment a blob that is replaced is not there. The place has <see cref="Marker"/> since it was made ready: without it (a share of the server that is not mounted) nothing is written,
/// and nothing is said to be missing.</remarks>
internal sealed partial class RcloneBackend : IBackend
{
    /// <summary>What the connector keeps in the place for itself. It is no blob, and no blob can be in it.</summary>
    internal const string OwnFolder = ".darkstorage";

    internal const string Partials = $"{OwnFolder}/partial";

    private const string Marker = $"{OwnFolder}/place";

    /// <summary>Folders that a list has found and not looked into yet.</summary>
    private const int FoldersMax = 1_000_000;

    /// <summary>Files of puts that a crash cut off are deleted when they are this old: no put takes as long.</summary>
    private static readonly TimeSpan PartialLifetime = TimeSpan.FromDays(7);

    /// <summary>For what a put that failed has left.</summary>
    private static readonly TimeSpan DeletingMax = TimeSpan.FromSeconds(5);

    private readonly RcloneProgram _program;
    private readonly RcloneRemote _remote;
    private readonly TimeProvider _clock;
    private readonly IAccessTokens? _tokens;
    private readonly string _name = $"d{Guid.NewGuid():N}";
    private readonly SemaphoreSlim _opening = new(1);

    /// <summary>Of puts of one name at one time, one moves at a time: rclone looks whether there is one to delete, and then moves.</summary>
    private readonly SemaphoreSlim[] _moves = [.. Enumerable.Range(0, 64).Select(_ => new SemaphoreSlim(1))];

    private Session? _session;

    /// <summary>What rclone was told last, or was about to be.</summary>
    private AccessToken? _told;

    private bool _isDisposed;

    /// <param name="tokens">Of a place that an application was let into; null for one that has other credentials.</param>
    public RcloneBackend(RcloneProgram program, RcloneRemote remote, TimeProvider clock, IAccessTokens? tokens = null)
    {
        (_program, _remote, _clock, _tokens) = (program, remote, clock, tokens);
        program.Join();
    }

    public BackendTraits Traits { get; } = new(BlobBytesMax: long.MaxValue);

    private string What => $"The place {_remote.Kind.Name}:{_remote.Root}";

    public Task PrepareAsync(CancellationToken ct) => CallAsync(What, null, async session =>
    {
        if (!session.CanRename) throw new BackendException(BackendError.Refused, $"{_remote.Kind.Name} can neither move nor copy a file, so that a blob could not be there whole or not at all.");
        if (session.HasDuplicates) throw new BackendException(BackendError.Refused, $"{_remote.Kind.Name} may have two files of one name, so that each node could find another one.");
        if (await FindAsync(session, Marker, null, ct) is not null) return true;
        await SendAsync(session, Marker, BlobSource.Of("darkstorage\n"u8.ToArray()), ct);
        await RequirePlaceAsync(session, ct);
        return true;
    }, ct);

    public Task CleanAsync(CancellationToken ct) => CallAsync(What, null, async session =>
    {
        await RequirePlaceAsync(session, ct);
        var old = new List<string>();
        await foreach (var item in ItemsAsync(session, Partials, ct))
        {
            if (!item.IsFolder && Guid.TryParseExact(item.Name, "N", out _) && item.Modified > DateTimeOffset.UnixEpoch && _clock.GetUtcNow() - item.Modified > PartialLifetime) old.Add(item.Name);
        }
        foreach (var name in old) await DeleteAsync(session, $"{Partials}/{name}", ct);
        return true;
    }, ct);

    public Task<BackendBlob> PutAsync(BlobName name, BlobSource content, CancellationToken ct) => CallAsync(name.Value, name, async session =>
    {
        RequireTaken(session, name);
        await RequirePlaceAsync(session, ct);
        return await InPlaceAsync(session, name, content.Length, partial => SendAsync(session, partial, content, ct), ct);
    }, ct);

    public Task<Stream> OpenAsync(BlobName name, ByteRange range, CancellationToken ct) => CallAsync<Stream>(name.Value, name, async session =>
    {
        RequireTaken(session, name);
        var answer = await session.Process.GetAsync(session.Fs, name.Value, range.First, range.Last, ct);
        try
        {
            var said = answer.Content.Headers.NonValidated.TryGetValues("Content-Range", out var values) ? ContentRange().Match(values.ToString()) : Match.Empty;
            // Of a range past the end rclone gives what there is, or nothing, and not always with a status that says so.
            if (said.Success && long.Parse(said.Groups["length"].ValueSpan, CultureInfo.InvariantCulture) is var length && length <= range.Last) throw BackendException.WrongLength(name, range.Last + 1, length);
            if (answer.StatusCode == HttpStatusCode.PartialContent && said.Groups["first"].ValueSpan.SequenceEqual(range.First.ToString(CultureInfo.InvariantCulture)))
                return new ExactStream(await answer.Content.ReadAsStreamAsync(ct), name, range.Length, answer);
            if (answer.IsSuccessStatusCode) throw new BackendException(BackendError.Unavailable, $"{name}: rclone did not give the range that it was asked for.");
            var failure = await RcloneProcess.FailureAsync(answer, ct);
            if (!RcloneFailures.IsMissing(failure.Status, failure.Message)) throw failure;
            await RequirePlaceAsync(session, ct);
            throw BackendException.NotFound(name);
        }
        catch
        {
            answer.Dispose();
            throw;
        }
    }, ct);

    public Task<BackendBlob?> StatAsync(BlobName name, CancellationToken ct) => CallAsync(name.Value, name, async session =>
    {
        RequireTaken(session, name);
        if (await FindAsync(session, name.Value, null, ct) is { Item: { Size: >= 0 } found }) return new BackendBlob(name, found.Size, found.Modified);
        await RequirePlaceAsync(session, ct);
        return null;
    }, ct);

    public Task DeleteAsync(BlobName name, CancellationToken ct) => CallAsync(name.Value, name, async session =>
    {
        RequireTaken(session, name);
        if (!await DeleteAsync(session, name.Value, ct)) await RequirePlaceAsync(session, ct);
        else if (_remote.Kind.RemovesEmptyFoldersOnly) await RemoveEmptyFoldersAsync(session, name, ct);
        return true;
    }, ct);

    public async IAsyncEnumerable<BackendBlob> ListAsync(string prefix, [EnumeratorCancellation] CancellationToken ct)
    {
        var folders = new Stack<string>();
        if (await CallAsync(What, null, session => StartOfListAsync(session, prefix, ct), ct) is not { } start) yield break;
        folders.Push(start);
        while (folders.TryPop(out var folder))
        {
            await foreach (var item in FolderAsync(folder, ct))
            {
                var path = folder.Length == 0 ? item.Name : $"{folder}/{item.Name}";
                // What others put there need not be a name of a blob, and what a server lists need not be in the folder.
                if (item.Name.Contains('/', StringComparison.Ordinal) || BlobName.Find(path) is not { } name || IsOwn(name)) continue;
                if (!item.IsFolder)
                {
                    if (item.Size >= 0 && path.StartsWith(prefix, StringComparison.Ordinal)) yield return new(name, item.Size, item.Modified);
                    continue;
                }
                var below = path + '/';
                if (!below.StartsWith(prefix, StringComparison.Ordinal) && !prefix.StartsWith(below, StringComparison.Ordinal)) continue;
                if (folders.Count == FoldersMax) throw new BackendException(BackendError.Refused, $"{What} has more than {FoldersMax} folders.");
                folders.Push(path);
            }
        }
    }

    public Task<BackendBlob> CopyAsync(BlobName from, BlobName to, CancellationToken ct) => CallAsync(from.Value, from, async session =>
    {
        RequireTaken(session, from);
        RequireTaken(session, to);
        await RequirePlaceAsync(session, ct);
        if (await FindAsync(session, from.Value, session.HashName, ct) is not { Item: var item } found) throw BackendException.NotFound(from);
        return await InPlaceAsync(session, to, item.Size, async partial =>
        {
            await session.CallAsync("operations/copyfile", new() { ["srcFs"] = session.Fs, ["srcRemote"] = from.Value, ["dstFs"] = session.Fs, ["dstRemote"] = partial }, ct);
            return found.Hash;
        }, ct);
    }, ct);

    public async ValueTask DisposeAsync()
    {
        if (Interlocked.Exchange(ref _isDisposed, true)) return;
        if (_session is { } session && !session.Process.HasExited)
        {
            using var bounded = new CancellationTokenSource(DeletingMax, _clock);
            try
            {
                await session.CallAsync("config/delete", new() { ["name"] = _name }, bounded.Token);
            }
            catch (Exception e) when (IsOfCall(e) || e is OperationCanceledException)
            {
                // It goes with the process.
            }
        }
        _program.Leave();
    }

    /// <summary>Brings content to a name of its own, and, when the place has all of it, to the one it is to have.</summary>
    /// <param name="bring">To a path. Returns its checksum; null where there is none to compare.</param>
    private async Task<BackendBlob> InPlaceAsync(Session session, BlobName name, long length, Func<string, Task<string?>> bring, CancellationToken ct)
    {
        var partial = $"{Partials}/{Guid.NewGuid():N}";
        try
        {
            var hash = await bring(partial);
            // Looked at anew: bringing it may have taken hours.
            var place = RequirePlaceAsync(session, ct);
            RequireSame(name, length, hash, await FindAsync(session, partial, session.HashName, ct));
            await place;
            var isSure = await MoveAsync(session, partial, name, ct);
            var found = await FindAsync(session, name.Value, isSure ? null : session.HashName, ct);
            RequireSame(name, length, isSure ? null : hash, found);
            return new(name, length, found!.Item.Modified);
        }
        catch
        {
            await DeletePartialAsync(session, partial);
            throw;
        }
    }

    /// <returns>False where it is to be looked at what was moved.</returns>
    private async Task<bool> MoveAsync(Session session, string partial, BlobName name, CancellationToken ct)
    {
        var oneAtATime = _moves[(uint)name.GetHashCode() % _moves.Length];
        await oneAtATime.WaitAsync(ct);
        var attempt = 0;
        try
        {
            await PartAttempts.RunAsync(() => CallAsync(name.Value, name, async _ =>
            {
                attempt++;
                ct.ThrowIfCancellationRequested();
                try
                {
                    return await session.CallAsync("operations/movefile", new() { ["srcFs"] = session.Fs, ["srcRemote"] = partial, ["dstFs"] = session.Fs, ["dstRemote"] = name.Value }, ct);
                }
                catch (RcloneException e) when (RcloneFailures.ErrorOf(e.Status, e.Message) == BackendError.PlaceMissing)
                {
                    // The folder was made for it, and may have been taken away by who deleted the last that was in it.
                    await RequirePlaceAsync(session, ct);
                    throw new BackendException(BackendError.Unavailable, $"{name}: its folder is not there any more.");
                }
            }, ct), _clock, ct);
            return true;
        }
        catch (BackendException e) when (e.Error == BackendError.NotFound && attempt > 1)
        {
            // The attempt before was answered with an error, and had moved it.
            return false;
        }
        catch (BackendException e) when (e.Error is BackendError.Unavailable or BackendError.NotFound)
        {
            // rclone says of a folder that it is no file, as it does where it looks for one.
            if (session.HasFolders) await RequireNoneInTheWayAsync(session, name, ct);
            throw e.Error == BackendError.Unavailable ? e : new BackendException(BackendError.Unavailable, $"{name}: what was put is not there any more.", e);
        }
        finally
        {
            oneAtATime.Release();
        }
    }

    /// <summary>Not every server says what is wrong with a file below a file, or in place of a folder.</summary>
    private static async Task RequireNoneInTheWayAsync(Session session, BlobName name, CancellationToken ct)
    {
        for (var slash = name.Value.IndexOf('/'); slash > 0; slash = name.Value.IndexOf('/', slash + 1))
        {
            if (await FindAsync(session, name.Value[..slash], null, ct) is not null) throw new BackendException(BackendError.Refused, $"{name}: {name.Value[..slash]} is a blob, and a folder can't have its name.");
        }
        if (await FindFolderAsync(session, name.Value, ct)) throw new BackendException(BackendError.Refused, $"{name} is a folder there, and a blob can't have its name.");
    }

    private static void RequireSame(BlobName name, long length, string? hash, Found? found)
    {
        if (found is null) throw new BackendException(BackendError.Unavailable, $"The place said that it has taken {name}, and does not have it.");
        if (found.Item.Size != length) throw BackendException.WrongLength(name, length, found.Item.Size);
        if (hash is not null && found.Hash is not null && !hash.Equals(found.Hash, StringComparison.OrdinalIgnoreCase)) throw new BackendException(BackendError.Unavailable, $"{name}: what the place has is not what was sent.");
    }

    /// <summary>rclone fetches the content: of what it fetches it knows the length, and needs no room for it on a drive of this machine.</summary>
    /// <returns>Its checksum, where the place knows one.</returns>
    private async Task<string?> SendAsync(Session session, string path, BlobSource content, CancellationToken ct)
    {
        await using var offer = _program.Contents.Offer(content, session.NewHash(), ct);
        await using var told = TellWhile(ct);
        try
        {
            await session.CallAsync("operations/copyurl", new() { ["fs"] = session.Fs, ["remote"] = path, ["url"] = offer.Address }, ct);
        }
        catch (Exception) when (offer.Failure is { } failure && !ct.IsCancellationRequested)
        {
            System.Runtime.ExceptionServices.ExceptionDispatchInfo.Throw(failure);
        }
        catch (RcloneException e)
        {
            if (RcloneFailures.ErrorOf(e.Status, e.Message) == BackendError.Unavailable && await FreeBytesAsync(session, ct) is { } free && free < content.Length)
                throw new BackendException(BackendError.Full, $"{What} has room for {free} bytes, and {content.Length} were to go there.");
            throw;
        }
        await offer.SentAsync();
        return offer.SentBytes == content.Length ? offer.Hash : throw new BackendException(BackendError.WrongLength, $"{What}: rclone has taken {offer.SentBytes} of {content.Length} bytes, and said that it is done.");
    }

    /// <returns>Null where the place does not say. Servers of SFTP have no word for a full drive.</returns>
    private static async Task<long?> FreeBytesAsync(Session session, CancellationToken ct)
    {
        if (!session.TellsRoom) return null;
        try
        {
            return (await session.CallAsync("operations/about", new() { ["fs"] = session.Fs }, ct)).TryGetProperty("free", out var free) && free.TryGetInt64(out var bytes) ? bytes : null;
        }
        catch (RcloneException)
        {
            // What failed before is what matters.
            return null;
        }
    }

    private async Task DeletePartialAsync(Session session, string partial)
    {
        using var bounded = new CancellationTokenSource(DeletingMax, _clock);
        try
        {
            await DeleteAsync(session, partial, bounded.Token);
        }
        catch (Exception e) when (IsOfCall(e) || e is OperationCanceledException)
        {
            // It goes with its lifetime. What failed before is what matters.
        }
    }

    /// <returns>False where there was none.</returns>
    private static async Task<bool> DeleteAsync(Session session, string path, CancellationToken ct)
    {
        try
        {
            await session.CallAsync("operations/deletefile", new() { ["fs"] = session.Fs, ["remote"] = path }, ct);
            return true;
        }
        catch (RcloneException e) when (RcloneFailures.IsMissing(e.Status, e.Message))
        {
            return false;
        }
    }

    private static async Task RemoveEmptyFoldersAsync(Session session, BlobName name, CancellationToken ct)
    {
        try
        {
            for (var folder = name.Parent.ToString(); folder.Length > 0; folder = folder[..Math.Max(0, folder.LastIndexOf('/'))]) await session.CallAsync("operations/rmdir", new() { ["fs"] = session.Fs, ["remote"] = folder }, ct);
        }
        catch (RcloneException)
        {
            // Not empty: done. One that stays for another reason is in nobody's way.
        }
    }

    private static async Task<Found?> FindAsync(Session session, string path, string? hashName, CancellationToken ct)
    {
        var options = new JsonObject { ["noMimeType"] = true, ["filesOnly"] = true, ["showHash"] = hashName is not null };
        if (hashName is not null) options["hashTypes"] = new JsonArray(hashName);
        if (await AskAsync(session, path, options, ct) is not { } item) return null;
        var hash = hashName is not null && item.TryGetProperty("Hashes", out var hashes) && hashes.ValueKind == JsonValueKind.Object && hashes.TryGetProperty(hashName, out var value) ? value.GetString() : null;
        var found = RcloneItem.Parse(item) ?? throw Nonsense();
        return found.IsFolder ? null : new(found, string.IsNullOrEmpty(hash) ? null : hash);
    }

    /// <summary>Not for what happens often: rclone lists the folder above.</summary>
    private static async Task<bool> FindFolderAsync(Session session, string path, CancellationToken ct) =>
        await AskAsync(session, path, new() { ["noMimeType"] = true }, ct) is { } item && RcloneItem.Parse(item) is { IsFolder: true };

    /// <returns>What there is; null for nothing.</returns>
    private static async Task<JsonElement?> AskAsync(Session session, string path, JsonObject options, CancellationToken ct)
    {
        JsonElement answer;
        try
        {
            answer = await session.CallAsync("operations/stat", new() { ["fs"] = session.Fs, ["remote"] = path, ["opt"] = options }, ct);
        }
        catch (RcloneException e) when (RcloneFailures.IsFolderMissing(e))
        {
            return null;
        }
        if (!answer.TryGetProperty("item", out var item)) throw Nonsense();
        return item.ValueKind == JsonValueKind.Null ? null : item;
    }

    private static RcloneException Nonsense() => new(0, "rclone's answer makes no sense");

    private async Task RequirePlaceAsync(Session session, CancellationToken ct)
    {
        if (await FindAsync(session, Marker, null, ct) is null)
            throw new BackendException(BackendError.PlaceMissing, $"{What} has no {Marker}: it is not the place that was made ready. Is all of it mounted there?");
    }

    /// <returns>The folder that has all that begins so, if it is there.</returns>
    private async Task<string?> StartOfListAsync(Session session, string prefix, CancellationToken ct)
    {
        await RequirePlaceAsync(session, ct);
        var folder = prefix[..Math.Max(0, prefix.LastIndexOf('/'))];
        if (folder.Length == 0) return prefix.StartsWith('/') ? null : "";
        // Looked at: servers of FTP list a file as if it were in itself.
        return BlobName.Find(folder) is { } name && !IsOwn(name) && await FindFolderAsync(session, folder, ct) ? folder : null;
    }

    private async IAsyncEnumerable<RcloneItem> FolderAsync(string folder, [EnumeratorCancellation] CancellationToken ct)
    {
        var items = await PartAttempts.RunAsync(() => CallAsync(What, null, async session =>
        {
            var items = ItemsAsync(session, folder, ct).GetAsyncEnumerator(ct);
            try
            {
                return (Items: items, IsThere: await items.MoveNextAsync());
            }
            catch
            {
                await items.DisposeAsync();
                throw;
            }
        }, ct), _clock, ct);
        await using (items.Items)
        {
            for (var isThere = items.IsThere; isThere; isThere = await CallAsync(What, null, async _ => await items.Items.MoveNextAsync(), ct)) yield return items.Items.Current;
        }
    }

    private static async IAsyncEnumerable<RcloneItem> ItemsAsync(Session session, string folder, [EnumeratorCancellation] CancellationToken ct)
    {
        HttpResponseMessage answer;
        try
        {
            answer = await session.Process.SendAsync("operations/list", new() { ["fs"] = session.Fs, ["remote"] = folder, ["opt"] = new JsonObject { ["noMimeType"] = true } }, ct);
        }
        catch (RcloneException e) when (RcloneFailures.IsFolderMissing(e))
        {
            yield break; // deleted meanwhile
        }
        using (answer)
        {
            await using var content = await answer.Content.ReadAsStreamAsync(ct);
            await foreach (var item in RcloneList.ReadAsync(content, ct)) yield return item;
        }
    }

    private static bool IsOwn(BlobName name) => name.Value.Split('/', 2)[0].Equals(OwnFolder, StringComparison.OrdinalIgnoreCase);

    private static void RequireTaken(Session session, BlobName name)
    {
        if (IsOwn(name)) throw new BackendException(BackendError.Refused, $"{OwnFolder} is the store's own folder: no blob is in it.");
        // As one of the place's files that has it in other letters, where it does not tell them apart.
        if (session.IsCaseBlind && name.Value.Any(char.IsUpper)) throw new BackendException(BackendError.Refused, $"{name}: the place does not tell upper from lower case, so that names with upper case are not taken.");
    }

    private static bool IsOfCall(Exception e) => e is BackendException or RcloneException or HttpRequestException or IOException or SocketException or ObjectDisposedException;

    /// <summary>Says in the contract's words what rclone, or the way to it, says.</summary>
    private async Task<T> CallAsync<T>(string what, BlobName? name, Func<Session, Task<T>> call, CancellationToken ct)
    {
        Session? session = null;
        try
        {
            session = await SessionAsync(ct);
            return await call(session);
        }
        catch (BackendException)
        {
            throw;
        }
        catch (RcloneException e)
        {
            var token = session?.Token ?? _told;
            var failure = RcloneFailures.Of(e, what, _remote.WordsWith(name), token is null ? _remote.Secrets : _remote.Secrets.Add(token.Text));
            if (_tokens is null || token is null || !RcloneFailures.IsTokenRefused(e, _remote.WordsWith(name))) throw failure;
            // Whoever tries again gets another, or is told that there is none.
            _tokens.Reject(token);
            throw new BackendException(BackendError.Unavailable, failure.Message);
        }
        catch (Exception e) when (e is HttpRequestException or SocketException or ForbiddenAddressException or ObjectDisposedException or KeyNotFoundException or IOException)
        {
            throw new BackendException(BackendError.Unavailable, $"{what}: {(_session is { Process.HasExited: true } ? "rclone died. " : "")}{RcloneFailures.Plain(e.Message)}", e);
        }
        catch (OperationCanceledException e) when (!ct.IsCancellationRequested)
        {
            throw new BackendException(BackendError.Unavailable, $"{what}: rclone did not answer.", e);
        }
    }

    private sealed record Found(RcloneItem Item, string? Hash);

    [GeneratedRegex(@"^bytes (?<first>\d*)[^/]*/(?<length>\d{1,18})$")]
    private static partial Regex ContentRange();
}
