using System.Buffers.Binary;
using System.Security.Cryptography;
using System.Text;
using DarkStorage.GrainInterfaces.Objects;
using DarkStorage.Storage.Encryption;
using Xunit;

namespace DarkStorage.Unit.Encryption;

/// <summary>The bytes of sealed content against an implementation of docs/FORMATS.md that shares nothing with ours: frames.py beside this file computed them.</summary>
public sealed class FrameVectorTests
{
    private static readonly BlobId Blob = BlobId.Read(Convert.FromHexString("0192f3a4b5c6d7e8f90a1b2c3d4e5f60"));

    private static byte[] Sequence(int first, int count) => [.. Enumerable.Range(first, count).Select(i => (byte)i)];

    [Fact]
    public void A_short_content_has_the_known_bytes()
    {
        using var key = new DataKey(Sequence(0, 32));
        using var cipher = new FrameCipher(key, Blob);
        byte[] frame = [.. "abc"u8, .. new byte[FrameCipher.TagBytes]];
        cipher.Seal(0, last: true, frame);
        Assert.Equal("b0ca61f8308b06b1a51c65ddbf4a537991b78c", Convert.ToHexStringLower(frame));
    }

    [Fact]
    public void A_content_of_three_frames_has_the_known_bytes()
    {
        using var key = new DataKey(Sequence(0, 32));
        using var cipher = new FrameCipher(key, Blob);
        var content = Enumerable.Range(0, 150_000).Select(i => (byte)(i * 7 % 251)).ToArray();
        var stored = new MemoryStream();
        for (var number = 0; number * FrameCipher.ContentBytes < content.Length; number++)
        {
            var part = content[(number * FrameCipher.ContentBytes)..Math.Min(content.Length, (number + 1) * FrameCipher.ContentBytes)];
            byte[] frame = [.. part, .. new byte[FrameCipher.TagBytes]];
            cipher.Seal(number, last: number == 2, frame);
            stored.Write(frame);
        }
        Assert.Equal(150_048, stored.Length);
        Assert.Equal(150_048, FrameCipher.StoredOf(150_000));
        Assert.Equal(150_000, FrameCipher.ContentOf(150_048));
        Assert.Equal("d9fd033fb6c2d549988effd5740419f2a7e0c17575accbf4d95f2a4a4e1d9cab", Convert.ToHexStringLower(SHA256.HashData(stored.ToArray())));
    }

    [Fact]
    public void A_frame_opens_under_its_own_number_mark_and_blob_alone()
    {
        using var key = new DataKey(Sequence(0, 32));
        using var cipher = new FrameCipher(key, Blob);
        using var other = new FrameCipher(key, Blob with { Low = Blob.Low + 1 });
        byte[] frame = [.. "abc"u8, .. new byte[FrameCipher.TagBytes]];
        cipher.Seal(7, last: false, frame);
        var content = new byte[3];
        Assert.False(cipher.TryOpen(7, last: true, frame, content));
        Assert.False(cipher.TryOpen(6, last: false, frame, content));
        Assert.False(other.TryOpen(7, last: false, frame, content));
        Assert.Equal(new byte[3], content);
        Assert.True(cipher.TryOpen(7, last: false, frame, content));
        Assert.Equal("abc"u8.ToArray(), content);
    }

    [Fact]
    public void A_key_wrapped_by_the_ring_has_the_known_bytes()
    {
        var wrapped = new byte[84];
        BinaryPrimitives.WriteInt32BigEndian(wrapped, 3);
        Sequence(100, 32).CopyTo(wrapped, 4);
        var context = KeyContext.Parse("""{ "b": "2", "a": "1" }""");
        KeyRing.Seal(Sequence(50, 32), Sequence(100, 32), wrapped.AsSpan(36), [.. Encoding.UTF8.GetBytes("name"), 0, .. context.Canonical.Span], Sequence(0, 32));
        Assert.Equal("000000036465666768696a6b6c6d6e6f707172737475767778797a7b7c7d7e7f80818283a22ca3b51b0183304ad95ab5142d589687c5efa52ae7c77c4c196480a7903c49c11f5990aaf4f945af4cd2006458780e",
            Convert.ToHexStringLower(wrapped));
    }
}
