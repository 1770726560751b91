using System.Buffers.Text;
using System.Security.Cryptography;
using System.Text;
using DarkStorage.Storage.Secrets;

namespace DarkStorage.ClientApi.S3;

/// <summary>What a session token holds: temporary credentials, and all that a node has to know of them. No node keeps any of it.</summary>
/// <param name="Parent">The access key that a session of a user or of root was begun with; empty for a session of a role.</param>
/// <param name="ParentMark">Of that key, as <see cref="MarkOf"/> makes it; empty for a session of a role.</param>
/// <param name="Role">The role's name; empty for a session of a user.</param>
/// <param name="RoleId">Of the role that was assumed: another of that name is another role.</param>
/// <param name="SessionName">What its beginner called it.</param>
/// <param name="Provider">As <see cref="Rules.Policies.SessionFacts"/> has these three; empty where no token of a provider began it.</param>
/// <param name="Policy">The session policy's document; empty for none.</param>
internal sealed record SessionToken(
    string AccessKeyId, string Secret, DateTimeOffset Issued, DateTimeOffset Expires, string Parent, string ParentMark, string Role, string RoleId,
    string SessionName, string Provider, string Subject, string Audience, string Policy)
{
    /// <summary>Characters of a token as clients send it. The longest that is made has about 6,900: a policy of 2,048 characters, none of which is ASCII.</summary>
    public const int CharactersMax = 8192;

    private const byte Format = 2;
    private const int MarkBytes = 16;
    private const string Purpose = "session-token/1";

    /// <summary>Tells an access key from another that is made later under the same id: of somebody else, or with a new secret because the old one got about.</summary>
    public static string MarkOf(string account, string secret) => Convert.ToHexString(SHA256.HashData(Encoding.UTF8.GetBytes($"{account}\n{secret}")).AsSpan(0, MarkBytes));

    /// <summary>The token as text: base64url of the sealed bytes that docs/FORMATS.md describes.</summary>
    public string Seal(ISecretBox box)
    {
        using var memory = new MemoryStream();
        using (var writer = new BinaryWriter(memory, Encoding.UTF8, leaveOpen: true))
        {
            writer.Write(Format);
            writer.Write(Issued.ToUnixTimeSeconds());
            writer.Write(Expires.ToUnixTimeSeconds());
            foreach (var text in (ReadOnlySpan<string>)[AccessKeyId, Secret, Parent, ParentMark, Role, RoleId, SessionName, Provider, Subject, Audience, Policy]) writer.Write(text);
        }
        var plain = memory.ToArray();
        var token = Base64Url.EncodeToString(box.Seal(plain, Purpose));
        CryptographicOperations.ZeroMemory(plain);
        CryptographicOperations.ZeroMemory(memory.GetBuffer());
        return token;
    }

    /// <returns>Null for what no node of this cluster sealed as a session token.</returns>
    public static SessionToken? Open(string text, ISecretBox box)
    {
        if (text.Length is 0 or > CharactersMax || !Base64Url.IsValid(text)) return null;
        byte[] plain;
        try
        {
            plain = box.OpenBytes(Base64Url.DecodeFromChars(text), Purpose);
        }
        catch (Exception e) when (e is CryptographicException or FormatException)
        {
            return null;
        }
        try
        {
            using var reader = new BinaryReader(new MemoryStream(plain), Encoding.UTF8);
            if (reader.ReadByte() != Format) return null;
            var (issued, expires) = (DateTimeOffset.FromUnixTimeSeconds(reader.ReadInt64()), DateTimeOffset.FromUnixTimeSeconds(reader.ReadInt64()));
            return new(reader.ReadString(), reader.ReadString(), issued, expires, reader.ReadString(), reader.ReadString(), reader.ReadString(), reader.ReadString(),
                reader.ReadString(), reader.ReadString(), reader.ReadString(), reader.ReadString(), reader.ReadString());
        }
        finally
        {
            CryptographicOperations.ZeroMemory(plain);
        }
    }

    public override string ToString() => $"session {AccessKeyId}";   // the secret stays out of logs
}
