using System.Globalization;
using System.Text.Json;
using DarkStorage.GrainInterfaces.Buckets;
using DarkStorage.Rules.Buckets;
using DarkStorage.Rules.Lifecycle.Language;

namespace DarkStorage.Rules.Lifecycle;

/// <summary>A policy as a bucket keeps it.</summary>
/// <param name="Text">In the lifecycle language.</param>
public sealed record BucketPolicySetting(string Text, bool IsEnabled)
{
    private const int NameLengthMax = 64;

    /// <summary>Whether a policy can be called so. Policies are tried in the order of their names.</summary>
    public static bool IsName(string name) => name.Length is > 0 and <= NameLengthMax && name.All(static c => char.IsAsciiLetterLower(c) || char.IsAsciiDigit(c) || c is '-' or '_' or '.');
}

/// <summary>The enabled policies of a bucket, as one: their rules are tried in the order of the policies' names.</summary>
public sealed class BucketPolicies
{
    public static readonly BucketPolicies None = new([]);

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

    /// <summary>What does not go together that does alone, as sentences: circles.</summary>
    /// <param name="classOf">The storage class of a tier; null where there is no such tier.</param>
    public IEnumerable<string> FindMistakes(Func<string, string?> classOf) => (_all?.FindMistakes(classOf) ?? [])
        .Where(static f => f.Kind is LifecycleFindingKind.Circular or LifecycleFindingKind.TooComplicated)
        .Select(static f => $"Of all enabled policies of the bucket, one after another: {f.Sentence}");

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
