using System.Buffers.Binary;
using DarkStorage.Storage.Backends;

namespace DarkStorage.Connectors;

/// <summary>Long content that is nowhere: each 8 bytes are their own offset.</summary>
internal sealed class PatternSource(long length) : BlobSource
{
    public override long Length => length;

    /// <summary>From here on the source throws.</summary>
    public long BreaksAt { get; init; } = long.MaxValue;

    public override ValueTask<Stream> OpenAsync(long offset, CancellationToken ct) => new(new Pattern(offset, length, BreaksAt));

    /// <summary>Reads a stream to its end and compares.</summary>
    public async Task AssertSameAsync(Stream actual, CancellationToken ct)
    {
        await using var expected = await OpenAsync(0, ct);
        var (a, b) = (new byte[1 << 20], new byte[1 << 20]);
        for (var position = 0L; ;)
        {
            var read = await actual.ReadAtLeastAsync(a, a.Length, throwOnEndOfStream: false, ct);
            var wanted = await expected.ReadAtLeastAsync(b, b.Length, throwOnEndOfStream: false, ct);
            Assert.Equal(wanted, read);
            Assert.True(a.AsSpan(0, read).SequenceEqual(b.AsSpan(0, read)), $"Other bytes between {position} and {position + read}.");
            if (read == 0) return;
            position += read;
        }
    }

    private sealed class Pattern(long from, long length, long breaksAt) : ReadOnlyStream
    {
        private long _position = from;

        public override ValueTask<int> ReadAsync(Memory<byte> buffer, CancellationToken cancellationToken = default)
        {
            if (_position >= breaksAt) throw new InvalidDataException("The source broke.");
            var count = (int)Math.Min(buffer.Length, length - _position);
            Span<byte> word = stackalloc byte[8];
            for (var i = 0; i < count;)
            {
                BinaryPrimitives.WriteInt64LittleEndian(word, _position & ~7L);
                var taken = word[(int)(_position & 7)..];
                taken = taken[..Math.Min(taken.Length, count - i)];
                taken.CopyTo(buffer.Span[i..]);
                i += taken.Length;
                _position += taken.Length;
            }
            return new(count);
        }
    }
}
