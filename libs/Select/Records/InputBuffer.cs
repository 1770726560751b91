namespace DarkStorage.Select.Records;

/// <summary>The part of the input that a record is looked for in. It grows to the longest record that may be, and no further.</summary>
/// <param name="offset">Where in the object the input begins.</param>
internal sealed class InputBuffer(Stream input, long offset)
{
    private const int BytesMin = 64 << 10;

    private byte[] _bytes = new byte[BytesMin];
    private int _first;
    private int _end;

    /// <summary>What was read and not yet taken.</summary>
    public ReadOnlyMemory<byte> Unread => _bytes.AsMemory(_first, _end - _first);

    public bool IsCompleted { get; private set; }

    /// <summary>Where in the object <see cref="Unread"/> begins.</summary>
    public long Position { get; private set; } = offset;

    /// <summary>Bytes of the input read so far.</summary>
    public long Read { get; private set; }

    public void Take(int count)
    {
        _first += count;
        Position += count;
    }

    /// <summary>Reads on until there is as much again as there was, so that looking for a long record from its begin each time costs little. What was handed out moves.</summary>
    public async ValueTask FillAsync(CancellationToken ct)
    {
        var unread = _end - _first;
        var wanted = Math.Max(2 * unread, BytesMin);
        if (_bytes.Length < wanted)
        {
            var larger = new byte[wanted];
            _bytes.AsSpan(_first, unread).CopyTo(larger);
            _bytes = larger;
        }
        else if (_first > 0)
        {
            _bytes.AsSpan(_first, unread).CopyTo(_bytes);
        }
        (_first, _end) = (0, unread);
        do
        {
            var read = await input.ReadAsync(_bytes.AsMemory(_end), ct);
            if (read == 0)
            {
                IsCompleted = true;
                return;
            }
            _end += read;
            Read += read;
        }
        while (_end < 2 * unread);
    }
}
