using System.Buffers.Text;
using System.Security.Cryptography;
using System.Text.Json;
using DarkStorage.Storage.Secrets;

namespace DarkStorage.ClientApi.S3;

/// <summary>What a session token says.</summary>
/// <param name="Account">Who the session acts as.</param>
/// <param name="Role">The role that was assumed, or null for the user themself.</param>
/// <param name="RolePolicies">What the role may do; empty: what the account may.</param>
/// <param name="Policy">The session's own policy, or null.</param>
/// <param name="Expires">Unix seconds.</param>
internal sealed record Session(string AccessKeyId, string Secret, string Account, string? Role, string Name, string[] RolePolicies, string? Policy, long Expires)
{
    public override string ToString() => $"session {AccessKeyId} of {Account}"; // the secret stays out of logs
}

/// <summary>Temporary credentials. The token holds all there is to know, sealed with the master key: nothing is stored, any node can open it, nobody else can.</summary>
internal sealed class TemporaryCredentials(ISecretBox box, TimeProvider clock)
{
    /// <summary>As AWS begins them.</summary>
    private const string Prefix = "ASIA";
    private const string Purpose = "session-token";
    private const int TokenLengthMax = 32 << 10;

    public static bool IsOne(string accessKeyId) => accessKeyId.Length == 20 && accessKeyId.StartsWith(Prefix, StringComparison.Ordinal);

    /// <returns>The session, with a new key pair, and its token.</returns>
    public (Session Session, string Token) Create(string account, string? role, string name, string[] rolePolicies, string? policy, TimeSpan life)
    {
        var session = new Session(
            Prefix + RandomNumberGenerator.GetString("ABCDEFGHIJKLMNOPQRSTUVWXYZ234567", 16), Convert.ToBase64String(RandomNumberGenerator.GetBytes(30)),
            account, role, name, rolePolicies, policy, clock.GetUtcNow().Add(life).ToUnixTimeSeconds());
        return (session, Base64Url.EncodeToString(box.Seal(JsonSerializer.Serialize(session), Purpose)));
    }

    /// <exception cref="S3Exception"><c>InvalidToken</c>: not ours, or of another key; <c>ExpiredToken</c>.</exception>
    public Session Open(string accessKeyId, string token)
    {
        if (token.Length > TokenLengthMax || !Base64Url.IsValid(token)) throw new S3Exception(S3Error.InvalidToken);
        Session session;
        try
        {
            session = JsonSerializer.Deserialize<Session>(box.Open(Base64Url.DecodeFromChars(token), Purpose))!;
        }
        catch (CryptographicException e)
        {
            throw new S3Exception(S3Error.InvalidToken, null, e);
        }
        if (session.AccessKeyId != accessKeyId) throw new S3Exception(S3Error.InvalidToken);
        return session.Expires > clock.GetUtcNow().ToUnixTimeSeconds() ? session : throw new S3Exception(S3Error.ExpiredToken);
    }
}
