using System.Security.Cryptography;
using System.Text;
using DarkStorage.Storage.Secrets;
using Xunit;

namespace DarkStorage.Unit.Encryption;

public sealed class MasterKeyBoxTests
{
    private static readonly byte[] Old = RandomNumberGenerator.GetBytes(32);
    private static readonly byte[] New = RandomNumberGenerator.GetBytes(32);

    private static ISecretBox Box(params byte[][] keys) => new MasterKeyBox([.. keys.SelectMany(k => k)]);

    [Fact]
    public void A_secret_opens_for_its_purpose_alone()
    {
        var box = Box(New);
        var sealedSecret = box.Seal("geheim", "access-key/A");
        Assert.Equal("geheim", box.Open(sealedSecret, "access-key/A"));
        Assert.Throws<CryptographicException>(() => box.Open(sealedSecret, "access-key/B"));
        Assert.NotEqual(sealedSecret, box.Seal("geheim", "access-key/A"));
        Assert.Equal(-1, sealedSecret.AsSpan().IndexOf("geheim"u8));
    }

    [Fact]
    public void After_a_rotation_the_newest_key_seals_and_all_open()
    {
        var before = Box(Old).Seal("geheim", "p");
        var rotated = Box(New, Old);
        Assert.Equal("geheim", rotated.Open(before, "p"));
        Assert.False(rotated.IsCurrent(before));
        var after = rotated.Seal("geheim", "p");
        Assert.True(rotated.IsCurrent(after));
        Assert.Equal("geheim", Box(New).Open(after, "p"));
        Assert.Throws<CryptographicException>(() => Box(Old).Open(after, "p"));
        Assert.Throws<CryptographicException>(() => Box(New).Open(before, "p"));
    }

    [Fact]
    public void A_box_of_the_first_format_still_opens_whichever_key_it_was()
    {
        // As written before boxes named their key: 1, nonce, tag, ciphertext.
        var (nonce, tag, sealedText) = (RandomNumberGenerator.GetBytes(12), new byte[16], new byte[6]);
        using (var aes = new AesGcm(Old, 16)) aes.Encrypt(nonce, "geheim"u8, sealedText, tag, Encoding.UTF8.GetBytes("p"));
        byte[] first = [1, .. nonce, .. tag, .. sealedText];
        Assert.Equal("geheim", Box(Old).Open(first, "p"));
        Assert.Equal("geheim", Box(New, Old).Open(first, "p"));
        Assert.False(Box(Old).IsCurrent(first));
        Assert.Throws<CryptographicException>(() => Box(New).Open(first, "p"));
    }

    [Fact]
    public void Any_changed_byte_and_any_shorter_box_is_refused()
    {
        var box = Box(New);
        var whole = box.Seal("geheim", "p");
        for (var i = 0; i < whole.Length; i++)
        {
            var changed = (byte[])whole.Clone();
            changed[i] ^= 1;
            Assert.Throws<CryptographicException>(() => box.Open(changed, "p"));
            Assert.Throws<CryptographicException>(() => box.Open(whole.AsSpan(0, i), "p"));
        }
    }

    [Theory, InlineData(0), InlineData(31), InlineData(33), InlineData(33 * 32)]
    public void Master_keys_of_another_length_are_refused(int length) => Assert.Throws<ArgumentException>(() => new MasterKeyBox(new byte[length]));
}
