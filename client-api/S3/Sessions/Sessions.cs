using System.Collections.Concurrent;
using DarkStorage.Rules.Policies;
using DarkStorage.Storage.Secrets;

namespace DarkStorage.ClientApi.S3;

/// <summary>A session token that was opened, and what is made of it once and not for each request.</summary>
/// <param name="Policy">Null for none.</param>
internal sealed record OpenedSession(SessionToken Content, SessionFacts Facts, IdentityPolicy? Policy);

/// <summary>Makes and opens session tokens. Nothing of them is stored: whichever node has the master key opens what another made.</summary>
internal sealed class Sessions(ISecretBox box, Roles roles, S3Options options, TimeProvider clock)
{
    /// <summary>Opened tokens remembered at the most: with their policies some megabytes. A token is authentic before it is remembered, so strangers fill nothing.</summary>
    private const int RememberedMax = 1000;

    private readonly ConcurrentDictionary<string, OpenedSession> _opened = new(StringComparer.Ordinal);

    /// <summary>Tokens stay as they are; what the roles behind them may do is asked anew.</summary>
    public void Forget(bool isSure) => roles.Forget(isSure);

    public string Seal(SessionToken token) => token.Seal(box);

    /// <exception cref="S3Exception"><c>InvalidToken</c>: it is none of ours, or goes with another access key; <c>ExpiredToken</c>.</exception>
    public OpenedSession Open(string text, string accessKeyId)
    {
        if (!_opened.TryGetValue(text, out var session))
        {
            session = SessionToken.Open(text, box) is { } token ? Read(token) : throw new S3Exception(S3Error.InvalidToken);
            if (_opened.Count >= RememberedMax) _opened.Clear();
            _opened[text] = session;
        }
        if (session.Content.AccessKeyId != accessKeyId) throw new S3Exception(S3Error.InvalidToken);
        return clock.GetUtcNow() < session.Content.Expires ? session : throw new S3Exception(S3Error.ExpiredToken);
    }

    /// <summary>Who acts in a session of a role.</summary>
    /// <returns>Null where that role is not there any more.</returns>
    public async ValueTask<Caller?> FindRoleAsync(OpenedSession session, bool mayBeStale, CancellationToken ct)
    {
        var token = session.Content;
        if (await roles.FindAsync(token.Role, mayBeStale, ct) is not { } role || role.Record.Id != token.RoleId) return null;
        var account = Roles.CanonicalId(token.Role);
        var principal = PolicyPrincipal.AssumedRole(options.AccountId, token.Role, token.SessionName, account, token.RoleId).With(session.Facts);
        return new(account, principal, role.Policies) { SessionPolicy = session.Policy, IsSession = true };
    }

    private static OpenedSession Read(SessionToken token) => new(
        token, new(token.Issued, token.Provider, token.Subject, token.Audience), token.Policy.Length == 0 ? null : StoredPolicy.Read("", token.Policy));
}
