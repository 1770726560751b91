using System.Text;
using System.Text.Json;

namespace DarkStorage.Rules.Policies;

/// <summary>Reads a policy document. Whatever it does not know it refuses: an element that is ignored might have been the one that protects.</summary>
/// <param name="bucket">Whose policy it is; null for the others.</param>
internal sealed class PolicyParser(PolicyParser.Language language, string? bucket = null)
{
    internal enum Language
    {
        Identity,
        Bucket,
        Trust,
    }


    internal const string NewestVersion = "2012-10-17";
    private const string OldestVersion = "2008-10-17";

    /// <summary>A policy of AWS nests six deep: document, statements, statement, Condition, operator, values.</summary>
    private const int DepthMax = 8;

    private const int SidLengthMax = 256;
    private const int IdLengthMax = 1024;

    private static readonly UTF8Encoding StrictUtf8 = new(encoderShouldEmitUTF8Identifier: false, throwOnInvalidBytes: true);

    private bool _variables;

    private bool IsIdentity => language == Language.Identity;

    private bool IsTrust => language == Language.Trust;

    public static PolicyFormatException TooLarge() => new("Policy exceeds the maximum allowed document size.");

    public BucketPolicy ParseBucketPolicy(string json)
    {
        var (version, id, statements) = ParseDocument(json, BucketPolicy.BytesMax);
        return new(version, id, statements);
    }

    public TrustPolicy ParseTrustPolicy(string json)
    {
        var (version, id, statements) = ParseDocument(json, int.MaxValue);
        return new(version, id, statements);
    }

    public IdentityPolicy ParseIdentityPolicy(string name, string json)
    {
        var (version, id, statements) = ParseDocument(json, int.MaxValue);
        return new(name, version, id, statements);
    }

    private (string Version, string Id, IReadOnlyList<PolicyStatement> Statements) ParseDocument(string json, int bytesMax)
    {
        byte[] utf8;
        try
        {
            utf8 = StrictUtf8.GetBytes(json);
        }
        catch (EncoderFallbackException)
        {
            throw NotJson();
        }
        if (utf8.Length > bytesMax) throw TooLarge();
        try
        {
            using var document = JsonDocument.Parse(utf8, new JsonDocumentOptions { MaxDepth = DepthMax });
            return ParseDocument(document.RootElement);
        }
        catch (JsonException)
        {
            throw NotJson();
        }
    }

    private (string Version, string Id, IReadOnlyList<PolicyStatement> Statements) ParseDocument(JsonElement root)
    {
        if (root.ValueKind != JsonValueKind.Object) throw NotJson();
        var version = OldestVersion;
        var id = "";
        JsonElement? statements = null;
        foreach (var (name, value) in Members(root))
        {
            switch (name)
            {
                case "Version":
                    version = Text(value, "Version");
                    if (version is not (OldestVersion or NewestVersion)) throw new PolicyFormatException("The policy must contain a valid version string");
                    break;
                case "Id":
                    id = Text(value, "Id");
                    if (id.Length > IdLengthMax) throw new PolicyFormatException("Policy has an Id that is too long");
                    break;
                case "Statement":
                    statements = value;
                    break;
                default:
                    throw new PolicyFormatException($"Unknown field {Shown(name)}");
            }
        }
        if (statements is not { } list) throw Missing("Statement");
        _variables = version == NewestVersion;

        var parsed = new List<PolicyStatement>();
        if (list.ValueKind == JsonValueKind.Object) parsed.Add(ParseStatement(list, 1));
        else if (list.ValueKind == JsonValueKind.Array)
        {
            if (list.GetArrayLength() > Policy.StatementsMax) throw new PolicyFormatException($"Policy has more than {Policy.StatementsMax} statements");
            foreach (var item in list.EnumerateArray()) parsed.Add(ParseStatement(item, parsed.Count + 1));
        }
        else throw Syntax("Statement");
        if (parsed.Count == 0) throw Missing("Statement");

        var sids = new HashSet<string>(StringComparer.Ordinal);
        foreach (var statement in parsed)
        {
            if (statement.Sid.Length > 0 && !sids.Add(statement.Sid))
                throw new PolicyFormatException($"Statement IDs (SID) in a single policy must be unique: {Shown(statement.Sid)}");
        }
        return (version, id, parsed);
    }

    private PolicyStatement ParseStatement(JsonElement element, int number)
    {
        if (element.ValueKind != JsonValueKind.Object) throw Syntax("Statement");
        var sid = "";
        PolicyEffect? effect = null;
        Principals? principals = null;
        Pattern[]? actions = null;
        ArnPattern[]? resources = null;
        bool actionsNegated = false, resourcesNegated = false;
        Condition[] conditions = [];
        foreach (var (name, value) in Members(element))
        {
            switch (name)
            {
                case "Sid":
                    sid = ParseSid(value);
                    break;
                case "Effect":
                    effect = ParseEffect(value);
                    break;
                case "Principal" or "NotPrincipal":
                    if (IsIdentity) throw new PolicyFormatException("Policy document should not specify a principal.");
                    if (principals is not null) throw Both("Principal");
                    // As in AWS: whom it would let in nobody can see.
                    if (IsTrust && name == "NotPrincipal") throw new PolicyFormatException("NotPrincipal is not supported in a trust policy.");
                    principals = new(ParsePrincipals(value), Negated: name == "NotPrincipal");
                    break;
                case "Action" or "NotAction":
                    if (actions is not null) throw Both("Action");
                    actions = [.. Texts(value, name).Select(ParseAction)];
                    actionsNegated = name == "NotAction";
                    break;
                case "Resource" or "NotResource":
                    if (IsTrust) throw new PolicyFormatException($"Has prohibited field {name}");
                    if (resources is not null) throw Both("Resource");
                    resources = [.. Texts(value, name).Select(ParseResource)];
                    resourcesNegated = name == "NotResource";
                    break;
                case "Condition":
                    conditions = ParseConditions(value);
                    break;
                default:
                    throw new PolicyFormatException($"Unknown field {Shown(name)}");
            }
        }
        if (effect is null) throw Missing("Effect");
        if (!IsIdentity && principals is null) throw Missing("Principal");
        if (actions is null) throw Missing("Action");
        // The policy is the role's: its only resource is that.
        if (IsTrust) resources = [ArnPattern.Parse("*", variables: false, otherServices: false)!];
        if (resources is null) throw Missing("Resource");
        if (language == Language.Bucket && !actionsNegated && !resourcesNegated) RequireActionsToApply(actions, resources);
        if (IsTrust) RequireClaimsToApply(principals!, conditions);
        return new()
        {
            Sid = sid,
            Number = number,
            Effect = effect.Value,
            Principals = principals,
            Actions = actions,
            ActionsNegated = actionsNegated,
            Resources = resources,
            ResourcesNegated = resourcesNegated,
            Conditions = conditions,
        };
    }

    private string ParseSid(JsonElement value)
    {
        var sid = Text(value, "Sid");
        if (sid.Length > SidLengthMax) throw new PolicyFormatException("Policy has a statement ID (SID) that is too long");
        if (IsIdentity && !sid.All(char.IsAsciiLetterOrDigit)) throw new PolicyFormatException("Statement IDs (SID) must be alpha-numeric.");
        return sid;
    }

    private static PolicyEffect ParseEffect(JsonElement value) => Text(value, "Effect") switch
    {
        "Allow" => PolicyEffect.Allow,
        "Deny" => PolicyEffect.Deny,
        var other => throw new PolicyFormatException($"Invalid effect: {Shown(other)}"),
    };

    // "*", or an object: a kind of principal, and one or many of it
    private static PrincipalEntry[] ParsePrincipals(JsonElement value)
    {
        if (value.ValueKind == JsonValueKind.String) return Text(value, "Principal") == "*" ? [new Everyone()] : throw InvalidPrincipal();
        if (value.ValueKind != JsonValueKind.Object) throw InvalidPrincipal();
        var entries = new List<PrincipalEntry>();
        foreach (var (kind, names) in Members(value))
        {
            foreach (var name in Texts(names, "Principal")) entries.Add(Principals.ParseEntry(kind, name) ?? throw InvalidPrincipal());
        }
        return entries.Count > 0 ? [.. entries] : throw InvalidPrincipal();
    }

    private Pattern ParseAction(string text)
    {
        var pattern = Pattern.Parse(text, wildcards: true, variables: false, ignoreCase: true);
        if (IsTrust) return text != "*" && StsActions.MatchesAny(pattern) ? pattern : throw new PolicyFormatException("A trust policy may only specify STS AssumeRole actions.");
        if (text == "*") return pattern;
        var colon = text.IndexOf(':');
        var service = colon > 0 ? text[..colon] : "";
        var isS3 = service.Equals("s3", StringComparison.OrdinalIgnoreCase);
        var isOther = IsIdentity && service.Length > 0 && colon < text.Length - 1 && service.All(c => char.IsAsciiLetterOrDigit(c) || c == '-');
        if (isS3 ? !S3Actions.MatchesAny(pattern) : !isOther) throw new PolicyFormatException("Policy has invalid action");
        return pattern;
    }

    private ArnPattern ParseResource(string text)
    {
        var pattern = ArnPattern.Parse(text, _variables, otherServices: IsIdentity);
        if (pattern is null || (text != "*" && !text.StartsWith("arn:aws:", StringComparison.Ordinal) && !text.StartsWith("arn:*:", StringComparison.Ordinal)))
            throw InvalidResource();
        if (IsIdentity) return pattern;
        var path = pattern.Resource.Head;
        var isOfBucket = pattern.Head == "arn:aws:s3:::" && path.StartsWith(bucket!, StringComparison.Ordinal)
            && (path.Length == bucket!.Length ? pattern.Resource.IsFixed : path[bucket.Length] == '/');
        return isOfBucket ? pattern : throw InvalidResource();
    }

    private void RequireActionsToApply(Pattern[] actions, ArnPattern[] resources)
    {
        var hasBucket = Array.Exists(resources, r => r.Resource.Head.Length == bucket!.Length);
        var hasObject = Array.Exists(resources, r => r.Resource.Head.Length > bucket!.Length);
        foreach (var action in actions)
        {
            if (!S3Actions.AppliesTo(action, hasBucket, hasObject)) throw new PolicyFormatException("Action does not apply to any resource(s) in statement");
        }
    }

    /// <summary>A claim of a provider that the statement does not name is never there: what asks for it is misspelt.</summary>
    private static void RequireClaimsToApply(Principals principals, Condition[] conditions)
    {
        foreach (var key in conditions.SelectMany(c => c.Keys))
        {
            if (ConditionKeys.IsKnown(key) || key.Name is "sts:ExternalId" or "sts:RoleSessionName") continue;
            var colon = key.Name.LastIndexOf(':');
            var isClaim = key.Name[(colon + 1)..] is "sub" or "aud"
                && Array.Exists(principals.Entries, e => e is FederatedEntry federated && federated.Provider.AsSpan().SequenceEqual(key.Name.AsSpan(0, colon)));
            if (!isClaim) throw new PolicyFormatException($"Policy has an invalid condition key: {Shown(key.Name)}");
        }
    }

    private Condition[] ParseConditions(JsonElement value)
    {
        if (value.ValueKind != JsonValueKind.Object) throw Syntax("Condition");
        var conditions = new List<Condition>();
        foreach (var (name, block) in Members(value))
        {
            var @operator = ConditionOperator.Parse(name) ?? throw new PolicyFormatException($"Invalid Condition type : {Shown(name)}");
            if (block.ValueKind != JsonValueKind.Object) throw Syntax("Condition");
            var keys = new HashSet<ConditionKey>();
            foreach (var (keyName, values) in Members(block))
            {
                if (!ConditionKeys.TryParse(keyName, otherServices: IsIdentity || IsTrust, out var key))
                    throw new PolicyFormatException($"Policy has an invalid condition key: {Shown(keyName)}");
                if (!keys.Add(key)) throw Duplicate(keyName);
                conditions.Add(new(@operator, key, [.. ConditionTexts(values).Select(text => ParseComparand(@operator, text))]));
            }
        }
        return [.. conditions];
    }

    private Comparand ParseComparand(ConditionOperator @operator, string text)
    {
        switch (@operator.Kind)
        {
            case ComparisonKind.Text:
                return new TextComparand(Pattern.Parse(text, wildcards: false, _variables, otherServices: IsIdentity));
            case ComparisonKind.TextIgnoreCase:
                return new TextComparand(Pattern.Parse(text, wildcards: false, _variables, ignoreCase: true, IsIdentity));
            case ComparisonKind.TextLike:
                return new TextComparand(Pattern.Parse(text, wildcards: true, _variables, otherServices: IsIdentity));
            case ComparisonKind.Arn when ArnPattern.Parse(text, _variables, IsIdentity) is { } arn:
                return new ArnComparand(arn);
            case ComparisonKind.Number when NumberComparand.TryParse(text, out var number):
                return new NumberComparand(@operator.Relation, number);
            case ComparisonKind.Date when DateComparand.TryParse(text, out var date):
                return new DateComparand(@operator.Relation, date);
            case ComparisonKind.Bool when bool.TryParse(text, out var wanted):
                return new BoolComparand(wanted);
            case ComparisonKind.Null when bool.TryParse(text, out var absent):
                return new NullComparand(absent);
            case ComparisonKind.Binary when BinaryComparand.TryParse(text, out var bytes):
                return new BinaryComparand(bytes);
            case ComparisonKind.Address when AddressRange.TryParse(text, out var range):
                return new AddressComparand(range);
            default:
                throw new PolicyFormatException($"Invalid value for {@operator.Name}: {Shown(text)}");
        }
    }

    /// <summary>The members of an object, each with a name of its own.</summary>
    private static IEnumerable<(string Name, JsonElement Value)> Members(JsonElement value)
    {
        var names = new HashSet<string>(StringComparer.Ordinal);
        foreach (var member in value.EnumerateObject())
        {
            string name;
            try
            {
                name = member.Name;
            }
            catch (InvalidOperationException)
            {
                throw NotJson();
            }
            if (!names.Add(name)) throw Duplicate(name);
            yield return (name, member.Value);
        }
    }

    /// <summary>One text, or a list of at least one.</summary>
    private static List<string> Texts(JsonElement value, string field)
    {
        var texts = new List<string>();
        if (value.ValueKind == JsonValueKind.Array)
        {
            foreach (var item in value.EnumerateArray()) texts.Add(Text(item, field));
        }
        else texts.Add(Text(value, field));
        if (texts.Count == 0 || texts.Contains("")) throw Missing(field);
        return texts;
    }

    /// <summary>Values of a condition: numbers and booleans may come without quotation marks, and a text may be empty.</summary>
    private static List<string> ConditionTexts(JsonElement value)
    {
        var texts = new List<string>();
        if (value.ValueKind == JsonValueKind.Array)
        {
            foreach (var item in value.EnumerateArray()) texts.Add(ConditionText(item));
        }
        else texts.Add(ConditionText(value));
        return texts.Count > 0 ? texts : throw Syntax("Condition");
    }

    private static string ConditionText(JsonElement value) => value.ValueKind switch
    {
        JsonValueKind.True => "true",
        JsonValueKind.False => "false",
        JsonValueKind.Number => value.GetRawText(),
        _ => Text(value, "Condition"),
    };

    private static string Text(JsonElement value, string field)
    {
        if (value.ValueKind != JsonValueKind.String) throw Syntax(field);
        try
        {
            return value.GetString()!;
        }
        catch (InvalidOperationException)
        {
            // An escape for half a character: the letters are JSON, the text is none.
            throw NotJson();
        }
    }

    private static PolicyFormatException NotJson() => new("Policies must be valid JSON and the first byte must be '{'");
    private static PolicyFormatException Syntax(string field) => new($"Invalid policy syntax in field {field}");
    private static PolicyFormatException Missing(string field) => new($"Missing required field {field}");
    private static PolicyFormatException Both(string field) => new($"Statement has both {field} and Not{field}");
    private static PolicyFormatException Duplicate(string name) => new($"Duplicate field {Shown(name)}");
    private static PolicyFormatException InvalidPrincipal() => new("Invalid principal in policy");
    private static PolicyFormatException InvalidResource() => new("Policy has invalid resource");

    /// <summary>What the author wrote, no longer than an error message can bear.</summary>
    private static string Shown(string text)
    {
        const int LengthMax = 100;
        return text.Length <= LengthMax ? text : text[..LengthMax] + "…";
    }
}
