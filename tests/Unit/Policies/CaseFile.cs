using DarkStorage.Rules;
using DarkStorage.Rules.Acls;
using DarkStorage.Rules.Policies;

namespace DarkStorage.Unit.Policies;

/// <summary>One row of a file of cases: a situation, a request, and what is to come of it.</summary>
/// <param name="Expected"><c>allow</c>, <c>implicit</c>, <c>explicit</c> of the policies alone, or what decides of the whole decision.</param>
internal sealed record PolicyCase(string Place, string Title, AuthorizationRequest Asked, string Expected, string Note)
{
    public override string ToString() => $"{Place}: {Title}: {Asked.Request.Principal} {Asked.Request.Action} {Asked.Request.Resource}: {Note}";
}

/// <summary>Condition keys of a request in a test.</summary>
internal sealed class Context : IConditionContext
{
    private readonly Dictionary<string, List<string>> _values = new(StringComparer.Ordinal);

    public Context With(string key, string value)
    {
        if (!_values.TryGetValue(key, out var values)) _values[key] = values = [];
        values.Add(value);
        return this;
    }

    public ConditionValues Find(ConditionKey key) => _values.TryGetValue(key.ToString(), out var values) ? new(values) : default;
}

/// <summary>Reads the files in Policies/Cases. A group begins with <c>==</c>; its lines up to the first row are the situation.</summary>
internal static class CaseFile
{
    public const string Account = "123456789012";

    public static IReadOnlyList<PolicyCase> Read(string file)
    {
        using var reader = new StreamReader(typeof(CaseFile).Assembly.GetManifestResourceStream(file) ?? throw new InvalidOperationException($"There is no {file}."));
        var cases = new List<PolicyCase>();
        var group = new Group("");
        for (var number = 1; reader.ReadLine() is { } line; number++)
        {
            if (line.Length == 0 || line[0] == '#') continue;
            if (line.StartsWith("== ", StringComparison.Ordinal)) group = new(line[3..]);
            else if (!group.Take(line)) cases.Add(group.Row($"{file}:{number}", line));
        }
        return cases;
    }

    public static PolicyPrincipal Principal(string name) => name switch
    {
        "anonymous" => PolicyPrincipal.Anonymous,
        "root" => PolicyPrincipal.Root(Account, "id-root"),
        _ when name.StartsWith("role:", StringComparison.Ordinal) && name[5..].Split('/') is [var role, var session] =>
            PolicyPrincipal.AssumedRole(Account, role, session, $"id-{role}", $"rid-{role}"),
        _ => PolicyPrincipal.User(Account, name, $"id-{name}", $"uid-{name}"),
    };

    public static string Document(string version, IEnumerable<string> statements) =>
        $$"""{"Version": "{{version}}", "Statement": [{{string.Join(", ", statements)}}]}""";

    private sealed class Group(string title)
    {
        private readonly List<string> _identity = [];
        private readonly List<string> _session = [];
        private readonly List<string> _bucketPolicy = [];
        private readonly List<Grant> _grants = [];
        private readonly List<Grant> _objectGrants = [];
        private string _version = "2012-10-17";
        private string? _acl;
        private string? _object;
        private string? _objectAcl;
        private bool _noBucket;
        private bool _unreadableBucket;
        private bool _unreadableIdentity;
        private ObjectOwnership _ownership;
        private PublicAccessBlock _block = PublicAccessBlock.None;

        /// <returns>False where the line is a row.</returns>
        public bool Take(string line)
        {
            var space = line.IndexOf(' ');
            var (word, rest) = space < 0 ? (line, "") : (line[..space], line[(space + 1)..].Trim());
            switch (word)
            {
                case "when":
                    _identity.Add($$"""{"Effect": "Allow", "Action": "*", "Resource": "*", "Condition": {{rest}}}""");
                    return true;
                case "deny-when":
                    _identity.Add("""{"Effect": "Allow", "Action": "*", "Resource": "*"}""");
                    _identity.Add($$"""{"Effect": "Deny", "Action": "*", "Resource": "*", "Condition": {{rest}}}""");
                    return true;
                case "identity":
                    _identity.Add(rest);
                    return true;
                case "session":
                    _session.Add(rest);
                    return true;
                case "bucket":
                    _bucketPolicy.Add(rest);
                    return true;
                case "version":
                    _version = rest;
                    return true;
                case "acl":
                    _acl = rest;
                    return true;
                case "object":
                    _object = rest;
                    return true;
                case "object-acl":
                    _objectAcl = rest;
                    return true;
                case "grant":
                    _grants.Add(ParseGrant(rest));
                    return true;
                case "object-grant":
                    _objectGrants.Add(ParseGrant(rest));
                    return true;
                case "ownership":
                    _ownership = Enum.Parse<ObjectOwnership>(rest);
                    return true;
                case "no-bucket":
                    return _noBucket = true;
                case "unreadable-bucket":
                    return _unreadableBucket = true;
                case "unreadable-identity":
                    return _unreadableIdentity = true;
                case "block":
                    _block = new(rest.Contains("BlockPublicAcls"),
                        rest.Contains("IgnorePublicAcls"), rest.Contains("BlockPublicPolicy"), rest.Contains("RestrictPublicBuckets"));
                    return true;
                default:
                    return false;
            }
        }

        public PolicyCase Row(string place, string line)
        {
            var note = line.IndexOf(" -- ", StringComparison.Ordinal);
            var words = line[..note].Split(' ', StringSplitOptions.RemoveEmptyEntries);
            var context = new Context();
            foreach (var word in words[4..])
            {
                var equals = word.IndexOf('=');
                context.With(word[..equals], word[(equals + 1)..] is "\"\"" ? "" : word[(equals + 1)..]);
            }
            return new(place, title, Situation(new(Principal(words[1]), words[2], $"arn:aws:s3:::{words[3]}", context)), words[0], line[(note + 4)..]);
        }

        private AuthorizationRequest Situation(PolicyRequest request)
        {
            var bucketPolicy = _unreadableBucket ? BucketPolicy.Unreadable
                : _bucketPolicy.Count > 0 ? BucketPolicy.Parse("photos", Document(_version, _bucketPolicy)) : null;
            IdentityPolicy[] identity = _unreadableIdentity ? [IdentityPolicy.Unreadable]
                : _identity.Count > 0 ? [IdentityPolicy.Parse("attached", Document(_version, _identity))] : [];
            return new()
            {
                Request = request,
                IdentityPolicies = identity,
                SessionPolicy = _session.Count > 0 ? IdentityPolicy.Parse("", Document(_version, _session)) : null,
                Bucket = _noBucket ? null : new("id-bob", bucketPolicy, Acl(_acl, "id-bob", null, _grants), _ownership, _block),
                Object = _object is null ? null : new($"id-{_object}", Acl(_objectAcl, $"id-{_object}", "id-bob", _objectGrants)),
            };
        }

        private static AccessControlList? Acl(string? name, string owner, string? bucketOwner, List<Grant> more)
        {
            if (name is null) return null;
            var canned = AccessControlList.Canned(name, owner, bucketOwner)!;
            return new(canned.Owner, [.. canned.Grants, .. more]);
        }

        private static Grant ParseGrant(string text)
        {
            var words = text.Split(' ');
            var grantee = words[1] == "LogDelivery" ? Grantee.LogDelivery : Grantee.User($"id-{words[1]}");
            return new(grantee, Enum.Parse<AclPermission>(words[0].Replace("_", ""), ignoreCase: true));
        }
    }
}
