using System.Collections.Frozen;

namespace DarkStorage.Rules.Policies;

internal enum ComparisonKind
{
    Text,
    TextIgnoreCase,
    TextLike,
    Number,
    Date,
    Bool,
    Binary,
    Address,
    Arn,
    Null,
}

internal enum Quantifier
{
    None,
    ForAnyValue,
    ForAllValues,
}

/// <summary>The name of a block of conditions, such as <c>ForAnyValue:StringNotLikeIfExists</c>, taken apart.</summary>
internal sealed record ConditionOperator(string Name, ComparisonKind Kind, Relation Relation, bool Negated, Quantifier Quantifier, bool IfExists)
{
    private const string ForAnyValue = "ForAnyValue:";
    private const string ForAllValues = "ForAllValues:";
    private const string IfExistsSuffix = "IfExists";

    private static readonly FrozenDictionary<string, (ComparisonKind Kind, Relation Relation, bool Negated)> Known =
        new Dictionary<string, (ComparisonKind, Relation, bool)>(StringComparer.Ordinal)
        {
            ["StringEquals"] = (ComparisonKind.Text, Relation.Equal, false),
            ["StringNotEquals"] = (ComparisonKind.Text, Relation.Equal, true),
            ["StringEqualsIgnoreCase"] = (ComparisonKind.TextIgnoreCase, Relation.Equal, false),
            ["StringNotEqualsIgnoreCase"] = (ComparisonKind.TextIgnoreCase, Relation.Equal, true),
            ["StringLike"] = (ComparisonKind.TextLike, Relation.Equal, false),
            ["StringNotLike"] = (ComparisonKind.TextLike, Relation.Equal, true),
            ["NumericEquals"] = (ComparisonKind.Number, Relation.Equal, false),
            ["NumericNotEquals"] = (ComparisonKind.Number, Relation.Equal, true),
            ["NumericLessThan"] = (ComparisonKind.Number, Relation.Less, false),
            ["NumericLessThanEquals"] = (ComparisonKind.Number, Relation.LessOrEqual, false),
            ["NumericGreaterThan"] = (ComparisonKind.Number, Relation.Greater, false),
            ["NumericGreaterThanEquals"] = (ComparisonKind.Number, Relation.GreaterOrEqual, false),
            ["DateEquals"] = (ComparisonKind.Date, Relation.Equal, false),
            ["DateNotEquals"] = (ComparisonKind.Date, Relation.Equal, true),
            ["DateLessThan"] = (ComparisonKind.Date, Relation.Less, false),
            ["DateLessThanEquals"] = (ComparisonKind.Date, Relation.LessOrEqual, false),
            ["DateGreaterThan"] = (ComparisonKind.Date, Relation.Greater, false),
            ["DateGreaterThanEquals"] = (ComparisonKind.Date, Relation.GreaterOrEqual, false),
            ["Bool"] = (ComparisonKind.Bool, Relation.Equal, false),
            ["BinaryEquals"] = (ComparisonKind.Binary, Relation.Equal, false),
            ["IpAddress"] = (ComparisonKind.Address, Relation.Equal, false),
            ["NotIpAddress"] = (ComparisonKind.Address, Relation.Equal, true),
            ["ArnEquals"] = (ComparisonKind.Arn, Relation.Equal, false),
            ["ArnNotEquals"] = (ComparisonKind.Arn, Relation.Equal, true),
            ["ArnLike"] = (ComparisonKind.Arn, Relation.Equal, false),
            ["ArnNotLike"] = (ComparisonKind.Arn, Relation.Equal, true),
            ["Null"] = (ComparisonKind.Null, Relation.Equal, false),
        }.ToFrozenDictionary(StringComparer.Ordinal);

    /// <returns>Null where there is no such operator.</returns>
    public static ConditionOperator? Parse(string name)
    {
        var rest = name;
        var quantifier = Quantifier.None;
        if (rest.StartsWith(ForAnyValue, StringComparison.Ordinal)) (quantifier, rest) = (Quantifier.ForAnyValue, rest[ForAnyValue.Length..]);
        else if (rest.StartsWith(ForAllValues, StringComparison.Ordinal)) (quantifier, rest) = (Quantifier.ForAllValues, rest[ForAllValues.Length..]);
        var ifExists = rest.EndsWith(IfExistsSuffix, StringComparison.Ordinal);
        if (ifExists) rest = rest[..^IfExistsSuffix.Length];
        if (!Known.TryGetValue(rest, out var known)) return null;
        // Null asks whether the key exists; of its values there is nothing to ask.
        if (known.Kind == ComparisonKind.Null && (ifExists || quantifier != Quantifier.None)) return null;
        return new(name, known.Kind, known.Relation, known.Negated, quantifier, ifExists);
    }
}
