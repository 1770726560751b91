using System.Collections.Immutable;
using System.Globalization;
using System.Text;
using System.Text.Json;
using System.Text.RegularExpressions;

namespace DarkStorage.ClientApi.S3;

/// <summary>What whoever signed a form allows in it: until when, with which fields, and how large a file.</summary>
/// <param name="LengthRange">Bytes of the file; null for any.</param>
internal sealed partial record PostPolicy(DateTimeOffset Expiration, ImmutableArray<PostCondition> Conditions, (long Min, long Max)? LengthRange)
{
    /// <summary>The field that holds it.</summary>
    public const string Field = "policy";

    public const string SignatureField = "x-amz-signature";
    private const string LengthRangeOperator = "content-length-range";
    private const string IgnoredPrefix = "x-ignore-";

    /// <summary>An array of conditions in an object; what is deeper is no policy.</summary>
    private const int DepthMax = 4;

    private static readonly string[] TimeForms = ["yyyy-MM-dd'T'HH:mm:ss'Z'", "yyyy-MM-dd'T'HH:mm:ss.FFFFFFF'Z'"];

    /// <summary>Fields that no policy has to speak of.</summary>
    public static bool IsIgnored(string field) => field.StartsWith(IgnoredPrefix, StringComparison.OrdinalIgnoreCase);

    /// <summary>Fields that say who signed, and are nothing of the object's.</summary>
    public static bool IsSignature(string field) => field.ToLowerInvariant() is SignatureField or "awsaccesskeyid" or "signature" or "x-amz-algorithm" or "x-amz-credential" or "x-amz-date" or "x-amz-security-token";

    /// <param name="text">Base64 of JSON, as the form has it.</param>
    /// <exception cref="S3Exception"><c>InvalidPolicyDocument</c>.</exception>
    public static PostPolicy Parse(string text)
    {
        try
        {
            var json = new UTF8Encoding(false, throwOnInvalidBytes: true).GetString(Convert.FromBase64String(text));
            // AWS's policies may escape a dollar sign, which JSON has no escape for.
            json = Escape().Replace(json, static e => e.Value == "\\$" ? "$" : e.Value);
            using var document = JsonDocument.Parse(json, new() { MaxDepth = DepthMax, AllowDuplicateProperties = false });
            return Read(document.RootElement);
        }
        // The reader takes halves of characters, and refuses when they are asked for.
        catch (Exception e) when (e is FormatException or JsonException or DecoderFallbackException or InvalidOperationException)
        {
            throw new S3Exception(S3Error.InvalidPolicyDocument, "Invalid Policy: Invalid JSON.", e);
        }
    }

    /// <summary>Makes sure that a form is one of those that the policy was made for.</summary>
    /// <param name="fields">All but the file, the bucket among them.</param>
    /// <exception cref="S3Exception"><c>AccessDenied</c>.</exception>
    public void Verify(IReadOnlyDictionary<string, string> fields, DateTimeOffset now)
    {
        if (now >= Expiration) throw Refused("Policy expired.");
        foreach (var condition in Conditions)
        {
            if (!condition.IsMet(fields.GetValueOrDefault(condition.Field))) throw Refused($"Policy Condition failed: {condition}");
        }
        var covered = Conditions.Select(c => c.Field).ToHashSet(StringComparer.OrdinalIgnoreCase);
        var extra = fields.Keys.Where(f => !covered.Contains(f) && !IsIgnored(f) && f.ToLowerInvariant() is not (SignatureField or Field or "awsaccesskeyid" or "signature")).Order(StringComparer.Ordinal).ToList();
        if (extra.Count > 0) throw Refused($"Extra input fields: {string.Join(", ", extra)}");
    }

    private static PostPolicy Read(JsonElement policy)
    {
        if (policy.ValueKind != JsonValueKind.Object) throw Malformed("Invalid JSON.");
        if (!policy.TryGetProperty("expiration", out var expiration)) throw Malformed("Policy missing expiration.");
        if (expiration.ValueKind != JsonValueKind.String || !DateTimeOffset.TryParseExact(expiration.GetString(), TimeForms, CultureInfo.InvariantCulture, DateTimeStyles.AssumeUniversal, out var time))
            throw Malformed($"Invalid 'expiration' value: '{expiration}'");
        if (!policy.TryGetProperty("conditions", out var list)) throw Malformed("Policy missing conditions.");
        if (list.ValueKind != JsonValueKind.Array) throw Malformed("Invalid 'conditions' value: must be a List.");
        foreach (var member in policy.EnumerateObject())
        {
            if (member.Name is not ("expiration" or "conditions")) throw Malformed($"Unexpected: '{member.Name}'");
        }
        var conditions = ImmutableArray.CreateBuilder<PostCondition>();
        (long Min, long Max)? range = null;
        foreach (var item in list.EnumerateArray())
        {
            if (item.ValueKind == JsonValueKind.Object) conditions.Add(ReadPair(item));
            else if (item.ValueKind != JsonValueKind.Array || item.GetArrayLength() != 3 || item[0].ValueKind != JsonValueKind.String) throw Malformed("Invalid Condition: expected [operator, argument, argument]");
            else if (item[0].GetString()!.Equals(LengthRangeOperator, StringComparison.OrdinalIgnoreCase))
            {
                var (min, max) = (ReadLength(item[1]), ReadLength(item[2]));
                // Of two, both hold.
                range = range is { } other ? (Math.Max(min, other.Min), Math.Min(max, other.Max)) : (min, max);
            }
            else conditions.Add(ReadCondition(item));
        }
        return new(time, conditions.ToImmutable(), range);
    }

    /// <summary><c>{"acl": "public-read"}</c>.</summary>
    private static PostCondition ReadPair(JsonElement item)
    {
        PostCondition? condition = null;
        foreach (var member in item.EnumerateObject())
        {
            if (condition is not null) throw Malformed("Invalid Simple-Condition: Simple-Conditions must have exactly one property specified.");
            condition = new(PostOperator.Eq, member.Name, TextOf(member.Value));
        }
        return condition ?? throw Malformed("Invalid Simple-Condition: Simple-Conditions must have exactly one property specified.");
    }

    /// <summary><c>["starts-with", "$key", "user/"]</c>.</summary>
    private static PostCondition ReadCondition(JsonElement item)
    {
        var (name, field) = (item[0].GetString()!, TextOf(item[1]));
        if (field is not ['$', _, ..]) throw Malformed($"Invalid Condition: '{field}' names no field.");
        PostOperator? operation = name.ToLowerInvariant() switch { "eq" => PostOperator.Eq, "starts-with" => PostOperator.StartsWith, _ => null };
        return new(operation ?? throw Malformed($"Invalid Condition: unknown operation '{name}'."), field[1..], TextOf(item[2]));
    }

    private static string TextOf(JsonElement value) => value.ValueKind == JsonValueKind.String ? value.GetString()! : throw Malformed("Invalid Condition: value must be a string.");

    /// <summary>A number, or the text of one.</summary>
    private static long ReadLength(JsonElement value) =>
        long.TryParse(value.ValueKind is JsonValueKind.Number or JsonValueKind.String ? value.ToString() : "", NumberStyles.None, CultureInfo.InvariantCulture, out var length)
            ? length
            : throw Malformed($"Invalid {LengthRangeOperator}: '{value}' is no number of bytes.");

    private static S3Exception Malformed(string why) => new(S3Error.InvalidPolicyDocument, $"Invalid Policy: {why}");

    private static S3Exception Refused(string why) => new(S3Error.AccessDenied, $"Invalid according to Policy: {why}");

    [GeneratedRegex(@"\\.", RegexOptions.Singleline | RegexOptions.CultureInvariant)]
    private static partial Regex Escape();
}

internal enum PostOperator : byte
{
    Eq,
    StartsWith,
}

/// <summary>What one field of a form must be, or begin with.</summary>
/// <param name="Field">In any case, without its dollar sign.</param>
internal sealed record PostCondition(PostOperator Operator, string Field, string Value)
{
    /// <param name="given">Null where the form lacks the field: that meets nothing, not even what any value would.</param>
    public bool IsMet(string? given)
    {
        if (given is null) return false;
        if (Operator == PostOperator.Eq) return given == Value;
        // The types of a choice of several files come with commas between.
        return Field.Equals("Content-Type", StringComparison.OrdinalIgnoreCase)
            ? given.Split(',', StringSplitOptions.TrimEntries).All(t => t.StartsWith(Value, StringComparison.Ordinal))
            : given.StartsWith(Value, StringComparison.Ordinal);
    }

    /// <summary>As AWS's answers say it.</summary>
    public override string ToString() => $"[\"{(Operator == PostOperator.Eq ? "eq" : "starts-with")}\", \"${Field}\", \"{Value}\"]";
}
