using System.Buffers.Binary;
using System.Security.Cryptography;
using DarkStorage.GrainInterfaces.Objects;

namespace DarkStorage.Storage.Encryption;

/// <summary>Seals and opens the frames of one blob: docs/FORMATS.md, "Sealed content". Not for use by two threads at once.</summary>
/// <remarks>Invariants: a blob's key seals nothing but that blob, and each frame of it once, so a nonce may be the frame's number.
/// The number and the mark of the last frame are in the nonce (STREAM: Hoang, Reyhanitabar, Rogaway and Vizár, CRYPTO 2015): a frame that was moved,
/// left out, repeated or made the last one does not open.</remarks>
internal sealed class FrameCipher : IDisposable
{
    /// <summary>Bytes of a sealed frame, all but the last of a chunk: as many as a pack checksums together, so one frame is one block.</summary>
    public const int FrameBytes = 64 << 10;

    public const int TagBytes = 16;

    /// <summary>Bytes of content in a full frame.</summary>
    public const int ContentBytes = FrameBytes - TagBytes;

    private const int NonceBytes = 12;

    private readonly AesGcm _aes;

    public FrameCipher(DataKey key, BlobId blob)
    {
        Span<byte> info = stackalloc byte[Label.Length + BlobId.ByteLength];
        Label.CopyTo(info);
        blob.Write(info[Label.Length..]);
        Span<byte> derived = stackalloc byte[SecretKey.Length];
        HKDF.DeriveKey(HashAlgorithmName.SHA256, key.Bytes, derived, [], info);
        _aes = new(derived, TagBytes);
        CryptographicOperations.ZeroMemory(derived);
    }

    private static ReadOnlySpan<byte> Label => "darkstorage/blob/1"u8;

    /// <summary>Frames of a chunk that has so many bytes at rest.</summary>
    public static int Frames(int stored) => (int)(((long)stored + FrameBytes - 1) / FrameBytes);

    /// <summary>Bytes of content in a chunk that has so many at rest; less than 1 where none is sealed so.</summary>
    public static int ContentOf(int stored) => stored - (TagBytes * Frames(stored));

    /// <summary>Bytes at rest of so many bytes of content in one chunk.</summary>
    public static long StoredOf(long content) => content + (TagBytes * ((content + ContentBytes - 1) / ContentBytes));

    /// <summary>Seals a frame where it lies: its content, and room for the tag behind.</summary>
    public void Seal(long number, bool last, Span<byte> frame)
    {
        Span<byte> nonce = stackalloc byte[NonceBytes];
        WriteNonce(nonce, number, last);
        var content = frame[..^TagBytes];
        _aes.Encrypt(nonce, content, content, frame[^TagBytes..]);
    }

    /// <param name="content">Gets the frame's content: <see cref="TagBytes"/> less than the frame has. Zeros where it does not open.</param>
    /// <returns>False where the frame is not the one of that number that was sealed under this key.</returns>
    public bool TryOpen(long number, bool last, ReadOnlySpan<byte> frame, Span<byte> content)
    {
        Span<byte> nonce = stackalloc byte[NonceBytes];
        WriteNonce(nonce, number, last);
        try
        {
            _aes.Decrypt(nonce, frame[..^TagBytes], frame[^TagBytes..], content);
            return true;
        }
        catch (AuthenticationTagMismatchException)
        {
            return false;
        }
    }

    public void Dispose() => _aes.Dispose();

    private static void WriteNonce(Span<byte> nonce, long number, bool last)
    {
        nonce.Clear();
        BinaryPrimitives.WriteInt64BigEndian(nonce[3..], number);
        nonce[^1] = last ? (byte)1 : (byte)0;
    }
}
