using System.Globalization;
using System.Text.Json;
using DarkStorage.GrainInterfaces.Buckets;
using DarkStorage.GrainInterfaces.Tiers;
using DarkStorage.Rules.Buckets;
using DarkStorage.Rules.Lifecycle.Language;
using DarkStorage.Rules.Tiers;

namespace DarkStorage.Rules.Lifecycle;

/// <summary>A policy as a bucket keeps it.</summary>
/// <param name="Text">In the lifecycle language.</param>
public sealed record BucketPolicySetting(string Text, bool IsEnabled)
{
    private const int NameLengthMax = 64;

    /// <summary>Whether a policy can be called so. Policies are tried in the order of their names.</summary>
    public static bool IsName(string name) => name.Length is > 0 and <= NameLengthMax && name.All(static c => char.IsAsciiLetterLower(c) || char.IsAsciiDigit(c) || c is '-' or '_' or '.');
}

/// <summary>What rules of a bucket say together that can't be meant.</summary>
/// <param name="Identity">The same as long as the rules are that it is about, whatever else changes.</param>
public sealed record BucketMistake(string Identity, string Sentence);

/// <summary>All that moves versions of a bucket by rules.</summary>
/// <param name="Document">S3's.</param>
/// <param name="Tiering">The bucket's own.</param>
public sealed record BucketLifecycle(BucketPolicies Policies, LifecycleConfiguration Document, BucketTiering? Tiering)
{
    /// <summary>Mistakes that are there already and are passed over: nobody has as many.</summary>
    private const int KnownMax = 100;

    /// <param name="policies">The bucket's settings of that kind, or those that there are to be.</param>
    public static BucketLifecycle Of(BucketRecord bucket, BucketPolicies policies) => new(policies, BucketRules.Of(bucket).Lifecycle ?? LifecycleConfiguration.None, BucketRules.Of(bucket).Tiering);

    /// <summary>A sentence, or null. What does not go together before already, as tiers or programs were others when it was saved, keeps nobody from changing something else.</summary>
    public string? FindNewMistake(BucketLifecycle before, IReadOnlyList<Tier> tiers)
    {
        var known = new HashSet<string>(StringComparer.Ordinal);
        // Of circles that begin at one tier one is told at a time.
        while (known.Count < KnownMax && before.FindMistakes(tiers, known).Select(static m => m.Identity).ToList() is { Count: > 0 } more) known.UnionWith(more);
        return FindMistakes(tiers, known).FirstOrDefault()?.Sentence;
    }

    private IEnumerable<BucketMistake> FindMistakes(IReadOnlyList<Tier> tiers, IReadOnlySet<string> known) => Policies.FindMistakes(tiers, known).Concat(Policies.FindCircles(Document, Tiering, tiers, known));
}

/// <summary>The enabled policies of a bucket, as one: their rules are tried in the order of the policies' names.</summary>
public sealed class BucketPolicies
{
    public static readonly BucketPolicies None = new([]);

    private const int DaysMax = 36_500;
    private const int KeyBytesMax = 1_024;

    private readonly (string Name, LifecyclePolicy Policy)[] _parts;
    private readonly LifecyclePolicy? _all;

    /// <param name="policies">With their names, in the order in which they are tried.</param>
    /// <exception cref="LifecyclePolicyFormatException">All together are more than a policy can be.</exception>
    public BucketPolicies(IEnumerable<(string Name, LifecyclePolicy Policy)> policies)
    {
        _parts = [.. policies];
        // Each ends where it ends: a line that follows begins a rule.
        if (_parts.Length > 0) _all = LifecyclePolicy.Parse(string.Join('\n', _parts.Select(static p => p.Policy.Text.TrimStart('\uFEFF'))));
    }

    private BucketPolicies(string problem) : this([]) => Problem = problem;

    /// <summary>Why nobody can tell where versions belong, as a sentence: then nothing is to be moved. Null where it can be told.</summary>
    public string? Problem { get; }

    public bool IsEmpty => _all is null && Problem is null;

    /// <summary>All of them, as one; null where there are none.</summary>
    public LifecyclePolicy? All => _all;

    /// <summary>What a decision could turn on.</summary>
    public LifecycleNeeds Needs => _all?.Needs ?? LifecycleNeeds.None;

    /// <summary>Of the settings of a bucket; those that are not enabled are left out. One that can't be read, as a newer program wrote it, is a <see cref="Problem"/>.</summary>
    public static BucketPolicies Of(IEnumerable<BucketSetting> settings)
    {
        try
        {
            return new(settings
                .Select(static s => (s.Id, Setting: SettingJson.Read<BucketPolicySetting>(s.Document)))
                .Where(static s => s.Setting.IsEnabled)
                .Select(static s => (s.Id, LifecyclePolicy.Parse(s.Setting.Text))));
        }
        catch (Exception e) when (e is LifecyclePolicyFormatException or JsonException)
        {
            return new($"The enabled policies of the bucket can't be read, so nothing is moved: {e.Message}");
        }
    }

    /// <summary>What does not go together that does alone: rules that those of another policy leave nothing to decide on, and circles.</summary>
    /// <param name="known">What is passed over: others are looked for behind it.</param>
    public IEnumerable<BucketMistake> FindMistakes(IReadOnlyList<Tier> tiers, IReadOnlySet<string>? known = null)
    {
        if (_all is null) return [];
        return _all.FindMistakes(TierRules.ClassIn(tiers), f => known?.Contains(IdentityOf(_all, f)) == true)
            .Where(static f => f.Kind is LifecycleFindingKind.Contradiction or LifecycleFindingKind.Circular or LifecycleFindingKind.TooComplicated)
            .Select(f => new BucketMistake(IdentityOf(_all, f), $"Of all enabled policies of the bucket, one after another: {f.Sentence}{LegendOf(f, [])}"));
    }

    /// <summary>Circles of the policies with a bucket's transitions: a transition moves a version where a policy takes it away from again.</summary>
    /// <param name="known">What is passed over: others are looked for behind it.</param>
    /// <remarks>Of S3's document those of current versions by their age are looked at. Others, and what takes too long to find out, are left to the runs, which go round in no circle.</remarks>
    public IEnumerable<BucketMistake> FindCircles(LifecycleConfiguration document, BucketTiering? tiering, IReadOnlyList<Tier> tiers, IReadOnlySet<string>? known = null)
    {
        if (_all?.AsksForPlace != true) return [];
        var transitions = TransitionsOf(document, tiering, tiers);
        var together = _all.With(transitions.Select(static t => t.Rule));
        return together.FindCircles(TierRules.ClassIn(tiers), f => !IsOfBoth(f) || known?.Contains(IdentityOf(together, f)) == true)
            .Select(f => new BucketMistake(IdentityOf(together, f), $"Of all enabled policies of the bucket and its transitions, one after another: {f.Sentence}{LegendOf(f, transitions)}"));

        bool IsOfBoth(LifecycleFinding finding) => finding.Others.Append(finding.Rule).Any(r => r > _all.Rules.Length);
    }

    /// <summary>By the rules themselves, as their numbers change with those in front of them; of a rule that never decides, whichever are in front.</summary>
    private static string IdentityOf(LifecyclePolicy policy, LifecycleFinding finding) => finding.Kind switch
    {
        LifecycleFindingKind.TooComplicated => $"{finding.Kind}",
        LifecycleFindingKind.Circular => $"{finding.Kind}\n{string.Join('\n', finding.Others.Append(finding.Rule).Select(r => policy.Rules[r - 1].ToString()).Order(StringComparer.Ordinal))}",
        _ => $"{finding.Kind}\n{policy.Rules[finding.Rule - 1]}",
    };

    /// <summary>Whose the rules are that something is about.</summary>
    private string LegendOf(LifecycleFinding finding, List<(LifecyclePolicyRule Rule, string Name)> transitions)
    {
        if (finding.Kind == LifecycleFindingKind.TooComplicated || (_parts.Length == 1 && transitions.Count == 0)) return "";
        var names = finding.Others.Append(finding.Rule).Order().Distinct().Select(r => string.Create(CultureInfo.InvariantCulture, $"rule {r} is {NameOf(r)}")).ToList();
        return $" Here {(names.Count == 1 ? names[0] : $"{string.Join(", ", names[..^1])} and {names[^1]}")}.";

        string NameOf(int rule)
        {
            foreach (var (name, policy) in _parts)
            {
                if (rule <= policy.Rules.Length) return $"of the policy {name}";
                rule -= policy.Rules.Length;
            }
            return transitions[rule - 1].Name;
        }
    }

    /// <summary>Transitions in the words of a policy, in the order in which they outrank each other: of all that are due, the one that became due last.</summary>
    private static List<(LifecyclePolicyRule Rule, string Name)> TransitionsOf(LifecycleConfiguration document, BucketTiering? tiering, IReadOnlyList<Tier> tiers)
    {
        var transitions = new List<(int Days, LifecyclePolicyRule Rule, string Name)>();
        foreach (var rule in document.Rules.Where(static r => r.IsEnabled && IsLiteral(r.Filter.Prefix)))
        {
            foreach (var step in rule.Transitions) Add(step.Days, step.StorageClass, $"one of rule {rule.Id} of its lifecycle document", [.. ConditionsOf(rule.Filter), LifecycleCondition.Not(new NoncurrentComparison())]);
        }
        foreach (var entry in (tiering?.Entries ?? []).Where(static e => IsLiteral(e.Prefix)))
        {
            // The longest prefix that a key has decides, and no other.
            var longer = tiering!.Entries.Where(e => e.Prefix.Length > entry.Prefix.Length && e.Prefix.StartsWith(entry.Prefix, StringComparison.Ordinal) && IsLiteral(e.Prefix)).Select(static e => LifecycleCondition.Not(Below(e.Prefix)));
            foreach (var step in entry.Transitions) Add(step.Days, step.StorageClass, entry.Prefix.Length == 0 ? "one of the bucket's own" : $"one of those below {entry.Prefix}", [.. entry.Prefix.Length == 0 ? [] : (LifecycleCondition[])[Below(entry.Prefix)], .. longer]);
        }
        return [.. transitions.OrderByDescending(static t => t.Days).Select(static t => (t.Rule, t.Name))];

        void Add(int? days, string storageClass, string name, LifecycleCondition[] conditions)
        {
            // A class that is no tier's moves nothing, and what is not due in a hundred years nobody waits for.
            if (days is not { } age || age > DaysMax || tiers.FirstOrDefault(t => t.StorageClass == storageClass) is not { } tier) return;
            transitions.Add((age, new(LifecycleCondition.All([new NumberComparison(new(LifecycleAttributeKind.Age), LifecycleRelation.AtLeast, age * TimeSpan.TicksPerDay), .. conditions]), tier.Name), name));
        }

        static IEnumerable<LifecycleCondition> ConditionsOf(LifecycleFilter filter)
        {
            if (!string.IsNullOrEmpty(filter.Prefix)) yield return Below(filter.Prefix);
            if (filter.SizeGreaterThan is { } more) yield return new NumberComparison(new(LifecycleAttributeKind.Size), LifecycleRelation.Greater, more);
            if (filter.SizeLessThan is { } less) yield return new NumberComparison(new(LifecycleAttributeKind.Size), LifecycleRelation.Less, less);
            foreach (var (key, value) in filter.Tags) yield return new TextComparison(new(LifecycleAttributeKind.Tag, Tag: key), LifecycleRelation.Equal, value);
        }

        static LifecycleCondition Below(string prefix) => new TextComparison(new(LifecycleAttributeKind.Name), LifecycleRelation.Like, prefix + "*");

        // Patterns have no escapes; and no key is longer.
        static bool IsLiteral(string? prefix) => prefix is null || (prefix.Length <= KeyBytesMax && prefix.AsSpan().IndexOfAny('*', '?') < 0);
    }

    /// <summary>As <see cref="LifecyclePolicy.Decide(in LifecyclePolicySubject, DateTimeOffset)"/>.</summary>
    public LifecyclePolicyDecision Decide(in LifecyclePolicySubject subject, DateTimeOffset now) => _all?.Decide(subject, now) ?? default;

    /// <summary>Why a version belongs where it does, in sentences; rules are called as those of their policies.</summary>
    public IEnumerable<string> Explain(LifecyclePolicySubject subject, DateTimeOffset now)
    {
        if (_all is null) return [Problem ?? "No policy of the bucket is enabled."];
        var explained = _all.Explain(subject, now);
        return _parts.Length == 1 ? explained.Lines() : Legend().Concat(explained.Lines());
    }

    private IEnumerable<string> Legend()
    {
        var first = 1;
        foreach (var (name, policy) in _parts)
        {
            var last = first + policy.Rules.Length - 1;
            yield return string.Create(CultureInfo.InvariantCulture, $"{(first == last ? $"Rule {first} is" : $"Rules {first} to {last} are")} of the policy {name}.");
            first = last + 1;
        }
    }
}
