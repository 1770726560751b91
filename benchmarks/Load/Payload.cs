namespace DarkStorage.Load;

/// <summary>The content of one object, known from its number alone, so that every byte that is read can be checked without keeping what was written.</summary>
internal readonly struct Payload(int number)
{
    private const int TemplateBytes = 1 << 20;

    /// <summary>Random bytes once, and the beginning again behind them, so that any stretch can be taken in one piece.</summary>
    private static readonly byte[] Template = MakeTemplate();

    /// <summary>Bytes of the content from an offset on: all that is wanted or as many as lie in one piece.</summary>
    public ReadOnlyMemory<byte> Slice(long offset, long length) =>
        Template.AsMemory((int)((offset + Shift) % TemplateBytes), (int)Math.Min(length, TemplateBytes));

    /// <exception cref="InvalidDataException">The bytes are not those of this object.</exception>
    public void Check(long offset, ReadOnlySpan<byte> piece)
    {
        while (piece.Length > 0)
        {
            var expected = Slice(offset, piece.Length).Span;
            if (!piece[..expected.Length].SequenceEqual(expected)) throw new InvalidDataException($"Object {number} reads back wrong near byte {offset}.");
            piece = piece[expected.Length..];
            offset += expected.Length;
        }
    }

    private long Shift => (uint)number * 2_654_435_761 % TemplateBytes;

    private static byte[] MakeTemplate()
    {
        var bytes = new byte[2 * TemplateBytes];
        new Random(1).NextBytes(bytes.AsSpan(0, TemplateBytes));
        bytes.AsSpan(0, TemplateBytes).CopyTo(bytes.AsSpan(TemplateBytes));
        return bytes;
    }
}
