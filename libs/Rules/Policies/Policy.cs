using System.Collections.Frozen;

namespace DarkStorage.Rules.Policies;

/// <summary>A policy: who may do what. Immutable, compiled when parsed; the document is what is stored.</summary>
public abstract class Policy
{
    /// <summary>Statements of one policy at the most. Ours: AWS bounds the document only. It bounds the work of a decision.</summary>
    public const int StatementsMax = 128;

    private readonly FrozenSet<string> _keys;

    private protected Policy(string version, string id, IReadOnlyList<PolicyStatement> statements)
    {
        (Version, Id, Statements) = (version, id, statements);
        _keys = statements.SelectMany(s => s.Keys).Select(k => k.Name).ToFrozenSet(StringComparer.Ordinal);
    }

    /// <summary>The policy language it is written in, <c>2008-10-17</c> or <c>2012-10-17</c>; only the newer has variables.</summary>
    public string Version { get; }

    public string Id { get; }

    public IReadOnlyList<PolicyStatement> Statements { get; }

    /// <summary>Whether a decision may depend on a condition key, so that whoever evaluates the policy need not fetch what nothing asks for.</summary>
    /// <param name="keyName">In AWS's spelling, such as <see cref="ConditionKeys.ExistingObjectTag"/>.</param>
    public bool Asks(string keyName) => _keys.Contains(keyName);

    // A stored policy that no longer parses. It forbids everything: nobody can tell what it forbade.
    private protected static IReadOnlyList<PolicyStatement> DenyAll(Principals? principals) =>
    [
        new()
        {
            Sid = "Unreadable",
            Number = 1,
            Effect = PolicyEffect.Deny,
            Principals = principals,
            Actions = [Pattern.Parse("*", wildcards: true, variables: false)],
            Resources = [ArnPattern.Parse("*", variables: false, otherServices: false)!],
        },
    ];
}

/// <summary>The policy of a bucket: says for whom each statement is, and speaks only of its bucket.</summary>
public sealed class BucketPolicy : Policy
{
    /// <summary>Of the document in UTF-8. AWS's limit of 20 KB.</summary>
    public const int BytesMax = 20 * 1024;

    internal BucketPolicy(string version, string id, IReadOnlyList<PolicyStatement> statements) : base(version, id, statements) =>
        IsPublic = PublicPolicies.IsPublic(statements);

    /// <summary>Stands in for a stored policy that cannot be parsed: denies everything to everybody (root may still read and replace a bucket's policy).</summary>
    public static BucketPolicy Unreadable { get; } = new(PolicyParser.NewestVersion, "", DenyAll(new([new Everyone()], Negated: false)));

    /// <summary>Whether it lets in people whom nobody chose, in AWS's meaning of public: see <see cref="PublicPolicies"/>.</summary>
    public bool IsPublic { get; }

    /// <param name="json">At most <see cref="BytesMax"/>.</param>
    /// <exception cref="PolicyFormatException"/>
    public static BucketPolicy Parse(string bucket, string json)
    {
        if (json.Length > BytesMax) throw PolicyParser.TooLarge();
        return new PolicyParser(PolicyParser.Language.Bucket, bucket).ParseBucketPolicy(json);
    }

    public override string ToString() => "the bucket policy";
}

/// <summary>Who may assume a role: a policy whose resource is that role.</summary>
public sealed class TrustPolicy : Policy
{
    /// <summary>Characters of the document. AWS's limit where its quota is raised.</summary>
    public const int CharactersMax = 4096;

    internal TrustPolicy(string version, string id, IReadOnlyList<PolicyStatement> statements) : base(version, id, statements)
    {
    }

    /// <summary>Stands in for a stored policy that cannot be parsed: nobody may assume the role.</summary>
    public static TrustPolicy Unreadable { get; } = new(PolicyParser.NewestVersion, "", DenyAll(new([new Everyone()], Negated: false)));

    /// <exception cref="PolicyFormatException"/>
    public static TrustPolicy Parse(string json)
    {
        if (json.Length > CharactersMax) throw PolicyParser.TooLarge();
        return new PolicyParser(PolicyParser.Language.Trust).ParseTrustPolicy(json);
    }

    /// <summary>A provider as policies name it: its address without the scheme and without a slash at its end.</summary>
    public static string ProviderOf(string issuer) => Principals.ProviderOf(issuer);

    public override string ToString() => "the role's trust policy";
}

/// <summary>A policy attached to a user, a group or a role, or to one session.</summary>
public sealed class IdentityPolicy : Policy
{
    /// <summary>Characters that are not white space. AWS's limit for a managed policy, which it counts so too.</summary>
    public const int CharactersMax = 6144;

    /// <summary>Characters in all. Ours: white space is not free to parse.</summary>
    public const int DocumentCharactersMax = 4 * CharactersMax;

    internal IdentityPolicy(string name, string version, string id, IReadOnlyList<PolicyStatement> statements) : base(version, id, statements) => Name = name;

    /// <summary>Stands in for a stored policy that cannot be parsed: denies everything.</summary>
    public static IdentityPolicy Unreadable { get; } = new("", PolicyParser.NewestVersion, "", DenyAll(null));

    /// <summary>For people who ask why; empty for a session's.</summary>
    public string Name { get; }

    /// <exception cref="PolicyFormatException"/>
    public static IdentityPolicy Parse(string name, string json)
    {
        if (json.Length > DocumentCharactersMax || json.Length - json.Count(char.IsWhiteSpace) > CharactersMax) throw PolicyParser.TooLarge();
        return new PolicyParser(PolicyParser.Language.Identity).ParseIdentityPolicy(name, json);
    }

    public override string ToString() => Name.Length > 0 ? $"the policy \"{Name}\"" : "the session's policy";
}
