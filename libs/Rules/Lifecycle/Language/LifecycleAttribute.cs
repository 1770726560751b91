using System.Globalization;
using DarkStorage.Rules.Tiers;

namespace DarkStorage.Rules.Lifecycle.Language;

public enum LifecycleAttributeKind
{
    /// <summary>Time since the version was made.</summary>
    Age,
    /// <summary>Time since it was last accessed, or made.</summary>
    Access,
    /// <summary>Time since a newer version took its place; versions on top have none.</summary>
    NoncurrentAge,
    /// <summary>Whether a newer version took its place.</summary>
    Noncurrent,
    AccessCount,
    /// <summary>Accesses of today and the days before, in UTC.</summary>
    RecentAccessCount,
    Size,
    /// <summary>The whole key.</summary>
    Name,
    FileExtension,
    Tag,
    Tier,
    StorageClass,
}

/// <summary>What a comparison asks about.</summary>
/// <param name="Days">Of <see cref="LifecycleAttributeKind.RecentAccessCount"/>: 1 to <see cref="AccessHistory.DaysMax"/>.</param>
/// <param name="Tag">Whose value is asked for.</param>
public readonly record struct LifecycleAttribute(LifecycleAttributeKind Kind, int Days = 0, string? Tag = null)
{
    private const string RecentHead = "access_count_";
    private const int TagCharactersMax = 128;

    private static readonly Dictionary<string, LifecycleAttributeKind> Kinds = new(StringComparer.OrdinalIgnoreCase)
    {
        ["age"] = LifecycleAttributeKind.Age,
        ["access"] = LifecycleAttributeKind.Access,
        ["noncurrent_age"] = LifecycleAttributeKind.NoncurrentAge,
        ["noncurrent"] = LifecycleAttributeKind.Noncurrent,
        ["access_count"] = LifecycleAttributeKind.AccessCount,
        ["size"] = LifecycleAttributeKind.Size,
        ["name"] = LifecycleAttributeKind.Name,
        ["file_extension"] = LifecycleAttributeKind.FileExtension,
        ["tier"] = LifecycleAttributeKind.Tier,
        ["storage_class"] = LifecycleAttributeKind.StorageClass,
    };

    /// <summary>What people write who know another language, and what it is called here.</summary>
    private static readonly Dictionary<string, string> OtherNames = new(StringComparer.OrdinalIgnoreCase)
    {
        ["prefix"] = "name LIKE \"logs/*\"",
        ["suffix"] = "name LIKE \"*.log\"",
        ["key"] = "name",
        ["path"] = "name",
        ["extension"] = "file_extension",
        ["ext"] = "file_extension",
        ["length"] = "size",
        ["bytes"] = "size",
        ["class"] = "storage_class",
        ["created"] = "age",
        ["modified"] = "age",
        ["last_access"] = "access",
        ["accessed"] = "access",
        ["accesses"] = "access_count",
        ["tag"] = "tag.project",
        ["tags"] = "tag.project",
    };

    public bool IsDuration => Kind is LifecycleAttributeKind.Age or LifecycleAttributeKind.Access or LifecycleAttributeKind.NoncurrentAge;

    public bool IsNumber => IsDuration || Kind is LifecycleAttributeKind.AccessCount or LifecycleAttributeKind.RecentAccessCount or LifecycleAttributeKind.Size;

    internal bool IgnoresCase => Kind == LifecycleAttributeKind.FileExtension;

    public LifecycleNeeds Needs => Kind switch
    {
        LifecycleAttributeKind.Tag => LifecycleNeeds.Tags,
        LifecycleAttributeKind.Access or LifecycleAttributeKind.AccessCount or LifecycleAttributeKind.RecentAccessCount => LifecycleNeeds.Access,
        _ => LifecycleNeeds.None,
    };

    /// <param name="word">But for <c>tag.NAME</c>.</param>
    /// <param name="why">Where it is none, a sentence that says what may have been meant.</param>
    internal static LifecycleAttribute? Find(string word, out string why)
    {
        why = "";
        if (Kinds.TryGetValue(word, out var kind)) return new(kind);
        if (word.StartsWith(RecentHead, StringComparison.OrdinalIgnoreCase) && char.IsAsciiDigit(word.ElementAtOrDefault(RecentHead.Length)))
        {
            if (word[^1] is 'd' or 'D' && int.TryParse(word[RecentHead.Length..^1], NumberStyles.None, CultureInfo.InvariantCulture, out var days) && days is >= 1 and <= AccessHistory.DaysMax)
                return new(LifecycleAttributeKind.RecentAccessCount, days);
            why = $"accesses are counted for 1 to {AccessHistory.DaysMax} days: {RecentHead}1d to {RecentHead}{AccessHistory.DaysMax}d.";
            return null;
        }
        var meant = OtherNames.TryGetValue(word, out var other) ? other : Nearest(word, [.. Kinds.Keys, "access_count_7d"]);
        why = meant is null ? $"the attributes are {string.Join(", ", Kinds.Keys)}, access_count_7d and tag.NAME." : $"did you mean {meant}?";
        return null;
    }

    /// <returns>Why a tag of that name can't be; null where it can.</returns>
    internal static string? WhyNoTag(string name) => name.Length is 0 or > TagCharactersMax ? $"A tag's name has 1 to {TagCharactersMax} characters." : null;

    /// <returns>Why a text can't be compared with this, as no value of it is ever so; null where it can.</returns>
    internal string? WhyNoValue(string text)
    {
        switch (Kind)
        {
            case LifecycleAttributeKind.Tier:
                return WhyNoTier(text);
            case LifecycleAttributeKind.StorageClass when !TierRules.StorageClasses.Contains(text):
                return Nearest(text, TierRules.StorageClasses) is { } near ? $"There is no storage class {text}: did you mean {near}?" : $"A storage class is one of {string.Join(", ", TierRules.StorageClasses)}.";
            case LifecycleAttributeKind.FileExtension when text.Length > 0 && text[0] != '.':
                return $"A file extension begins with its dot: did you mean .{text}?";
            case LifecycleAttributeKind.FileExtension when text == "." || text.LastIndexOf('.') > 0 || text.Contains('/'):
                return "A file extension is the last dot of a name and what follows: that of a.tar.gz is .gz. For more, write name LIKE \"*.tar.gz\".";
            default:
                return null;
        }
    }

    internal static string? WhyNoTier(string name) =>
        name.Length is 0 or > 32 || !name.All(static c => char.IsAsciiLetterLower(c) || char.IsAsciiDigit(c) || c == '-') ? "A tier's name has 1 to 32 lower-case letters, digits and dashes." : null;

    /// <returns>The one that takes the fewest letters to change, where they are few.</returns>
    internal static string? Nearest(string word, IEnumerable<string> names)
    {
        if (word.Length > 40) return null;
        var (name, distance) = names.Select(n => (n, Distance(word.ToLowerInvariant(), n.ToLowerInvariant()))).DefaultIfEmpty(("", int.MaxValue)).MinBy(static n => n.Item2);
        return distance <= Math.Max(1, word.Length / 3) ? name : null;
    }

    /// <summary>Letters to put in, take out, change, or swap with the next.</summary>
    private static int Distance(string a, string b)
    {
        var rows = new int[a.Length + 1, b.Length + 1];
        for (var i = 0; i <= a.Length; i++)
        {
            for (var j = 0; j <= b.Length; j++)
            {
                if (i == 0 || j == 0)
                {
                    rows[i, j] = i + j;
                    continue;
                }
                rows[i, j] = Math.Min(Math.Min(rows[i - 1, j], rows[i, j - 1]) + 1, rows[i - 1, j - 1] + (a[i - 1] == b[j - 1] ? 0 : 1));
                if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1]) rows[i, j] = Math.Min(rows[i, j], rows[i - 2, j - 2] + 1);
            }
        }
        return rows[a.Length, b.Length];
    }

    /// <summary>As it is written.</summary>
    public override string ToString()
    {
        if (Kind == LifecycleAttributeKind.RecentAccessCount) return string.Create(CultureInfo.InvariantCulture, $"{RecentHead}{Days}d");
        if (Kind == LifecycleAttributeKind.Tag) return "tag." + (Tag!.All(static c => char.IsAsciiLetterOrDigit(c) || c is '_' or '-' or '.') ? Tag : LifecycleLiterals.Quote(Tag!));
        foreach (var (name, kind) in Kinds)
        {
            if (kind == Kind) return name;
        }
        throw new System.Diagnostics.UnreachableException($"{Kind} has no name");
    }
}
