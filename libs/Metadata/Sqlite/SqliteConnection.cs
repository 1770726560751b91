using System.Text;
using DarkStorage.GrainInterfaces;
using SQLitePCL;

namespace DarkStorage.Metadata.Sqlite;

/// <summary>One connection, used by one thread at a time. Statements are prepared once and kept.</summary>
internal sealed class SqliteConnection : IDisposable
{
    private readonly sqlite3 _handle;
    private readonly Dictionary<string, SqliteStatement> _statements = new(StringComparer.Ordinal);

    public SqliteConnection(string path, bool readOnly)
    {
        var flags = raw.SQLITE_OPEN_NOMUTEX | (readOnly ? raw.SQLITE_OPEN_READONLY : raw.SQLITE_OPEN_READWRITE | raw.SQLITE_OPEN_CREATE);
        Check(raw.sqlite3_open_v2(path, out _handle, flags, null));
        raw.sqlite3_extended_result_codes(_handle, 1);
        raw.sqlite3_busy_timeout(_handle, 5_000);
    }

    /// <summary>The statement of this text, ready to bind. It belongs to the connection.</summary>
    public SqliteStatement Prepare(string sql)
    {
        if (_statements.TryGetValue(sql, out var known))
        {
            known.Reset(); // whoever used it last may have been thrown out of its rows
            return known;
        }
        Check(raw.sqlite3_prepare_v2(_handle, sql, out var handle));
        return _statements[sql] = new SqliteStatement(this, handle);
    }

    /// <summary>Runs a statement that yields no rows and takes no values.</summary>
    public void Execute(string sql) => Prepare(sql).Run();

    /// <summary>Runs a script of several statements.</summary>
    public void ExecuteScript(string script) => Check(raw.sqlite3_exec(_handle, script));

    public int Changes => raw.sqlite3_changes(_handle);

    public long LastInsertRowId => raw.sqlite3_last_insert_rowid(_handle);

    public bool InTransaction => raw.sqlite3_get_autocommit(_handle) == 0;

    public void Check(int result)
    {
        if (result is raw.SQLITE_OK or raw.SQLITE_DONE or raw.SQLITE_ROW) return;
        throw new SqliteException(result, _handle is null ? raw.sqlite3_errstr(result).utf8_to_string() : raw.sqlite3_errmsg(_handle).utf8_to_string());
    }

    public void Dispose()
    {
        foreach (var statement in _statements.Values) statement.Dispose();
        _statements.Clear();
        _handle.Dispose();
    }
}

/// <summary>A prepared statement. Parameters count from 1 and columns from 0, as in SQLite.</summary>
internal sealed class SqliteStatement(SqliteConnection connection, sqlite3_stmt handle) : IDisposable
{
    private static readonly UTF8Encoding StrictUtf8 = new(false, throwOnInvalidBytes: true);

    public SqliteStatement Bind(int parameter, long value) => Bound(raw.sqlite3_bind_int64(handle, parameter, value));

    public SqliteStatement Bind(int parameter, ReadOnlySpan<byte> value) =>
        // An empty span has no address, which SQLite takes for NULL.
        Bound(value.IsEmpty ? raw.sqlite3_bind_zeroblob(handle, parameter, 0) : raw.sqlite3_bind_blob(handle, parameter, value));

    public SqliteStatement BindText(int parameter, string? value) =>
        Bound(value is null ? raw.sqlite3_bind_null(handle, parameter) : raw.sqlite3_bind_text(handle, parameter, value));

    public SqliteStatement BindOptional(int parameter, long? value) => value is { } present ? Bind(parameter, present) : BindNull(parameter);

    public SqliteStatement BindNull(int parameter) => Bound(raw.sqlite3_bind_null(handle, parameter));

    /// <summary>A key's bytes. At most 1,024 of them: the front end refuses longer ones, and so does this.</summary>
    public SqliteStatement BindKey(int parameter, string key)
    {
        Span<byte> bytes = stackalloc byte[KeyBytesMax];
        if (!StrictUtf8.TryGetBytes(key, bytes, out var length)) throw new StorageException(StorageError.InvalidArgument, "The key is longer than 1,024 bytes.");
        return Bind(parameter, bytes[..length]);
    }

    public const int KeyBytesMax = 1024;

    /// <summary>Advances to the next row.</summary>
    /// <returns>False after the last one; the statement is then reset.</returns>
    public bool Step()
    {
        var result = raw.sqlite3_step(handle);
        if (result == raw.SQLITE_ROW) return true;
        raw.sqlite3_reset(handle);
        connection.Check(result);
        return false;
    }

    /// <summary>Runs to the end, ignoring rows.</summary>
    public void Run()
    {
        while (Step())
        {
        }
    }

    public void Reset() => raw.sqlite3_reset(handle);

    public long Long(int column) => raw.sqlite3_column_int64(handle, column);
    public bool IsNull(int column) => raw.sqlite3_column_type(handle, column) == raw.SQLITE_NULL;
    public string Text(int column) => raw.sqlite3_column_text(handle, column).utf8_to_string();

    /// <summary>The column's bytes (for text: UTF-8), valid until the next step. Empty for NULL.</summary>
    public ReadOnlySpan<byte> Bytes(int column) => raw.sqlite3_column_blob(handle, column);

    public void Dispose() => handle.Dispose();

    private SqliteStatement Bound(int result)
    {
        connection.Check(result);
        return this;
    }
}

/// <summary>SQLite's own word on what failed.</summary>
internal sealed class SqliteException(int code, string message) : Exception($"SQLite error {code}: {message}")
{
    /// <summary>SQLITE_IOERR_SHMSIZE.</summary>
    private const int SharedMemorySize = 10 | 19 << 8;

    private readonly int _extended = code;

    /// <summary>The primary result code: the low byte of the extended one.</summary>
    public int Code { get; } = code & 0xFF;

    /// <summary>The drive has no room, as far as SQLite can tell.</summary>
    public bool IsFull => Code == raw.SQLITE_FULL || _extended == SharedMemorySize;

    /// <summary>As the domain names it. What could not be written for want of room has changed nothing; of anything else the outcome is not known.</summary>
    public StorageException ToStorage() => Code == raw.SQLITE_FULL
        ? new(StorageError.InsufficientStorage, "The drive of the index is full.", this)
        : new(StorageError.Unavailable, "The index did not answer.", this);

    /// <summary>As one sentence for who starts the program.</summary>
    public Exception ToStartup(string path) => Code switch
    {
        raw.SQLITE_NOTADB => new InvalidDataException($"{path} is not an index of DarkStorage: it is no SQLite database.", this),
        raw.SQLITE_CORRUPT => new InvalidDataException($"{path} is damaged: {Message}.", this),
        raw.SQLITE_FULL => new IOException($"{path} can't be opened: its drive is full.", this),
        // The one error of this kind that has a common cause: the file beside the database, 32 KiB, finds no room.
        raw.SQLITE_IOERR when _extended == SharedMemorySize => new IOException($"{path} can't be opened: its drive is full.", this),
        _ => new IOException($"{path} can't be opened: {Message}.", this),
    };
}
