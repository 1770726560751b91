using System.Buffers.Binary;
using System.Security.Cryptography;
using System.Text;
using DarkStorage.Storage.Encryption;

namespace DarkStorage.Connectors.Keys;

/// <summary>Remembers data keys that were opened, for a bounded time and a bounded number, so that a service outside is not asked for every range of an object.</summary>
/// <remarks>Invariants: a key is found again only by the same key id, wrapped bytes and context. It is zeroed when it leaves, at the latest when its time is over,
/// asked for or not. Who gets one gets a copy of their own.</remarks>
public sealed class CachingKeyService : IKeyService, IDisposable
{
    private readonly IKeyService _inner;
    private readonly KeyServiceOptions _options;
    private readonly TimeProvider _clock;
    private readonly IDisposable? _owned;
    private readonly Lock _lock = new();
    private readonly Dictionary<string, Entry> _entries = new(StringComparer.Ordinal);
    private readonly Queue<Entry> _byAge = new();       // all live equally long, so the first to come is the first to go
    private readonly ITimer _timer;
    private bool _disposed;

    /// <param name="owned">Disposed with this one.</param>
    internal CachingKeyService(IKeyService inner, KeyServiceOptions options, TimeProvider clock, IDisposable? owned = null)
    {
        (_inner, _options, _clock, _owned) = (inner, options, clock, owned);
        _timer = clock.CreateTimer(static cache => ((CachingKeyService)cache!).DropOld(), this, Timeout.InfiniteTimeSpan, Timeout.InfiniteTimeSpan);
    }

    public string DefaultKeyId => _inner.DefaultKeyId;

    /// <summary>Data keys that are remembered now.</summary>
    internal int Count
    {
        get
        {
            lock (_lock) return _entries.Count;
        }
    }

    /// <summary>Not remembered: what was just written is mostly not read at once.</summary>
    public ValueTask<GeneratedKey> GenerateAsync(string keyId, KeyContext context, CancellationToken ct) => _inner.GenerateAsync(keyId, context, ct);

    public async ValueTask<DataKey> DecryptAsync(string keyId, ReadOnlyMemory<byte> wrapped, KeyContext context, CancellationToken ct)
    {
        var name = NameOf(keyId, wrapped.Span, context);
        lock (_lock)
        {
            if (_entries.TryGetValue(name, out var entry) && entry.Until > _clock.GetTimestamp()) return new(entry.Key.Bytes);
        }
        var key = await _inner.DecryptAsync(keyId, wrapped, context, ct);
        if (_options.CacheLifetime > TimeSpan.Zero) Remember(name, key);
        return key;
    }

    public ValueTask<KeyDescription?> DescribeAsync(string keyId, CancellationToken ct) => _inner.DescribeAsync(keyId, ct);

    public void Dispose()
    {
        lock (_lock)
        {
            _disposed = true;
            while (_byAge.Count > 0) DropOldest();
        }
        _timer.Dispose();
        _owned?.Dispose();
    }

    private void Remember(string name, DataKey key)
    {
        lock (_lock)
        {
            DropOldLocked();
            if (_disposed || _entries.ContainsKey(name)) return;
            if (_entries.Count >= _options.CacheEntriesMax) DropOldest();
            var entry = new Entry(name, new(key.Bytes), _clock.GetTimestamp() + (long)(_options.CacheLifetime.TotalSeconds * _clock.TimestampFrequency));
            _entries.Add(name, entry);
            _byAge.Enqueue(entry);
            if (_byAge.Count == 1) _timer.Change(_options.CacheLifetime, Timeout.InfiniteTimeSpan);
        }
    }

    private void DropOld()
    {
        lock (_lock)
        {
            DropOldLocked();
            if (_disposed || !_byAge.TryPeek(out var next)) return;
            var left = TimeSpan.FromSeconds((next.Until - _clock.GetTimestamp()) / (double)_clock.TimestampFrequency);
            _timer.Change(left + TimeSpan.FromMilliseconds(1), Timeout.InfiniteTimeSpan);
        }
    }

    private void DropOldLocked()
    {
        while (_byAge.TryPeek(out var oldest) && oldest.Until <= _clock.GetTimestamp()) DropOldest();
    }

    private void DropOldest()
    {
        var entry = _byAge.Dequeue();
        _entries.Remove(entry.Name);
        entry.Key.Dispose();
    }

    /// <summary>A digest of all that a key is bound to; lengths first, so that nothing can be moved from one to the next.</summary>
    private static string NameOf(string keyId, ReadOnlySpan<byte> wrapped, KeyContext context)
    {
        using var hash = IncrementalHash.CreateHash(HashAlgorithmName.SHA256);
        var id = Encoding.UTF8.GetBytes(keyId);
        Span<byte> lengths = stackalloc byte[2 * sizeof(int)];
        BinaryPrimitives.WriteInt32LittleEndian(lengths, id.Length);
        BinaryPrimitives.WriteInt32LittleEndian(lengths[sizeof(int)..], wrapped.Length);
        hash.AppendData(lengths);
        hash.AppendData(id);
        hash.AppendData(wrapped);
        hash.AppendData(context.Canonical.Span);
        return Convert.ToHexString(hash.GetHashAndReset());
    }

    private sealed record Entry(string Name, DataKey Key, long Until);
}
