namespace DarkStorage.Metadata;

/// <summary>Where a walk over sorted keys begins, and how a delimiter folds them. Shared by the listings of objects and of uploads.</summary>
internal ref struct KeyScan
{
    /// <summary>Bytes of the longest key.</summary>
    public const int KeyBytesMax = 1024;

    private readonly byte[] _prefix;
    private readonly byte[]? _delimiter;
    private readonly byte[] _last = new byte[KeyBytesMax];
    private readonly byte[] _behind;
    private int _lastLength;

    public KeyScan(byte[] prefix, byte[]? delimiter, byte[] after)
    {
        _prefix = prefix;
        _delimiter = delimiter;
        _behind = new byte[Math.Max(KeyBytesMax, after.Length)];
        Excluded = after;
        if (after.AsSpan().SequenceCompareTo(prefix) < 0) Start = prefix;
        // A page that ended with a folded prefix goes on behind all that is folded into it.
        else if (after.AsSpan().StartsWith(prefix) && after.Length > 0 && Fold(after) == after.Length) Start = Behind(after).ToArray();
        else Start = after;
    }

    /// <summary>The first key to look at.</summary>
    public ReadOnlySpan<byte> Start { get; }

    /// <summary>The entry that the page before ended with.</summary>
    public ReadOnlySpan<byte> Excluded { get; }

    /// <summary>The last entry handed out: a copy, since a row's bytes are gone with the next step.</summary>
    public ReadOnlySpan<byte> Last
    {
        readonly get => _last.AsSpan(0, _lastLength);
        set
        {
            value.CopyTo(_last);
            _lastLength = value.Length;
        }
    }

    /// <returns>The length of the prefix that a key folds into, or 0 where it stands for itself.</returns>
    public readonly int Fold(ReadOnlySpan<byte> key)
    {
        if (_delimiter is null) return 0;
        var at = key[_prefix.Length..].IndexOf(_delimiter);
        return at < 0 ? 0 : _prefix.Length + at + _delimiter.Length;
    }

    /// <summary>The least text greater than all that begin with a folded prefix: its last byte is one higher. UTF-8 has no byte 0xFF, so there always is one.</summary>
    public readonly ReadOnlySpan<byte> Behind(ReadOnlySpan<byte> folded)
    {
        folded.CopyTo(_behind);
        _behind[folded.Length - 1]++;
        return _behind.AsSpan(0, folded.Length);
    }
}
