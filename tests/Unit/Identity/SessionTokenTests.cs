using System.Buffers.Text;
using System.Security.Cryptography;
using DarkStorage.ClientApi.S3;
using DarkStorage.Storage.Secrets;
using Xunit;

namespace DarkStorage.Unit.Identity;

/// <summary>Session tokens: what is sealed comes out as it went in, or not at all.</summary>
public sealed class SessionTokenTests
{
    public static TheoryData<int> Seeds => [1, 2, 3, Random.Shared.Next()];

    [Theory, MemberData(nameof(Seeds))]
    public void A_token_opens_whole_and_a_changed_one_never(int seed)
    {
        var random = new Random(seed);      // the seed is in the test's name
        var box = new MasterKeyBox(Bytes(random, MasterKeyBox.KeyLength));
        var token = NewToken(random);
        var text = token.Seal(box);
        Assert.Equal(token, SessionToken.Open(text, box));
        Assert.True(text.Length <= SessionToken.CharactersMax);
        for (var i = 0; i < 300; i++)
        {
            var bytes = Base64Url.DecodeFromChars(text);
            var changed = random.Next(3) switch
            {
                0 => bytes[..random.Next(bytes.Length)],
                1 => [.. bytes, (byte)random.Next(256)],
                _ => Flipped(bytes, random),
            };
            Assert.Null(SessionToken.Open(Base64Url.EncodeToString(changed), box));
        }
    }

    [Fact]
    public void Another_node_with_the_key_opens_it_a_newer_key_beside_it_too_and_a_stranger_does_not()
    {
        var random = new Random(1);
        var (key, newer) = (Bytes(random, MasterKeyBox.KeyLength), Bytes(random, MasterKeyBox.KeyLength));
        var token = NewToken(random);
        var text = token.Seal(new MasterKeyBox(key));
        Assert.Equal(token, SessionToken.Open(text, new MasterKeyBox(key)));
        Assert.Equal(token, SessionToken.Open(text, new MasterKeyBox([.. newer, .. key])));
        Assert.Null(SessionToken.Open(text, new MasterKeyBox(newer)));
    }

    [Fact]
    public void Another_secret_of_the_same_box_is_no_token_and_neither_is_nonsense()
    {
        ISecretBox box = new MasterKeyBox(RandomNumberGenerator.GetBytes(MasterKeyBox.KeyLength));
        Assert.Null(SessionToken.Open(Base64Url.EncodeToString(box.Seal("a secret", "access-key/ID")), box));
        foreach (var text in (string[])["", "a", "====", "ä", new('A', SessionToken.CharactersMax + 1)]) Assert.Null(SessionToken.Open(text, box));
    }

    [Fact]
    public void The_longest_token_is_within_its_bound()
    {
        var (wide, name) = (new string('ÿ', 2048), new string('n', 64));
        var text = NewToken(new Random(1)) with { Policy = wide, Role = name, SessionName = name, Provider = new('p', 255), Subject = new('s', 255), Audience = new('a', 255) };
        var box = new MasterKeyBox(RandomNumberGenerator.GetBytes(MasterKeyBox.KeyLength));
        Assert.Equal(text, SessionToken.Open(text.Seal(box), box));
    }

    [Fact]
    public void A_session_ends_with_its_second_and_goes_with_its_own_access_key()
    {
        var box = new MasterKeyBox(RandomNumberGenerator.GetBytes(MasterKeyBox.KeyLength));
        var clock = new Clock(DateTimeOffset.FromUnixTimeSeconds(1_000_000));
        var sessions = new Sessions(box, new Roles(null!, new S3Options(), clock), new S3Options(), clock);
        var token = NewToken(new Random(1)) with { Issued = clock.Now, Expires = clock.Now.AddSeconds(900), Policy = "" };
        var text = sessions.Seal(token);
        Assert.Equal(token, sessions.Open(text, token.AccessKeyId).Content);
        Assert.Equal(S3Error.InvalidToken, Assert.Throws<S3Exception>(() => sessions.Open(text, token.AccessKeyId + "A")).Error);
        clock.Now = token.Expires.AddTicks(-1);
        Assert.Equal(token, sessions.Open(text, token.AccessKeyId).Content);
        clock.Now = token.Expires;
        // Whether it was opened before and is remembered, or comes for the first time.
        foreach (var node in (Sessions[])[sessions, new(box, new Roles(null!, new S3Options(), clock), new S3Options(), clock)])
            Assert.Equal(S3Error.ExpiredToken, Assert.Throws<S3Exception>(() => node.Open(text, token.AccessKeyId)).Error);
    }

    private sealed class Clock(DateTimeOffset now) : TimeProvider
    {
        public DateTimeOffset Now { get; set; } = now;

        public override DateTimeOffset GetUtcNow() => Now;
    }

    private static byte[] Flipped(byte[] bytes, Random random)
    {
        bytes[random.Next(bytes.Length)] ^= (byte)(1 << random.Next(8));
        return bytes;
    }

    private static byte[] Bytes(Random random, int length)
    {
        var bytes = new byte[length];
        random.NextBytes(bytes);
        return bytes;
    }

    private static SessionToken NewToken(Random random)
    {
        var issued = DateTimeOffset.FromUnixTimeSeconds(random.Next());
        return new($"ASIA{random.Next()}", Text(), issued, issued.AddSeconds(random.Next(900, 43_200)), Text(), Text(), Text(), Text(), Text(), Text(), Text(), Text(), Text());

        string Text() => Convert.ToHexString(Bytes(random, random.Next(20)));
    }
}
