using System.Security.Cryptography;
using DarkStorage.GrainInterfaces.AccessKeys;
using DarkStorage.GrainInterfaces.Users;
using DarkStorage.Rules.Policies;
using Orleans;

namespace DarkStorage.ClientApi.S3;

/// <summary>Who makes a request.</summary>
/// <param name="Account">Whom buckets and objects belong to: the canonical id. Empty for an anonymous request.</param>
/// <param name="Policies">Attached to the user or the role.</param>
internal sealed record Caller(string Account, PolicyPrincipal Principal, IReadOnlyList<IdentityPolicy> Policies)
{
    /// <summary>Of a session that was begun with one: narrows what it may do.</summary>
    public IdentityPolicy? SessionPolicy { get; init; }

    /// <summary>With temporary credentials.</summary>
    public bool IsSession { get; init; }

    /// <summary>The account of the root credentials.</summary>
    public const string RootAccount = "root";

    public static readonly Caller Anonymous = new("", PolicyPrincipal.Anonymous, []);

    public bool IsRoot => Principal.Kind == PrincipalKind.Root;

    public bool IsAnonymous => Principal.Kind == PrincipalKind.Anonymous;
}

/// <summary>The key pair that may do everything, as it was configured.</summary>
public sealed record RootKey(string AccessKeyId, string Secret)
{
    public override string ToString() => $"RootKey {AccessKeyId}";
}

/// <summary>Finds the secret of an access key, and who acts with it.</summary>
internal sealed class Credentials
{
    private readonly RootKey _root;
    private readonly Sessions _sessions;
    private readonly IGrainFactory _grains;
    private readonly S3Options _options;
    private readonly Caller _rootCaller;
    private readonly RememberedAnswers<(Caller? Caller, string Secret)> _keys;

    public Credentials(RootKey root, Sessions sessions, IGrainFactory grains, S3Options options, TimeProvider clock)
    {
        (_root, _sessions, _grains, _options) = (root, sessions, grains, options);
        _rootCaller = new(Caller.RootAccount, PolicyPrincipal.Root(options.AccountId, Caller.RootAccount), []);
        _keys = new(AskAsync, options.StaleReadsMax, clock);
    }

    /// <summary>A key, a user or a role was changed over this node: it acts on that from now on.</summary>
    /// <param name="isSure">As for <see cref="RememberedAnswers{T}.Forget"/>.</param>
    public void Forget(bool isSure)
    {
        _keys.Forget(isSure);
        _sessions.Forget(isSure);
    }

    /// <exception cref="S3Exception"><c>InvalidAccessKeyId</c>: unknown or disabled.</exception>
    private async ValueTask<(Caller Caller, string Secret)> FindAsync(string accessKeyId, bool mayBeStale, CancellationToken ct)
    {
        if (accessKeyId == _root.AccessKeyId) return (_rootCaller, _root.Secret);
        var (caller, secret) = await _keys.FindAsync(accessKeyId, mayBeStale, ct);
        if (caller is null) throw new S3Exception(S3Error.InvalidAccessKeyId).With("AWSAccessKeyId", accessKeyId);
        return (caller, secret);
    }

    /// <summary>The same for a request that may bring a session token, whose secret is then the token's.</summary>
    /// <param name="sessionToken">Null where none came.</param>
    /// <param name="mayBeStale">The index is away, and the request only reads: what was true a while ago is good enough, where an operator has said so.</param>
    /// <exception cref="S3Exception"><c>InvalidAccessKeyId</c>: unknown or disabled, and so is what the session was begun with; <c>InvalidToken</c>, <c>ExpiredToken</c>.</exception>
    public async ValueTask<(Caller Caller, string Secret)> FindAsync(string accessKeyId, string? sessionToken, bool mayBeStale, CancellationToken ct)
    {
        if (sessionToken is null) return await FindAsync(accessKeyId, mayBeStale, ct);
        var session = _sessions.Open(sessionToken, accessKeyId);
        var caller = session.Content.Parent.Length > 0
            ? await FindParentAsync(session, mayBeStale, ct)
            : await _sessions.FindRoleAsync(session, mayBeStale, ct);
        return (caller ?? throw new S3Exception(S3Error.InvalidAccessKeyId).With("AWSAccessKeyId", accessKeyId), session.Content.Secret);
    }

    /// <summary>A session of a user, or of root, may what they may, as long as the key is good that began it.</summary>
    private async ValueTask<Caller?> FindParentAsync(OpenedSession session, bool mayBeStale, CancellationToken ct)
    {
        try
        {
            var (caller, secret) = await FindAsync(session.Content.Parent, mayBeStale, ct);
            if (!IsSame(session.Content.ParentMark, SessionToken.MarkOf(caller.Account, secret))) return null;
            return caller with { Principal = caller.Principal.With(session.Facts), IsSession = true };
        }
        catch (S3Exception e) when (e.Error == S3Error.InvalidAccessKeyId)
        {
            return null;
        }
    }

    /// <summary>Whether a pair of key and secret may administer the cluster: root's may, and that of a user with the policy <see cref="CannedPolicies.Administrator"/>.</summary>
    public async ValueTask<bool> IsAdministratorAsync(string accessKeyId, string secret, CancellationToken ct)
    {
        try
        {
            var (caller, wanted) = await FindAsync(accessKeyId, mayBeStale: false, ct);
            return IsSame(secret, wanted) && (caller.IsRoot || caller.Policies.Any(p => p.Name == CannedPolicies.Administrator));
        }
        catch (S3Exception)
        {
            return false;
        }
    }

    private async Task<(Caller? Caller, string Secret)> AskAsync(string accessKeyId, CancellationToken ct) =>
        await _grains.GetGrain<IAccessKeyGrain>(accessKeyId).FindAsync(ct) is { Enabled: true } key
            ? (new(key.Account, UserPrincipal(key.Account), await FindPoliciesAsync(key.Account, ct)), key.Secret)
            : (null, "");

    private PolicyPrincipal UserPrincipal(string account) => PolicyPrincipal.User(_options.AccountId, account, account, account);

    /// <summary>An account that has keys and was never made as a user has no policies.</summary>
    private async ValueTask<IReadOnlyList<IdentityPolicy>> FindPoliciesAsync(string account, CancellationToken ct)
    {
        if (await _grains.GetGrain<IUserGrain>(account).FindAsync(ct) is not { Policies.Length: > 0 } user) return [];
        return [.. user.Policies.Select(p => StoredPolicy.Read(p.Name, p.Document))];
    }

    /// <summary>Hashed first, so that the comparison tells nothing of the lengths either.</summary>
    private static bool IsSame(string given, string wanted) => CryptographicOperations.FixedTimeEquals(
        SHA256.HashData(System.Text.Encoding.UTF8.GetBytes(given)), SHA256.HashData(System.Text.Encoding.UTF8.GetBytes(wanted)));
}
