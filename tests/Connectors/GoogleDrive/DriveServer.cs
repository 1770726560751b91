using System.Collections.Concurrent;
using System.Globalization;
using System.Security.Cryptography;
using System.Text;
using System.Text.Json.Nodes;
using DarkStorage.Connectors.Google;
using Microsoft.AspNetCore.Http;

namespace DarkStorage.Connectors.GoogleDrive;

/// <summary>Stands in for Google Drive: what its documentation says of the part of the API (v3) that the connector uses, for one account and shared drives.</summary>
/// <remarks>Written after the public documentation, and never compared with the live service. Where that is silent, or others have met something, it does what is worse for who relies on it: several files may have one name, lists may show what was done only later, pages may be empty, names are compared without looking at case, ids are good once.</remarks>
public sealed partial class DriveServer : GoogleServer
{
    /// <summary>Of the account that has a drive of its own.</summary>
    public const string UserToken = "ya29.a0AfH6SM-the-token-of-a-user-0123456789-0123456789";

    private const string FolderType = "application/vnd.google-apps.folder";
    private const string Me = "me";

    private static readonly HashSet<string> Fields =
    [
        "kind", "files", "nextPageToken", "incompleteSearch", "ids", "space",
        "id", "name", "mimeType", "description", "parents", "trashed", "size", "sha256Checksum", "sha1Checksum", "md5Checksum", "createdTime", "modifiedTime", "properties", "appProperties", "driveId", "owners",
    ];

    private readonly Lock _lock = new();
    private readonly Dictionary<string, Item> _items = new(StringComparer.Ordinal);
    private readonly List<Item> _deleted = [];
    private readonly HashSet<string> _drives = new(StringComparer.Ordinal);
    private readonly HashSet<string> _given = new(StringComparer.Ordinal);
    private readonly HashSet<string> _used = new(StringComparer.Ordinal);
    private long _sequence;

    public DriveServer() => TakesOfUsers = token => Task.FromResult(token == UserToken);

    /// <summary>Of what is made, or deleted, from now on: lists of it until they show that.</summary>
    public (int Made, int Deleted) Lag { get; set; }

    /// <summary>Files on one page at most, whatever is asked for. As newer documents say.</summary>
    public int PageFilesMax { get; set; } = 100;

    /// <summary>In which lists come. Drive says nothing of that.</summary>
    public DriveOrder Order { get; set; }

    /// <summary>Begins each list with a page that has nothing, as the documentation says that there may be.</summary>
    public bool GivesEmptyPages { get; set; }

    public bool SaysIncomplete { get; set; }

    /// <summary>Bytes that the account may have.</summary>
    public long Room { get; set; } = long.MaxValue;

    /// <summary>Files that a folder may have.</summary>
    public int ChildrenMax { get; set; } = 500_000;

    /// <summary>Whoever is not can't delete in shared drives.</summary>
    public bool IsManager { get; set; } = true;

    /// <summary>Gives what it takes for harmful only to who knows.</summary>
    public bool TakesForHarmful { get; set; }

    /// <summary>Checksums that it does not tell.</summary>
    public ConcurrentDictionary<string, bool> Untold { get; } = new();

    /// <summary>How many bytes more than there are it says of each file.</summary>
    public long LiesAboutLength { get; set; }

    /// <summary>What there is, shown or not, in the order in which it was made.</summary>
    public IReadOnlyList<DriveItem> Items
    {
        get
        {
            lock (_lock) return [.. _items.Values.OrderBy(i => i.Sequence).Select(i => new DriveItem(i.Id, i.Name, i.IsFolder, i.Parent, i.Created, i.Content, i.Properties))];
        }
    }

    public IReadOnlyList<DriveItem> Files => [.. Items.Where(i => !i.IsFolder)];

    protected override string Scope => "https://www.googleapis.com/auth/drive";

    protected override IReadOnlySet<string> KnownFields => Fields;

    public string NewDrive()
    {
        var id = $"0A{Guid.NewGuid():N}"[..19];
        lock (_lock) _drives.Add(id);
        return id;
    }

    /// <summary>Makes something as somebody else would, or as it was before.</summary>
    public string Add(string name, byte[]? content, IReadOnlyDictionary<string, string>? properties = null, string? parent = null, string owner = Me, DateTimeOffset? created = null)
    {
        lock (_lock)
        {
            var item = new Item(NewId(), name, content is null ? FolderType : "application/octet-stream", parent ?? "root", DriveOf(parent ?? "root"), owner, new(properties ?? new Dictionary<string, string>(), StringComparer.Ordinal), content ?? [], created ?? Clock.GetUtcNow(), ++_sequence);
            _items[item.Id] = item;
            return item.Id;
        }
    }

    public void Trash(string id, bool isIn = true)
    {
        lock (_lock) _items[id].IsTrashed = isIn;
    }

    public void Rename(string id, string name)
    {
        lock (_lock) _items[id].Name = name;
    }

    /// <summary>Puts another content in a file, as somebody else may.</summary>
    public void Overwrite(string id, byte[] content)
    {
        lock (_lock) _items[id].Content = content;
    }

    /// <summary>Deletes as somebody else may: a folder with all that is in it.</summary>
    public void Remove(string id)
    {
        lock (_lock)
        {
            foreach (var child in _items.Values.Where(i => i.Parent == id).Select(i => i.Id).ToList()) Remove(child);
            if (!_items.Remove(id, out var item)) return;
            // What no list has shown yet none will.
            item.Lag = item.Lag > 0 ? 0 : Lag.Deleted;
            _deleted.Add(item);
        }
    }

    private protected override Task RouteAsync(HttpContext http, string[] path, Dictionary<string, string> query) => (http.Request.Method, path) switch
    {
        ("GET", ["drive", "v3", "files"]) => ListAsync(http, query),
        ("GET", ["drive", "v3", "files", "generateIds"]) => GiveIdsAsync(http, query),
        ("GET", ["drive", "v3", "files", var id]) => query.GetValueOrDefault("alt") == "media" ? ReadAsync(http, id, query) : TellAsync(http, Find(id, query), query),
        ("DELETE", ["drive", "v3", "files", var id]) => DeleteAsync(http, id, query),
        ("POST", ["drive", "v3", "files"]) => MakeAsync(http, query, []),
        ("POST", ["drive", "v3", "files", var id, "copy"]) => CopyAsync(http, id, query),
        ("POST", ["upload", "drive", "v3", "files"]) when query.GetValueOrDefault("uploadType") == "multipart" => PutAtOnceAsync(http, query, (metadata, content, _) => ResourceOf(Make(metadata, content, query))),
        ("POST", ["upload", "drive", "v3", "files"]) when query.GetValueOrDefault("uploadType") == "resumable" => BeginUploadAsync(http, query, metadata => Check(metadata, long.Parse(http.Request.Headers["X-Upload-Content-Length"].ToString(), CultureInfo.InvariantCulture), query), (metadata, content, _) => ResourceOf(Make(metadata, content, query))),
        _ => throw new ApiException(404, "notFound", "Not Found"),
    };

    private static string NewId() => $"1{Convert.ToBase64String(RandomNumberGenerator.GetBytes(24)).Replace('+', '-').Replace('/', '_')}";

    private static ApiException NotFound(string id) => new(404, "notFound", $"File not found: {id}.");

    private Task GiveIdsAsync(HttpContext http, Dictionary<string, string> query)
    {
        var ids = Enumerable.Range(0, (int)(Number(query, "count") ?? 10)).Select(_ => NewId()).ToList();
        lock (_lock) _given.UnionWith(ids);
        return JsonAsync(http, new() { ["kind"] = "drive#generatedIds", ["space"] = "drive", ["ids"] = new JsonArray([.. ids.Select(i => JsonValue.Create(i))]) }, query);
    }

    private async Task MakeAsync(HttpContext http, Dictionary<string, string> query, byte[] content)
    {
        var metadata = await MetadataAsync(http.Request.Body);
        await FinishAsync(http, query, ResourceOf(Make(metadata, content, query)));
    }

    private async Task CopyAsync(HttpContext http, string id, Dictionary<string, string> query)
    {
        var metadata = await MetadataAsync(http.Request.Body);
        var from = Find(id, query);
        // What is said takes the place of what the other has, property by property.
        var properties = new JsonObject();
        foreach (var (name, value) in from.Properties) properties[name] = value;
        foreach (var (name, value) in metadata["properties"]?.AsObject() ?? []) properties[name] = (string?)value;
        metadata["properties"] = properties;
        metadata["name"] ??= $"Copy of {from.Name}";
        await FinishAsync(http, query, ResourceOf(Make(metadata, [.. from.Content], query)));
    }

    private async Task ReadAsync(HttpContext http, string id, Dictionary<string, string> query)
    {
        var found = Find(id, query);
        if (found.IsFolder) throw new ApiException(403, "fileNotDownloadable", "Only files with binary content can be downloaded. Use Export with Docs Editors files.");
        if (TakesForHarmful && query.GetValueOrDefault("acknowledgeAbuse") != "true") throw new ApiException(403, "cannotDownloadAbusiveFile", "This file has been identified as malware or spam and cannot be downloaded.");
        http.Response.ContentType = found.MimeType;
        await SendContentAsync(http, found.Content, found.Content.Length + LiesAboutLength);
    }

    private Task DeleteAsync(HttpContext http, string id, Dictionary<string, string> query)
    {
        var found = Find(id, query);
        if (found.DriveId is not null && !IsManager) throw new ApiException(403, "insufficientFilePermissions", "The user does not have sufficient permissions for this file.");
        Remove(found.Id);
        http.Response.StatusCode = 204;
        return Task.CompletedTask;
    }

    private Task TellAsync(HttpContext http, Item item, Dictionary<string, string> query) => JsonAsync(http, ResourceOf(item), query);

    /// <summary>By its id it is known at once.</summary>
    private Item Find(string id, Dictionary<string, string> query)
    {
        lock (_lock) return _items.TryGetValue(id, out var item) && (item.DriveId is null || query.GetValueOrDefault("supportsAllDrives") == "true") ? item : throw NotFound(id);
    }

    private string? DriveOf(string parent) => _drives.Contains(parent) ? parent : _items.GetValueOrDefault(parent)?.DriveId;

    private void Check(JsonObject metadata, long length, Dictionary<string, string> query)
    {
        lock (_lock)
        {
            var parent = (string?)metadata["parents"]?.AsArray().Single() ?? "root";
            var isSeen = parent == "root" || (_drives.Contains(parent) && query.GetValueOrDefault("supportsAllDrives") == "true") || (_items.TryGetValue(parent, out var folder) && folder.IsFolder);
            if (!isSeen) throw NotFound(parent);
            if ((string?)metadata["id"] is { } id)
            {
                if (_used.Contains(id) || _items.ContainsKey(id)) throw new ApiException(409, "fileIdInUse", "A file already exists with the provided ID.");
                if (!_given.Contains(id)) throw new ApiException(400, "invalid", "The provided file ID is not usable.");
            }
            if (string.IsNullOrEmpty((string?)metadata["name"])) throw new ApiException(400, "invalid", "There is no name.");
            var properties = metadata["properties"]?.AsObject() ?? [];
            if (properties.Count > 30 || properties.Any(p => Encoding.UTF8.GetByteCount(p.Key) + Encoding.UTF8.GetByteCount((string)p.Value!) > 124)) throw new ApiException(400, "invalid", "A property is too long, or there are too many.");
            if (_items.Values.Sum(i => (long)i.Content.Length) + length > Room) throw new ApiException(403, "storageQuotaExceeded", "The user's Drive storage quota has been exceeded.");
            if (parent != "root" && _items.Values.Count(i => i.Parent == parent) >= ChildrenMax) throw new ApiException(403, "numChildrenInNonRootLimitExceeded", "The limit for this folder's number of children (files and folders) has been exceeded.");
        }
    }

    private Item Make(JsonObject metadata, byte[] content, Dictionary<string, string> query)
    {
        lock (_lock)
        {
            Check(metadata, content.Length, query);
            var id = (string?)metadata["id"] ?? NewId();
            _used.Add(id);
            var parent = (string?)metadata["parents"]?.AsArray().Single() ?? "root";
            var properties = (metadata["properties"]?.AsObject() ?? []).ToDictionary(p => p.Key, p => (string)p.Value!, StringComparer.Ordinal);
            var item = new Item(id, (string)metadata["name"]!, (string?)metadata["mimeType"] ?? "application/octet-stream", parent, DriveOf(parent), Me, properties, content, Clock.GetUtcNow(), ++_sequence) { Lag = Lag.Made };
            // What is in a folder in the trash is there too.
            item.IsTrashed = _items.GetValueOrDefault(parent)?.IsTrashed == true;
            return _items[id] = item;
        }
    }

    private JsonObject ResourceOf(Item item)
    {
        var resource = new JsonObject
        {
            ["kind"] = "drive#file", ["id"] = item.Id, ["name"] = item.Name, ["mimeType"] = item.MimeType, ["parents"] = new JsonArray(item.Parent), ["trashed"] = IsTrashed(item),
            ["createdTime"] = item.Created.UtcDateTime.ToString("yyyy-MM-dd'T'HH:mm:ss.fff'Z'", CultureInfo.InvariantCulture),
        };
        if (item.Properties.Count > 0) resource["properties"] = new JsonObject(item.Properties.Select(p => KeyValuePair.Create(p.Key, (JsonNode?)p.Value)));
        if (item.DriveId is { } drive) resource["driveId"] = drive;
        if (item.IsFolder) return resource;
        resource["size"] = (item.Content.Length + LiesAboutLength).ToString(CultureInfo.InvariantCulture);
        if (!Untold.ContainsKey("sha256Checksum")) resource["sha256Checksum"] = Convert.ToHexStringLower(SHA256.HashData(item.Content));
        if (!Untold.ContainsKey("md5Checksum")) resource["md5Checksum"] = Convert.ToHexStringLower(MD5.HashData(item.Content));
        return resource;
    }

    private bool IsTrashed(Item item)
    {
        lock (_lock) return item.IsTrashed || (_items.TryGetValue(item.Parent, out var parent) && IsTrashed(parent));
    }

    private sealed class Item(string id, string name, string mimeType, string parent, string? driveId, string owner, Dictionary<string, string> properties, byte[] content, DateTimeOffset created, long sequence)
    {
        public string Id => id;

        public string Name { get; set; } = name;

        public string MimeType => mimeType;

        public bool IsFolder => mimeType == FolderType;

        public string Parent => parent;

        public string? DriveId => driveId;

        public string Owner => owner;

        public Dictionary<string, string> Properties => properties;

        public byte[] Content { get; set; } = content;

        /// <summary>In milliseconds, as it is told.</summary>
        public DateTimeOffset Created { get; } = DateTimeOffset.FromUnixTimeMilliseconds(created.ToUnixTimeMilliseconds());

        public long Sequence => sequence;

        public bool IsTrashed { get; set; }

        /// <summary>Lists of it until they show what became of it.</summary>
        public int Lag { get; set; }
    }
}

public enum DriveOrder
{
    ByChance,
    OldestFirst,
    NewestFirst,
}

public sealed record DriveItem(string Id, string Name, bool IsFolder, string Parent, DateTimeOffset Created, byte[] Content, IReadOnlyDictionary<string, string> Properties);
