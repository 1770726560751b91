using System.Buffers;
using System.ComponentModel.DataAnnotations;
using System.Diagnostics.Metrics;
using System.Globalization;
using System.Security.Cryptography;
using System.Text;
using System.Text.Json;
using DarkStorage.GrainInterfaces.Buckets;
using DarkStorage.Rules.Acls;
using DarkStorage.Rules.Buckets;
using DarkStorage.Rules.Logging;
using DarkStorage.Silo.Configuration;
using Microsoft.Extensions.Options;
using Microsoft.Win32.SafeHandles;

namespace DarkStorage.Silo.Workers;

/// <summary>How access logs are kept until they are delivered.</summary>
internal sealed record AccessLogOptions
{
    /// <summary>Time between two deliveries. Default 5 minutes: a log is seldom read sooner, and each delivery makes an object for each bucket with requests.</summary>
    [Range(typeof(TimeSpan), "00:00:01", "1.00:00:00")]
    public TimeSpan Interval { get; init; } = TimeSpan.FromMinutes(5);

    /// <summary>Time between two writes of lines to the disk: what a crash may take. Default 1 second, so that a busy node writes once for thousands of lines.</summary>
    [Range(typeof(TimeSpan), "00:00:00.010", "00:01:00")]
    public TimeSpan FlushInterval { get; init; } = TimeSpan.FromSeconds(1);

    /// <summary>Bytes of lines of one bucket that are delivered before the interval is over. Default 64 MiB: some 150,000 requests in one object.</summary>
    [Range(4 << 10, 1 << 30)]
    public long FileBytesMax { get; init; } = 64 << 20;

    /// <summary>Bytes of lines in memory between two writes. Default 8 MiB: 20,000 requests a second.</summary>
    [Range(64 << 10, 1 << 30)]
    public long BufferBytesMax { get; init; } = 8 << 20;

    /// <summary>Bytes of lines on the disk that wait for their delivery. What is there stays, and what comes is dropped and counted. Default 512 MiB.</summary>
    [Range(64 << 10, 64L << 30)]
    public long SpoolBytesMax { get; init; } = 512L << 20;

    /// <summary>Age at which lines that cannot be delivered are dropped. Default 1 day: time to make a bucket again that was deleted by mistake.</summary>
    [Range(typeof(TimeSpan), "00:00:01", "30.00:00:00")]
    public TimeSpan KeepFor { get; init; } = TimeSpan.FromDays(1);
}

/// <summary>Where the lines of a file go: its first line, as JSON.</summary>
/// <param name="Bucket">The bucket that is logged; its owner and region with it, since it may be gone by the time of the delivery.</param>
/// <param name="Day">The day of the requests, for names that have it; else null.</param>
/// <param name="Acl">Of the objects, as JSON; null where they have none but the owner's.</param>
internal sealed record AccessLogHeader(string Bucket, string Owner, string Region, string TargetBucket, string TargetPrefix, LogKeyFormat KeyFormat, DateOnly? Day, string? Acl);

/// <summary>A file whose lines are complete.</summary>
/// <param name="Sealed">Named in the file's name, so that a delivery that is repeated is of the same object.</param>
/// <param name="ContentAt">Where the lines begin.</param>
internal sealed record AccessLogFile(string Path, AccessLogHeader Header, DateTimeOffset Sealed, string Unique, long ContentAt, long Length);

/// <summary>Keeps lines of access logs until they are delivered: in memory for a moment, then in files of the data folder (docs/FORMATS.md).</summary>
/// <remarks>
/// Invariants: a request never waits for the disk; memory and disk are bounded, and what does not fit is dropped and counted, never what is there already;
/// a file is sealed by its renaming and does not change from then on. Files are written, not synced: a crash of the process takes what was not written yet, a crash of
/// the machine what the system had not written, and AWS promises no more.
/// </remarks>
internal sealed partial class AccessLogSpool : IAccessLog, IDisposable
{
    private const string OpenSuffix = ".open";
    private const string SealedSuffix = ".log";
    private const string TimeFormat = "yyyyMMddHHmmss";
    private const int HeaderBytesMax = 256 << 10;

    private static readonly Meter Meter = new("DarkStorage.Silo");
    private static readonly Counter<long> Spooled = Meter.CreateCounter<long>("darkstorage.access_log.lines", "{line}", "Lines of access logs written to the disk.");
    private static readonly Counter<long> Dropped = Meter.CreateCounter<long>("darkstorage.access_log.lines_dropped", "{line}", "Lines of access logs that found no room.");

    // With it the counters are there from the start, and not from the first line on.
    static AccessLogSpool()
    {
    }

    private readonly string _folder;
    private readonly AccessLogOptions _options;
    private readonly TimeProvider _clock;
    private readonly ILogger<AccessLogSpool> _log;

    private readonly Lock _bufferLock = new();
    private Dictionary<AccessLogHeader, Buffered> _buffered = [];
    private long _bufferedBytes;
    private long _dropped;

    /// <summary>Held over the files, never over the buffer: requests do not wait for it.</summary>
    private readonly Lock _fileLock = new();
    private readonly Dictionary<AccessLogHeader, string> _open = [];
    private long _spooledBytes;

    public AccessLogSpool(DataDirectory data, IOptions<AccessLogOptions> options, TimeProvider clock, ILogger<AccessLogSpool> log)
    {
        (_folder, _options, _clock, _log) = (data.AccessLogs, options.Value, clock, log);
        Directory.CreateDirectory(_folder);
        // What an earlier process left is complete: nobody goes on with it.
        foreach (var path in Directory.GetFiles(_folder, "*" + OpenSuffix)) Seal(path);
        _spooledBytes = Directory.GetFiles(_folder).Sum(p => new FileInfo(p).Length);
    }

    private sealed record Buffered
    {
        public ArrayBufferWriter<byte> Bytes { get; } = new(4 << 10);
        public int Lines { get; set; }
    }

    /// <summary>Released when a file has reached its size.</summary>
    public SemaphoreSlim Full { get; } = new(0, 1);

    public void Write(BucketRecord bucket, LogTarget target, AccessLogEntry entry)
    {
        var format = target.KeyFormat ?? LogKeyFormat.Simple;
        var header = new AccessLogHeader(bucket.Name, bucket.Owner, bucket.Region, target.Bucket, target.Prefix, format,
            format == LogKeyFormat.PartitionedByEventTime ? DateOnly.FromDateTime(entry.Time.UtcDateTime) : null, target.Grants.IsEmpty ? null : AclOf(bucket.Owner, target));
        var line = entry.ToLine();
        lock (_bufferLock)
        {
            if (_bufferedBytes + line.Length > _options.BufferBytesMax || Interlocked.Read(ref _spooledBytes) + _bufferedBytes + line.Length > _options.SpoolBytesMax)
            {
                _dropped++;
                Dropped.Add(1);
                return;
            }
            if (!_buffered.TryGetValue(header, out var buffered)) _buffered[header] = buffered = new();
            buffered.Bytes.Advance(Encoding.ASCII.GetBytes(line, buffered.Bytes.GetSpan(line.Length)));
            buffered.Lines++;
            _bufferedBytes += line.Length;
        }
    }

    /// <summary>Writes what is in memory to the files.</summary>
    public void Flush()
    {
        lock (_fileLock)
        {
            Dictionary<AccessLogHeader, Buffered> buffered;
            lock (_bufferLock)
            {
                if (_buffered.Count == 0) return;
                (buffered, _buffered, _bufferedBytes) = (_buffered, [], 0);
            }
            foreach (var (header, lines) in buffered) Append(header, lines);
        }
    }

    /// <summary>Seals the files that have lines, but for those whose bucket has one waiting already: where nothing can be delivered, files do not become many.</summary>
    /// <returns>All that wait, the oldest first.</returns>
    public IReadOnlyList<AccessLogFile> Seal()
    {
        lock (_fileLock)
        {
            var waiting = Waiting();
            var known = waiting.Select(f => f.Header).ToHashSet();
            foreach (var (header, path) in _open.ToList())
            {
                if (known.Contains(header)) continue;
                _open.Remove(header);
                if (Seal(path) is { } file) waiting.Add(file);
            }
            return waiting;
        }
    }

    /// <summary>Removes a file that was delivered, or given up.</summary>
    public void Remove(AccessLogFile file)
    {
        lock (_fileLock)
        {
            File.Delete(file.Path);
            Interlocked.Add(ref _spooledBytes, -(file.ContentAt + file.Length));
        }
    }

    /// <summary>Lines that found no room since this was last asked.</summary>
    public long TakeDropped()
    {
        lock (_bufferLock) return Interlocked.Exchange(ref _dropped, 0);
    }

    public void Dispose()
    {
        Flush();
        Full.Dispose();
    }

    private void Append(AccessLogHeader header, Buffered lines)
    {
        var isNew = !_open.TryGetValue(header, out var path);
        try
        {
            path ??= Path.Combine(_folder, RandomNumberGenerator.GetHexString(LogTarget.UniqueLength) + OpenSuffix);
            var options = new FileStreamOptions { Mode = FileMode.Append, Access = FileAccess.Write, BufferSize = 0 };
            if (!OperatingSystem.IsWindows()) options.UnixCreateMode = UnixFileMode.UserRead | UnixFileMode.UserWrite;
            using var file = new FileStream(path, options);
            var before = file.Length;
            try
            {
                byte[] first = isNew ? [.. JsonSerializer.SerializeToUtf8Bytes(header), (byte)'\n'] : [];
                file.Write(first.Length == 0 ? lines.Bytes.WrittenSpan : [.. first, .. lines.Bytes.WrittenSpan]);
                _open[header] = path;
            }
            catch
            {
                file.SetLength(before); // a part of a line would have the next one behind it
                throw;
            }
            finally
            {
                Interlocked.Add(ref _spooledBytes, file.Length - before);
            }
            Spooled.Add(lines.Lines);
            if (before < _options.FileBytesMax && file.Length >= _options.FileBytesMax && Full.CurrentCount == 0) Full.Release();
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            // A full drive: requests go on, their lines do not.
            Dropped.Add(lines.Lines);
            LogNotWritten(_log, lines.Lines, header.Bucket, e);
            if (isNew && path is not null) TryDelete(path);
        }
    }

    /// <summary>Nothing is in it; what stays of such files a start removes.</summary>
    private void TryDelete(string path)
    {
        try
        {
            File.Delete(path);
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            LogUnreadable(_log, path, e);
        }
    }

    private List<AccessLogFile> Waiting()
    {
        var files = new List<AccessLogFile>();
        foreach (var path in Directory.GetFiles(_folder, "*" + SealedSuffix).Order(StringComparer.Ordinal))
        {
            if (Open(path) is { } file) files.Add(file);
        }
        return files;
    }

    /// <summary>Cuts what a crash left of a line, and names the file for good.</summary>
    /// <returns>Null where there is nothing in it.</returns>
    private AccessLogFile? Seal(string path)
    {
        long first, end, length;
        using (var handle = File.OpenHandle(path, FileMode.Open, FileAccess.ReadWrite))
        {
            length = RandomAccess.GetLength(handle);
            (first, end) = (LineEnd(handle, length, last: false), LineEnd(handle, length, last: true));
            if (first < end && end < length) RandomAccess.SetLength(handle, end);
        }
        if (first == end)
        {
            File.Delete(path);
            Interlocked.Add(ref _spooledBytes, -length);
            return null;
        }
        Interlocked.Add(ref _spooledBytes, end - length);
        var name = $"{_clock.GetUtcNow().UtcDateTime.ToString(TimeFormat, CultureInfo.InvariantCulture)}-{Path.GetFileNameWithoutExtension(path)}{SealedSuffix}";
        var sealedPath = Path.Combine(_folder, name);
        File.Move(path, sealedPath);
        return Open(sealedPath);
    }

    /// <summary>Where the first or the last line that is whole ends; 0 where none does.</summary>
    private static long LineEnd(SafeFileHandle handle, long length, bool last)
    {
        var block = new byte[64 << 10];
        var blocks = (length + block.Length - 1) / block.Length;
        for (var i = 0L; i < blocks; i++)
        {
            var at = (last ? blocks - 1 - i : i) * block.Length;
            var bytes = block.AsSpan(0, RandomAccess.Read(handle, block, at));
            var end = last ? bytes.LastIndexOf((byte)'\n') : bytes.IndexOf((byte)'\n');
            if (end >= 0) return at + end + 1;
        }
        return 0;
    }

    /// <returns>Null where the file is not one of ours; it is left alone.</returns>
    private AccessLogFile? Open(string path)
    {
        try
        {
            var name = Path.GetFileNameWithoutExtension(path).Split('-');
            if (name.Length != 2 || !DateTime.TryParseExact(name[0], TimeFormat, CultureInfo.InvariantCulture, DateTimeStyles.AssumeUniversal | DateTimeStyles.AdjustToUniversal, out var time))
                throw new JsonException("The file's name is not a time and a number.");
            using var handle = File.OpenHandle(path);
            var bytes = new byte[Math.Min(HeaderBytesMax, RandomAccess.GetLength(handle))];
            var first = bytes.AsSpan(0, RandomAccess.Read(handle, bytes, 0));
            var end = first.IndexOf((byte)'\n');
            var header = end < 0 ? null : JsonSerializer.Deserialize<AccessLogHeader>(first[..end]);
            return new(path, header ?? throw new JsonException("The file has no header."), new(time, TimeSpan.Zero), name[1], end + 1, RandomAccess.GetLength(handle) - end - 1);
        }
        catch (Exception e) when (e is JsonException or IOException)
        {
            LogUnreadable(_log, path, e);
            return null;
        }
    }

    private static string AclOf(string owner, LogTarget target) =>
        SettingJson.Write(new AccessControlList(owner, [new(Grantee.User(owner), AclPermission.FullControl), .. target.Grants]));

    [LoggerMessage(LogLevel.Warning, "{Lines} lines of the access log of {Bucket} could not be written")]
    private static partial void LogNotWritten(ILogger log, int lines, string bucket, Exception exception);

    [LoggerMessage(LogLevel.Warning, "{Path} is no access log and is left alone")]
    private static partial void LogUnreadable(ILogger log, string path, Exception exception);
}
