using System.Collections.Concurrent;
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

/// <summary>Finds the secret of an access key, and who acts with it. Answers are remembered for <see cref="Lifetime"/>: a key that is disabled, or a policy that is
/// taken away, works that much longer.</summary>
internal sealed class Credentials(RootKey root, Sessions sessions, IGrainFactory grains, S3Options options, TimeProvider clock)
{
    private static readonly TimeSpan Lifetime = TimeSpan.FromSeconds(5);

    /// <summary>Keys remembered at the most; unknown ones are remembered too, so that guessing does not wake grains.</summary>
    private const int RememberedMax = 10_000;

    private readonly Caller _rootCaller = new(Caller.RootAccount, PolicyPrincipal.Root(options.AccountId, Caller.RootAccount), []);
    private readonly ConcurrentDictionary<string, Remembered> _remembered = new(StringComparer.Ordinal);

    private sealed record Remembered(Caller? Caller, string Secret, long Until);

    /// <exception cref="S3Exception"><c>InvalidAccessKeyId</c>: unknown or disabled.</exception>
    public async ValueTask<(Caller Caller, string Secret)> FindAsync(string accessKeyId, CancellationToken ct)
    {
        if (accessKeyId == root.AccessKeyId) return (_rootCaller, root.Secret);
        if (!_remembered.TryGetValue(accessKeyId, out var known) || known.Until < clock.GetTimestamp()) known = await AskAsync(accessKeyId, ct);
        if (known.Caller is null) throw new S3Exception(S3Error.InvalidAccessKeyId).With("AWSAccessKeyId", accessKeyId);
        return (known.Caller, known.Secret);
    }

    /// <summary>The same for a request that may bring a session token, whose secret is then the token's.</summary>
    /// <param name="sessionToken">Null where none came.</param>
    /// <exception cref="S3Exception"><c>InvalidAccessKeyId</c>: unknown or disabled, and so is what the session was begun with; <c>InvalidToken</c>, <c>ExpiredToken</c>.</exception>
    public async ValueTask<(Caller Caller, string Secret)> FindAsync(string accessKeyId, string? sessionToken, CancellationToken ct)
    {
        if (sessionToken is null) return await FindAsync(accessKeyId, ct);
        var session = sessions.Open(sessionToken, accessKeyId);
        var caller = session.Content.Parent.Length > 0
            ? await FindParentAsync(session, ct)
            : await sessions.FindRoleAsync(session, ct);
        return (caller ?? throw new S3Exception(S3Error.InvalidAccessKeyId).With("AWSAccessKeyId", accessKeyId), session.Content.Secret);
    }

    /// <summary>A session of a user, or of root, may what they may, as long as the key is good that began it.</summary>
    private async ValueTask<Caller?> FindParentAsync(OpenedSession session, CancellationToken ct)
    {
        try
        {
            var (caller, secret) = await FindAsync(session.Content.Parent, ct);
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
            var (caller, wanted) = await FindAsync(accessKeyId, ct);
            return IsSame(secret, wanted) && (caller.IsRoot || caller.Policies.Any(p => p.Name == CannedPolicies.Administrator));
        }
        catch (S3Exception)
        {
            return false;
        }
    }

    private async Task<Remembered> AskAsync(string accessKeyId, CancellationToken ct)
    {
        var key = await grains.GetGrain<IAccessKeyGrain>(accessKeyId).FindAsync(ct);
        var until = clock.GetTimestamp() + (long)(Lifetime.TotalSeconds * clock.TimestampFrequency);
        var answer = key is { Enabled: true }
            ? new Remembered(new(key.Account, UserPrincipal(key.Account), await FindPoliciesAsync(key.Account, ct)), key.Secret, until)
            : new(null, "", until);
        if (_remembered.Count >= RememberedMax) _remembered.Clear();
        return _remembered[accessKeyId] = answer;
    }

    private PolicyPrincipal UserPrincipal(string account) => PolicyPrincipal.User(options.AccountId, account, account, account);

    /// <summary>An account that has keys and was never made as a user has no policies.</summary>
    private async ValueTask<IReadOnlyList<IdentityPolicy>> FindPoliciesAsync(string account, CancellationToken ct)
    {
        if (await grains.GetGrain<IUserGrain>(account).FindAsync(ct) is not { Policies.Length: > 0 } user) return [];
        return [.. user.Policies.Select(p => StoredPolicy.Read(p.Name, p.Document))];
    }

    /// <summary>Hashed first, so that the comparison tells nothing of the lengths either.</summary>
    private static bool IsSame(string given, string wanted) => CryptographicOperations.FixedTimeEquals(
        SHA256.HashData(System.Text.Encoding.UTF8.GetBytes(given)), SHA256.HashData(System.Text.Encoding.UTF8.GetBytes(wanted)));
}
