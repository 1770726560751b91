namespace DarkStorage.Rules.Policies;

/// <summary>Whom a statement is about.</summary>
internal abstract record PrincipalEntry
{
    public abstract bool Matches(PolicyPrincipal principal);
}

/// <summary><c>*</c>: with and without a signature.</summary>
internal sealed record Everyone : PrincipalEntry
{
    public override bool Matches(PolicyPrincipal principal) => true;
}

/// <summary>An account or its root: everybody who signs, since all users of a cluster are one trust domain.</summary>
/// <param name="AccountId">Empty for this cluster's.</param>
internal sealed record AccountEntry(string AccountId) : PrincipalEntry
{
    public override bool Matches(PolicyPrincipal principal) =>
        principal.Kind != PrincipalKind.Anonymous && (AccountId.Length == 0 || AccountId == principal.AccountId);
}

/// <param name="Resource">What stands behind the ARN's last colon: a user or a session.</param>
internal sealed record ArnEntry(string AccountId, string Resource) : PrincipalEntry
{
    public override bool Matches(PolicyPrincipal principal) =>
        principal.Kind != PrincipalKind.Anonymous && (AccountId.Length == 0 || AccountId == principal.AccountId) && Resource == principal.ArnResource;
}

/// <summary>A role: everybody who has assumed it.</summary>
internal sealed record RoleEntry(string AccountId, string Role) : PrincipalEntry
{
    public override bool Matches(PolicyPrincipal principal) =>
        principal.Kind == PrincipalKind.AssumedRole && (AccountId.Length == 0 || AccountId == principal.AccountId) && Role == principal.Role;
}

internal sealed record CanonicalUserEntry(string Id) : PrincipalEntry
{
    public override bool Matches(PolicyPrincipal principal) => principal.Kind != PrincipalKind.Anonymous && Id == principal.CanonicalId;
}

/// <summary>Whoever holds a token of an identity provider. They come to STS alone: a bucket policy that names a provider names nobody.</summary>
/// <param name="Provider">As <see cref="PolicyPrincipal.Provider"/>.</param>
/// <param name="AccountId">Empty where the provider is named by its address and not by an ARN.</param>
internal sealed record FederatedEntry(string AccountId, string Provider) : PrincipalEntry
{
    public override bool Matches(PolicyPrincipal principal) =>
        principal.Kind == PrincipalKind.WebIdentity && (AccountId.Length == 0 || AccountId == principal.AccountId) && Provider == principal.Provider;
}

/// <summary>A service of AWS: nobody who could come here.</summary>
internal sealed record ForeignEntry(string Name) : PrincipalEntry
{
    public override bool Matches(PolicyPrincipal principal) => false;
}

/// <summary>The element Principal, or NotPrincipal.</summary>
internal sealed record Principals(PrincipalEntry[] Entries, bool Negated)
{
    private const int AccountDigits = 12;
    private const int NameLengthMax = 2048;

    /// <summary>Whether nobody in particular is named.</summary>
    public bool IsOpen => Negated || Array.Exists(Entries, e => e is Everyone);

    /// <summary>Whether one entry is this caller or their role, and not all of an account.</summary>
    public bool Names(PolicyPrincipal principal) => !Negated && Array.Exists(Entries, e => e is not (Everyone or AccountEntry) && e.Matches(principal));

    public bool Match(PolicyPrincipal principal)
    {
        foreach (var entry in Entries)
        {
            if (entry.Matches(principal)) return !Negated;
        }
        return Negated;
    }

    /// <summary>One name of a kind of principal.</summary>
    /// <returns>Null where it names nobody.</returns>
    public static PrincipalEntry? ParseEntry(string kind, string name)
    {
        if (name.Length is 0 or > NameLengthMax || name.AsSpan().IndexOfAnyInRange('\0', ' ') >= 0) return null;
        if (name == "*") return kind == "AWS" ? new Everyone() : null;
        if (name.AsSpan().ContainsAny('*', '?')) return null;
        return kind switch
        {
            "AWS" => ParseAws(name),
            "CanonicalUser" => new CanonicalUserEntry(name),
            "Federated" => ParseFederated(name),
            "Service" => new ForeignEntry(name),
            _ => null,
        };
    }

    // arn:aws:iam::ACCOUNT:oidc-provider/HOST/PATH, or the address with or without its scheme
    private static FederatedEntry ParseFederated(string name)
    {
        var parts = name.Split(':', 6);
        const string Provider = "oidc-provider/";
        return parts is ["arn", "aws", "iam", "", var account, var resource] && resource.StartsWith(Provider, StringComparison.Ordinal)
            ? new(account, resource[Provider.Length..])
            : new("", ProviderOf(name));
    }

    /// <summary>An issuer's address as policies write it: without its scheme and without a slash at its end.</summary>
    public static string ProviderOf(string issuer)
    {
        var scheme = issuer.IndexOf("://", StringComparison.Ordinal);
        return (scheme < 0 ? issuer : issuer[(scheme + 3)..]).TrimEnd('/');
    }

    // arn:aws:iam::ACCOUNT:root|user/NAME|role/NAME, arn:aws:sts::ACCOUNT:assumed-role/ROLE/SESSION, or the account alone
    private static PrincipalEntry? ParseAws(string name)
    {
        if (IsAccount(name)) return new AccountEntry(name);
        var parts = name.Split(':', 6);
        if (parts is not ["arn", "aws", var service, "", var account, var resource] || (account.Length > 0 && !IsAccount(account))) return null;
        var names = resource.Split('/');
        if (Array.Exists(names, n => n.Length == 0)) return null;
        return (service, names[0], names.Length) switch
        {
            ("iam", "root", 1) => new AccountEntry(account),
            ("iam", "user", > 1) => new ArnEntry(account, resource),
            ("iam", "role", > 1) => new RoleEntry(account, names[^1]),
            ("sts", "assumed-role", 3) => new ArnEntry(account, resource),
            ("sts", "federated-user", 2) => new ForeignEntry(name),
            _ => null,
        };
    }

    private static bool IsAccount(string text) => text.Length == AccountDigits && !text.AsSpan().ContainsAnyExceptInRange('0', '9');
}
