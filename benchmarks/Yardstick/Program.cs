// The yardstick: what this hardware and this runtime can give, and nothing else. A bare Kestrel program without authentication, routing
// or grains that stores small bodies as rows of one SQLite table and large ones in one growing file, both durable before the answer.
// It is no storage system: no recovery, no deletes that free space, no checks. The node is measured against it, in the same run.
//
//   dotnet run -c Release --project benchmarks/Yardstick -- --urls http://127.0.0.1:9100 --data /tmp/yardstick

using System.Buffers;
using System.Collections.Concurrent;
using System.IO.Pipelines;
using System.Runtime.InteropServices;
using System.Security.Cryptography;
using System.Text;
using System.Threading.Channels;
using Microsoft.AspNetCore.Http.Features;
using SQLitePCL;

var builder = WebApplication.CreateSlimBuilder(args);
builder.Logging.ClearProviders();
builder.WebHost.ConfigureKestrel(k =>
{
    k.Limits.MaxRequestBodySize = null;
    k.AddServerHeader = false;
});
var app = builder.Build();
var data = builder.Configuration["data"] ?? "./yardstick-data";
Directory.CreateDirectory(data);
using var store = new Store(data);

app.Run(async http =>
{
    var target = http.Features.GetRequiredFeature<IHttpRequestFeature>().RawTarget;
    var path = http.Request.Path.Value!;
    switch (http.Request.Method)
    {
        case "PUT" when path.IndexOf('/', 1) is var slash && (slash < 0 || slash == path.Length - 1):
            return;
        case "PUT":
            http.Response.Headers.ETag = $"\"{await store.PutAsync(path, http.Request.BodyReader, http.Request.ContentLength ?? 0)}\"";
            return;
        case "GET" when target.Contains("list-type", StringComparison.Ordinal):
            http.Response.ContentType = "application/xml";
            var page = store.List(path.TrimEnd('/'), http.Request.Query["continuation-token"].ToString() is { Length: > 0 } t ? t : http.Request.Query["start-after"].ToString(),
                http.Request.Query["delimiter"], http.Request.Query["prefix"].ToString());
            http.Response.ContentLength = page.Length;
            await http.Response.BodyWriter.WriteAsync(page);
            return;
        case "GET" or "HEAD" when store.Find(path) is { } entry:
            http.Response.Headers.ETag = $"\"{entry.ETag}\"";
            http.Response.ContentLength = entry.Length;
            if (http.Request.Method == "HEAD") return;
            if (entry.Content is not null) await http.Response.BodyWriter.WriteAsync(entry.Content);
            else await http.Response.SendFileAsync(store.File, entry.Offset, entry.Length);
            return;
        case "DELETE":
            store.Forget(path);
            http.Response.StatusCode = 204;
            return;
        default:
            http.Response.StatusCode = 404;
            return;
    }
});
await app.RunAsync();

internal sealed record Entry(string Path, string ETag, long Length, long Offset, byte[]? Content);

internal sealed partial class Store : IDisposable
{
    private const int InlineMax = 4 << 10;
    private readonly ConcurrentDictionary<string, Entry> _entries = new();
    private readonly Channel<(Entry Entry, TaskCompletionSource Done)> _rows = Channel.CreateBounded<(Entry, TaskCompletionSource)>(8192);
    private readonly Channel<TaskCompletionSource> _syncs = Channel.CreateBounded<TaskCompletionSource>(8192);
    private readonly ConcurrentBag<(sqlite3 Db, sqlite3_stmt Scan)> _readers = [];
    private readonly FileStream _file;
    private readonly string _database;
    private long _end;

    public Store(string folder)
    {
        NativeLibrary.SetDllImportResolver(typeof(SQLite3Provider_e_sqlite3).Assembly, static (name, assembly, search) =>
            NativeLibrary.TryLoad("libsqlite3.so.0", out var system) ? system : NativeLibrary.Load(name, assembly, search));
        Batteries_V2.Init();
        File = Path.Combine(folder, "bytes");
        _database = Path.Combine(folder, "rows.db");
        _file = new FileStream(File, FileMode.Create, FileAccess.ReadWrite, FileShare.ReadWrite, bufferSize: 0);
        foreach (var old in Directory.GetFiles(folder, "rows.db*")) System.IO.File.Delete(old);
        var db = Open();
        raw.sqlite3_exec(db, "PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL; PRAGMA wal_autocheckpoint = 4000; CREATE TABLE rows (path BLOB PRIMARY KEY, etag TEXT, length INTEGER, at INTEGER, content BLOB) WITHOUT ROWID");
        new Thread(() => CommitRows(db)) { IsBackground = true }.Start();
        new Thread(SyncFile) { IsBackground = true }.Start();
    }

    public string File { get; }

    public Entry? Find(string path) => _entries.GetValueOrDefault(path);

    public void Forget(string path) => _entries.TryRemove(path, out _);

    public async Task<string> PutAsync(string path, PipeReader body, long length)
    {
        using var md5 = IncrementalHash.CreateHash(HashAlgorithmName.MD5);
        var content = length <= InlineMax ? new byte[length] : null;
        var offset = content is null ? Interlocked.Add(ref _end, length) - length : 0;
        var at = 0L;
        while (true)
        {
            var read = await body.ReadAsync();
            foreach (var segment in read.Buffer)
            {
                md5.AppendData(segment.Span);
                if (content is not null) segment.Span.CopyTo(content.AsSpan((int)at));
                else RandomAccess.Write(_file.SafeFileHandle, segment.Span, offset + at);
                at += segment.Length;
            }
            body.AdvanceTo(read.Buffer.End);
            if (read.IsCompleted) break;
        }
        if (content is null) await Enqueue(_syncs.Writer, new TaskCompletionSource(TaskCreationOptions.RunContinuationsAsynchronously));
        var entry = new Entry(path, Convert.ToHexStringLower(md5.GetHashAndReset()), length, offset, content);
        var done = new TaskCompletionSource(TaskCreationOptions.RunContinuationsAsynchronously);
        await _rows.Writer.WriteAsync((entry, done));
        await done.Task;
        _entries[path] = entry;
        return entry.ETag;
    }

    /// <summary>One page of keys as S3 writes it, 1,000 entries, folded at the delimiter by seeking behind each prefix.</summary>
    public ReadOnlyMemory<byte> List(string bucket, string after, string? delimiter, string prefix)
    {
        if (!_readers.TryTake(out var reader))
        {
            var db = Open();
            raw.sqlite3_prepare_v2(db, "SELECT path, etag, length FROM rows WHERE path > ?1 ORDER BY path", out var scan);
            reader = (db, scan);
        }
        var xml = new ArrayBufferWriter<byte>(256 << 10);
        xml.Write("<?xml version=\"1.0\" encoding=\"UTF-8\"?><ListBucketResult><Name>b</Name>"u8);
        var root = Encoding.UTF8.GetBytes(bucket + "/");
        byte[] start = [.. root, .. Encoding.UTF8.GetBytes(string.CompareOrdinal(after, prefix) > 0 ? after : prefix)];
        var (count, last) = (0, Array.Empty<byte>());
        Span<byte> digits = stackalloc byte[20];
        raw.sqlite3_bind_blob(reader.Scan, 1, start);
        while (count < 1000 && raw.sqlite3_step(reader.Scan) == raw.SQLITE_ROW)
        {
            var key = raw.sqlite3_column_blob(reader.Scan, 0);
            if (!key.StartsWith(root)) break;
            key = key[root.Length..];
            count++;
            var fold = string.IsNullOrEmpty(delimiter) ? -1 : key[prefix.Length..].IndexOf((byte)delimiter[0]);
            if (fold >= 0)
            {
                var folded = key[..(prefix.Length + fold + 1)];
                xml.Write("<CommonPrefixes><Prefix>"u8);
                xml.Write(folded);
                xml.Write("</Prefix></CommonPrefixes>"u8);
                byte[] behind = [.. root, .. folded];
                behind[^1]++;
                raw.sqlite3_reset(reader.Scan);
                raw.sqlite3_bind_blob(reader.Scan, 1, behind);
                continue;
            }
            if (count == 1000) last = key.ToArray();
            xml.Write("<Contents><Key>"u8);
            xml.Write(key);
            xml.Write("</Key><LastModified>2026-01-01T00:00:00.000Z</LastModified><ETag>&quot;"u8);
            xml.Write(raw.sqlite3_column_blob(reader.Scan, 1));
            xml.Write("&quot;</ETag><Size>"u8);
            System.Buffers.Text.Utf8Formatter.TryFormat(raw.sqlite3_column_int64(reader.Scan, 2), digits, out var written);
            xml.Write(digits[..written]);
            xml.Write("</Size><StorageClass>STANDARD</StorageClass></Contents>"u8);
        }
        raw.sqlite3_reset(reader.Scan);
        _readers.Add(reader);
        if (last.Length > 0)
        {
            xml.Write("<IsTruncated>true</IsTruncated><NextContinuationToken>"u8);
            xml.Write(last);
            xml.Write("</NextContinuationToken>"u8);
        }
        else xml.Write("<IsTruncated>false</IsTruncated>"u8);
        xml.Write("</ListBucketResult>"u8);
        return xml.WrittenMemory;
    }

    public void Dispose() => _file.Dispose();

    private static async Task Enqueue(ChannelWriter<TaskCompletionSource> queue, TaskCompletionSource done)
    {
        await queue.WriteAsync(done);
        await done.Task;
    }

    private sqlite3 Open()
    {
        raw.sqlite3_open(_database, out var db);
        raw.sqlite3_busy_timeout(db, 5000);
        return db;
    }

    /// <summary>All rows that wait share a transaction; the next ones wait while it commits.</summary>
    private void CommitRows(sqlite3 db)
    {
        raw.sqlite3_prepare_v2(db, "INSERT OR REPLACE INTO rows VALUES (?1, ?2, ?3, ?4, ?5)", out var insert);
        var batch = new List<TaskCompletionSource>();
        while (_rows.Reader.WaitToReadAsync().AsTask().GetAwaiter().GetResult())
        {
            batch.Clear();
            raw.sqlite3_exec(db, "BEGIN IMMEDIATE");
            while (batch.Count < 512 && _rows.Reader.TryRead(out var row))
            {
                raw.sqlite3_bind_blob(insert, 1, Encoding.UTF8.GetBytes(row.Entry.Path));
                raw.sqlite3_bind_text(insert, 2, row.Entry.ETag);
                raw.sqlite3_bind_int64(insert, 3, row.Entry.Length);
                raw.sqlite3_bind_int64(insert, 4, row.Entry.Offset);
                raw.sqlite3_bind_blob(insert, 5, row.Entry.Content ?? []);
                raw.sqlite3_step(insert);
                raw.sqlite3_reset(insert);
                batch.Add(row.Done);
            }
            if (raw.sqlite3_exec(db, "COMMIT") != raw.SQLITE_OK) throw new IOException("commit failed");
            foreach (var done in batch) done.SetResult();
        }
    }

    private void SyncFile()
    {
        var batch = new List<TaskCompletionSource>();
        while (_syncs.Reader.WaitToReadAsync().AsTask().GetAwaiter().GetResult())
        {
            batch.Clear();
            while (_syncs.Reader.TryRead(out var done)) batch.Add(done);
            if (FileDataSync(_file.SafeFileHandle) != 0) throw new IOException("fdatasync failed");
            foreach (var done in batch) done.SetResult();
        }
    }

    [LibraryImport("libc", EntryPoint = "fdatasync", SetLastError = true)]
    private static partial int FileDataSync(SafeHandle file);
}
